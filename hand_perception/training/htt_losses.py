"""The five losses of HTT, as published (Wen et al., CVPR 2023, and the training program).

Images that only fill a clip up count for nothing. Where there is nothing that counts, a loss is 0.
"""

from dataclasses import dataclass
from typing import Final, Literal

import torch
from torch import Tensor
from torch.nn import functional

from hand_perception.datatypes import NUM_JOINTS
from hand_perception.errors import DatasetError
from hand_perception.models.htt.constants import (
    DEPTH_OFFSET_M,
    IMAGE_HEIGHT,
    IMAGE_WIDTH,
    SCALE_FACTOR,
    TRANS_FACTOR,
)
from hand_perception.models.htt.module import HttOutput

#: Class of what has no label.
UNLABELLED: Final = -1

#: How errors of joints count: absolute or squared.
PoseNorm = Literal['l1', 'l2']


@dataclass(frozen=True, slots=True, kw_only=True)
class HttTargets:
    """The truth of B clips of T images, N = B * T; J joints of one or two hands.

    Attributes:
        K: (N, 3, 3) intrinsics of the network image, pixels.
        joints_2d: (N, J, 2) pixels of the network image.
        joints_3d: (N, J, 3) metres, camera optical frame; their z is the depth's truth.
        objects: (N,) classes, ``UNLABELLED`` where there is none.
        actions: (B,) classes, ``UNLABELLED`` where there is none.
        not_padding: (N,) not 0 for images that count, any type; not written to.
        is_hand_valid: (N, J / 21) bool, hands with true joints; None: all, as officially.
    """

    K: Tensor
    joints_2d: Tensor
    joints_3d: Tensor
    objects: Tensor
    actions: Tensor
    not_padding: Tensor
    is_hand_valid: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttLossWeights:
    """Factors of the losses in their sum; the defaults are the published ones.

    Attributes:
        joints_2d: of pixels.
        depth: of metres.
        joints_3d: of metres; officially that loss is only watched.
        labels: of the cross-entropies of object and action together.
    """

    joints_2d: float = 1.0
    depth: float = 100.0
    joints_3d: float = 0.0
    labels: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HttLosses:
    """Losses of a batch, scalars.

    Attributes:
        total: weighted sum; what is trained on.
        joints_2d: mean error per coordinate, pixels (squared with l2).
        depth: mean error, metres.
        joints_3d: mean error per coordinate, metres.
        objects: mean cross-entropy over images.
        actions: mean cross-entropy over clips.
    """

    total: Tensor
    joints_2d: Tensor
    depth: Tensor
    joints_3d: Tensor
    objects: Tensor
    actions: Tensor


def htt_losses(
    output: HttOutput,
    targets: HttTargets,
    *,
    weights: HttLossWeights | None = None,
    norm: PoseNorm = 'l1',
) -> HttLosses:
    """Compare what the network says of whole clips with the truth; differentiable.

    Args:
        output: of ``HttModule``.
        targets: of the same images, on the same device.
        weights: None: the published ones.
        norm: of the errors of joints.

    Raises:
        DatasetError: shapes of output and truth differ.
    """
    weights = weights or HttLossWeights()
    _check(output, targets)
    is_seen = targets.not_padding != 0  # (N,)
    counts = is_seen[:, None].expand(-1, output.hand_raw.shape[1])  # (N, J)
    if targets.is_hand_valid is not None:
        counts = counts & targets.is_hand_valid.bool().repeat_interleave(NUM_JOINTS, 1)
    points_2d, depth, points_3d = lift_joints(output.hand_raw, targets.K)
    joints_2d = _mean_error(points_2d, targets.joints_2d, counts, norm)
    depth_loss = _mean_error(depth, targets.joints_3d[..., 2:], counts, norm)
    joints_3d = _mean_error(points_3d, targets.joints_3d, counts, norm)
    objects = targets.objects.masked_fill(~is_seen, UNLABELLED)
    object_loss = _mean_entropy(output.object_logits, objects)
    action_loss = _mean_entropy(output.action_logits, targets.actions)
    total = (
        weights.joints_2d * joints_2d
        + weights.depth * depth_loss
        + weights.labels * (object_loss + action_loss)
    )
    if weights.joints_3d:
        total = total + weights.joints_3d * joints_3d
    return HttLosses(
        total=total, joints_2d=joints_2d, depth=depth_loss, joints_3d=joints_3d,
        objects=object_loss, actions=action_loss,
    )  # fmt: skip


def lift_joints(raw: Tensor, K: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Place joints as ``models.htt.lift`` does, with gradients.

    Args:
        raw: (N, J, 3) outputs of the hand head.
        K: (N, 3, 3) intrinsics of the network image, pixels.

    Returns:
        (N, J, 2) pixels of the network image; (N, J, 1) depth, metres; (N, J, 3) metres, camera
        optical frame.
    """
    focal = K[:, None, :1, 0]  # (N, 1, 1): fx, for both axes
    middle = raw.new_tensor((IMAGE_WIDTH / 2, IMAGE_HEIGHT / 2))
    points_2d = TRANS_FACTOR * raw[..., :2] + middle
    depth = focal * SCALE_FACTOR * raw[..., 2:] + DEPTH_OFFSET_M
    lateral = (points_2d - K[:, None, :2, 2]) * (depth / focal)
    return points_2d, depth, torch.cat((lateral, depth), -1)


def _mean_error(found: Tensor, truth: Tensor, counts: Tensor, norm: PoseNorm) -> Tensor:
    """Average (N, J, D) errors over what (N, J) counts, and over the coordinates."""
    # Chosen before the error is taken: what does not count may be NaN, and has no gradient.
    off = torch.where(counts[..., None], found - truth, 0)
    size = off.abs() if norm == 'l1' else off * off
    return size.sum() / (counts.sum() * found.shape[-1]).clamp(min=1)


def _mean_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    total = functional.cross_entropy(logits, labels, ignore_index=UNLABELLED, reduction='sum')
    return total / (labels != UNLABELLED).sum().clamp(min=1)


def _check(output: HttOutput, targets: HttTargets) -> None:
    images, joints = output.hand_raw.shape[:2]
    clips = len(output.action_logits)
    wanted = {
        'K': (images, 3, 3), 'joints_2d': (images, joints, 2), 'joints_3d': (images, joints, 3),
        'objects': (images,), 'actions': (clips,), 'not_padding': (images,),
    }  # fmt: skip
    if targets.is_hand_valid is not None:
        wanted['is_hand_valid'] = (images, joints // NUM_JOINTS)
    for name, shape in wanted.items():
        found = tuple(getattr(targets, name).shape)
        if found != shape:
            raise DatasetError(
                f'the network says something of {clips} clips, {images} images and {joints} '
                f'joints, so {name} must be {shape}, got {found}; data set and weights must have '
                'the same hands'
            )
