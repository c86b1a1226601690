"""Percentage of correct keypoints, as HaMeR is scored on HInt (Pavlakos et al., CVPR 2024)."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hand_perception.datatypes import DoubleArray

#: Thresholds that are reported: errors over the size of the hand's box.
PCK_THRESHOLDS: Final = (0.05, 0.1, 0.15)
#: True keypoints are used above this confidence.
MIN_CONFIDENCE: Final = 0.5


def pck_per_joint(
    keypoints_2d: ArrayLike,
    truth_2d: ArrayLike,
    truth_confidence: ArrayLike,
    box_size: ArrayLike,
    *,
    thresholds: Sequence[float] = PCK_THRESHOLDS,
) -> DoubleArray:
    """Give the share of hands whose error is within each threshold, joint by joint.

    Args:
        keypoints_2d: (N, J, 2) pixels of the image; left hands where they are in the image.
        truth_2d: (N, J, 2) pixels.
        truth_confidence: (N, J); keypoints up to 0.5 are not counted.
        box_size: (N,) longer side of the tight box of each hand, pixels: that of the crop's
            square over the factor it was grown by.
        thresholds: errors over the box size, each.

    Returns:
        (T, J) 0-1; NaN for a joint without a true keypoint.
    """
    error = relative_errors(keypoints_2d, truth_2d, box_size)
    return shares(*count_within(error, np.asarray(truth_confidence) > MIN_CONFIDENCE, thresholds))


def relative_errors(
    keypoints_2d: ArrayLike, truth_2d: ArrayLike, box_size: ArrayLike
) -> DoubleArray:
    """Give (N, J) errors over the size of the box; arguments as above."""
    points, truth = np.asarray(keypoints_2d, np.float64), np.asarray(truth_2d, np.float64)
    return np.linalg.norm(points - truth, axis=-1) / np.asarray(box_size, np.float64)[:, None]


def count_within(
    error: DoubleArray, is_used: NDArray[np.bool_], thresholds: Sequence[float]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the used (N, J) errors within each threshold, (T, J), and all used ones, (J,)."""
    is_close = error <= np.asarray(thresholds)[:, None, None]  # (T, N, J)
    return (is_close & is_used).sum(1), is_used.sum(0)


def shares(within: NDArray[np.int64], count: NDArray[np.int64]) -> DoubleArray:
    """Divide (T, J) counts by (J,) of all; NaN where there is none."""
    return np.where(count > 0, within / np.maximum(count, 1), np.nan)


def mean_pck(per_joint: DoubleArray) -> DoubleArray:
    """Average (T, J) over the joints that have true keypoints: (T,); NaN when none has."""
    is_known = ~np.isnan(per_joint)
    count = is_known.sum(-1)
    mean = np.where(is_known, per_joint, 0).sum(-1) / np.maximum(count, 1)
    return np.where(count > 0, mean, np.nan)
