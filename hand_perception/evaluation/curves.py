"""Share of points within a threshold, as curve and area, over the ranges that benchmarks use."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from hand_perception.datatypes import DoubleArray

MILLIMETRES: Final = 1e3  # in a metre


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Evenly spaced thresholds from 0 on, both ends included.

    Attributes:
        end_m: the largest, metres.
        steps: how many there are.
    """

    end_m: float
    steps: int

    @property
    def values_m(self) -> DoubleArray:
        """(steps,) metres, rising from 0."""
        return np.linspace(0.0, self.end_m, self.steps)

    def __str__(self) -> str:
        """Tell the range in the unit of published tables."""
        return f'0-{self.end_m * MILLIMETRES:g} mm'


#: Of HTT (Wen et al., CVPR 2023): FPHA and H2O in camera space, both relative to the wrist. The
#: text that the official program prints for H2O says 0-80; it uses 0-90.
FPHA_CAMERA: Final = Thresholds(end_m=0.080, steps=33)
H2O_CAMERA: Final = Thresholds(end_m=0.090, steps=37)
WRIST_RELATIVE: Final = Thresholds(end_m=0.050, steps=21)
#: Of FreiHAND (Zimmermann et al., ICCV 2019), which HO-3D took over.
FREIHAND: Final = Thresholds(end_m=0.050, steps=100)


def shares_within(distances: DoubleArray, thresholds: DoubleArray) -> DoubleArray:
    """Give the share of (N, J) distances that are at most each of (T,) thresholds: (T, J).

    NaN distances are not counted; NaN for a column without any distance.
    """
    is_known = np.isfinite(distances)
    count = is_known.sum(0)
    # Sorted columns with the unknown ones last: memory does not grow with the thresholds.
    ordered = np.sort(np.where(is_known, distances, np.inf), axis=0)
    within = np.stack(
        [np.searchsorted(column, thresholds, side='right') for column in ordered.T], axis=-1
    )  # (T, J)
    return np.where(count > 0, within / np.maximum(count, 1), np.nan)


def curve_area(curve: DoubleArray, thresholds: DoubleArray) -> float:
    """Give the area under a (T,) curve by trapezoids, over the range: 0-1."""
    widths = np.diff(thresholds)
    return float(((curve[1:] + curve[:-1]) / 2 * widths).sum() / widths.sum())


def known_mean(values: DoubleArray) -> DoubleArray:
    """Average the last axis over what is not NaN; NaN where all is."""
    is_known = np.isfinite(values)
    count = is_known.sum(-1)
    mean = np.where(is_known, values, 0).sum(-1) / np.maximum(count, 1)
    return np.where(count > 0, mean, np.nan)
