"""Distances of corresponding points, gathered batch by batch and summed up as benchmarks do.

Every figure is taken per point first and averaged over the points then, as FreiHAND's evaluation
does and all that were derived from it (HO-3D, HTT). Points without any truth are left out of it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hand_perception.datatypes import DoubleArray
from hand_perception.errors import DatasetError
from hand_perception.evaluation.curves import (
    MILLIMETRES,
    Thresholds,
    curve_area,
    known_mean,
    shares_within,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PointScores:
    """Errors of J points over some images; NaN where there was no truth.

    Attributes:
        num_images: images with at least one true point.
        mean_m: mean error, metres.
        median_m: mean over the points of their median errors, metres.
        mean_per_point_m: (J,) metres.
        thresholds: of the curve.
        curve: (T,) share of the points within each threshold, 0-1.
        auc: area under it over its range, 0-1.
    """

    num_images: int
    mean_m: float
    median_m: float
    mean_per_point_m: DoubleArray
    thresholds: Thresholds
    curve: DoubleArray
    auc: float

    @property
    def mean_mm(self) -> float:
        """Mean error, millimetres."""
        return self.mean_m * MILLIMETRES


class PointErrors:
    """Gathers distances of J points; those of one million images take 84 MB for 21 points."""

    def __init__(self, num_points: int) -> None:
        """Start without images."""
        self.num_points = num_points
        self._parts: list[NDArray[np.float32]] = []

    def add(self, points: ArrayLike, truth: ArrayLike, is_valid: ArrayLike | None = None) -> None:
        """Feed a batch.

        Args:
            points: (N, J, D) metres.
            truth: (N, J, D) metres; not looked at where it is not valid.
            is_valid: (N,) or (N, J), not 0 for what counts; None: all does.

        Raises:
            DatasetError: shapes differ, or numbers that count are not finite.
        """
        found, true = np.asarray(points, np.float64), np.asarray(truth, np.float64)
        valid = check_batch(found, true, is_valid, num_points=self.num_points)
        distance = np.linalg.norm(np.where(valid[..., None], found - true, 0), axis=-1)
        self._parts.append(np.where(valid, distance, np.nan).astype(np.float32))

    def add_distances(self, distances_m: ArrayLike) -> None:
        """Feed (N, J) distances that another one gathered, metres; NaN where there was no truth.

        Raises:
            DatasetError: they are of another number of points.
        """
        distances = np.asarray(distances_m, np.float32)
        if distances.ndim != 2 or distances.shape[1] != self.num_points:
            raise DatasetError(
                f'expected (N, {self.num_points}) distances, got {distances.shape}; merge what '
                'was gathered for one benchmark'
            )
        self._parts.append(distances)

    def merge(self, other: 'PointErrors') -> None:
        """Take over what another one gathered of other images.

        Raises:
            DatasetError: it is about another number of points.
        """
        if other.num_points != self.num_points:
            raise DatasetError(
                f'errors of {other.num_points} points cannot be put to those of '
                f'{self.num_points}; merge what was gathered for one benchmark'
            )
        self._parts += other._parts

    @property
    def distances_m(self) -> NDArray[np.float32]:
        """(N, J) metres, in the order they came in; NaN where there was no truth."""
        return np.concatenate([np.zeros((0, self.num_points), np.float32), *self._parts])

    def finish(self, thresholds: Thresholds) -> PointScores:
        """Sum up; without any image all figures are NaN."""
        stored = self.distances_m
        distances = stored.astype(np.float64)
        has_truth = np.isfinite(distances)
        means = known_mean(distances.T)  # (J,)
        medians = [
            np.median(column[known]) if known.any() else np.nan
            for column, known in zip(distances.T, has_truth.T, strict=True)
        ]
        values = thresholds.values_m
        curve = known_mean(shares_within(distances, values))
        return PointScores(
            num_images=int(has_truth.any(1).sum()),
            mean_m=float(known_mean(means)),
            median_m=float(known_mean(np.array(medians, np.float64))),
            mean_per_point_m=means,
            thresholds=thresholds,
            curve=curve,
            auc=curve_area(curve, values),
        )


def check_batch(
    points: DoubleArray, truth: DoubleArray, is_valid: ArrayLike | None, *, num_points: int
) -> NDArray[np.bool_]:
    """Give (N, J) what counts, after a look at shapes and numbers.

    Raises:
        DatasetError: shapes differ, or numbers that count are not finite.
    """
    if points.ndim != 3 or points.shape != truth.shape or points.shape[1] != num_points:
        raise DatasetError(
            f'expected (N, {num_points}, D) points and as many true ones, got {points.shape} and '
            f'{truth.shape}; give both in the joint order of the benchmark'
        )
    if is_valid is None:
        valid = np.ones(points.shape[:2], np.bool_)
    else:
        marks = np.asarray(is_valid) != 0
        if marks.shape not in (points.shape[:1], points.shape[:2]):
            raise DatasetError(
                f'validity must be {points.shape[:1]} or {points.shape[:2]}, got {marks.shape}'
            )
        valid = np.broadcast_to(marks if marks.ndim == 2 else marks[:, None], points.shape[:2])
    for name, numbers in (('predictions', points), ('true points', truth)):
        is_bad = valid & ~np.isfinite(numbers).all(-1)
        if is_bad.any():
            image, point = np.argwhere(is_bad)[0]
            raise DatasetError(
                f'{int(is_bad.sum())} of the {name} are not finite, the first is point {point} '
                f'of entry {image} of this batch; mark what has no truth as not valid, and look '
                'at the network when it is a prediction'
            )
    return valid
