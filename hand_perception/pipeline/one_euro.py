"""The One-Euro filter for places in space and for rotations.

Casiez, Roussel and Vogel, "1 Euro Filter" (CHI 2012): a first-order low-pass whose cutoff
frequency grows with the speed, so that it is steady at rest and hardly lags in motion. Rotations
are filtered on the manifold: steps along the shortest turn, never matrix elements.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hand_perception.datatypes import DoubleArray
from hand_perception.geometry import axis_angle_from_rotation, rotation_from_axis_angle

#: Cutoff of the speed that the other cutoff follows, Hz: the paper's.
SPEED_CUTOFF_HZ: Final = 1.0


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

    def shares(self, speeds: NDArray[np.floating], seconds: float) -> DoubleArray:
        """Give the share of a new value that counts, 0-1, for each speed."""
        return share(self.min_cutoff_hz + self.beta * np.asarray(speeds, np.float64), seconds)


def share(cutoff_hz: DoubleArray | float, seconds: float) -> DoubleArray:
    """Give the share of a new value that a low-pass lets through after a time."""
    turns = 2 * np.pi * np.asarray(cutoff_hz, np.float64) * seconds
    return turns / (1 + turns)


def step_places(
    filtered: DoubleArray, velocity: DoubleArray, new: DoubleArray, *, seconds: float, to: OneEuro
) -> tuple[DoubleArray, DoubleArray]:
    """Go on with (..., 3) places.

    Args:
        filtered: the places so far.
        velocity: their velocities so far, units per second.
        new: measured now.
        seconds: since the last, above 0.
        to: how strongly.

    Returns:
        Places and velocities now.
    """
    moved = (new - filtered) / seconds
    velocity = velocity + share(to.speed_cutoff_hz, seconds) * (moved - velocity)
    alpha = to.shares(np.linalg.norm(velocity, axis=-1), seconds)
    return filtered + alpha[..., None] * (new - filtered), velocity


def step_rotations(
    filtered: DoubleArray, velocity: DoubleArray, new: DoubleArray, *, seconds: float, to: OneEuro
) -> tuple[DoubleArray, DoubleArray]:
    """Go on with (..., 3, 3) rotations; velocities are (..., 3) rad/s in their own axes."""
    turn = axis_angle_from_rotation(np.swapaxes(filtered, -1, -2) @ new)
    velocity = velocity + share(to.speed_cutoff_hz, seconds) * (turn / seconds - velocity)
    alpha = to.shares(np.linalg.norm(velocity, axis=-1), seconds)
    return filtered @ rotation_from_axis_angle(alpha[..., None] * turn), velocity
