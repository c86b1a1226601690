"""What it costs to look at nothing and always say the mean pose: a line that weights must beat."""

from collections.abc import Mapping

import numpy as np

from hand_perception.datasets.segments import Split
from hand_perception.datatypes import NUM_JOINTS, DoubleArray
from hand_perception.errors import DatasetError
from hand_perception.evaluation.hand_pose import HandPoseScores, PoseEvaluator
from hand_perception.evaluation.htt_run import benchmark_of
from hand_perception.evaluation.report import Table


def mean_pose(split: Split) -> DoubleArray:
    """Average the joints of all annotated hands of a split: (21 S, 3) metres, camera frame.

    Raises:
        DatasetError: a hand is annotated nowhere, or annotations are damaged.
    """
    total = np.zeros((len(split.is_right), NUM_JOINTS, 3))
    count = np.zeros(len(split.is_right))
    for segment in split.segments:
        truth = split.truth(segment)
        total += np.where(truth.hand_valid[..., None, None], truth.joints_3d, 0).sum(0)
        count += truth.hand_valid.sum(0)
    if not count.all():
        raise DatasetError(
            f'{split.root}: the split {split.name} has no annotated hand for a mean pose'
        )
    mean: DoubleArray = (total / count[:, None, None]).reshape(-1, 3)
    return mean


def mean_pose_scores(mean: DoubleArray, split: Split) -> Mapping[str, HandPoseScores]:
    """Score a pose as the answer for every image of a split."""
    evaluator = PoseEvaluator(benchmark_of(split))
    for segment in split.segments:
        truth = split.truth(segment)
        joints = truth.joints_3d.reshape(len(truth.joints_3d), -1, 3)
        evaluator.add(np.broadcast_to(mean, joints.shape), joints, truth.hand_valid)
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
