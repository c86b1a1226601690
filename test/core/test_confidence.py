"""The confidence of a hand falls with everything that speaks against it."""

import numpy as np
import pytest

from hand_perception.pipeline.confidence import (
    hand_confidence,
    keypoint_agreement,
    motion_continuity,
)

POINTS = np.random.default_rng(0).uniform(0, 100, (21, 2)) + 200
SIZE = float(np.ptp(POINTS, axis=0).max())


def test_confidence_is_the_product_of_what_is_known():
    assert hand_confidence(presence=0.8, agreement=0.5, continuity=None) == pytest.approx(0.4)
    assert hand_confidence(presence=None, agreement=None, continuity=None) == 1


def test_keypoints_that_are_the_landmarks_agree_fully():
    assert keypoint_agreement(POINTS, POINTS) == 1


def test_agreement_falls_with_distance_over_hand_size():
    shifts = np.array([0.02, 0.05, 0.1, 0.2, 0.5]) * SIZE
    values = [keypoint_agreement(POINTS + (shift, 0), POINTS) for shift in shifts]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.95
    assert values[-1] < 0.01


def test_agreement_does_not_depend_on_the_size_of_the_image():
    near = keypoint_agreement(POINTS + (0.1 * SIZE, 0), POINTS)
    far = keypoint_agreement((POINTS + (0.1 * SIZE, 0)) / 10, POINTS / 10)
    assert near == pytest.approx(far, abs=1e-12)


def test_keypoints_behind_the_camera_do_not_agree():
    points = POINTS.copy()
    points[3] = np.nan
    assert keypoint_agreement(points, POINTS) == 0


def test_hand_that_goes_on_as_it_was_going_is_continuous():
    moved = POINTS + (30, -15)
    value = motion_continuity(moved, POINTS, velocity_px_s=(300, -150), elapsed_s=0.1)
    assert value == pytest.approx(1, abs=1e-12)


def test_hand_that_jumps_its_own_size_is_not():
    moved = POINTS + (SIZE, 0)
    assert motion_continuity(moved, POINTS, velocity_px_s=(0, 0), elapsed_s=0.03) < 0.05


def test_landmarks_in_one_point_are_no_division_by_zero():
    point = np.zeros((21, 2))
    assert keypoint_agreement(point, point) == 1
    assert keypoint_agreement(POINTS, point) == 0
