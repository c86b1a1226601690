"""What every data set gives: images with the hands in them, in our joint order and metres."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hand_perception.datatypes import FloatArray, ImageArray

#: Class of an action or object that nobody told, as in the public test table of H2O.
UNKNOWN: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class HandTruth:
    """Annotated hands of T images.

    Attributes:
        joints_3d: (T, N, 21, 3) metres, camera optical frame, in the order of ``JOINT_NAMES``.
        joints_2d: (T, N, 21, 2) pixels of the image given.
        hand_valid: (T, N) False where a hand is not annotated. Its joints are 0, not NaN, so that
            a loss may multiply by this mask.
    """

    joints_3d: FloatArray
    joints_2d: FloatArray
    hand_valid: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """T images of one recording, T = 1 for single images; always N hands in the same places.

    Attributes:
        dataset: ``fpha`` or ``h2o``.
        segment: name of the segment, one of its kind in the data set. Answers for the windows of
            one segment are summed.
        images: (T, H, W, 3) uint8 RGB.
        truth: the hands in these images.
        is_right: for each of the N hands, the same in all images.
        K: (T, 3, 3) intrinsics of ``images``, pixels.
        action: class of the action, ``UNKNOWN`` when not told.
        object: class of the object in the hand, ``UNKNOWN`` when not told.
        not_padding: (T,) False where the last image is repeated because the segment has ended.
        frames: (T,) int64 places in the segment, from 0; repeated where padded.
    """

    dataset: str
    segment: str
    images: ImageArray
    truth: HandTruth
    is_right: tuple[bool, ...]
    K: FloatArray
    action: int
    object: int
    not_padding: NDArray[np.bool_]
    frames: NDArray[np.int64]
