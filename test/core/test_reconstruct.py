"""Landmarks to metric hands: sides, distances, depth images, distorted cameras."""

import dataclasses

import numpy as np
import pytest
import torch
from stream_fakes import CAMERA, frame

from hand_perception import geometry
from hand_perception.config import PipelineSettings
from hand_perception.datatypes import DepthSource, HandLandmarks, Region
from hand_perception.models.hand_model import load_hand_model
from hand_perception.models.landmark_fit import NETWORK_LANDMARKS
from hand_perception.pipeline.lift import project
from hand_perception.pipeline.reconstruct import LandmarkReconstructor
from hand_perception.pipeline.shape import ShapeMemory
from hand_perception.pipeline.track import start_track
from hand_perception.rendering.rasterizer import rasterize

DISTORTED = dataclasses.replace(
    CAMERA, distortion_model='plumb_bob', distortion=(-0.25, 0.06, 1e-3, -5e-4, 0.0)
)
TRANSL = np.array([0.06, 0.03, 0.45])
#: The back of a right hand towards the camera, fingers up and a little forward.
ORIENT = geometry.axis_angle_from_rotation(
    geometry.rotation_from_axis_angle(np.array([-0.4, 0.0, 0.0]))
    @ np.array([[0.0, 0, -1], [1, 0, 0], [0, -1, 0]])
)


@pytest.fixture(scope='module')
def model():
    return load_hand_model('default')


@pytest.fixture(scope='module')
def reconstructor(model):
    return LandmarkReconstructor(model, hand_scale=1.0)


def true_right_hand(model, *, scale=1.0, curl=0.35):
    """Mesh and keypoints of a half-closed right hand, metres."""
    pose = np.zeros((15, 3))
    pose[:12, 2] = curl
    mesh = model(
        global_orient=torch.from_numpy(ORIENT)[None].float(),
        hand_pose=torch.from_numpy(pose.reshape(1, 45)).float(),
        betas=torch.from_numpy(model.betas_for_scale(scale))[None].float(),
        transl=torch.from_numpy(TRANSL)[None].float(),
    )
    return mesh.vertices[0].double().numpy(), mesh.keypoints[0].double().numpy()


def seen(camera, keypoints, *, is_right=True):
    """What a perfect network says of a hand with these keypoints.

    Its wrist and knuckles lie farther on than the joints, as those of the real network do.
    """
    palm = keypoints[9] - keypoints[0]
    shown = keypoints.copy()
    shown[0] += NETWORK_LANDMARKS.wrist * palm
    shown[[5, 9, 13, 17]] += NETWORK_LANDMARKS.knuckles * palm
    return HandLandmarks(
        keypoints_2d=project(camera, shown),
        world_m=shown - shown.mean(0),
        presence=1.0,
        right_score=0.99 if is_right else 0.01,
        region=Region(center_px=(320.0, 240.0), size_px=300.0, angle_rad=0.0),
    )


def reconstruct(reconstructor, keypoints, *, is_right=True, camera=CAMERA, depth_m=None):
    shown = dataclasses.replace(frame(0.0, depth_m=depth_m), camera=camera)
    track = start_track(7, seen(camera, keypoints, is_right=is_right), 0)
    (hand,) = reconstructor(shown, [track.with_side(is_right)], ShapeMemory())
    return hand


def median_error_m(hand, keypoints):
    return np.median(np.linalg.norm(hand.keypoints_3d - keypoints, axis=-1))


@pytest.mark.parametrize('camera', [CAMERA, DISTORTED], ids=['pinhole', 'distorted'])
def test_a_hand_is_found_where_it_is_in_metres(model, reconstructor, camera):
    _, keypoints = true_right_hand(model)
    hand = reconstruct(reconstructor, keypoints, camera=camera)
    # Soft knowledge (hinges, bone directions) pulls a little against exact landmarks.
    assert median_error_m(hand, keypoints) < 0.01
    assert hand.depth_source == DepthSource.MONO
    assert abs(hand.keypoints_3d[0, 2] - keypoints[0, 2]) < 0.01


@pytest.mark.parametrize('camera', [CAMERA, DISTORTED], ids=['pinhole', 'distorted'])
def test_published_pixels_are_the_projection_of_the_published_points(model, reconstructor, camera):
    hand = reconstruct(reconstructor, true_right_hand(model)[1], camera=camera)
    np.testing.assert_allclose(
        hand.keypoints_2d, project(camera, hand.keypoints_3d), atol=0.01
    )  # px: float32


def test_a_left_hand_is_the_mirror_image_of_a_right_one(model, reconstructor):
    _, keypoints = true_right_hand(model)
    right = reconstruct(reconstructor, keypoints)
    left = reconstruct(reconstructor, geometry.mirror_points(keypoints), is_right=False)
    atol = 1e-6  # m and rad: float32 meshes
    np.testing.assert_allclose(
        left.keypoints_3d, geometry.mirror_points(right.keypoints_3d), atol=atol
    )
    np.testing.assert_allclose(left.vertices, geometry.mirror_points(right.vertices), atol=atol)
    np.testing.assert_allclose(
        left.parameters.global_orient,
        geometry.mirror_axis_angle(right.parameters.global_orient),
        atol=atol,
    )
    np.testing.assert_allclose(
        left.parameters.hand_pose.reshape(15, 3),
        geometry.mirror_axis_angle(right.parameters.hand_pose.reshape(15, 3)),
        atol=atol,
    )
    np.testing.assert_allclose(left.flexion, right.flexion, atol=atol)
    assert left.pinch_distance_m == pytest.approx(right.pinch_distance_m, abs=atol)
    # The wrist axes point to the fingers and out of the back on both hands.
    np.testing.assert_allclose(
        left.wrist_rotation[:, 0], geometry.mirror_points(right.wrist_rotation[:, 0]), atol=atol
    )
    np.testing.assert_allclose(
        left.wrist_rotation[:, 2], geometry.mirror_points(right.wrist_rotation[:, 2]), atol=atol
    )


@pytest.mark.parametrize('is_right', [True, False])
def test_published_parameters_give_the_published_mesh_again(model, reconstructor, is_right):
    _, keypoints = true_right_hand(model)
    if not is_right:
        keypoints = geometry.mirror_points(keypoints)
    hand = reconstruct(reconstructor, keypoints, is_right=is_right)
    p = hand.parameters
    orient, pose, transl = p.global_orient, p.hand_pose.reshape(15, 3), p.transl
    if not is_right:  # the model is a right hand
        orient, pose = map(geometry.mirror_axis_angle, (orient, pose))
        transl = geometry.mirror_points(transl)
    mesh = model(
        global_orient=torch.from_numpy(orient)[None].float(),
        hand_pose=torch.from_numpy(pose.reshape(1, 45)).float(),
        betas=torch.from_numpy(p.betas)[None].float(),
        transl=torch.from_numpy(transl)[None].float(),
    )
    vertices = mesh.vertices[0].numpy()
    if not is_right:
        vertices = geometry.mirror_points(vertices)
    np.testing.assert_allclose(hand.vertices, vertices, atol=2e-6)  # m: float32 both ways


def test_the_wrist_frame_is_where_the_fingers_and_the_back_of_the_hand_are(model, reconstructor):
    _, keypoints = true_right_hand(model)
    hand = reconstruct(reconstructor, keypoints)
    to_fingers = keypoints[9] - keypoints[0]
    assert hand.wrist_rotation[:, 0] @ to_fingers / np.linalg.norm(to_fingers) > 0.95
    # The back of the hand faces the camera.
    assert hand.wrist_rotation[2, 2] < -0.5
    assert np.linalg.det(hand.wrist_rotation) == pytest.approx(1)


@pytest.mark.parametrize('scale', [0.85, 1.15])
def test_hand_scale_moves_the_hand_to_its_true_distance(model, scale):
    _, keypoints = true_right_hand(model, scale=scale)
    wrong = reconstruct(LandmarkReconstructor(model, hand_scale=1.0), keypoints)
    told = reconstruct(LandmarkReconstructor(model, hand_scale=scale), keypoints)
    true_depth = keypoints[:, 2].mean()
    wrong_ratio = wrong.keypoints_3d[:, 2].mean() / true_depth
    assert wrong_ratio == pytest.approx(1 / scale, rel=0.05)
    assert told.keypoints_3d[:, 2].mean() == pytest.approx(true_depth, rel=0.05)


def test_a_hand_whose_size_is_known_better_has_a_surer_distance(model):
    _, keypoints = true_right_hand(model, scale=1.0)
    guessed = LandmarkReconstructor(model, hand_scale=1.0)
    settings = PipelineSettings(hand_scale_stddev=0.01)
    measured = guessed.with_settings(settings)
    surer = reconstruct(measured, keypoints).depth_stddev_m
    assert surer < 0.8 * reconstruct(guessed, keypoints).depth_stddev_m
    assert measured.with_settings(settings) is measured


def depth_image(model, vertices, *, is_right=True, camera=CAMERA):
    """The aligned depth image of a hand before nothing: NaN beside it."""
    faces = model.faces.astype(np.int64)
    drawn = rasterize(
        project(camera, vertices), vertices[:, 2], faces if is_right else faces[:, ::-1],
        width=camera.width, height=camera.height, cull_sign=-1,
    )  # fmt: skip
    depth = np.full((camera.height, camera.width), np.nan, np.float32)
    depth[drawn.rows, drawn.columns] = drawn.depth
    return depth


def test_a_depth_image_puts_a_larger_hand_where_it_is(model, reconstructor):
    vertices, keypoints = true_right_hand(model, scale=1.15)
    hand = reconstruct(reconstructor, keypoints, depth_m=depth_image(model, vertices))
    assert hand.depth_source == DepthSource.SENSOR
    assert hand.keypoints_3d[:, 2].mean() == pytest.approx(keypoints[:, 2].mean(), rel=0.03)
    np.testing.assert_allclose(hand.keypoints_2d, project(CAMERA, hand.keypoints_3d), atol=0.01)
    # It was found larger, and says so in its shape.
    found = np.linalg.norm(hand.keypoints_3d[9] - hand.keypoints_3d[0])
    true = np.linalg.norm(keypoints[9] - keypoints[0])
    assert found == pytest.approx(true, rel=0.04)
    assert hand.depth_stddev_m < 0.05


def test_a_depth_image_without_the_hand_leaves_the_distance_to_its_size(model, reconstructor):
    _, keypoints = true_right_hand(model)
    nothing = np.full((CAMERA.height, CAMERA.width), np.nan, np.float32)
    hand = reconstruct(reconstructor, keypoints, depth_m=nothing)
    assert hand.depth_source == DepthSource.MONO


def fist(model):
    return true_right_hand(model, curl=1.3)[1]


@pytest.mark.parametrize('is_right', [True, False])
def test_the_fit_of_a_fist_tells_its_side(model, reconstructor, is_right):
    keypoints = fist(model) if is_right else geometry.mirror_points(fist(model))
    (odds,) = reconstructor.side_evidence(CAMERA, [seen(CAMERA, keypoints)])
    assert odds * (1 if is_right else -1) > 0.1


def test_no_hands_are_no_work(reconstructor):
    assert reconstructor(frame(0.0), [], ShapeMemory()) == ()
    assert reconstructor.side_evidence(CAMERA, []) == []


def test_hands_of_one_image_do_not_change_each_other(model, reconstructor):
    _, keypoints = true_right_hand(model)
    first = start_track(1, seen(CAMERA, keypoints), 0)
    second = start_track(2, seen(CAMERA, geometry.mirror_points(keypoints), is_right=False), 0)
    together = reconstructor(frame(0.0), [second, first], ShapeMemory())
    alone = reconstructor(frame(0.0), [first], ShapeMemory())
    np.testing.assert_allclose(together[1].keypoints_3d, alone[0].keypoints_3d, atol=1e-6)  # m
