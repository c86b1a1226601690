"""How sure a HaMeR hand is: a heuristic, as the network itself does not say.

The confidence is a product of three numbers from 0 to 1, each left out when it cannot be told:

- presence: that a hand is there at all, from the landmark network or the detector of the box;
- agreement: the projected keypoints lie where the landmark network sees them. Two networks that
  look at the same hand differ by some percent of its size, two that see different hands or sides
  by tens of percent;
- continuity: the keypoints lie where the hand was going. A hand may turn its motion round within
  an image; it does not jump its own size.

It is monotone and comparable between hands of one set-up; it is no probability.
"""

from typing import Final

import numpy as np

from hand_perception.datatypes import DoubleArray

#: Mean distance over the size of the hand at which a factor has fallen to 1/e.
_AGREEMENT_SCALE: Final = 0.15
_CONTINUITY_SCALE: Final = 0.5
#: A hand smaller than this has no size to compare with, pixels.
_MIN_SIZE_PX: Final = 1.0


def hand_confidence(
    *, presence: float | None, agreement: float | None, continuity: float | None
) -> float:
    """Multiply what is known, each 0-1; None is not known. Nothing known is 1."""
    known = [value for value in (presence, agreement, continuity) if value is not None]
    return float(np.clip(np.prod(known), 0, 1))


def keypoint_agreement(keypoints_2d: DoubleArray, landmarks_2d: DoubleArray) -> float:
    """Compare projected keypoints with the landmarks seen, both (21, 2) pixels: 0-1.

    Keypoints without a projection (NaN) do not agree with anything: 0.
    """
    return _closeness(keypoints_2d, landmarks_2d, _AGREEMENT_SCALE)


def motion_continuity(
    keypoints_2d: DoubleArray,
    previous_2d: DoubleArray,
    *,
    velocity_px_s: tuple[float, float],
    elapsed_s: float,
) -> float:
    """Compare keypoints with where the hand was going: 0-1.

    Args:
        keypoints_2d: (21, 2) pixels.
        previous_2d: (21, 2) pixels, of the image before.
        velocity_px_s: (x, y) of the hand in the image before, pixels per second.
        elapsed_s: time between the two images, seconds.
    """
    expected = previous_2d + np.multiply(velocity_px_s, elapsed_s)
    return _closeness(keypoints_2d, expected, _CONTINUITY_SCALE)


def _closeness(points: DoubleArray, others: DoubleArray, scale: float) -> float:
    size = max(float(np.ptp(others, axis=0).max()), _MIN_SIZE_PX)
    distance = float(np.linalg.norm(points - others, axis=1).mean()) / size
    if not np.isfinite(distance):
        return 0.0
    return float(np.exp(-((distance / scale) ** 2)))
