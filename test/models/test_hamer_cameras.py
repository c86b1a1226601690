"""Cameras and left hands of HaMeR: official numbers, round trips, places in metres."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from hand_perception.geometry import (
    axis_angle_from_rotation,
    mirror_axis_angle,
    rotation_from_axis_angle,
    swing_rotation,
)
from hand_perception.models.hamer.cameras import (
    Placement,
    keypoints_in_image,
    official_camera,
    place_hands,
)
from hand_perception.models.hamer.mirroring import CropHands, mirror_left
from hand_perception.models.hand_model import load_hand_model

REFERENCE = Path(__file__).parents[1] / 'data' / 'hamer_crops.npz'
FOCAL, CENTER, WIDTH = np.array([600.0, 600.0]), np.array([639.5, 359.5]), 1280
MILLIMETRE = 1e-3


@pytest.fixture(scope='module')
def reference():
    with np.load(REFERENCE) as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope='module')
def official_hands(reference):
    """Seven official predictions; rotations and vertices are not in the excerpt."""
    count = len(reference['right'])
    rng = np.random.default_rng(0)
    return CropHands(
        rotations=rotation_from_axis_angle(rng.normal(size=(count, 16, 3))).astype(np.float32),
        betas=rng.normal(size=(count, 10)).astype(np.float32),
        pred_cam=reference['out/pred_cam'],
        vertices=rng.normal(0, 0.05, (count, 30, 3)).astype(np.float32),
        keypoints=reference['out/pred_keypoints_3d'],
        pred_keypoints_2d=reference['out/pred_keypoints_2d'],
    )


@pytest.fixture(scope='module')
def posed_hand():
    """(21, 3) keypoints of a half closed right hand about its middle, metres."""
    model = load_hand_model('default')
    angles = torch.zeros(1, 16, 3, dtype=torch.float64)
    angles[:, 1:, 2] = 0.4
    rotations = torch.from_numpy(rotation_from_axis_angle(angles.numpy())).float()
    with torch.inference_mode():
        mesh = model.from_rotations(rotations=rotations, betas=torch.zeros(1, 10))
    keypoints = mesh.keypoints[0].numpy().astype(np.float64)
    return keypoints - keypoints.mean(0)


def rays_from_pixels(pixels):
    return (pixels - CENTER) / FOCAL


def project(points):
    return points[..., :2] / points[..., 2:] * FOCAL + CENTER


def test_full_camera_is_the_official_one(reference):
    translation, focal = official_camera(
        reference['full/cam'], reference['crop/box_center'], reference['crop/box_size'],
        reference['crop/img_size'],
    )  # fmt: skip
    assert (focal == reference['full/focal']).all()
    # float32 of several hundred metres
    np.testing.assert_allclose(translation, reference['full/cam_t_full'], rtol=1e-6)


def test_batch_takes_the_focal_length_of_its_largest_image(reference):
    sizes = np.array([[1440, 1080]] * 6 + [[640, 2000]], np.float32)
    arguments = (
        reference['full/cam'], reference['crop/box_center'], reference['crop/box_size'], sizes,
    )  # fmt: skip
    _, batch = official_camera(*arguments)
    _, single = official_camera(*arguments, is_per_image=True)
    assert (batch == 2000 * 5000 / 256).all()
    assert single.tolist() == [1440 * 5000 / 256] * 6 + [2000 * 5000 / 256]


def test_left_hands_are_turned_back_as_officially(reference, official_hands):
    hands = mirror_left(official_hands, reference['right'])
    np.testing.assert_array_equal(hands.pred_cam, reference['full/cam'])
    np.testing.assert_array_equal(hands.keypoints, reference['full/keypoints_3d'])
    pixels = keypoints_in_image(
        hands.pred_keypoints_2d, reference['crop/box_center'], reference['crop/box_size']
    )
    # pixels; float32 of up to a thousand
    np.testing.assert_allclose(pixels, reference['full/keypoints_2d_px'], atol=2e-4)


def test_left_hand_round_trips_through_mirroring(reference, official_hands):
    there = mirror_left(official_hands, reference['right'])
    back = mirror_left(there, reference['right'])
    for field in dataclasses.fields(CropHands):
        before, after = (getattr(hands, field.name) for hands in (official_hands, back))
        np.testing.assert_array_equal(before, after)
        if field.name != 'betas':
            assert not np.array_equal(getattr(there, field.name), before)


def test_right_hands_stay_as_they_are(official_hands):
    hands = mirror_left(official_hands, np.ones(7, bool))
    for field in dataclasses.fields(CropHands):
        np.testing.assert_array_equal(
            getattr(hands, field.name), getattr(official_hands, field.name)
        )


def test_mirrored_rotations_are_axis_angles_with_y_and_z_negated(official_hands):
    hands = mirror_left(official_hands, np.zeros(7, bool))
    expected = mirror_axis_angle(axis_angle_from_rotation(official_hands.rotations))
    # float32 rotations
    np.testing.assert_allclose(hands.rotations, rotation_from_axis_angle(expected), atol=1e-6)


def test_mirrored_rotations_pose_a_mirrored_finger(official_hands):
    mirror = np.diag([-1.0, 1, 1])
    hands = mirror_left(official_hands, np.zeros(7, bool))
    bone = np.array([0.03, -0.01, 0.02])
    there = mirror @ official_hands.rotations[0, 3] @ bone
    np.testing.assert_allclose(hands.rotations[0, 3] @ mirror @ bone, there, atol=1e-8)


def test_mirrored_image_puts_the_mirrored_hand_into_the_mirrored_place(posed_hand):
    center = np.array([[300.0, 200.0]])
    crop_units = np.random.default_rng(0).normal(0, 0.02, (1, 21, 2)) + posed_hand[:, :2]
    pixels = keypoints_in_image(crop_units, center, [400.0])
    mirrored = pixels.copy()
    mirrored[..., 0] = WIDTH - 1 - pixels[..., 0]
    place = place_hands(posed_hand[None], pixels, rays_from_pixels)
    other = place_hands(posed_hand[None] * (-1, 1, 1), mirrored, rays_from_pixels)
    # metres, float64: the principal point is the middle of the image
    np.testing.assert_allclose(
        other.place(posed_hand[None] * (-1, 1, 1)),
        place.place(posed_hand[None]) * (-1, 1, 1),
        atol=1e-12,
    )


def test_flat_hand_on_the_axis_is_placed_exactly(posed_hand):
    flat = posed_hand * (1, 1, 0)
    truth = flat + (0, 0, 0.5)
    rays_mean = rays_from_pixels(project(truth)).mean(0)
    np.testing.assert_allclose(rays_mean, 0, atol=1e-12)
    place = place_hands(flat[None], project(truth)[None], rays_from_pixels)
    np.testing.assert_allclose(place.place(flat[None])[0], truth, atol=1e-12)


@pytest.mark.parametrize('degrees', [0, 20, 45])
def test_hand_off_the_axis_is_placed_within_millimetres(posed_hand, degrees):
    ray = np.array([np.tan(np.radians(degrees)) * 0.9, -0.3 * np.tan(np.radians(degrees)), 1.0])
    turn = swing_rotation(np.array([0, 0, 1.0]), ray)
    orientation = rotation_from_axis_angle(np.array([0.5, -0.7, 0.3]))
    seen = posed_hand @ orientation.T  # what the crop shows: relative to the viewing ray
    truth = seen @ turn.T + 0.5 * ray
    place = place_hands(seen[None], project(truth)[None], rays_from_pixels)
    found = place.place(seen[None])[0]
    assert np.linalg.norm(found - truth, axis=1).max() < 2 * MILLIMETRE
    angle = axis_angle_from_rotation(place.turn(orientation) @ (turn @ orientation).T)
    # the mean of the keypoints' rays is not exactly the ray of the hand's middle
    assert np.degrees(np.linalg.norm(angle)) < 1


def test_weak_perspective_of_the_crop_is_placed_near_the_truth(posed_hand):
    ray, size = np.array([0.5, 0.2, 1.0]), 300.0
    turn = swing_rotation(np.array([0, 0, 1.0]), ray)
    truth = posed_hand @ turn.T + 0.5 * ray
    center = project(truth).mean(0)
    # scale and shift with which the crop's long lens explains the true picture best
    target = (project(truth) - center) / size
    flat = posed_hand[:, :2] - posed_hand[:, :2].mean(0)
    scale = 2 * (target - target.mean(0)).ravel() @ flat.ravel() / (flat**2).sum()
    depth = posed_hand[:, 2:] + 2 * 5000 / (256 * scale)
    crop_units = 5000 / 256 * posed_hand[:, :2] / depth
    pixels = keypoints_in_image(crop_units[None], center[None], [size])
    place = place_hands(posed_hand[None], pixels, rays_from_pixels)
    error = np.linalg.norm(place.place(posed_hand[None])[0] - truth, axis=1)
    # half a metre away: the crop's lens shows no perspective within the hand
    assert error.mean() < 12 * MILLIMETRE


def test_lens_and_unequal_focal_lengths_are_left_to_the_camera(posed_hand):
    ray, focal = np.array([0.4, -0.2, 1.0]), np.array([500.0, 700.0])
    truth = posed_hand @ swing_rotation(np.array([0, 0, 1.0]), ray).T + 0.5 * ray
    rays = truth[:, :2] / truth[:, 2:]
    radius = np.linalg.norm(rays, axis=1, keepdims=True)
    pixels = rays * np.arctan(radius) / radius * focal + 300  # an equidistant lens

    def undistort(seen):
        bent = (seen - 300) / focal
        angle = np.linalg.norm(bent, axis=-1, keepdims=True)
        return bent * np.tan(angle) / angle

    place = place_hands(posed_hand[None], pixels[None], undistort)
    error = np.linalg.norm(place.place(posed_hand[None])[0] - truth, axis=1)
    assert error.max() < 2 * MILLIMETRE


def test_batch_equals_single(posed_hand):
    hands = np.stack([posed_hand, posed_hand * 1.1, posed_hand[:, [1, 0, 2]]])
    pixels = project(hands + np.array([[[0.1, 0, 0.4]], [[-0.2, 0.1, 0.5]], [[0, 0, 0.6]]]))
    batch = place_hands(hands, pixels, rays_from_pixels)
    for i in range(3):
        single = place_hands(hands[i : i + 1], pixels[i : i + 1], rays_from_pixels)
        np.testing.assert_allclose(batch.translation[i], single.translation[0], atol=1e-12)


def test_hands_that_fit_nowhere_are_nan_and_harm_no_other(posed_hand):
    good = project(posed_hand + (0, 0, 0.5))
    behind = 2 * good.mean(0) - good  # a negative scale turns the picture over
    point = np.broadcast_to(good.mean(0), good.shape)
    unknown = np.full_like(good, np.nan)
    place = place_hands(
        np.tile(posed_hand, (4, 1, 1)),
        np.stack([good, behind, point, unknown]), rays_from_pixels,
    )  # fmt: skip
    assert np.isfinite(place.translation[0]).all()
    assert np.isnan(place.translation[1:]).all()


def test_no_hands_have_no_places():
    place = place_hands(np.zeros((0, 21, 3)), np.zeros((0, 21, 2)), rays_from_pixels)
    assert place.place(np.zeros((0, 778, 3))).shape == (0, 778, 3)


def test_mano_parameters_pose_what_was_placed():
    model = load_hand_model('default')
    rng = np.random.default_rng(1)
    rotations = rotation_from_axis_angle(rng.normal(0, 0.4, (2, 16, 3)))
    place = Placement(
        rotation=rotation_from_axis_angle(rng.normal(size=(2, 3))),
        translation=rng.normal(size=(2, 3)),
    )

    def pose(matrices, transl):
        with torch.inference_mode():
            return model.from_rotations(
                rotations=torch.from_numpy(matrices).float(),
                betas=torch.zeros(2, 10),
                transl=torch.from_numpy(transl).float(),
            )

    mesh = pose(rotations, np.zeros((2, 3)))
    turned = rotations.copy()
    turned[:, 0] = place.turn(rotations[:, 0])
    again = pose(turned, place.transl(mesh.keypoints[:, 0].numpy()))
    # metres, float32
    np.testing.assert_allclose(again.vertices, place.place(mesh.vertices), atol=1e-6)
