"""What HTT says of held-out clips, in figures of its benchmarks; and what the mean pose costs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from hand_perception.actions import LabelMap
from hand_perception.datasets.sample import UNKNOWN, Sample
from hand_perception.datatypes import DoubleArray, FloatArray
from hand_perception.evaluation.classification import ActionVote, FrameAccuracy
from hand_perception.evaluation.hand_pose import (
    FPHA_POSE,
    H2O_POSE,
    HandPoseScores,
    PoseEvaluator,
)
from hand_perception.evaluation.mean_pose import same_pose_scores
from hand_perception.models.htt.lift import lift
from hand_perception.training.htt_batches import Samples, collate_clips
from hand_perception.training.htt_network import TrainableHtt
from hand_perception.training.task import Validation

#: What tells which weights are best.
WATCHED: Final = 'mepe_mm'


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseFigures:
    """Mean errors over all hands, millimetres.

    Attributes:
        camera_mm: MEPE, in camera space.
        relative_mm: MEPE-RA, with the wrists put together.
    """

    camera_mm: float
    relative_mm: float


def validate_htt(
    network: TrainableHtt, clips: Samples, labels: LabelMap, device: torch.device
) -> Validation:
    """Measure a network on clips.

    Args:
        network: on the device, in evaluation mode.
        clips: held-out ones, in evaluation windows, so that actions vote as officially.
        labels: of the data set.
        device: where it runs.

    Returns:
        ``mepe_mm`` and ``mepe_ra_mm`` over the hands, ``action_accuracy`` and
        ``object_accuracy`` where classes are known.
    """
    num_hands = network.module.sizes.num_hands
    poses = PoseEvaluator(FPHA_POSE if num_hands == 1 else H2O_POSE)
    vote, objects = ActionVote(len(labels.actions)), FrameAccuracy(len(labels.objects))
    for number in range(len(clips)):
        _look_at(network, clips[number], device, poses, vote, objects)
    figures = pose_figures(poses.finish())
    told: dict[str, float] = {'mepe_mm': figures.camera_mm, 'mepe_ra_mm': figures.relative_mm}
    actions = vote.finish()
    if actions.num_videos:
        told['action_accuracy'] = actions.accuracy
    if objects.finish().num_images:
        told['object_accuracy'] = objects.finish().accuracy
    return Validation(figures=told, watched=WATCHED)


def mean_pose_figures(mean: DoubleArray, clips: Samples) -> PoseFigures:
    """Measure what it costs to say the same pose of every image.

    Args:
        mean: (21 S, 3) metres, camera optical frame.
        clips: held-out ones.
    """
    benchmark = FPHA_POSE if len(mean) == FPHA_POSE.num_joints else H2O_POSE
    truths = (_truth(clips[number]) for number in range(len(clips)))
    return pose_figures(same_pose_scores(mean, truths, benchmark))


def pose_figures(hands: Mapping[str, HandPoseScores]) -> PoseFigures:
    """Average the figures of all hands that have truth."""
    scores = hands.values()
    return PoseFigures(
        camera_mm=float(np.nanmean([hand.camera.mean_mm for hand in scores])),
        relative_mm=float(np.nanmean([hand.relative.mean_mm for hand in scores])),
    )


def _look_at(
    network: TrainableHtt, sample: Sample, device: torch.device, poses: PoseEvaluator,
    vote: ActionVote, objects: FrameAccuracy,
) -> None:  # fmt: skip
    batch = collate_clips([sample]).to(device)
    with torch.no_grad():
        raw, object_logits, action_logits, _ = network(batch.images, batch.not_padding)
        told = object_logits.argmax(1).cpu().numpy()
        shares = action_logits.softmax(1).cpu().numpy()
    _, _, joints_3d = lift(raw.float().cpu().numpy(), sample.K)
    poses.add(joints_3d, *_truth(sample))
    vote.add([sample.segment], shares, np.array([sample.action]))
    if sample.object != UNKNOWN:
        true = np.full(len(told), sample.object, np.int64)
        objects.add(told, true, sample.not_padding)


def _truth(sample: Sample) -> tuple[FloatArray, np.ndarray]:
    """Give (T, 21 S, 3) joints and (T, S) what counts."""
    truth = sample.truth
    counts = truth.hand_valid & sample.not_padding[:, None]
    return truth.joints_3d.reshape(len(counts), -1, 3), counts
