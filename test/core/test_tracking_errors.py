"""Counting what happens to hands that are followed through a stream."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest

from hand_perception.errors import DatasetError
from hand_perception.evaluation.tracking_errors import evaluate_tracking, merge_tracking
from hand_perception.geometry import rotation_from_axis_angle
from hand_perception.synthetic.truth import HandTruth

#: 21 places of a hand 0.15 m long.
SHAPE = np.random.default_rng(0).uniform(-0.075, 0.075, (21, 3))


def true_hand(*, is_right=True, share=1.0, x=None):
    x = (0.12 if is_right else -0.12) if x is None else x
    joints = SHAPE + (x, 0.0, 0.5)
    return HandTruth(
        is_right=is_right,
        keypoints_3d=joints,
        keypoints_2d=joints[:, :2] / joints[:, 2:] * 500 + 250,
        wrist_rotation=np.eye(3),
        visible_share=share,
    )


@dataclass(frozen=True)
class Told:
    track_id: int
    is_right: bool
    keypoints_3d: np.ndarray
    keypoints_2d: np.ndarray
    wrist_rotation: np.ndarray
    depth_stddev_m: float = 0.02


def told(truth, track_id, *, is_right=None, off=(0, 0, 0), turn=(0, 0, 0)):
    return Told(
        track_id=track_id,
        is_right=truth.is_right if is_right is None else is_right,
        keypoints_3d=truth.keypoints_3d + np.array(off, np.float64),
        keypoints_2d=truth.keypoints_2d,
        wrist_rotation=rotation_from_axis_angle(np.array(turn, np.float64)),
    )


RIGHT, LEFT = true_hand(), true_hand(is_right=False)
HIDDEN = true_hand(share=0.05)


def test_perfect_following_has_no_errors():
    errors = evaluate_tracking([(RIGHT, LEFT)] * 3, [(told(LEFT, 1), told(RIGHT, 2))] * 3)
    assert errors.recall == errors.side_accuracy == errors.covered(0.0) == 1.0
    assert errors.num_visible == 6 and errors.flip_share == 0.0
    assert errors.num_false == errors.num_hidden == errors.num_new_ids == errors.num_swaps == 0
    assert errors.wrist_error_m.max() == errors.rotation_error_rad.max() == 0.0


def test_errors_of_the_wrist_are_told_in_metres_and_radians():
    found = told(RIGHT, 1, off=(0.03, 0.0, -0.04), turn=(0.0, 1.2, 0.0))
    errors = evaluate_tracking([(RIGHT,)], [(found,)])
    assert errors.wrist_error_m[0] == pytest.approx(0.05)
    assert errors.depth_error_m[0] == pytest.approx(-0.04)
    assert errors.rotation_error_rad[0] == pytest.approx(1.2)
    assert errors.flip_share == 1.0
    assert errors.covered(1.9) == 0.0 and errors.covered(2.1) == 1.0


def test_hand_that_is_hardly_visible_may_be_missed_or_found():
    half = true_hand(share=0.3)
    for found in ((), (told(half, 1),)):
        errors = evaluate_tracking([(half,)], [found])
        assert errors.num_visible == errors.num_false == errors.num_hidden == 0
        assert np.isnan(errors.recall)


def test_hand_told_where_one_is_hidden_and_where_none_is():
    elsewhere = told(true_hand(x=0.6), 2)
    errors = evaluate_tracking([(HIDDEN,)], [(told(HIDDEN, 1), elsewhere)])
    assert (errors.num_hidden, errors.num_false) == (1, 1)


def test_new_id_counts_only_for_a_hand_that_stayed_in_sight():
    ids = [told(RIGHT, 1), told(RIGHT, 2)]
    stayed = evaluate_tracking([(RIGHT,)] * 2, [(hand,) for hand in ids])
    assert stayed.num_new_ids == 1
    missed = evaluate_tracking([(RIGHT,)] * 3, [(ids[0],), (), (ids[1],)])
    assert missed.num_new_ids == 1 and missed.recall == pytest.approx(2 / 3)
    was_hidden = evaluate_tracking([(RIGHT,), (HIDDEN,), (RIGHT,)], [(ids[0],), (), (ids[1],)])
    assert was_hidden.num_new_ids == 0


def test_id_that_goes_over_to_the_other_hand_is_a_swap():
    before = (told(RIGHT, 1), told(LEFT, 2))
    after = (told(RIGHT, 2, is_right=False), told(LEFT, 1, is_right=True))
    errors = evaluate_tracking([(RIGHT, LEFT)] * 3, [before, after, after])
    assert errors.num_swaps == 2
    assert errors.num_wrong_side == 4 and errors.side_accuracy == pytest.approx(1 / 3)


def test_jump_is_a_sudden_error_and_not_a_fast_hand_or_another_id():
    far = true_hand(x=0.3)
    fast = evaluate_tracking([(RIGHT,), (far,)], [(told(RIGHT, 1),), (told(far, 1),)])
    assert fast.num_jumps == 0
    off = told(RIGHT, 1, off=(0, 0, 0.06))
    jumped = evaluate_tracking([(RIGHT,)] * 3, [(told(RIGHT, 1),), (off,), (off,)])
    assert jumped.num_jumps == 1  # and then it stays wrong
    lost = evaluate_tracking([(RIGHT,)] * 3, [(told(RIGHT, 1),), (), (off,)])
    anew = evaluate_tracking(
        [(RIGHT,)] * 2, [(told(RIGHT, 1),), (told(RIGHT, 2, off=(0.1, 0, 0)),)]
    )
    assert lost.num_jumps == anew.num_jumps == 0


def test_merged_streams_add_up():
    first = evaluate_tracking([(RIGHT, LEFT)], [(told(RIGHT, 1),)])
    second = evaluate_tracking([(RIGHT,)], [(told(RIGHT, 7, off=(0, 0, 0.1)),)])
    both = merge_tracking([first, second])
    assert both.num_images == 2 and both.num_visible == 3
    assert both.recall == pytest.approx(2 / 3)
    np.testing.assert_allclose(both.depth_error_m, [0.0, 0.1], atol=1e-12)
    assert both.num_new_ids == 0  # another stream has other ids


def test_missing_images_and_missing_shares_are_told():
    with pytest.raises(DatasetError, match='known for 1 images, results are there for 0'):
        evaluate_tracking([(RIGHT,)], [])
    with pytest.raises(DatasetError, match='how much of the hands is visible'):
        evaluate_tracking([(dataclasses.replace(RIGHT, visible_share=None),)], [()])
