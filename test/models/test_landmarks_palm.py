"""Anchors, decoding and suppression of the palm detector."""

import math

import numpy as np
import pytest

from hand_perception.models.landmarks.crops import Letterbox
from hand_perception.models.landmarks.palm import (
    PalmCandidates,
    decode_palms,
    make_anchors,
    merge_palms,
    palm_regions,
)

SAME_SIZE = Letterbox(scale=np.ones(2), offset_px=np.zeros(2))


def candidates(boxes, scores, tiles=None):
    boxes = np.array(boxes, float).reshape(-1, 4)
    return PalmCandidates(
        boxes_xyxy=boxes,
        keypoints=np.repeat(boxes[:, None, :2], 7, axis=1),
        scores=np.array(scores, float),
        is_from_tile=np.zeros(len(boxes), bool) if tiles is None else np.array(tiles),
    )


def test_anchors_are_two_per_fine_cell_then_six_per_coarse_cell():
    anchors = make_anchors()
    assert anchors.shape == (2016, 2)
    np.testing.assert_array_equal(anchors[[0, 1, 2]], [[4, 4], [4, 4], [12, 4]])
    np.testing.assert_array_equal(anchors[2 * 24], [4, 12])  # the second row of cells
    np.testing.assert_array_equal(anchors[1151], [188, 188])
    np.testing.assert_array_equal(anchors[1152:1158], np.full((6, 2), 8))
    np.testing.assert_array_equal(anchors[1158], [24, 8])
    np.testing.assert_array_equal(anchors[-1], [184, 184])


def test_box_and_keypoints_are_decoded_about_their_anchor():
    raw = np.zeros((2016, 19), np.float32)
    raw[:, 18] = -10
    raw[2, :4] = [1, 2, 20, 10]  # the anchor at (12, 4)
    raw[2, 4:6] = [-3, 5]
    raw[2, 18] = math.log(3)
    found = decode_palms(raw, SAME_SIZE, threshold=0.5, is_tile=False)
    # Half a pixel: the network counts from the corner, pixels from their centre.
    np.testing.assert_allclose(found.boxes_xyxy, [[2.5, 0.5, 22.5, 10.5]])
    np.testing.assert_allclose(found.keypoints[0, 0], [8.5, 8.5])
    np.testing.assert_allclose(found.keypoints[0, 1], [11.5, 3.5])
    np.testing.assert_allclose(found.scores, [0.75], rtol=1e-6)


def test_decoding_follows_the_letterbox():
    raw = np.zeros((2016, 19), np.float32)
    raw[:, 18] = -10
    raw[0, 18] = 5
    box = Letterbox(scale=np.array([2.0, 3.0]), offset_px=np.array([100.0, -7.0]))
    found = decode_palms(raw, box, threshold=0.5, is_tile=True)
    np.testing.assert_allclose(found.keypoints[0, 6], [3.5 * 2 + 100, 3.5 * 3 - 7])
    assert found.is_from_tile.tolist() == [True]


def test_logits_of_any_size_are_decoded_without_overflow():
    raw = np.zeros((2016, 19), np.float32)
    raw[:, 18] = -1e30
    raw[7, 18] = 1e30
    found = decode_palms(raw, SAME_SIZE, threshold=0.5, is_tile=False)
    assert found.scores.tolist() == [1.0]


def test_overlapping_palms_become_their_weighted_mean():
    merged = merge_palms(candidates([[0, 0, 10, 10], [2, 0, 12, 10]], [0.9, 0.6]))
    np.testing.assert_allclose(merged.boxes_xyxy, [[0.8, 0, 10.8, 10]])
    np.testing.assert_allclose(merged.keypoints[0, 3], [0.8, 0])
    assert merged.scores.tolist() == [0.9]


def test_separate_palms_stay_apart_best_first():
    boxes = [[0, 0, 10, 10], [30, 0, 40, 10], [60, 0, 70, 10]]
    merged = merge_palms(candidates(boxes, [0.6, 0.9, 0.7]))
    assert merged.scores.tolist() == [0.9, 0.7, 0.6]
    np.testing.assert_array_equal(merged.boxes_xyxy[:, 0], [30, 60, 0])


def test_overlap_of_less_than_the_limit_is_two_palms():
    # Moved by 6 of 10: intersection 40, union 160, so 0.25; by 5: 50 of 150, so 0.33.
    far = merge_palms(candidates([[0, 0, 10, 10], [6, 0, 16, 10]], [0.9, 0.8]))
    near = merge_palms(candidates([[0, 0, 10, 10], [5, 0, 15, 10]], [0.9, 0.8]))
    assert (len(far.scores), len(near.scores)) == (2, 1)


@pytest.mark.parametrize(
    ('tiles', 'expected'), [([True, True], True), ([True, False], False), ([False, True], False)]
)
def test_palm_is_from_a_tile_only_when_the_whole_image_does_not_show_it(tiles, expected):
    boxes = [[0, 0, 10, 10], [1, 0, 11, 10]]
    merged = merge_palms(candidates(boxes, [0.9, 0.6], tiles))
    assert merged.is_from_tile.tolist() == [expected]


def test_no_candidates_give_no_palms():
    merged = merge_palms(candidates([], []))
    assert merged.boxes_xyxy.shape == (0, 4)
    assert palm_regions(merged) == []


def test_empty_box_is_a_palm_of_its_own():
    merged = merge_palms(candidates([[5, 5, 5, 5], [5, 5, 5, 5]], [0.9, 0.8]))
    assert merged.scores.tolist() == [0.9, 0.8]


def test_region_of_an_upright_palm_is_moved_to_the_fingers():
    palm = candidates([[100, 100, 140, 140]], [0.9])
    palm.keypoints[0, 0] = [120, 140]  # wrist below
    palm.keypoints[0, 2] = [120, 100]  # middle finger base above
    (region,) = palm_regions(palm)
    assert region.angle_rad == pytest.approx(0)
    assert region.size_px == pytest.approx(2.6 * 40)
    assert region.center_px == pytest.approx((120, 100))  # half a box height up


def test_region_of_a_palm_pointing_right_is_turned_clockwise():
    palm = candidates([[100, 100, 140, 140]], [0.9])
    palm.keypoints[0, 0] = [100, 120]
    palm.keypoints[0, 2] = [140, 120]
    (region,) = palm_regions(palm)
    assert region.angle_rad == pytest.approx(math.pi / 2)
    assert region.center_px == pytest.approx((140, 120))
