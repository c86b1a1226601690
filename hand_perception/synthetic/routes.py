"""Where the hands of a scene go and when: legs of a way, each with a pose on the way."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hand_perception.datatypes import DoubleArray
from hand_perception.errors import ConfigError
from hand_perception.synthetic.scripts import Step, eased


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """Go to a place in a straight line, taking on a pose on the way, and stay there.

    Attributes:
        pose: of the fingers on arrival; one of ``poses.POSE_SHAPES``.
        place: metres from where the hand works: outwards (right for a right hand, left for a
            left one), down, away from the person (camera axes).
        move_s: time of the way there; position, speed and acceleration are continuous.
        hold_s: time for which it stays.
        waves: times that the hand goes to one side, to the other and back while it stays.
        life: share of the usual swaying and turning; 0 is a hand in a vice.
    """

    pose: str = 'relaxed'
    place: tuple[float, float, float] = (0.0, 0.0, 0.0)
    move_s: float = 0.6
    hold_s: float = 0.4
    waves: int = 0
    life: float = 1.0

    @property
    def duration_s(self) -> float:
        """Time until the next leg."""
        return self.move_s + self.hold_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """Where a hand is on its way.

    Attributes:
        offset: (3,) metres from where it works: outwards, down, away.
        life: share of the usual swaying and turning.
    """

    offset: DoubleArray
    life: float


@dataclass(frozen=True)
class Route:
    """All legs of a hand; they repeat, the first following the last."""

    legs: tuple[Leg, ...]

    def __post_init__(self) -> None:
        """Refuse ways that lead nowhere."""
        if not self.legs or any(leg.move_s <= 0 or leg.hold_s < 0 for leg in self.legs):
            raise ConfigError('a route needs legs that take time: move_s above 0, hold_s from 0')

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """What the fingers do; the unit of time is a second."""
        return tuple(
            Step(pose=leg.pose, move=leg.move_s, hold=leg.hold_s, waves=leg.waves)
            for leg in self.legs
        )

    @cached_property
    def _ends_s(self) -> DoubleArray:
        return np.cumsum([leg.duration_s for leg in self.legs])

    @property
    def duration_s(self) -> float:
        """Time until it repeats."""
        return float(self._ends_s[-1])

    def at(self, time_s: float) -> Whereabouts:
        """Say where the hand is at a time."""
        time_s = time_s % self.duration_s
        number = min(int(np.searchsorted(self._ends_s, time_s, side='right')), len(self.legs) - 1)
        leg, before = self.legs[number], self.legs[number - 1]
        since = time_s - (float(self._ends_s[number]) - leg.duration_s)
        share = eased(min(max(since / leg.move_s, 0.0), 1.0))
        start, end = np.array(before.place), np.array(leg.place)
        return Whereabouts(
            offset=start + share * (end - start),
            life=before.life + share * (leg.life - before.life),
        )


def waiting(legs: Sequence[Leg], duration_s: float) -> tuple[Leg, ...]:
    """Let the last leg stay until ``duration_s`` have passed since the first began."""
    missing = duration_s - sum(leg.duration_s for leg in legs)
    last = legs[-1]
    longer = Leg(
        pose=last.pose, place=last.place, move_s=last.move_s, hold_s=last.hold_s + missing,
        waves=last.waves, life=last.life,
    )  # fmt: skip
    return (*legs[:-1], longer)
