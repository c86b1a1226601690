"""Regions, crops and tiles: where things come to lie."""

import math

import cv2
import numpy as np
import pytest

from hand_perception.datatypes import HandLandmarks, Region
from hand_perception.models.landmarks.crops import (
    Window,
    crop_region,
    letterbox,
    tile_windows,
    whole_window,
)
from hand_perception.models.landmarks.regions import (
    are_duplicates,
    hand_size_px,
    image_from_crop,
    read_landmarks,
    region_from_keypoints,
)

#: Landmarks of an open right hand seen from its back, fingers up, hand size 100.
OPEN_HAND = np.array([
    [50, 100], [30, 90], [18, 75], [8, 64], [0, 55],
    [36, 52], [33, 32], [31, 20], [30, 9], [50, 50], [50, 27], [50, 12], [50, 0],
    [62, 53], [65, 33], [67, 20], [68, 10], [74, 60], [80, 46], [84, 38], [87, 30],
], float)  # fmt: skip


def region(x=0.0, y=0.0, size=100.0, angle=0.0):
    return Region(center_px=(x, y), size_px=size, angle_rad=angle)


def hand(points):
    return HandLandmarks(
        keypoints_2d=points, world_m=np.zeros((21, 3)), presence=1.0, right_score=1.0,
        region=region(),
    )  # fmt: skip


def rotate(points, angle):
    cosine, sine = math.cos(angle), math.sin(angle)
    return points @ np.array([[cosine, -sine], [sine, cosine]]).T


@pytest.mark.parametrize('angle', [0.0, 0.7, -2.5, math.pi])
def test_crop_centre_is_the_region_centre(angle):
    affine = image_from_crop(region(120, 45, 80, angle), 224)
    np.testing.assert_allclose(affine @ [112, 112, 1], [120, 45], atol=1e-9)


def test_up_in_the_crop_is_clockwise_from_up_in_the_image():
    affine = image_from_crop(region(0, 0, 224, math.pi / 2), 224)
    np.testing.assert_allclose(affine @ [112, 0, 1], [112, 0], atol=1e-9)  # points right
    np.testing.assert_allclose(affine @ [224, 112, 1], [0, 112], atol=1e-9)  # crop right: down


@pytest.mark.parametrize('angle', [0.0, 0.6, -1.9])
def test_spot_in_the_image_lands_in_the_crop_where_the_affine_says(angle):
    image = np.zeros((240, 320, 3), np.uint8)
    cv2.circle(image, (150, 100), 4, (255, 255, 255), -1)
    where = region(170, 120, 112, angle)
    crop = np.empty((224, 224, 3), np.uint8)
    crop_region(image, where, crop, is_rgb=True)
    y, x = np.nonzero(crop[..., 0] > 127)
    in_crop = np.array([x.mean() + 0.5, y.mean() + 0.5, 1])  # from the corner of the crop
    in_image = image_from_crop(where, 224) @ in_crop
    np.testing.assert_allclose(in_image, [150, 100], atol=0.1)  # pixels: a drawn circle


def test_landmarks_are_placed_in_the_image_and_turned_with_the_region():
    values = np.zeros(128, np.float32)
    values[:3] = [112, 0, 9]  # wrist: middle of the upper edge
    values[63:66] = [0, -0.1, 0.02]  # 10 cm up in the crop, 2 cm back
    values[126:] = [0.8, 0.3]
    where = region(200, 100, 50, math.pi / 2)
    found = read_landmarks(values, where)
    np.testing.assert_allclose(found.keypoints_2d[0], [225, 100], atol=1e-5)
    np.testing.assert_allclose(found.world_m[0], [0.1, 0, 0.02], atol=1e-7)
    assert found.presence == pytest.approx(0.8)
    assert found.right_score == pytest.approx(0.3)
    assert found.region == where


def test_tracking_region_holds_the_whole_upright_hand():
    found = region_from_keypoints(OPEN_HAND)
    assert abs(found.angle_rad) < 0.05  # knuckles nearly above the wrist
    low = np.array(found.center_px) - found.size_px / 2
    assert (low < OPEN_HAND.min(0)).all()
    assert (OPEN_HAND.max(0) < low + found.size_px).all()


@pytest.mark.parametrize('angle', [0.4, -1.2, 3.0])
def test_tracking_region_turns_moves_and_grows_with_the_hand(angle):
    before = region_from_keypoints(OPEN_HAND)
    after = region_from_keypoints(rotate(OPEN_HAND * 1.5, angle) + [300, 200])
    expected = rotate(np.array(before.center_px) * 1.5, angle) + [300, 200]
    np.testing.assert_allclose(after.center_px, expected, atol=1e-9)
    assert after.size_px == pytest.approx(before.size_px * 1.5)
    turned = after.angle_rad - before.angle_rad - angle
    assert math.remainder(turned, 2 * math.pi) == pytest.approx(0, abs=1e-9)


def test_finger_tips_do_not_move_the_tracking_region():
    bent = OPEN_HAND.copy()
    bent[[8, 12, 16, 20]] += [0, 40]
    assert region_from_keypoints(bent) == region_from_keypoints(OPEN_HAND)


def test_landmarks_in_one_point_still_give_a_region():
    found = region_from_keypoints(np.full((21, 2), 7.0))
    assert found == region(7, 7, 0, 0)


def test_hand_size_is_the_long_side():
    assert hand_size_px(OPEN_HAND) == 100
    assert hand_size_px(OPEN_HAND * [2, 1] + 5) == 174


@pytest.mark.parametrize(('down', 'expected'), [(0, True), (19, True), (45, False)])
def test_duplicates_lie_within_a_fifth_of_a_hand(down, expected):
    # 45 of 100 leaves 55 % of the box in common.
    assert are_duplicates(hand(OPEN_HAND), hand(OPEN_HAND + [0, down])) is expected


def test_small_hand_inside_a_large_one_is_a_duplicate_both_ways():
    small = OPEN_HAND * 0.3 + [10, 10]
    assert are_duplicates(hand(OPEN_HAND), hand(small))
    assert are_duplicates(hand(small), hand(OPEN_HAND))


def test_hands_side_by_side_are_two():
    assert not are_duplicates(hand(OPEN_HAND), hand(OPEN_HAND * [-1, 1] - [10, 0]))


def test_landmarks_without_extent_are_no_error():
    assert not are_duplicates(hand(np.zeros((21, 2))), hand(OPEN_HAND + 500))


@pytest.mark.parametrize('size', [(480, 640), (1080, 1920), (640, 480), (8, 8), (1, 1000), (1, 1)])
def test_tiles_cover_the_image_and_overlap(size):
    image = np.zeros((*size, 3), np.uint8)
    covered = np.zeros(size, int)
    tiles = tile_windows(image)
    for tile in tiles:
        part = covered[tile.y_min : tile.y_max, tile.x_min : tile.x_max]
        assert part.shape == (tile.y_max - tile.y_min, tile.x_max - tile.x_min)
        assert part.size > 0
        part += 1
    assert covered.min() >= 1
    assert 1 <= len(tiles) <= 4


def test_letterbox_keeps_the_picture_in_the_middle_of_a_black_square():
    image = np.full((60, 120, 3), 200, np.uint8)
    out = np.full((192, 192, 3), 77, np.uint8)
    box = letterbox(image, whole_window(image), out, is_rgb=True)
    assert (out[48:144] == 200).all()
    assert not out[:48].any()
    assert not out[144:].any()
    # The corner of the picture is the corner (-0.5, -0.5) of pixel (0, 0).
    np.testing.assert_allclose(np.array([-0.5, 47.5]) * box.scale + box.offset_px, [-0.5, -0.5])
    np.testing.assert_allclose(
        np.array([191.5, 143.5]) * box.scale + box.offset_px, [119.5, 59.5]
    )  # fmt: skip


def test_letterbox_of_a_window_points_back_into_the_image():
    image = np.zeros((300, 400, 3), np.uint8)
    cv2.circle(image, (250, 180), 6, (255, 255, 255), -1)
    out = np.empty((192, 192, 3), np.uint8)
    box = letterbox(image, Window(200, 100, 400, 300), out, is_rgb=True)
    y, x = np.nonzero(out[..., 0] > 127)
    found = np.array([x.mean(), y.mean()]) * box.scale + box.offset_px
    np.testing.assert_allclose(found, [250, 180], atol=0.2)  # pixels: a drawn circle


def test_bgr_becomes_rgb_in_what_the_networks_see():
    rng = np.random.default_rng(3)
    bgr = rng.integers(0, 256, (50, 70, 3), np.uint8)
    rgb = np.ascontiguousarray(bgr[..., ::-1])
    outs = np.empty((4, 96, 96, 3), np.uint8)
    letterbox(bgr, whole_window(bgr), outs[0], is_rgb=False)
    letterbox(rgb, whole_window(rgb), outs[1], is_rgb=True)
    crop_region(bgr, region(30, 20, 40, 0.3), outs[2], is_rgb=False)
    crop_region(rgb, region(30, 20, 40, 0.3), outs[3], is_rgb=True)
    np.testing.assert_array_equal(outs[0], outs[1])
    np.testing.assert_array_equal(outs[2], outs[3])
