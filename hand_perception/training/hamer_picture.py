"""Crops with their hands drawn in, for the log: white the truth, colours what was found."""

from typing import Final

import cv2
import numpy as np
from torch import Tensor

from hand_perception.datatypes import JOINT_PARENTS, ImageArray
from hand_perception.training.hamer_batches import HamerBatch

_MOST: Final = 8
_PX: Final = 256
_TRUTH: Final = (255, 255, 255)
#: Of thumb to little finger, RGB.
_COLOURS: Final = (
    (255, 90, 60), (255, 200, 40), (90, 220, 90), (70, 160, 255), (220, 100, 255),
)  # fmt: skip


def draw_hands(batch: HamerBatch, keypoints_2d: Tensor) -> ImageArray:
    """Draw the first hands of a batch, in two rows.

    Args:
        batch: with its truth.
        keypoints_2d: (B, 21, 2) crop units.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    levels = (batch.crops.float() * batch.colours[:, None, None]).clamp(0, 255)
    crops = levels.round().byte().cpu().numpy()
    truth = batch.targets.keypoints_2d.cpu().numpy()
    found = keypoints_2d.detach().float().cpu().numpy()
    cells = []
    for number in range(min(len(crops), _MOST)):
        cell = np.ascontiguousarray(crops[number])
        known = truth[number, :, 2] > 0
        _draw(cell, truth[number, :, :2], known, [_TRUTH] * 5, 1)
        _draw(cell, found[number], np.ones_like(known), list(_COLOURS), 2)
        cells.append(cell)
    per_row = (len(cells) + 1) // 2
    cells += [np.zeros_like(cells[0])] * (2 * per_row - len(cells))
    rows = [np.concatenate(cells[start : start + per_row], 1) for start in (0, per_row)]
    return np.concatenate(rows, 0)


def _draw(
    image: ImageArray, points: np.ndarray, is_known: np.ndarray,
    colours: list[tuple[int, int, int]], thickness: int,
) -> None:  # fmt: skip
    """Draw (21, 2) points in crop units as bones."""
    # Far outside the picture there is nothing to see, and OpenCV wants whole numbers.
    pixels = np.nan_to_num(np.clip((points + 0.5) * _PX, -4 * _PX, 4 * _PX)).round().astype(int)
    for joint, parent in list(enumerate(JOINT_PARENTS))[1:]:
        if is_known[joint] and is_known[parent]:
            colour = colours[(joint - 1) // 4]
            cv2.line(
                image, tuple(map(int, pixels[parent])), tuple(map(int, pixels[joint])), colour,
                thickness, cv2.LINE_AA,
            )  # fmt: skip
