"""The One-Euro filter for places in space and for rotations.

Casiez, Roussel and Vogel, "1 Euro Filter" (CHI 2012): a first-order low-pass whose cutoff
frequency grows with the speed, so that it is steady at rest and hardly lags in motion. As in the
paper the speed is that from the filtered value to the new one. Rotations are filtered on the
manifold: steps along the shortest turn, never matrix elements.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hand_perception.datatypes import DoubleArray
from hand_perception.pipeline.quaternions import turn_between, turned

#: Cutoff of the speed that the other cutoff follows, Hz. The paper has 1; with 2 a hand that waves
#: lags 8 ms instead of 12 and its error falls by a quarter (``benchmarks/filters.py``).
SPEED_CUTOFF_HZ: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OneEuro:
    """How strongly to smooth.

    Attributes:
        min_cutoff_hz: cutoff at rest.
        beta: Hz that the cutoff grows per unit of speed (m/s, or rad/s).
        speed_cutoff_hz: cutoff of the speed itself.
    """

    min_cutoff_hz: float = 1.0
    beta: float = 0.0
    speed_cutoff_hz: float = SPEED_CUTOFF_HZ

    def shares(self, speeds: NDArray[np.floating], seconds: DoubleArray | float) -> DoubleArray:
        """Give the share of a new value that counts, 0-1, for each speed."""
        return share(self.min_cutoff_hz + self.beta * np.asarray(speeds, np.float64), seconds)


def share(cutoff_hz: DoubleArray | float, seconds: DoubleArray | float) -> DoubleArray:
    """Give the share of a new value that a low-pass lets through after a time."""
    turns = 2 * np.pi * np.asarray(cutoff_hz, np.float64) * seconds
    return turns / (1 + turns)


def step_places(
    filtered: DoubleArray,
    velocity: DoubleArray,
    new: DoubleArray,
    *,
    seconds: DoubleArray | float,
    to: OneEuro,
) -> tuple[DoubleArray, DoubleArray]:
    """Go on with (..., 3) places.

    Args:
        filtered: the places so far.
        velocity: their velocities so far, units per second.
        new: measured now.
        seconds: since the last, above 0; one number or (...) numbers.
        to: how strongly.

    Returns:
        Places and velocities now.
    """
    way, seconds = new - filtered, np.asarray(seconds, np.float64)
    velocity, alpha = _speed_up(velocity, way, seconds, to)
    return filtered + alpha * way, velocity


def step_rotations(
    filtered: DoubleArray,
    velocity: DoubleArray,
    new: DoubleArray,
    *,
    seconds: DoubleArray | float,
    to: OneEuro,
) -> tuple[DoubleArray, DoubleArray]:
    """Go on with (..., 4) unit quaternions x y z w; velocities are (..., 3) rad/s in their axes.

    The same as :func:`step_places`, along the shortest turn to what was measured.
    """
    way, seconds = turn_between(filtered, new), np.asarray(seconds, np.float64)
    velocity, alpha = _speed_up(velocity, way, seconds, to)
    return turned(filtered, alpha * way), velocity


def _speed_up(
    velocity: DoubleArray, way: DoubleArray, seconds: DoubleArray, to: OneEuro
) -> tuple[DoubleArray, DoubleArray]:
    """Give the velocities now, and the (..., 1) shares of the ways that are gone."""
    since = seconds[..., None]
    velocity = velocity + share(to.speed_cutoff_hz, since) * (way / since - velocity)
    speeds = np.sqrt(np.einsum('...i,...i->...', velocity, velocity))
    return velocity, to.shares(speeds, seconds)[..., None]
