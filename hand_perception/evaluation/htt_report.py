"""From the parts of an HTT evaluation to its report, and to files that list its answers."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hand_perception.datasets.sample import UNKNOWN
from hand_perception.datasets.segments import Split
from hand_perception.evaluation.classification import ActionScores, ActionVote, FrameAccuracy
from hand_perception.evaluation.curves import MILLIMETRES
from hand_perception.evaluation.hand_pose import HandPoseScores, PoseEvaluator
from hand_perception.evaluation.htt_run import (
    FINAL,
    OFFLINE,
    PROVISIONAL,
    HttWindows,
    benchmark_of,
    sliding_name,
)
from hand_perception.evaluation.mean_pose import (
    mean_pose_of_split,
    mean_pose_scores,
    mean_pose_table,
)
from hand_perception.evaluation.partial_results import Arrays, PartialResults
from hand_perception.evaluation.plots import Curve
from hand_perception.evaluation.report import Report, Table
from hand_perception.evaluation.submissions import write_h2o_actions
from hand_perception.whole_files import whole_file

_PERCENT: Final = 100.0
#: Name of the file that has the answer for every segment.
ACTIONS: Final = 'actions.csv'
ACTION_SUBMISSION: Final = 'action_labels.zip'

Scores = Mapping[str, HandPoseScores]


class HttScores:
    """Everything that is counted over the parts.

    Attributes:
        poses: scores of each way to put images together, by its name, then by hand.
        actions: the published vote.
        engine_accuracy: share of the videos named right by the vote of all phases, and by the
            first one alone, 0-1, by name.
        num_images: in all segments.
    """

    def __init__(self, split: Split, windows: HttWindows, parts: PartialResults) -> None:
        """Read all parts."""
        benchmark, labels = benchmark_of(split), split.labels
        poses = {name: PoseEvaluator(benchmark) for name in windows.engines}
        vote, objects = ActionVote(len(labels.actions)), FrameAccuracy(len(labels.objects))
        votes: dict[str, list[tuple[bool, bool]]] = {name: [] for name in windows.engines}
        told_after, labelled = [], []
        self.num_images = 0
        for segment, part in zip(split.segments, parts, strict=True):
            for name, evaluator in poses.items():
                evaluator.add_arrays(_of(part, name))
            windows_told = part['action_prob']
            vote.add(
                [segment.name] * len(windows_told), windows_told,
                np.full(len(windows_told), segment.action),
            )  # fmt: skip
            told = part['object'].astype(np.int64)
            self.num_images += len(told)
            if segment.object != UNKNOWN:
                objects.add(told, np.full(len(told), segment.object))
            if segment.action == UNKNOWN or not windows.with_engines:
                continue
            labelled.append(segment.action)
            told_after.append((part['told_after'], part['told_after_one']))
            for name in windows.engines:
                if f'{name}/vote' in part:
                    sums = part[f'{name}/vote']
                    votes[name].append(
                        (
                            int(sums.sum(0).argmax()) == segment.action,
                            int(sums[0].argmax()) == segment.action,
                        )
                    )
        self.poses = {name: evaluator.finish() for name, evaluator in poses.items()}
        self.actions: ActionScores = vote.finish()
        self.objects = objects.finish()
        self.engine_accuracy = {
            name: tuple(np.mean(rows, axis=0).tolist()) for name, rows in votes.items() if rows
        }
        self._told_after = told_after
        self._labelled = np.array(labelled, np.int64)

    def accuracy_by_tokens(self) -> tuple[NDArray[np.int64], dict[str, NDArray[Any]]] | None:
        """Give accuracy against the tokens seen of each phase; None without labels or engines.

        Returns:
            (n,) tokens from 1 on, and (n,) each, 0-1: accuracy of all phases together, of the
            first one alone, and the share of the videos that are longer than this.
        """
        if not self._told_after:
            return None
        longest = max(len(told) for told, _ in self._told_after)
        tokens = np.arange(longest)
        lines = []
        for which in (0, 1):
            # A video that has ended stays with what was said of it.
            told = np.stack(
                [
                    pair[which][np.minimum(tokens, len(pair[which]) - 1)]
                    for pair in self._told_after
                ]
            )
            lines.append((told == self._labelled[:, None]).mean(0))
        lengths = np.array([len(told) for told, _ in self._told_after])
        going_on = (lengths[:, None] > tokens + 1).mean(0)
        return tokens + 1, {'all': lines[0], 'one': lines[1], 'going_on': going_on}


def htt_report(
    split: Split,
    windows: HttWindows,
    parts: PartialResults,
    facts: Mapping[str, object],
    *,
    trained_on: Split | None = None,
) -> tuple[Report, HttScores]:
    """Put the figures of all parts together.

    Args:
        split: of the data set.
        windows: how images were put together.
        parts: one for each segment.
        facts: what else is told of the evaluation.
        trained_on: split whose mean pose is set beside the network; None: nothing is.
    """
    scores = HttScores(split, windows, parts)
    actions, objects = scores.actions, scores.objects
    figures = _pose_figures(scores.poses[OFFLINE])
    figures |= {
        'action_accuracy': _PERCENT * actions.accuracy,
        'action_soft_rate': _PERCENT * actions.soft_rate,
        'object_accuracy': _PERCENT * objects.accuracy,
    }
    notes = []
    unlabelled = len(split.segments) - actions.num_videos
    if unlabelled:
        notes.append(
            f'{unlabelled} of {len(split.segments)} segments have no action label in the table; '
            'their answers are in the files, and count for no figure'
        )
    tables = [_engine_table(windows, scores)] if windows.with_engines else []
    if trained_on is not None:
        mean = mean_pose_scores(mean_pose_of_split(trained_on), split)
        tables.append(mean_pose_table(scores.poses[OFFLINE], mean, trained_on.name))
    benchmark = f'{split.dataset}/{split.name}'
    report = Report(
        title=f'HTT on {benchmark}',
        benchmark=benchmark,
        figures=figures,
        facts={
            **facts,
            'segments': f'{len(split.segments)}, {actions.num_videos} with action labels',
            'images': scores.num_images,
            'annotated hands': ', '.join(
                f'{side} {hand.camera.num_images}' for side, hand in scores.poses[OFFLINE].items()
            ),
        },
        tables=tables,
        curves=_curves(benchmark, windows, scores),
        notes=notes,
    )
    return report, scores


def write_answers(
    folder: Path, split: Split, parts: PartialResults, scores: HttScores
) -> list[Path]:
    """Write actions.csv, and for H2O's test split the file for its challenge.

    Raises:
        DatasetError: a file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(('row', 'segment', 'true', 'told', 'true_label', 'told_label', 'probability'))
    names = split.labels.actions
    for segment, part in zip(split.segments, parts, strict=True):
        told = scores.actions.told[segment.name]
        true_label = '' if segment.action == UNKNOWN else names[segment.action]
        share = float(part['action_prob'].mean(0)[told])
        writer.writerow(
            (segment.row, segment.name, segment.action, told, true_label, names[told], share)
        )
    paths = [folder / ACTIONS]
    with whole_file(paths[0]) as stream:
        stream.write(text.getvalue().encode())
    if (split.dataset, split.name) == ('h2o', 'test'):
        paths.append(folder / ACTION_SUBMISSION)
        told_by_row = {s.row: scores.actions.told[s.name] for s in split.segments}
        write_h2o_actions(paths[-1], told_by_row, num_actions=len(names))
    return paths


def _of(part: Arrays, name: str) -> dict[str, NDArray[Any]]:
    """Take the distances of one way to put images together out of a part."""
    prefix = f'{name}/'
    return {key.removeprefix(prefix): part[key] for key in part if key.startswith(prefix)}


def _pose_figures(hands: Scores) -> dict[str, float]:
    figures: dict[str, float] = {}
    for key, values in (
        ('mepe', {side: hand.camera.mean_mm for side, hand in hands.items()}),
        ('auc', {side: hand.camera.auc for side, hand in hands.items()}),
        ('mepe_ra', {side: hand.relative.mean_mm for side, hand in hands.items()}),
        ('auc_ra', {side: hand.relative.auc for side, hand in hands.items()}),
    ):
        figures |= {f'{key}_{side}': value for side, value in values.items()}
        if len(values) > 1:
            figures[f'{key}_mean'] = float(np.mean(list(values.values())))
    return figures


def _engine_table(windows: HttWindows, scores: HttScores) -> Table:
    """Compare the engines of a stream with the published evaluation."""
    sides = tuple(scores.poses[OFFLINE])
    words = {
        OFFLINE: ('published evaluation', 'all of the clip'),
        FINAL: ('tiled, final', f'to {windows.pose_window - 1}'),
        PROVISIONAL: ('tiled, provisional', '0'),
        **{sliding_name(n): (f'sliding, lookahead {n}', str(n)) for n in windows.lookaheads},
    }
    # The action does not depend on when poses are told.
    accuracy = {
        **scores.engine_accuracy,
        OFFLINE: (scores.actions.accuracy, math.nan),
        PROVISIONAL: scores.engine_accuracy.get(FINAL, (math.nan, math.nan)),
    }
    rows: list[Sequence[str | float]] = []
    for name in windows.engines:
        errors = [scores.poses[name][side].camera.mean_mm for side in sides]
        errors += [scores.poses[name][side].relative.mean_mm for side in sides]
        errors += [_PERCENT * share for share in accuracy.get(name, (math.nan, math.nan))]
        rows.append((*words[name], *errors))
    return Table(
        name='engines',
        title='By engine of a stream (delay in tokens; errors in mm; actions in %)',
        columns=(
            'engine', 'delay', *(f'MEPE {side}' for side in sides),
            *(f'MEPE-RA {side}' for side in sides), 'action', 'action, one phase',
        ),
        rows=rows,
    )  # fmt: skip


def _curves(benchmark: str, windows: HttWindows, scores: HttScores) -> list[Curve]:
    hands = scores.poses[OFFLINE]
    curves = []
    for name, title, points in (
        ('pck_camera', 'camera space', {side: hand.camera for side, hand in hands.items()}),
        ('pck_relative', 'wrist-relative', {side: hand.relative for side, hand in hands.items()}),
    ):
        lines = {
            f'{side} hand, AUC {score.auc:.3f}': (
                score.thresholds.values_m * MILLIMETRES, score.curve,
            )
            for side, score in points.items()
            if score.num_images
        }  # fmt: skip
        if lines:
            curves.append(
                Curve(
                    name=name, title=f'HTT on {benchmark}: joints, {title}',
                    x_label='threshold, mm', y_label='share of joints within it', lines=lines,
                    y_range=(0, 1),
                )
            )  # fmt: skip
    by_tokens = scores.accuracy_by_tokens()
    if by_tokens is not None:
        tokens, shares = by_tokens
        phases = 'both' if windows.spacing == 2 else f'all {windows.spacing}'
        names = {
            'all': f'named right by {phases} phases (published vote)',
            'one': 'named right by one phase alone',
            'going_on': 'not over yet',
        }
        curves.append(
            Curve(
                name='action_tokens', title=f'HTT on {benchmark}: actions known early',
                x_label='tokens seen of each phase', y_label='share of the videos, %',
                lines={names[key]: (tokens, _PERCENT * share) for key, share in shares.items()},
                y_range=(0, _PERCENT), faint=(names['going_on'],),
            )
        )  # fmt: skip
    return curves
