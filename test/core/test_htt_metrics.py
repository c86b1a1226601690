"""Joint errors, curves, votes and object rates are those of HTT's own evaluation program."""

from pathlib import Path

import numpy as np
import pytest

from hand_perception.errors import DatasetError
from hand_perception.evaluation.classification import UNLABELLED, ActionVote, FrameAccuracy
from hand_perception.evaluation.curves import Thresholds, curve_area, shares_within
from hand_perception.evaluation.hand_pose import FPHA_POSE, H2O_POSE, PoseEvaluator
from hand_perception.evaluation.point_errors import PointErrors

DATA = Path(__file__).parents[1] / 'data'
#: Metres: the official program adds float32 distances up.
MEAN_ATOL = 1e-8
#: Shares of counts.
SHARE_ATOL = 1e-12


@pytest.fixture(scope='module')
def official():
    with np.load(DATA / 'htt_evaluators.npz') as file:
        return dict(file)


def assert_scores(scores, official, prefix):
    assert scores.mean_m == pytest.approx(official[f'{prefix}/epe_mean'], abs=MEAN_ATOL)
    assert scores.median_m == pytest.approx(official[f'{prefix}/epe_median'], abs=MEAN_ATOL)
    np.testing.assert_allclose(
        scores.mean_per_point_m, official[f'{prefix}/epe_mean_joints'], atol=MEAN_ATOL
    )
    np.testing.assert_allclose(
        scores.thresholds.values_m, official[f'{prefix}/thresholds'], atol=SHARE_ATOL
    )
    np.testing.assert_allclose(scores.curve, official[f'{prefix}/pck_curve'], atol=SHARE_ATOL)
    assert scores.auc == pytest.approx(official[f'{prefix}/auc'], abs=SHARE_ATOL)


def evaluate(official, benchmark, batches, is_valid=None):
    whole = PoseEvaluator(benchmark)
    joints = benchmark.num_joints
    valid = official['pos_weights'] if is_valid is None else is_valid
    for rows in batches:
        part = PoseEvaluator(benchmark)
        part.add(
            official['pos_pred'][rows, :joints], official['pos_gt'][rows, :joints], valid[rows]
        )
        whole.merge(part)
    return whole.finish()


BATCHES = (slice(0, 7), slice(7, 8), slice(8, 40))


def test_joint_errors_of_one_hand_are_the_official_ones(official):
    scores = evaluate(official, FPHA_POSE, BATCHES)['right']
    assert_scores(scores.camera, official, 'single/joints3d')
    assert_scores(scores.relative, official, 'single/joints3d_cent')


@pytest.mark.parametrize('side', ['left', 'right'])
def test_joint_errors_of_two_hands_are_the_official_ones(official, side):
    scores = evaluate(official, H2O_POSE, BATCHES)[side]
    assert_scores(scores.camera, official, f'two/{side}_joints3d')
    assert_scores(scores.relative, official, f'two/{side}_joints3d_cent')
    assert scores.camera.num_images == official['pos_weights'].sum()


def test_hand_without_truth_leaves_the_other_one_as_it_is(official):
    valid = np.repeat(official['pos_weights'][:, None], 2, 1)
    valid[:, 0] = 0
    truth = official['pos_gt'].copy()
    truth[:, :21] = np.nan  # an annotation that is not there
    scores = evaluate({**official, 'pos_gt': truth}, H2O_POSE, BATCHES, valid)
    assert_scores(scores['right'].camera, official, 'two/right_joints3d')
    assert scores['left'].camera.num_images == 0
    assert np.isnan([scores['left'].camera.mean_m, scores['left'].relative.auc]).all()


def test_vote_over_windows_and_phases_is_the_official_one(official):
    videos = list(
        zip(official['act_subject'], official['act_gt'], official['act_seq'], strict=True)
    )
    whole = ActionVote(5)
    for rows in (slice(0, 4), slice(4, 12)):  # the cut lies within a video
        part = ActionVote(5)
        part.add(videos[rows], official['act_prob'][rows], official['act_gt'][rows])
        whole.merge(part)
    scores = whole.finish()
    assert scores.num_videos == official['action/video_seq_total']
    assert scores.num_right == official['action/video_seq_tp']
    assert scores.accuracy == official['action/video_seq_recall_rate_mean']
    assert scores.num_windows == 12
    # The official rate divides by the sum of float32 probabilities, which is 1 to 1e-7.
    assert scores.soft_rate == pytest.approx(float(official['action/recall_rate_mean']), abs=1e-8)


def test_object_rate_over_valid_frames_is_the_official_one(official):
    counts = FrameAccuracy(int(max(official['frm_gt'].max(), official['frm_pred'].max())) + 1)
    for rows in (slice(0, 11), slice(11, 30)):
        part = FrameAccuracy(len(counts.finish().confusion))
        part.add(
            official['frm_pred'][rows], official['frm_gt'][rows], official['frm_weights'][rows]
        )
        counts.merge(part)
    scores = counts.finish()
    assert scores.num_images == official['object/total_samples']
    assert scores.num_right == official['object/total_tp']
    assert scores.accuracy == pytest.approx(
        float(official['object/recall_rate_mean']), abs=SHARE_ATOL
    )


def test_all_windows_of_a_video_together_outvote_its_surest_one():
    vote = ActionVote(3)
    vote.add(['a', 'a'], [[0.5, 0.45, 0.05], [0.1, 0.45, 0.45]], [1, 1])
    assert vote.finish().told == {'a': 1}


def test_video_without_label_is_told_and_not_scored():
    vote = ActionVote(2)
    vote.add(['known', 'unknown'], [[0.9, 0.1], [0.2, 0.8]], [0, UNLABELLED])
    scores = vote.finish()
    assert scores.told == {'known': 0, 'unknown': 1}
    assert (scores.num_videos, scores.num_windows, scores.accuracy) == (1, 1, 1.0)
    assert np.isnan(ActionVote(2).finish().accuracy)


def test_distance_counts_at_its_threshold_and_not_beyond():
    shares = shares_within(np.array([[0.02], [0.021], [np.nan]]), np.array([0.0, 0.02, 0.03]))
    assert shares[:, 0].tolist() == [0.0, 0.5, 1.0]


def test_area_under_a_ramp_is_a_half():
    thresholds = Thresholds(end_m=0.05, steps=21)
    ramp = np.linspace(0, 1, 21)
    assert curve_area(ramp, thresholds.values_m) == pytest.approx(0.5, abs=SHARE_ATOL)
    assert str(thresholds) == '0-50 mm'


def test_mean_is_taken_per_joint_before_it_is_taken_over_joints():
    errors = PointErrors(2)
    truth = np.zeros((4, 2, 3))
    points = truth.copy()
    points[:, 0, 0] = 0.01
    points[0, 1, 0] = 0.03
    is_valid = np.ones((4, 2))
    is_valid[1:, 1] = 0  # the second joint was seen once
    errors.add(points, truth, is_valid)
    scores = errors.finish(Thresholds(end_m=0.05, steps=3))
    assert scores.mean_m == pytest.approx(0.02, abs=MEAN_ATOL)
    assert scores.num_images == 4


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda p, t, v: (p[:, :20], t, v), r'42 joints in 2 hands'),
        (lambda p, t, v: (p, t, v[:-1]), r'validity must be'),
        (lambda p, t, v: (np.where(v[:, None, None] == 0, np.nan, p), t, 1 - v), 'not finite'),
    ],
    ids=['joints', 'validity', 'numbers'],
)
def test_joints_that_do_not_fit_are_refused(official, change, message):
    args = (official['pos_pred'], official['pos_gt'], official['pos_weights'])
    with pytest.raises(DatasetError, match=message):
        PoseEvaluator(H2O_POSE).add(*change(*args))


def test_results_of_two_benchmarks_are_not_mixed():
    with pytest.raises(DatasetError, match='fpha.*h2o'):
        PoseEvaluator(H2O_POSE).merge(PoseEvaluator(FPHA_POSE))
    with pytest.raises(DatasetError, match='5 classes'):
        ActionVote(4).merge(ActionVote(5))
    with pytest.raises(DatasetError, match='3 classes'):
        FrameAccuracy(4).merge(FrameAccuracy(3))
    with pytest.raises(DatasetError, match='20 points'):
        PointErrors(21).merge(PointErrors(20))


def test_labels_that_begin_with_1_are_refused_by_what_to_do():
    with pytest.raises(DatasetError, match='begin with 1'):
        ActionVote(2).add(['a'], [[0.5, 0.5]], [2])
    with pytest.raises(DatasetError, match='from 0 to 1'):
        FrameAccuracy(2).add([0], [UNLABELLED])


def test_video_with_two_labels_is_refused():
    vote = ActionVote(2)
    vote.add(['a'], [[0.5, 0.5]], [0])
    with pytest.raises(DatasetError, match='one action'):
        vote.add(['a'], [[0.5, 0.5]], [1])
