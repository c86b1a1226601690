"""The losses of HaMeR, as published (Pavlakos et al., CVPR 2024): sums, not means.

Every loss is a sum over hands, joints and coordinates, so that it grows with the batch; only the
adversarial ones are divided by the number of hands.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hand_perception.errors import DatasetError
from hand_perception.models.hamer.network import HamerOutput
from hand_perception.models.rotations import rotation_from_axis_angle


@dataclass(frozen=True, slots=True, kw_only=True)
class HamerTargets:
    """The truth of B crops of right hands (left ones mirrored).

    Attributes:
        keypoints_2d: (B, 21, 3) crop units and confidence, 0 for what is not known.
        keypoints_3d: (B, 21, 4) metres, any translation, and confidence.
        global_orient: (B, 3) axis-angle, radians.
        hand_pose: (B, 45) axis-angle, radians, relative to the flat hand, MANO order.
        betas: (B, 10).
        has_global_orient: (B,) 1 where it is known, else 0.
        has_hand_pose: (B,) the same.
        has_betas: (B,) the same.
    """

    keypoints_2d: Tensor
    keypoints_3d: Tensor
    global_orient: Tensor
    hand_pose: Tensor
    betas: Tensor
    has_global_orient: Tensor
    has_hand_pose: Tensor
    has_betas: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class HamerLossWeights:
    """Factors of the losses in their sum; the defaults are the published ones."""

    keypoints_2d: float = 0.01
    keypoints_3d: float = 0.05
    global_orient: float = 0.001
    hand_pose: float = 0.001
    betas: float = 0.0005
    adversarial: float = 0.0005


@dataclass(frozen=True, slots=True, kw_only=True)
class HamerLosses:
    """Losses of a batch, scalars.

    Attributes:
        total: weighted sum, without the adversarial loss.
        keypoints_2d: sum of confidence times error, crop units.
        keypoints_3d: the same relative to the wrist, metres.
        global_orient: squared error of the rotation matrices.
        hand_pose: the same of the 15 joints.
        betas: squared error.
    """

    total: Tensor
    keypoints_2d: Tensor
    keypoints_3d: Tensor
    global_orient: Tensor
    hand_pose: Tensor
    betas: Tensor


def hamer_losses(
    output: HamerOutput, targets: HamerTargets, *, weights: HamerLossWeights | None = None
) -> HamerLosses:
    """Compare B reconstructed hands with the truth; differentiable.

    Args:
        output: of ``TrainableHamer``.
        targets: of the same crops, on the same device.
        weights: None: the published ones.

    Raises:
        DatasetError: shapes of output and truth differ.
    """
    weights = weights or HamerLossWeights()
    _check(output, targets)
    rotations = rotation_from_axis_angle(
        torch.cat((targets.global_orient, targets.hand_pose), 1).view(-1, 16, 3)
    )
    keypoints_2d = _keypoint_loss(output.pred_keypoints_2d, targets.keypoints_2d)
    truth_3d, confidence = targets.keypoints_3d[..., :3], targets.keypoints_3d[..., 3:]
    keypoints_3d = _keypoint_loss(
        output.keypoints - output.keypoints[:, :1],
        torch.cat((truth_3d - truth_3d[:, :1], confidence), -1),
    )
    global_orient = _parameter_loss(
        output.rotations[:, :1], rotations[:, :1], targets.has_global_orient
    )
    hand_pose = _parameter_loss(output.rotations[:, 1:], rotations[:, 1:], targets.has_hand_pose)
    betas = _parameter_loss(output.betas, targets.betas, targets.has_betas)
    total = (
        weights.keypoints_3d * keypoints_3d
        + weights.keypoints_2d * keypoints_2d
        + weights.global_orient * global_orient
        + weights.hand_pose * hand_pose
        + weights.betas * betas
    )
    return HamerLosses(
        total=total, keypoints_2d=keypoints_2d, keypoints_3d=keypoints_3d,
        global_orient=global_orient, hand_pose=hand_pose, betas=betas,
    )  # fmt: skip


def generator_loss(judged: Tensor) -> Tensor:
    """Ask for (B, 17) judgements of the discriminator to be 1: least squares over hands."""
    return (judged - 1).square().sum() / len(judged)


def discriminator_loss(judged_made: Tensor, judged_real: Tensor) -> Tensor:
    """Ask for 0 for hands that are made up and 1 for real ones.

    Args:
        judged_made: (B, 17), of hands without gradient.
        judged_real: (R, 17); officially R is 2 B, and the sum is still divided by B, so that real
            hands weigh double.
    """
    return (judged_made.square().sum() + (judged_real - 1).square().sum()) / len(judged_made)


def _keypoint_loss(points: Tensor, truth: Tensor) -> Tensor:
    """Sum up errors of (B, J, D) points against (B, J, D + 1), whose last number is confidence."""
    confidence = truth[..., -1:]
    # What has no confidence may be NaN, and has no gradient.
    off = torch.where(confidence != 0, points - truth[..., :-1], 0)
    return (confidence * off.abs()).sum()


def _parameter_loss(found: Tensor, truth: Tensor, is_known: Tensor) -> Tensor:
    known = is_known.to(found.dtype).view(-1, *[1] * (found.ndim - 1))
    off = torch.where(known != 0, found - truth, 0)
    return (known * off.square()).sum()


def _check(output: HamerOutput, targets: HamerTargets) -> None:
    hands = len(output.betas)
    wanted = {
        'keypoints_2d': (hands, 21, 3), 'keypoints_3d': (hands, 21, 4),
        'global_orient': (hands, 3), 'hand_pose': (hands, 45), 'betas': (hands, 10),
        'has_global_orient': (hands,), 'has_hand_pose': (hands,), 'has_betas': (hands,),
    }  # fmt: skip
    for name, shape in wanted.items():
        found = tuple(getattr(targets, name).shape)
        if found != shape:
            raise DatasetError(f'{name} of {hands} crops must be {shape}, got {found}')
