"""Left hands: the crop was mirrored, so HaMeR speaks of a right hand; here it is turned back.

This is the only place of HaMeR's path where a left hand changes sides. Mirroring twice gives the
same numbers, bit for bit.
"""

import dataclasses
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from hand_perception.datatypes import FloatArray

#: Conjugation by diag(-1, 1, 1), element by element: y and z of the axis-angle are negated.
_ROTATION_SIGN: Final = np.array([[1, -1, -1], [-1, 1, 1], [-1, 1, 1]], np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class CropHands:
    """What HaMeR says of B crops; without pixels of the image or a true camera.

    Fields as in the network's output, on the host.

    Attributes:
        rotations: (B, 16, 3, 3) global orientation and 15 joints in MANO order.
        betas: (B, 10) shape.
        pred_cam: (B, 3) weak-perspective camera of the crop: s, tx, ty.
        vertices: (B, V, 3) metres, about the origin of the hand model, axes of the crop.
        keypoints: (B, 21, 3) the same.
        pred_keypoints_2d: (B, 21, 2) crop units: 0 the centre, +-0.5 the edges.
    """

    rotations: FloatArray
    betas: FloatArray
    pred_cam: FloatArray
    vertices: FloatArray
    keypoints: FloatArray
    pred_keypoints_2d: FloatArray


def mirror_left(hands: CropHands, is_right: ArrayLike) -> CropHands:
    """Turn the hands of mirrored crops back into left hands (or left hands into what was seen).

    The shape needs no change. A left hand's faces are those of a right one with their corners
    reversed.

    Args:
        hands: of B crops.
        is_right: (B,) right hands stay as they are.
    """
    right = np.asarray(is_right, np.bool_)
    sign = np.where(right, np.float32(1), np.float32(-1))  # (B,)
    one = np.ones_like(sign)
    points = np.stack([sign, one, one], 1)[:, None]  # (B, 1, 3)
    rotation_sign = np.where(right[:, None, None], np.float32(1), _ROTATION_SIGN)
    return dataclasses.replace(
        hands,
        pred_cam=hands.pred_cam * np.stack([one, sign, one], 1),
        rotations=hands.rotations * rotation_sign[:, None],
        vertices=hands.vertices * points,
        keypoints=hands.keypoints * points,
        pred_keypoints_2d=hands.pred_keypoints_2d * points[..., :2],
    )
