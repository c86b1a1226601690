"""Which frames of a segment become one clip: the choices of the published HTT code.

A clip is T tokens of a segment, each ``spacing`` frames after the one before. A clip that runs
past the end repeats the last frame it has and is marked as padded there.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hand_perception.errors import ConfigError

#: Frames from one token to the next: both data sets have 30 images a second, HTT takes 15.
SPACING: Final = 2
#: How starts are chosen.
CHOICES: Final = ('training', 'evaluation')

IndexArray = NDArray[np.int64]


def check_lengths(*, window: int, pose_window: int, spacing: int) -> None:
    """Refuse lengths of windows that do not fit each other.

    Raises:
        ConfigError: one is below 1, or no whole number of pose windows fills a window.
    """
    if min(window, pose_window, spacing) < 1 or window % pose_window:
        raise ConfigError(
            'window, pose_window and spacing must be 1 or more and window a multiple of '
            f'pose_window, got {window}, {pose_window} and {spacing}'
        )


def training_starts(
    num_frames: int, *, window: int, pose_window: int, spacing: int = SPACING
) -> IndexArray:
    """Tell where training clips may start: the frames of the first pose window of each clip.

    Args:
        num_frames: frames of the segment.
        window: tokens of a clip.
        pose_window: tokens of a pose window.
        spacing: frames from one token to the next.
    """
    frames = np.arange(num_frames)
    return frames[frames % (window * spacing) < pose_window * spacing]


def evaluation_starts(num_frames: int, *, window: int, spacing: int = SPACING) -> IndexArray:
    """Tell where clips start so that each frame is in exactly one of them, once.

    Clips of even frames and of odd frames lie side by side (for a spacing of 2).

    Args:
        num_frames: frames of the segment.
        window: tokens of a clip.
        spacing: frames from one token to the next.
    """
    frames = np.arange(num_frames)
    return frames[frames % (window * spacing) < spacing]


def clip_frames(
    start: int, num_frames: int, *, window: int, spacing: int = SPACING
) -> tuple[IndexArray, NDArray[np.bool_]]:
    """List the frames of the clip that starts at a frame of a segment.

    Returns:
        (T,) frames, the last one repeated where the segment has ended; (T,) True where it has not.
    """
    wanted = start + spacing * np.arange(window)
    not_padding = wanted < num_frames
    return np.where(not_padding, wanted, wanted[not_padding][-1]), not_padding


def spacing_at(spacing: int, *, from_hz: float, to_hz: float) -> int:
    """Count the images from one token to the next at another rate, at least one.

    Args:
        spacing: the images at ``from_hz``.
        from_hz: images a second.
        to_hz: the rate to count at.
    """
    return max(round(spacing * to_hz / from_hz), 1)
