"""What it costs to look at nothing and always say the mean pose: a line that weights must beat."""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from hand_perception.datasets.sample import HandTruth
from hand_perception.datasets.segments import Split
from hand_perception.datatypes import NUM_JOINTS, DoubleArray, FloatArray
from hand_perception.errors import DatasetError
from hand_perception.evaluation.hand_pose import HandPoseScores, PoseBenchmark, PoseEvaluator
from hand_perception.evaluation.htt_run import benchmark_of
from hand_perception.evaluation.report import Table


def mean_pose(truths: Iterable[HandTruth]) -> DoubleArray:
    """Average annotated hands in space: what can be said without looking.

    Args:
        truths: of clips with the same S hands.

    Returns:
        (21 S, 3) metres, camera optical frame; NaN of a hand that is annotated nowhere.
    """
    total, count = np.zeros((0, NUM_JOINTS, 3)), np.zeros(0)
    for truth in truths:
        if not len(count):
            count = np.zeros(truth.hand_valid.shape[1])
            total = np.zeros((len(count), NUM_JOINTS, 3))
        valid = truth.hand_valid[..., None, None]
        total += np.where(valid, truth.joints_3d, 0).sum(0, dtype=np.float64)
        count += truth.hand_valid.sum(0)
    with np.errstate(invalid='ignore'):
        mean: DoubleArray = (total / count[:, None, None]).reshape(-1, 3)
    return mean


def mean_pose_of_split(split: Split) -> DoubleArray:
    """Average the joints of all annotated hands of a split: (21 S, 3) metres, camera frame.

    Raises:
        DatasetError: a hand is annotated nowhere, or annotations are damaged.
    """
    mean = mean_pose(split.truth(segment) for segment in split.segments)
    if not len(mean) or np.isnan(mean).any():
        raise DatasetError(
            f'{split.root}: the split {split.name} has no annotated hand for a mean pose'
        )
    return mean


def mean_pose_scores(mean: DoubleArray, split: Split) -> Mapping[str, HandPoseScores]:
    """Score a pose as the answer for every image of a split."""
    truths = (split.truth(segment) for segment in split.segments)
    return same_pose_scores(
        mean, ((truth.joints_3d, truth.hand_valid) for truth in truths), benchmark_of(split)
    )


def same_pose_scores(
    pose: DoubleArray,
    truths: Iterable[tuple[FloatArray, NDArray[np.bool_]]],
    benchmark: PoseBenchmark,
) -> Mapping[str, HandPoseScores]:
    """Score a pose as the answer for every image.

    Args:
        pose: (21 S, 3) metres, camera optical frame.
        truths: joints of T images, metres, that can be shaped to (T, 21 S, 3); and (T, S) what
            counts of them.
        benchmark: which hands they are.
    """
    evaluator = PoseEvaluator(benchmark)
    for joints, counts in truths:
        truth = joints.reshape(len(joints), -1, 3)
        evaluator.add(np.broadcast_to(pose, truth.shape), truth, counts)
    return evaluator.finish()


def mean_pose_table(
    network: Mapping[str, HandPoseScores], mean: Mapping[str, HandPoseScores], source: str
) -> Table:
    """Set the errors of a network beside those of the mean pose.

    Args:
        network: scores of the network by hand.
        mean: those of the mean pose by hand.
        source: what the pose is the mean of.
    """
    columns = [
        (f'MEPE {side}', network[side].camera.mean_mm, mean[side].camera.mean_mm)
        for side in network
    ] + [
        (f'MEPE-RA {side}', network[side].relative.mean_mm, mean[side].relative.mean_mm)
        for side in network
    ]
    return Table(
        name='mean_pose',
        title='Beside a pose that is always the same, mm',
        columns=('', *(name for name, _, _ in columns)),
        rows=[
            ('HTT', *(ours for _, ours, _ in columns)),
            (f'mean pose of {source}', *(theirs for _, _, theirs in columns)),
            ('times better', *(theirs / ours for _, ours, theirs in columns)),
        ],
    )
