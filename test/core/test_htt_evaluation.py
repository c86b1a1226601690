"""An evaluation of HTT has the numbers of the published one, whatever way it got to them."""

import dataclasses
from types import SimpleNamespace

import ego_trees
import htt_files
import numpy as np
import pytest
import torch
from htt_scripted import raw_of

from hand_perception.datasets.clips import open_clips, open_images, open_split
from hand_perception.datatypes import Camera
from hand_perception.errors import ConfigError, DatasetError
from hand_perception.evaluation.htt_engines import run_engine
from hand_perception.evaluation.htt_report import htt_report
from hand_perception.evaluation.htt_run import HttEvaluation, HttWindows, images_per_token
from hand_perception.evaluation.mean_pose import (
    mean_pose,
    mean_pose_of_split,
    mean_pose_scores,
    mean_pose_table,
)
from hand_perception.evaluation.partial_results import PartialResults
from hand_perception.models.htt.lift import lift
from hand_perception.models.htt.network import HttNetwork
from hand_perception.models.htt.sliding_windows import slide_pose
from hand_perception.pipeline.temporal_state import TemporalSettings

#: Short enough that segments of the drawn folders have several clips, and one is longer than both.
WINDOWS = HttWindows(window=16, pose_window=4)
#: Millimetres: the same network on batches of another size, float32.
MM_ATOL = 2e-3
#: Percent of a probability, the same.
PERCENT_ATOL = 1e-4


@pytest.fixture(scope='module')
def trees(tmp_path_factory):
    root = tmp_path_factory.mktemp('data')
    return SimpleNamespace(fpha=ego_trees.fpha(root / 'fpha'), h2o=ego_trees.h2o(root / 'h2o'))


def random_network(kind, root, split_name):
    """Weights whose errors lie on both sides of the thresholds, with answers that differ."""
    module = htt_files.network(kind, seed=5)
    split = open_split(kind, root, split_name)
    joints = split.truth(split.segments[0]).joints_3d[8].reshape(-1, 3)
    (fx, _, cx), (_, fy, cy), _ = split.K.tolist()
    camera = Camera(width=480, height=270, fx=fx, fy=fy, cx=cx, cy=cy)
    with torch.no_grad():
        last = module.image_to_hand_pose.mlp[4]
        last.bias.copy_(torch.from_numpy(raw_of(joints, camera).ravel()))
        last.weight.mul_(0.3)
        module.action_classification.classifier.weight.mul_(30)
        module.obj_classification.classifier.weight.mul_(30)
    return HttNetwork.from_module(module, device=torch.device('cpu'), precision='fp32')


@pytest.fixture(scope='module')
def networks(trees):
    return {
        'fpha': random_network('fpha', trees.fpha, 'test'),
        'h2o': random_network('h2o', trees.h2o, 'val'),
    }


def evaluate(trees, networks, kind, split_name, windows=WINDOWS, hands='flagged'):
    """Run all segments in memory: the split, the parts, the report and its scores."""
    split = open_split(kind, getattr(trees, kind), split_name, hands=hands)
    evaluation = HttEvaluation(split, open_images(split), windows)
    parts = PartialResults(None, evaluation.names)
    for number in range(len(evaluation.names)):
        parts.save(number, evaluation.compute(networks[kind], number, evaluation.read(number)))
    report, scores = htt_report(split, windows, parts, {})
    return SimpleNamespace(split=split, parts=list(parts), report=report, scores=scores)


@pytest.fixture(scope='module')
def fpha(trees, networks):
    return evaluate(trees, networks, 'fpha', 'test')


@pytest.fixture(scope='module')
def h2o(trees, networks):
    return evaluate(trees, networks, 'h2o', 'val')


def published_figures(root, network, kind, split_name):
    """The published evaluation in its own words: clip after clip of the loader, plain sums."""
    clips = open_clips(
        kind, root, split_name, windows='evaluation', window=WINDOWS.window,
        pose_window=WINDOWS.pose_window,
    )  # fmt: skip
    joints, truth, votes, right_objects, soft = [], [], {}, [], []
    labels = {}
    for number in range(len(clips)):
        clip = clips[number]
        output = network.clip(
            torch.from_numpy(clip.images), torch.from_numpy(clip.not_padding),
            window=WINDOWS.window, pose_window=WINDOWS.pose_window,
        )  # fmt: skip
        counts = clip.not_padding
        joints.append(lift(output.hand_raw.numpy(), clip.K)[2][counts])
        truth.append(clip.truth.joints_3d.reshape(len(counts), -1, 3)[counts])
        right_objects += list(output.object_logits.argmax(-1).numpy()[counts] == clip.object)
        prob = output.action_prob[0].numpy().astype(np.float64)
        votes[clip.segment] = votes.get(clip.segment, 0) + prob
        labels[clip.segment] = clip.action
        soft.append(prob[clip.action])
    found, true = np.concatenate(joints).astype(float), np.concatenate(truth).astype(float)
    figures = {
        'action_accuracy': 100 * np.mean([votes[name].argmax() == labels[name] for name in votes]),
        'action_soft_rate': 100 * np.mean(soft),
        'object_accuracy': 100 * np.mean(right_objects),
    }
    sides = ('right',) if kind == 'fpha' else ('left', 'right')
    for side, first in zip(sides, (0, 21), strict=False):
        a, b = found[:, first : first + 21], true[:, first : first + 21]
        distance = np.linalg.norm(a - b, axis=-1)
        relative = np.linalg.norm((a - a[:, :1]) - (b - b[:, :1]), axis=-1)[:, 1:]
        end_m, steps = (0.08, 33) if kind == 'fpha' else (0.09, 37)
        figures[f'mepe_{side}'] = 1e3 * distance.mean(0).mean()
        figures[f'mepe_ra_{side}'] = 1e3 * relative.mean(0).mean()
        for key, errors, thresholds in (
            ('auc', distance, np.linspace(0, end_m, steps)),
            ('auc_ra', relative, np.linspace(0, 0.05, 21)),
        ):
            pck = np.array([(errors <= limit).mean(0).mean() for limit in thresholds])
            area = ((pck[1:] + pck[:-1]) / 2 * np.diff(thresholds)).sum() / thresholds[-1]
            figures[f'{key}_{side}'] = area
    return figures


@pytest.mark.parametrize(('kind', 'split_name'), [('fpha', 'test'), ('h2o', 'val')])
def test_figures_are_those_of_the_published_evaluation(request, trees, networks, kind, split_name):
    found = request.getfixturevalue(kind).report.figures
    wanted = published_figures(getattr(trees, kind), networks[kind], kind, split_name)
    assert 0.1 < wanted['auc_right'] < 0.9
    for key, value in wanted.items():
        if key.startswith('auc'):
            assert found[key] == pytest.approx(value, abs=2e-3), key  # steps of a curve
        elif key.startswith('mepe'):
            assert found[key] == pytest.approx(value, abs=MM_ATOL), key
        else:
            assert found[key] == pytest.approx(value, abs=PERCENT_ATOL), key


def test_final_poses_of_the_tiled_engine_are_those_of_the_published_evaluation(h2o):
    for name in ('camera', 'relative'):
        for side in ('left', 'right'):
            final = getattr(h2o.scores.poses['tiled_final'][side], name)
            offline = getattr(h2o.scores.poses['offline'][side], name)
            np.testing.assert_allclose(
                final.mean_per_point_m, offline.mean_per_point_m, atol=1e-6
            )  # 1 um
    assert h2o.scores.engine_accuracy['tiled_final'][0] == h2o.scores.actions.accuracy


def test_a_vote_so_far_ends_with_the_published_vote(h2o, fpha):
    for result in (h2o, fpha):
        tokens, shares = result.scores.accuracy_by_tokens()
        assert shares['all'][-1] == pytest.approx(result.scores.actions.accuracy)
        assert shares['going_on'][-1] == 0
        assert tokens[-1] == max(-(-len(part['object']) // 2) for part in result.parts)
        for segment, part in zip(result.split.segments, result.parts, strict=True):
            assert part['told_after'][-1] == result.scores.actions.told[segment.name]
            np.testing.assert_allclose(
                part['tiled_final/vote'].sum(0), part['action_prob'].sum(0), atol=1e-5
            )


def test_provisional_poses_differ_but_the_last_of_each_window_is_final(networks):
    features = torch.randn(10, 64, generator=torch.Generator().manual_seed(0))
    K = np.array([[240, 0, 240], [0, 240, 135], [0, 0, 1]], np.float32)
    settings = TemporalSettings(window=8, pose_window=4, is_rolling=False)
    answers = run_engine(networks['fpha'], settings, features, K, with_vote_so_far=True)
    same = np.isclose(answers.told, answers.final, atol=1e-6).all((1, 2))
    # The tenth token is the last one of all: its window ends with it.
    assert np.flatnonzero(same).tolist() == [3, 7, 9]
    # Two action windows were closed: 8 tokens, and 2.
    assert answers.vote.sum() == pytest.approx(2, abs=1e-5)
    np.testing.assert_allclose(answers.so_far.sum(1), [1] * 8 + [2] * 2, atol=1e-5)
    np.testing.assert_allclose(answers.so_far[-1], answers.vote, atol=1e-6)


@pytest.mark.parametrize('count', [8, 16, 3])
@pytest.mark.parametrize('lookahead', [0, 2])
def test_sliding_engine_counts_each_action_window_once(networks, count, lookahead):
    features = torch.randn(count, 64, generator=torch.Generator().manual_seed(1))
    K = np.eye(3, dtype=np.float32)
    settings = TemporalSettings(
        engine='sliding', lookahead=lookahead, window=8, pose_window=4, is_rolling=False
    )
    answers = run_engine(networks['fpha'], settings, features, K)
    assert answers.vote.sum() == pytest.approx(-(-count // 8), abs=1e-5)
    assert np.isfinite(answers.told).all()
    padding = torch.zeros(1, min(count, 8), dtype=torch.bool)
    slid = slide_pose(
        networks['fpha'], features[None, :8], padding, pose_window=4, lookahead=lookahead
    )
    raw = networks['fpha'].heads(slid[0]).raw.numpy()
    wanted = lift(raw, np.repeat(K[None], len(raw), 0))[2]
    np.testing.assert_allclose(answers.told[: len(raw)], wanted, atol=5e-6)  # metres


def test_weights_that_slid_in_training_are_evaluated_that_way(trees, networks):
    windows = HttWindows(window=16, pose_window=4, lookahead=2)
    assert windows.engines == (
        'offline', 'tiled_final', 'tiled_provisional', 'sliding_0', 'sliding_2'
    )  # fmt: skip
    found = evaluate(trees, networks, 'h2o', 'val', windows)
    for side in ('left', 'right'):
        assert found.scores.poses['sliding_2'][side].camera.mean_m == pytest.approx(
            found.scores.poses['offline'][side].camera.mean_m, abs=1e-6
        )
    assert found.scores.engine_accuracy['sliding_2'][0] == found.scores.actions.accuracy


def test_segments_of_one_and_two_images_count(fpha, h2o):
    lengths = [len(part['object']) for part in (*fpha.parts, *h2o.parts)]
    assert {1, 2} < set(lengths)
    one = h2o.parts[lengths.index(1) - len(fpha.parts)]
    assert one['joints_3d'].shape == (1, 42, 3)
    assert one['tiled_final/vote'].shape[0] == 1  # nothing in the phase of odd images
    assert len(one['action_prob']) == 1


def test_a_test_split_without_labels_has_joints_and_answers_but_no_accuracy(trees, networks):
    found = evaluate(trees, networks, 'h2o', 'test')
    assert np.isnan(found.report.figures['action_accuracy'])
    assert np.isnan(found.report.figures['object_accuracy'])
    assert found.report.figures['mepe_left'] > 0
    assert len(found.scores.actions.told) == 2
    assert found.report.notes[0].startswith('2 of 2 segments have no action label')
    assert 'action_tokens' not in {curve.name for curve in found.report.curves}


def test_engines_can_be_left_out(trees, networks):
    found = evaluate(trees, networks, 'fpha', 'test', HttWindows(window=16, pose_window=4,
                                                                 with_engines=False))  # fmt: skip
    assert found.report.tables == []
    assert [curve.name for curve in found.report.curves] == ['pck_camera', 'pck_relative']


def test_a_hand_that_is_not_annotated_counts_only_where_all_are_asked_for(
    tmp_path, trees, networks
):
    root = ego_trees.h2o(tmp_path / 'h2o', with_images=False)
    for segment_file in (root / 'subject3/k2/0/cam4/hand_pose').glob('*.txt'):
        numbers = segment_file.read_text().split()
        numbers[:64] = ['0'] * 64  # the left hand of all images
        segment_file.write_text(' '.join(numbers))
    for folder in root.glob('subject3/*/*/cam4'):
        (folder / 'rgb480_270').symlink_to(
            trees.h2o / folder.relative_to(root) / 'rgb480_270', target_is_directory=True
        )
    here = SimpleNamespace(h2o=root)
    windows = HttWindows(window=16, pose_window=4, with_engines=False)
    flagged = evaluate(here, networks, 'h2o', 'val', windows)
    every = evaluate(here, networks, 'h2o', 'val', windows, hands='all')
    assert flagged.scores.poses['offline']['left'].camera.num_images == 80
    assert every.scores.poses['offline']['left'].camera.num_images == 120
    assert flagged.report.facts['annotated hands'] == 'left 80, right 120'
    assert flagged.report.figures['mepe_right'] == pytest.approx(
        every.report.figures['mepe_right']
    )


def test_weights_of_another_data_set_are_refused_by_their_classes(trees):
    split = open_split('h2o', trees.h2o, 'val')
    evaluation = HttEvaluation(split, open_images(split), WINDOWS)
    with pytest.raises(ConfigError, match=r'21 joints \(the data: 42\), 45 actions'):
        evaluation.check_network(num_joints=21, num_actions=45, num_objects=26)
    evaluation.check_network(num_joints=42, num_actions=36, num_objects=8)


def test_mean_of_a_hand_that_is_annotated_nowhere_is_unknown(trees):
    train = open_split('h2o', trees.h2o, 'train')
    truths = [train.truth(segment) for segment in train.segments]
    right = np.array([False, True])
    truths = [dataclasses.replace(one, hand_valid=one.hand_valid & right) for one in truths]
    mean = mean_pose(truths)
    assert np.isnan(mean[:21]).all()
    np.testing.assert_array_equal(mean[21:], mean_pose_of_split(train)[21:])
    nothing = dataclasses.replace(train, segments=())
    with pytest.raises(DatasetError, match='no annotated hand for a mean pose'):
        mean_pose_of_split(nothing)


def test_the_mean_pose_is_scored_like_a_network(h2o, trees):
    train = open_split('h2o', trees.h2o, 'train')
    mean = mean_pose_of_split(train)
    joints = np.concatenate([train.truth(segment).joints_3d for segment in train.segments])
    np.testing.assert_allclose(mean.reshape(2, 21, 3), joints.mean(0), atol=1e-7)
    scores = mean_pose_scores(mean, h2o.split)
    true = np.concatenate([h2o.split.truth(segment).joints_3d for segment in h2o.split.segments])
    distance = np.linalg.norm(true - mean.reshape(2, 21, 3), axis=-1).mean((0, 2))
    assert [scores[side].camera.mean_m for side in ('left', 'right')] == pytest.approx(distance)
    table = mean_pose_table(h2o.scores.poses['offline'], scores, 'train')
    ours, theirs, ratio = (row[1] for row in table.rows)
    assert ours == pytest.approx(h2o.report.figures['mepe_left'])
    assert ratio == pytest.approx(theirs / ours)


@pytest.mark.parametrize(
    ('spacing', 'rate_hz', 'images'), [(2, 30.0, 2), (15, 4.0, 2), (2, 15.0, 1), (2, 4.0, 1)]
)
def test_tokens_are_as_far_apart_in_slower_recordings(spacing, rate_hz, images):
    assert images_per_token(spacing, rate_hz) == images
