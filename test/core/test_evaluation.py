import dataclasses

import numpy as np
import pytest

from hand_perception.errors import DatasetError
from hand_perception.evaluation.alignment import mpjpe, pa_mpjpe, procrustes_align
from hand_perception.evaluation.clip_errors import evaluate_clip, match_hands
from hand_perception.geometry import rotation_from_axis_angle
from hand_perception.synthetic.truth import HandTruth

EXACT = 1e-12  # float64 arithmetic on numbers of about 1


def make_hand(seed=0, *, is_right=True, shift_px=(0.0, 0.0)):
    rng = np.random.default_rng(seed)
    points_2d = rng.uniform(0, 100, (21, 2))
    points_2d[0], points_2d[1] = (0, 0), (80, 100)  # the box is known: 80 to 100 wide, 100 high
    return HandTruth(
        is_right=is_right,
        keypoints_3d=rng.normal(0, 0.05, (21, 3)) + (0, 0, 0.5),
        keypoints_2d=points_2d + shift_px,
    )


def test_moving_points_changes_no_error_from_the_wrist():
    truth = make_hand().keypoints_3d
    assert mpjpe(truth + (0.1, -0.2, 0.3), truth) == pytest.approx(0, abs=EXACT)


def test_mpjpe_of_one_displaced_joint_is_its_distance_over_21():
    truth = make_hand().keypoints_3d
    points = truth.copy()
    points[7] += (0.0, 0.021, 0.0)
    assert mpjpe(points, truth) == pytest.approx(0.001, abs=EXACT)


def test_alignment_undoes_turning_scaling_and_moving():
    truth = make_hand().keypoints_3d
    turn = rotation_from_axis_angle(np.array([0.4, -1.0, 2.0]))
    points = 1.7 * truth @ turn.T + (1, 2, 3)
    np.testing.assert_allclose(procrustes_align(points, truth), truth, atol=EXACT)


def test_alignment_does_not_mirror():
    truth = make_hand().keypoints_3d
    assert pa_mpjpe(truth * (-1, 1, 1), truth) > 0.01  # m; a mirrored random cloud stays off


def test_alignment_of_a_batch_equals_alignment_one_by_one():
    points = np.stack([make_hand(seed).keypoints_3d for seed in range(4)])
    truth = np.stack([make_hand(seed + 10).keypoints_3d for seed in range(4)])
    single = np.stack([procrustes_align(p, t) for p, t in zip(points, truth, strict=True)])
    np.testing.assert_allclose(procrustes_align(points, truth), single, atol=EXACT)


def test_perfect_results_have_no_errors():
    truth = [[make_hand(0), make_hand(1, is_right=False, shift_px=(200, 0))], []]
    errors = evaluate_clip(truth, truth)
    assert (errors.num_images, errors.num_true, errors.num_found) == (2, 2, 2)
    assert (errors.recall, errors.side_accuracy, errors.num_false) == (1.0, 1.0, 0)
    assert errors.error_2d_px.max() == 0 and errors.absolute_m.max() == 0


def test_2d_error_is_relative_to_the_longer_side_of_the_true_box():
    truth = make_hand()
    found = dataclasses.replace(truth, keypoints_2d=truth.keypoints_2d + (3.0, 4.0))
    errors = evaluate_clip([[truth]], [[found]])
    size = max(np.ptp(truth.keypoints_2d[:, 0]), 100.0)
    assert errors.error_2d_px == pytest.approx([5.0], abs=EXACT)
    assert errors.error_2d_ratio == pytest.approx([5.0 / size], abs=EXACT)


def test_wrist_depth_error_has_the_sign_of_too_far():
    truth = make_hand()
    found = dataclasses.replace(truth, keypoints_3d=truth.keypoints_3d + (0, 0, 0.03))
    errors = evaluate_clip([[truth]], [[found]])
    assert errors.wrist_depth_error_m == pytest.approx([0.03], abs=EXACT)
    assert errors.absolute_m == pytest.approx([0.03], abs=EXACT)
    assert errors.mpjpe_m == pytest.approx([0.0], abs=EXACT)


def test_hand_of_the_wrong_side_is_found_but_not_right():
    truth = make_hand(is_right=True)
    errors = evaluate_clip([[truth]], [[dataclasses.replace(truth, is_right=False)]])
    assert (errors.recall, errors.side_accuracy, errors.num_false) == (1.0, 0.0, 0)


def test_hand_far_from_every_true_hand_is_false_and_the_true_one_missed():
    truth, found = make_hand(), make_hand(shift_px=(60.0, 0.0))  # 60 % of its size away
    errors = evaluate_clip([[truth], [truth]], [[found], [truth]])
    assert (errors.recall, errors.num_false) == (0.5, 1)
    assert errors.image.tolist() == [1]


def test_second_result_on_one_hand_is_false():
    truth, twice = make_hand(), make_hand(shift_px=(5.0, 0.0))
    errors = evaluate_clip([[truth]], [[twice, truth]])
    assert (errors.num_found, errors.num_false) == (1, 1)
    assert errors.error_2d_px == pytest.approx([0.0])  # the closer one counts


def test_closest_pairs_are_matched_first():
    left, right = make_hand(0), make_hand(0, shift_px=(40.0, 0.0))
    found = [make_hand(0, shift_px=(41.0, 0.0)), make_hand(0, shift_px=(20.0, 0.0))]
    assert match_hands([left, right], found) == [(0, 1), (1, 0)]


def test_result_without_numbers_is_no_match():
    truth = make_hand()
    lost = dataclasses.replace(truth, keypoints_2d=np.full((21, 2), np.nan))
    errors = evaluate_clip([[truth]], [[lost]])
    assert (errors.num_found, errors.num_false) == (0, 1)
    assert np.isnan(errors.side_accuracy)


def test_nothing_found_gives_a_table_without_warnings():
    rows = dict(evaluate_clip([[make_hand()]], [[]]).rows())
    assert rows['hands found'] == '0 of 1 (0.0%)'
    assert 'nan' in rows['2D error, median']


def test_clips_of_different_length_are_refused():
    with pytest.raises(DatasetError, match='2 images.*1;'):
        evaluate_clip([[], []], [[]])
