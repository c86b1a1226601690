"""A picture of some images of a batch with true and predicted joints, for the log."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from hand_perception.datatypes import JOINT_PARENTS, NUM_JOINTS, FloatArray, ImageArray

#: Red-green-blue of truth and prediction.
TRUTH_COLOUR: Final = (90, 220, 90)
FOUND_COLOUR: Final = (255, 120, 40)
_BONES: Final = np.array([(JOINT_PARENTS[j], j) for j in range(1, NUM_JOINTS)])
_SHIFT: Final = 4
_NEAR_IMAGES: Final = 4


def draw_joints(
    images: ImageArray,
    truth_px: FloatArray,
    found_px: FloatArray,
    is_known: NDArray[np.bool_],
    *,
    columns: int = 2,
) -> ImageArray:
    """Draw true hands green and predicted ones orange, image beside image.

    Args:
        images: (N, H, W, 3) uint8 RGB.
        truth_px: (N, 21 S, 2) pixels.
        found_px: (N, 21 S, 2) pixels.
        is_known: (N, S) hands with truth.
        columns: images in a row.

    Returns:
        (rows * H, columns * W, 3) uint8 RGB; black where no image is left.
    """
    pictures = [image.copy() for image in images]
    for picture, true, found, known in zip(pictures, truth_px, found_px, is_known, strict=True):
        for hand, is_true in enumerate(known):
            joints = slice(hand * NUM_JOINTS, (hand + 1) * NUM_JOINTS)
            if is_true:
                _draw_hand(picture, true[joints], TRUTH_COLOUR)
            _draw_hand(picture, found[joints], FOUND_COLOUR)
    empty = np.zeros_like(pictures[0])
    pictures += [empty] * (-len(pictures) % columns)
    rows = [np.hstack(pictures[i : i + columns]) for i in range(0, len(pictures), columns)]
    return np.vstack(rows)


def _draw_hand(picture: ImageArray, joints: FloatArray, colour: tuple[int, int, int]) -> None:
    with np.errstate(invalid='ignore'):
        # Beyond that cv2's fixed point runs over; nothing of it would be seen.
        near = (np.abs(joints) < _NEAR_IMAGES * max(picture.shape)).all(1)
    bones = _BONES[near[_BONES].all(1)]
    points = np.rint(np.nan_to_num(joints) * 2**_SHIFT).astype(np.int32)
    cv2.polylines(picture, list(points[bones]), False, colour, 1, cv2.LINE_AA, _SHIFT)
    for x, y in points[near].tolist():  # 21 joints
        cv2.circle(picture, (x, y), 2 << _SHIFT, colour, -1, cv2.LINE_AA, _SHIFT)
