"""PCK on HInt, over all, visible and occluded keypoints (Pavlakos et al., HaMeR, CVPR 2024)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hand_perception.datatypes import NUM_JOINTS, DoubleArray
from hand_perception.errors import DatasetError
from hand_perception.evaluation.pck import (
    MIN_CONFIDENCE,
    PCK_THRESHOLDS,
    count_within,
    mean_pck,
    relative_errors,
    shares,
)

#: Kinds of keypoints that are scored for themselves.
GROUPS: Final = ('all', 'visible', 'occluded')


@dataclass(frozen=True, slots=True, kw_only=True)
class HintScores:
    """Shares of correct keypoints by group.

    Attributes:
        thresholds: T errors over the size of the hand's box.
        per_joint: (T, 21) each, 0-1; NaN for a joint without true keypoints.
        num_keypoints: true keypoints of each group.
    """

    thresholds: tuple[float, ...]
    per_joint: Mapping[str, DoubleArray]
    num_keypoints: Mapping[str, int]

    def pck(self, group: str) -> DoubleArray:
        """Give the means over the joints that have true keypoints: (T,), 0-1; NaN without any."""
        return mean_pck(self.per_joint[group])


class HintEvaluator:
    """Counts keypoints batch by batch."""

    def __init__(self, thresholds: Sequence[float] = PCK_THRESHOLDS) -> None:
        """Start without hands."""
        self.thresholds = tuple(thresholds)
        shape = (len(self.thresholds), NUM_JOINTS)
        self._within = {group: np.zeros(shape, np.int64) for group in GROUPS}
        self._count = {group: np.zeros(NUM_JOINTS, np.int64) for group in GROUPS}

    def add(
        self,
        keypoints_2d: ArrayLike,
        truth_2d: ArrayLike,
        truth_confidence: ArrayLike,
        box_size: ArrayLike,
        is_visible: ArrayLike | None = None,
    ) -> None:
        """Feed N hands.

        Args:
            keypoints_2d: (N, 21, 2) pixels of the image; left hands where they are in the image.
            truth_2d: (N, 21, 2) pixels.
            truth_confidence: (N, 21); keypoints up to 0.5 are not counted.
            box_size: (N,) longer side of the tight box of each hand, pixels: that of the crop's
                square over the factor it was grown by.
            is_visible: (N, 21) not 0 for keypoints that nothing hides; None: not known, then only
                the group ``all`` is counted.

        Raises:
            DatasetError: shapes differ, a box has no size, or predictions that count are not
                finite.
        """
        confidence, size = np.asarray(truth_confidence), np.asarray(box_size, np.float64)
        points = np.asarray(keypoints_2d, np.float64)
        wanted = (len(points), NUM_JOINTS)
        visible = None if is_visible is None else np.asarray(is_visible) != 0
        found = [points.shape[:2], np.shape(truth_2d)[:2], confidence.shape]
        found += [] if visible is None else [visible.shape]
        if any(shape != wanted for shape in found) or size.shape != wanted[:1]:
            raise DatasetError(
                f'expected keypoints, truth, confidence and visibility of (N, {NUM_JOINTS}) and N '
                f'box sizes, got {[*found, size.shape]}'
            )
        if not (np.isfinite(size) & (size > 0)).all():
            raise DatasetError(f'box sizes must be above 0 pixels, got {size.min()}')
        is_used = confidence > MIN_CONFIDENCE
        error = relative_errors(points, truth_2d, size)
        if not np.isfinite(error[is_used]).all():
            raise DatasetError('keypoints or their truth are not finite where the truth counts')
        groups: dict[str, NDArray[np.bool_]] = {'all': is_used}
        if visible is not None:
            groups |= {'visible': is_used & visible, 'occluded': is_used & ~visible}
        for group, used in groups.items():
            within, count = count_within(error, used, self.thresholds)
            self._within[group] += within
            self._count[group] += count

    def merge(self, other: 'HintEvaluator') -> None:
        """Take over what another one counted of other hands.

        Raises:
            DatasetError: it has other thresholds.
        """
        if other.thresholds != self.thresholds:
            raise DatasetError(
                f'counts at {other.thresholds} cannot be put to those at {self.thresholds}'
            )
        for group in GROUPS:
            self._within[group] += other._within[group]
            self._count[group] += other._count[group]

    def arrays(self) -> dict[str, NDArray[np.int64]]:
        """Give the counts, so that they can be kept in a file."""
        return {
            f'{group}_{name}': counts[group]
            for group in GROUPS
            for name, counts in (('within', self._within), ('count', self._count))
        }

    def add_arrays(self, arrays: Mapping[str, ArrayLike]) -> None:
        """Take over what ``arrays`` of another one with these thresholds gave."""
        for group in GROUPS:
            self._within[group] += np.asarray(arrays[f'{group}_within'], np.int64)
            self._count[group] += np.asarray(arrays[f'{group}_count'], np.int64)

    def finish(self) -> HintScores:
        """Divide the counts."""
        return HintScores(
            thresholds=self.thresholds,
            per_joint={group: shares(self._within[group], self._count[group]) for group in GROUPS},
            num_keypoints={group: int(self._count[group].sum()) for group in GROUPS},
        )
