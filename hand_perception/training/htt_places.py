"""A loss that tells a backbone without ImageNet's weights where hands are, place by place.

Not a part of the publication, and off by default. HTT averages features over the image before
anything is asked of them, so that random weights hear for long nothing of where a hand is. Here a
linear layer, which is dropped after the training, says for each cell of the last stage and each
hand: is it here, and if so, where in the image, how far away, and where its joints are around its
middle. The mean of these over the cells is the size of the hand, and its size times all the rest:
what the average has to carry.
"""

from typing import Final

import torch
from torch import Tensor, nn

from hand_perception.datatypes import NUM_JOINTS
from hand_perception.models.htt.constants import IMAGE_HEIGHT, IMAGE_WIDTH
from hand_perception.training.htt_losses import HttTargets

#: Numbers of a hand and cell: presence; that times x, y and depth of the hand, and of its joints.
NUMBERS: Final = 1 + 3 + 3 * NUM_JOINTS
#: Pixels from the nearest joint at which presence has fallen to 0.6.
_REACH_PX: Final = 24.0
#: Middle and scale of places (pixels) and depths (metres), so that all numbers are about 1; the
#: scales of joints around the middle of their hand are smaller.
_MIDDLE_PX: Final = (IMAGE_WIDTH / 2, IMAGE_HEIGHT / 2)
_SCALE_PX: Final = (IMAGE_WIDTH / 4, IMAGE_HEIGHT / 3)
_MIDDLE_M: Final = 0.45
_SCALE_M: Final = 0.1
_JOINT_SCALE_PX: Final = 40.0
_JOINT_SCALE_M: Final = 0.04


class PlacesHead(nn.Module):
    """A linear layer over the cells of the last stage."""

    def __init__(self, width: int, num_hands: int) -> None:
        """Make the layer."""
        super().__init__()
        self.linear = nn.Conv2d(width, NUMBERS * num_hands, 1)

    def forward(self, cells: Tensor) -> Tensor:
        """Map (N, C, h, w) to (N, 67, S, h, w)."""
        return self.linear(cells).unflatten(1, (NUMBERS, -1))


def places(targets: HttTargets, height: int, width: int) -> Tensor:
    """Say what is true of each cell.

    Args:
        targets: of N images with S hands.
        height: h, rows of cells.
        width: w, columns of cells.

    Returns:
        (N, 67, S, h, w): presence 0-1; presence times x, y and depth of the hand around the middle
        of the image; presence times those of its 21 joints around the middle of the hand.
    """
    joints = targets.joints_2d.unflatten(1, (-1, NUM_JOINTS))  # (N, S, 21, 2)
    depths = targets.joints_3d[..., 2].unflatten(1, (-1, NUM_JOINTS))  # (N, S, 21)
    depth = depths.mean(2)  # (N, S)
    # Centres of the cells: strides of 32 pixels, padded alike on both sides.
    x, y = (
        (torch.arange(count, device=joints.device) - (count - 1) / 2) * 32 + size / 2
        for count, size in ((width, IMAGE_WIDTH), (height, IMAGE_HEIGHT))
    )
    apart = (joints[..., 0, None, None] - x).square() + (
        joints[..., 1, None, None] - y[:, None]
    ).square()  # (N, S, 21, h, w)
    presence = torch.exp(-apart.amin(2) / (2 * _REACH_PX**2))  # (N, S, h, w)
    middle = joints.mean(2)  # (N, S, 2)
    around = torch.cat(
        (
            (joints - middle[:, :, None]) / _JOINT_SCALE_PX,
            (depths - depth[..., None])[..., None] / _JOINT_SCALE_M,
        ),
        dim=-1,
    )  # (N, S, 21, 3)
    told = torch.cat(
        (
            torch.ones_like(depth)[:, None],
            ((middle[..., 0] - _MIDDLE_PX[0]) / _SCALE_PX[0])[:, None],
            ((middle[..., 1] - _MIDDLE_PX[1]) / _SCALE_PX[1])[:, None],
            ((depth - _MIDDLE_M) / _SCALE_M)[:, None],
            around.flatten(2).transpose(1, 2),
        ),
        dim=1,
    )  # (N, 67, S)
    return told[..., None, None] * presence[:, None]


def places_loss(found: Tensor, targets: HttTargets, *, joints: float = 1.0) -> Tensor:
    """Average squared errors over cells, hands with truth and images that count; add up numbers.

    Those of joints are averaged over the joints.

    Args:
        found: (M, 67, S, h, w), of the M of N images that count.
        targets: of all N images.
        joints: factor of the joints' part.
    """
    seen = targets.not_padding != 0  # (N,)
    off = (found - places(targets, *found.shape[-2:])[seen]).square().mean((-2, -1))  # (M, 67, S)
    hands = off[:, :4].sum(1) + joints * off[:, 4:].sum(1) / NUM_JOINTS  # (M, S)
    if targets.is_hand_valid is None:
        return hands.mean()
    counts = targets.is_hand_valid.bool()[seen]  # (M, S)
    return torch.where(counts, hands, 0).sum() / counts.sum().clamp(min=1)
