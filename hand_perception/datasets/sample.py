"""What every data set gives: images with the hands in them, in our joint order and metres."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hand_perception.datatypes import FloatArray, ImageArray

#: Class of an action or object that nobody told, as in the public test table of H2O.
UNKNOWN: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class ManoTruth:
    """MANO's parameters of T x N hands, those of left hands for MANO's left hand.

    Training on right hands mirrors: y and z of each axis-angle change their sign.

    Attributes:
        global_orient: (T, N, 3) axis-angle, radians, camera optical frame.
        hand_pose: (T, N, 45) axis-angle, radians, relative to the flat hand, MANO's order.
        betas: (T, N, 10).
        has_pose: (T, N) whether orientation and pose are known; 0 where they are not.
        has_betas: (T, N) the same for the shape.
    """

    global_orient: FloatArray
    hand_pose: FloatArray
    betas: FloatArray
    has_pose: NDArray[np.bool_]
    has_betas: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class HandTruth:
    """Annotated hands of T images.

    Data sets of clips leave out what is None by default; those of single hands know some of it.

    Attributes:
        joints_3d: (T, N, 21, 3) metres, camera optical frame, in the order of ``JOINT_NAMES``.
        joints_2d: (T, N, 21, 2) pixels of the image given.
        hand_valid: (T, N) False where a hand is not annotated. Its joints are 0, not NaN, so that
            a loss may multiply by this mask.
        boxes: (T, N, 4) x0, y0, x1, y1 in pixels, as published, not enlarged.
        confidence_2d: (T, N, 21) 0 to 1; 0 where a joint is not annotated in 2D. None: 1 where
            the hand is valid.
        confidence_3d: (T, N, 21) the same in 3D.
        is_occluded: (T, N, 21) joints that are annotated and hidden.
        mano: parameters.
        vertices: (T, N, 778, 3) metres, camera optical frame; 0 where unknown.
    """

    joints_3d: FloatArray
    joints_2d: FloatArray
    hand_valid: NDArray[np.bool_]
    boxes: FloatArray | None = None
    confidence_2d: FloatArray | None = None
    confidence_3d: FloatArray | None = None
    is_occluded: NDArray[np.bool_] | None = None
    mano: ManoTruth | None = None
    vertices: FloatArray | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """T images of one recording, T = 1 for single images; always N hands in the same places.

    Attributes:
        dataset: its kind, such as ``fpha`` or ``freihand``.
        segment: name of the segment, one of its kind in the data set, or of the single image.
            Answers for the windows of one segment are summed.
        images: (T, H, W, 3) uint8 RGB.
        truth: the hands in these images.
        is_right: for each of the N hands, the same in all images.
        K: (T, 3, 3) intrinsics of ``images``, pixels; NaN where nobody tells.
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
