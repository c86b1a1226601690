"""Pose windows that slide along whole clips, as the sliding engine of a stream has them.

No published weights were trained so. All windows of a clip are gathered at once: that is t times
the pose block's arithmetic, which is little beside the backbone's.
"""

from typing import Protocol

import torch
from torch import Tensor

from hand_perception.errors import ConfigError


class PoseBlock(Protocol):
    """The pose block of HttModule or HttNetwork."""

    def pose(self, features: Tensor, is_padding: Tensor | None = None) -> Tensor:
        """Map (B, L, C) features of B windows to the same shape."""


def slide_pose(
    network: PoseBlock, features: Tensor, is_padding: Tensor, *, pose_window: int, lookahead: int
) -> Tensor:
    """Give each token the pose block's answer of a window of its own.

    The window of a token ends ``lookahead`` tokens after it, or where the clip ends, and begins
    ``pose_window`` tokens before its end, or where the clip begins.

    Args:
        network: with the pose block.
        features: (B, T, C) of clips.
        is_padding: (B, T) bool, only after the end of each clip.
        pose_window: t.
        lookahead: tokens of the window that lie after its token, below t.

    Returns:
        (B, T, C).

    Raises:
        ConfigError: the lookahead leaves no room for the token itself.
    """
    if not 0 <= lookahead < pose_window:
        raise ConfigError(
            f'a lookahead of {lookahead} tokens must lie between 0 and the pose window of '
            f'{pose_window} less 1'
        )
    clips, length, width = features.shape
    places = torch.arange(length, device=features.device)
    num_seen = (~is_padding).sum(1, keepdim=True)  # (B, 1)
    # Padded tokens end at themselves; nobody uses their answers.
    last = torch.minimum(places + lookahead, (num_seen - 1).clamp(min=0)).maximum(places)  # (B, T)
    first = (last - pose_window + 1).clamp(min=0)
    rows = first[..., None] + torch.arange(pose_window, device=features.device)  # (B, T, t)
    is_outside = rows > last[..., None]
    rows = rows.clamp(max=length - 1)
    clip = torch.arange(clips, device=features.device)[:, None, None]
    windows = features[clip, rows].flatten(0, 1)  # (B T, t, C)
    hidden = (is_outside | is_padding[clip, rows]).flatten(0, 1)
    answers = network.pose(windows, hidden).view(clips, length, pose_window, width)
    own = (places - first)[..., None, None].expand(-1, -1, 1, width)
    return answers.gather(2, own)[:, :, 0]
