"""HTT's joints to hands: only hands that are there, in their size, with a mesh on the joints."""

import dataclasses
import functools
import itertools

import numpy as np
import pytest
import torch
from hand_poses import TrueHands
from htt_streams import followed as followed_by
from htt_streams import token

from hand_perception import geometry
from hand_perception.datatypes import Camera, DepthSource
from hand_perception.models.hand_model import load_hand_model
from hand_perception.models.landmark_fit import LandmarkFitter
from hand_perception.models.skeleton import EXACT_LANDMARKS
from hand_perception.pipeline.htt_hands import HandSizes, HttHands, hand_rows, htt_depth
from hand_perception.pipeline.lift import project
from hand_perception.pipeline.temporal_results import TokenResult

CAMERA = Camera(width=1920, height=1080, fx=1395.7, fy=1395.7, cx=935.7, cy=540.7)
NUM_POSES = 12

followed = functools.partial(followed_by, camera=CAMERA)


@pytest.fixture(scope='module')
def model():
    return load_hand_model('default')


@pytest.fixture(scope='module')
def make(model):
    return HttHands(model)


@pytest.fixture(scope='module')
def truth(model):
    """Right hands 0.3 to 0.7 m in front of the camera, 10 % larger than the mean hand."""
    return TrueHands(model, NUM_POSES, seed=7, scale=1.1)


def result(joints, *, camera=CAMERA, pixels=None):
    """HTT's joints of one image."""
    joints = np.asarray(joints, np.float32)
    return TokenResult(
        token=token(0, camera=camera),
        joints_3d=joints,
        joints_2d=(project(camera, joints) if pixels is None else pixels).astype(np.float32),
        depth=joints[:, 2],
        object_prob=np.ones(3, np.float32) / 3,
        action_prob=None,
        is_final=False,
    )


def made_of(make, joints, seen, **details):
    return make(result(joints, **details), seen, HandSizes())


def posed(model, parameters, *, is_right):
    """Mesh and keypoints that the parameters of a true hand describe."""
    side = (lambda x: x) if is_right else geometry.mirror_points
    turn = (lambda x: x) if is_right else geometry.mirror_axis_angle
    hand_pose = turn(parameters.hand_pose.reshape(15, 3)).reshape(1, 45)
    mesh = model(
        global_orient=torch.from_numpy(turn(parameters.global_orient))[None].float(),
        hand_pose=torch.from_numpy(hand_pose).float(),
        betas=torch.from_numpy(parameters.betas)[None].float(),
        transl=torch.from_numpy(side(parameters.transl))[None].float(),
    )  # fmt: skip
    return side(mesh.vertices[0].double().numpy()), side(mesh.keypoints[0].double().numpy())


# a hand that is there


@pytest.mark.parametrize('pose', range(NUM_POSES))
def test_keypoints_are_the_joints_and_their_projection(make, truth, pose):
    joints = truth.keypoints[pose]
    (hand,) = made_of(make, joints, [followed(joints)])
    np.testing.assert_array_equal(hand.keypoints_3d, joints.astype(np.float32))
    # 0.01 px: float32 over 2000 px.
    np.testing.assert_allclose(project(CAMERA, joints), hand.keypoints_2d, atol=0.01)


def test_mesh_lies_on_the_joints_in_their_size(make, model, truth):
    errors = []
    for joints in truth.keypoints:
        (hand,) = made_of(make, joints, [followed(joints)])
        vertices, keypoints = posed(model, hand.parameters, is_right=True)
        errors.append(np.linalg.norm(keypoints - joints, axis=1).mean())
        np.testing.assert_allclose(vertices, hand.vertices, atol=1e-5)  # 10 um
    assert np.median(errors) < 0.003  # metres: the fit minds hinges and the image, not the joints
    assert max(errors) < 0.02


def test_the_mean_of_the_mesh_is_that_of_the_joints(make, model, truth):
    joints = truth.keypoints[0]
    (hand,) = made_of(make, joints, [followed(joints)])
    _, keypoints = posed(model, hand.parameters, is_right=True)
    np.testing.assert_allclose(keypoints.mean(0), joints.mean(0), atol=1e-5)  # 10 um


def test_size_is_that_of_the_bones(make, model, truth):
    (hand,) = made_of(make, truth.keypoints[0], [followed(truth.keypoints[0])])
    np.testing.assert_allclose(hand.parameters.betas, model.betas_for_scale(1.1), atol=1e-3)


def test_identity_is_that_of_the_followed_hand(make, truth):
    joints = truth.keypoints[1]
    seen = followed(joints, track_id=42)
    (hand,) = made_of(make, joints, [seen])
    assert (hand.track_id, hand.is_right) == (42, True)
    assert hand.handedness_score == seen.handedness_score


def test_a_left_hand_is_the_mirror_image_of_a_right_one(make, model, truth):
    middle = dataclasses.replace(CAMERA, cx=959.5, cy=539.5)
    joints = truth.keypoints[2]
    other = geometry.mirror_points(joints)
    (right,) = made_of(make, joints, [followed(joints, camera=middle)], camera=middle)
    both = np.concatenate([other, joints + (0.0, 0.0, 0.3)])
    seen = [followed(other, camera=middle, is_right=False)]
    (left,) = made_of(make, both, seen, camera=middle)
    assert not left.is_right
    np.testing.assert_allclose(left.vertices, geometry.mirror_points(right.vertices), atol=1e-5)
    np.testing.assert_allclose(left.flexion, right.flexion, atol=1e-4)
    vertices, _ = posed(model, left.parameters, is_right=False)
    np.testing.assert_allclose(vertices, left.vertices, atol=1e-5)
    # Thumb and fingers stay what they are; the frame of the wrist stays right-handed.
    assert np.linalg.det(left.wrist_rotation) == pytest.approx(1)


def test_both_hands_come_left_first(make, truth):
    left = geometry.mirror_points(truth.keypoints[3]) - (0.1, 0, 0)
    right = truth.keypoints[4] + (0.1, 0, 0)
    seen = [followed(right, track_id=1), followed(left, is_right=False, track_id=2)]
    hands = made_of(make, np.concatenate([left, right]), seen)
    assert [(hand.is_right, hand.track_id) for hand in hands] == [(False, 2), (True, 1)]


# gates


def test_without_a_followed_hand_there_is_none(make, truth):
    assert made_of(make, truth.keypoints[0], []) == ()


def test_a_followed_hand_of_the_other_side_is_no_reason(make, truth):
    joints = truth.keypoints[0]
    assert made_of(make, joints, [followed(joints, is_right=False)]) == ()


def test_joints_elsewhere_in_the_image_are_not_the_followed_hand(make, truth):
    joints = truth.keypoints[0]
    assert made_of(make, joints, [followed(joints + (0.25, 0, 0))]) == ()


def test_of_two_followed_hands_of_a_side_the_one_at_the_joints_counts(make, truth):
    joints = truth.keypoints[0]
    seen = [followed(joints + (0.25, 0, 0), track_id=1), followed(joints, track_id=2)]
    assert [hand.track_id for hand in made_of(make, joints, seen)] == [2]


@pytest.mark.parametrize(
    'spoil',
    [
        lambda joints: joints * 0.1,  # 3 to 7 cm away and as small
        lambda joints: joints * 5,  # 1.5 m and more, five times the size
        lambda joints: joints - (0, 0, 0.9),  # behind the camera
        lambda joints: np.where(np.arange(21)[:, None] == 8, joints + (0, 0, 0.2), joints),
        lambda joints: np.where(np.arange(21)[:, None] == 3, np.nan, joints),
        lambda joints: np.repeat(joints[:1], 21, axis=0),  # a point
    ],
    ids=['tiny', 'giant', 'behind', 'long finger', 'not a number', 'point'],
)
def test_joints_that_are_no_hands_are_no_hand(make, truth, spoil):
    joints = truth.keypoints[0]
    pixels = project(CAMERA, joints)  # where the detector sees a hand
    assert made_of(make, spoil(joints), [followed(joints)], pixels=pixels) == ()


def test_pixels_that_are_not_finite_are_no_hand(make, truth):
    joints = truth.keypoints[0]
    pixels = np.full((21, 2), np.nan)
    assert made_of(make, joints, [followed(joints)], pixels=pixels) == ()


# confidence and distance


def test_confidence_falls_with_the_detectors_and_with_their_difference(make, truth):
    joints = truth.keypoints[0]

    def confidence(seen):
        return made_of(make, joints, [seen])[0].confidence

    best = confidence(followed(joints, confidence=1.0))
    assert 0.8 < best <= 1
    assert confidence(followed(joints, confidence=0.5)) == pytest.approx(best / 2, rel=1e-6)
    moved = [
        confidence(followed(joints + (step, 0, 0), confidence=1.0)) for step in (0, 0.01, 0.02)
    ]
    assert all(a > b for a, b in itertools.pairwise(moved))


def test_confidence_falls_where_no_hand_can_take_the_joints(make, truth):
    rng = np.random.default_rng(0)
    joints = truth.keypoints[0]
    shaken = joints + rng.normal(0, 0.006, joints.shape)
    clean = made_of(make, joints, [followed(joints)])[0]
    noisy = made_of(make, shaken, [followed(shaken)])[0]
    assert noisy.confidence < clean.confidence


def test_confidence_falls_as_the_fit_does_where_the_detector_agrees_alike(make, model, truth):
    rng = np.random.default_rng(0)
    joints = truth.keypoints[0]
    shaken = joints + rng.normal(0, 0.009, joints.shape)
    fitter = LandmarkFitter(model, landmarks=EXACT_LANDMARKS)
    points = [found[:, :2] / found[:, 2:] for found in (joints, shaken)]
    clean_fit, noisy_fit = fitter.fit(
        np.stack(points), np.stack([joints, shaken]), is_camera_axes=True
    )
    # The detector sees each where its joints are.
    clean, noisy = (made_of(make, found, [followed(found)])[0] for found in (joints, shaken))
    wanted = np.exp((clean_fit.reprojection**2 - noisy_fit.reprojection**2) / 0.08**2)
    assert wanted < 0.9
    # 1e-4: float32 joints on their way to the fit.
    assert noisy.confidence / clean.confidence == pytest.approx(wanted, rel=1e-4)


def test_distance_is_told_to_be_less_certain_with_another_lens():
    trained = htt_depth(CAMERA, 0.5, focal_px=348.9, num_hands=1)
    assert trained == (DepthSource.MONO, pytest.approx(0.035))
    wide = htt_depth(CAMERA, 0.5, focal_px=174.45, num_hands=1)
    assert wide[1] == pytest.approx(np.hypot(0.035, 0.2))


def test_distance_of_an_assumed_camera_says_so(make, truth):
    guessed = dataclasses.replace(CAMERA, is_assumed=True)
    joints = truth.keypoints[0]
    (hand,) = made_of(make, joints, [followed(joints)], camera=guessed)
    assert hand.depth_source == DepthSource.ASSUMED_CAMERA
    assert hand.depth_stddev_m > 0.25 * joints[0, 2]


# sizes


def test_size_is_averaged_then_held():
    sizes = HandSizes()
    assert sizes.step(1, 1.0) == 1.0
    assert sizes.step(1, 1.2) == pytest.approx(1.1)
    for _ in range(28):
        sizes.step(1, 1.1)
    held = sizes.step(1, 1.1)
    assert sizes.step(1, 2.0) == held
    assert held == pytest.approx(1.1)


def test_sizes_of_lost_tracks_are_forgotten(make, truth):
    sizes = HandSizes()
    joints = truth.keypoints[0]
    for track_id in range(200):
        make(result(joints), [followed(joints, track_id=track_id)], sizes)
    assert len(sizes) == 1
    make(result(joints), [], sizes)
    assert len(sizes) == 0


def test_size_of_a_track_is_held_while_another_shape_comes(make, model, truth):
    sizes = HandSizes()
    joints = truth.keypoints[0]
    for _ in range(30):
        make(result(joints), [followed(joints)], sizes)
    (hand,) = make(result(joints * 0.9), [followed(joints * 0.9)], sizes)
    np.testing.assert_allclose(hand.parameters.betas, model.betas_for_scale(1.1), atol=1e-3)


def test_rows_of_the_joints_are_left_then_right():
    assert hand_rows(21) == ((True, slice(0, 21)),)
    assert hand_rows(42) == ((False, slice(0, 21)), (True, slice(21, 42)))
