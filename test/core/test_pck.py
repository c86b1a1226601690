"""Official evaluation numbers: PCK of HInt, mean joint errors with and without alignment."""

from pathlib import Path

import numpy as np
import pytest

from hand_perception.evaluation.alignment import mean_joint_error, pa_mpjpe
from hand_perception.evaluation.pck import mean_pck, pck_per_joint

REFERENCE = Path(__file__).parents[1] / 'data' / 'hamer_crops.npz'


@pytest.fixture(scope='module')
def reference():
    with np.load(REFERENCE) as file:
        return {name: file[name] for name in file.files}


def test_pck_is_the_official_one(reference):
    size = reference['eval/r2/box_size']
    keypoints = reference['eval/r2/pred_keypoints_2d'].astype(np.float64)
    keypoints[reference['eval/right'] == 0, :, 0] *= -1  # crops of left hands are mirrored
    keypoints = keypoints * size[:, None, None] + reference['eval/r2/box_center'][:, None]
    truth = reference['eval/r2/pck_gt']
    per_joint = pck_per_joint(
        keypoints, truth[..., :2], truth[..., 2],
        size / reference['eval/r2/bbox_expand_factor'],
        thresholds=reference['eval/r2/pck_thresholds'],
    )  # fmt: skip
    # counts over counts
    np.testing.assert_allclose(mean_pck(per_joint), reference['eval/r2/pck_avg'], atol=1e-12)


def test_errors_with_and_without_alignment_are_the_official_ones(reference):
    points = reference['unit/pred_joints'].astype(np.float64)
    truth = reference['unit/gt_joints'].astype(np.float64)
    # millimetres; the official numbers are float32
    np.testing.assert_allclose(
        pa_mpjpe(points, truth) * 1e3, reference['unit/pa_mpjpe_mm'], atol=1e-4
    )
    np.testing.assert_allclose(
        mean_joint_error(points, truth) * 1e3, reference['unit/mpjpe_mm'], atol=1e-4
    )


def test_joint_counts_at_its_threshold_and_not_beyond():
    truth = np.zeros((2, 3, 2))
    points = truth.copy()
    points[0, 0, 0], points[1, 0, 0], points[0, 1, 1] = 10, 10.01, 30
    per_joint = pck_per_joint(points, truth, np.ones((2, 3)), [100, 100], thresholds=[0.1, 0.2])
    assert per_joint.tolist() == [[0.5, 0.5, 1], [1, 0.5, 1]]


def test_joints_without_truth_are_left_out_of_the_mean():
    confidence = np.array([[1.0, 0.5, 0.2], [0.6, 0.0, 0.0]])
    points = np.zeros((2, 3, 2))
    points[1] = 50
    per_joint = pck_per_joint(points, np.zeros((2, 3, 2)), confidence, [10, 10], thresholds=[0.1])
    assert per_joint[0, 0] == 0.5
    assert np.isnan(per_joint[0, 1:]).all()
    assert mean_pck(per_joint).tolist() == [0.5]


def test_no_truth_at_all_has_no_score():
    per_joint = pck_per_joint(np.zeros((1, 3, 2)), np.zeros((1, 3, 2)), np.zeros((1, 3)), [10])
    assert np.isnan(mean_pck(per_joint)).all()
