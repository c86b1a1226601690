"""Situations that a robot must survive, by name: each begins and ends with relaxed hands at work.

So they can follow each other in any order, for clips of any length.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from hand_perception.errors import ConfigError
from hand_perception.synthetic.props import Occluder
from hand_perception.synthetic.routes import Leg, Route, waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What both hands do for a while, and what passes in front of them.

    Attributes:
        right: legs of the right hand; the last one leads to where it works, relaxed.
        left: of the left hand; takes as long.
        occluders: things, with times since the situation began.
    """

    right: tuple[Leg, ...]
    left: tuple[Leg, ...]
    occluders: tuple[Occluder, ...] = ()

    @property
    def duration_s(self) -> float:
        """Time that it takes."""
        return sum(leg.duration_s for leg in self.right)


@dataclass(frozen=True, slots=True, kw_only=True)
class Storyline:
    """Situations one after the other.

    Attributes:
        names: of the situations.
        starts_s: when each begins.
        duration_s: when the last one ends.
        right: way of the right hand.
        left: way of the left hand.
        occluders: things, with times since the beginning.
    """

    names: tuple[str, ...]
    starts_s: tuple[float, ...]
    duration_s: float
    right: Route
    left: Route
    occluders: tuple[Occluder, ...]

    def name_at(self, time_s: float) -> str:
        """Say which situation a time lies in; they repeat."""
        number = np.searchsorted(self.starts_s, time_s % self.duration_s, side='right')
        return self.names[int(number) - 1]


def storyline(names: Sequence[str]) -> Storyline:
    """Put situations together.

    Raises:
        ConfigError: one is not known, or there is none.
    """
    unknown = [name for name in names if name not in SITUATIONS]
    if unknown or not names:
        raise ConfigError(
            f'situations must be one or more of {", ".join(SITUATIONS)}, got {list(names)}'
        )
    parts = [SITUATIONS[name] for name in names]
    ends = np.cumsum([part.duration_s for part in parts])
    starts_s = tuple(float(start) for start in (0.0, *ends[:-1]))
    return Storyline(
        names=tuple(names),
        starts_s=starts_s,
        duration_s=float(ends[-1]),
        right=Route(tuple(leg for part in parts for leg in part.right)),
        left=Route(tuple(leg for part in parts for leg in part.left)),
        occluders=tuple(
            thing.later(start)
            for part, start in zip(parts, starts_s, strict=True)
            for thing in part.occluders
        ),
    )


def random_situations(
    seed: int, duration_s: float, *, names: Sequence[str] = ()
) -> tuple[str, ...]:
    """Draw situations that last at least ``duration_s`` together, none twice in a row.

    Args:
        seed: the same gives the same.
        duration_s: seconds to fill.
        names: to draw from; empty for all.
    """
    choices = list(names) or list(SITUATIONS)
    rng = np.random.default_rng([seed, len(choices)])
    drawn: list[str] = []
    total = 0.0
    while total < duration_s:
        left = [name for name in choices if name != drawn[-1]] if drawn else choices
        drawn.append(str(rng.choice(left or choices)))
        total += SITUATIONS[drawn[-1]].duration_s
    return tuple(drawn)


_REST: Final = Leg(move_s=0.6, hold_s=0.4)
#: Outwards and down: out of the image with the whole arm.
_AWAY: Final = (0.34, 0.34, -0.05)
_DOWN: Final = (0.0, 0.42, -0.10)
_AT_EDGE: Final = (0.16, 0.04, 0.0)


def _pair(
    right: Sequence[Leg], left: Sequence[Leg], occluders: tuple[Occluder, ...] = ()
) -> Situation:
    """Let the hand that is ready first wait for the other one."""
    longest = max(sum(leg.duration_s for leg in legs) for legs in (right, left))
    return Situation(
        right=waiting(right, longest), left=waiting(left, longest), occluders=occluders
    )


def _work() -> Situation:
    right = [Leg(pose=pose) for pose in ('open', 'pinch', 'relaxed', 'grasp', 'relaxed')]
    left = [Leg(pose=pose) for pose in ('relaxed', 'grasp', 'open', 'pinch', 'relaxed')]
    return _pair(right, left)


def _still() -> Situation:
    """Hold both hands flat and still, as calibration asks for: 2 mm and half a degree of sway."""
    legs = [Leg(pose='open', move_s=0.8, hold_s=3.2, life=0.03), _REST]
    return _pair(legs, legs)


def _leave(place: tuple[float, float, float], gone_s: float, sides: str) -> Situation:
    """Leave the image with one hand or both, one a little later, and come back."""
    way = [Leg(place=place, move_s=0.5, hold_s=gone_s, life=0.3), Leg(move_s=0.5, hold_s=1.0)]
    stay = [Leg(pose='open'), Leg(pose='relaxed')]
    later = [Leg(move_s=0.1, hold_s=0.25), *way]
    return _pair(way if 'r' in sides else stay, later if 'l' in sides else stay)


def _edge() -> Situation:
    """Work half outside the image, with either hand."""
    way = [Leg(pose='open', place=_AT_EDGE, hold_s=1.0, life=0.3), Leg(move_s=0.6, hold_s=0.6)]
    stay = [Leg(move_s=0.1, hold_s=2.5)]
    return _pair([*way, *stay], [*stay, *way])


def _cross(upper: str) -> Situation:
    """Bring one hand over the other, go on until the arms cross, come back the same way."""

    def way(height: float) -> list[Leg]:
        over, beyond, back = (-0.11, 0.0, height), (-0.21, 0.0, height), (-0.11, 0.01, height)
        return [
            Leg(place=over, move_s=0.6, hold_s=0.35, life=0.2),
            Leg(place=beyond, move_s=0.4, hold_s=0.5, life=0.2),
            Leg(place=back, move_s=0.4, hold_s=0.1, life=0.2),
            Leg(move_s=0.5, hold_s=0.6),
        ]

    near, far = way(-0.07), way(0.07)
    return _pair(near, far) if upper == 'right' else _pair(far, near)


def _reach() -> Situation:
    """Reach fast, up to 1.8 m/s: away and back with the right hand, sideways with the left."""
    away, aside = (-0.02, -0.09, 0.20), (-0.07, -0.02, 0.02)
    right = [
        Leg(pose='open', place=away, move_s=0.22, hold_s=0.3, life=0.3),
        Leg(pose='grasp', place=away, move_s=0.25, hold_s=0.2, life=0.3),
        Leg(pose='grasp', move_s=0.25, hold_s=0.3, life=0.3),
        Leg(pose='relaxed', move_s=0.4, hold_s=0.6),
    ]
    left = [
        Leg(move_s=0.2, hold_s=0.5),
        Leg(place=(0.12, 0.0, 0.0), move_s=0.2, hold_s=0.2, life=0.3),
        Leg(place=aside, move_s=0.2, hold_s=0.2, life=0.3),
        Leg(move_s=0.2, hold_s=0.5),
    ]
    return _pair(right, left)


def _hidden(kind: str, path: Sequence[tuple[float, float, float, float]]) -> Situation:
    """Let a thing pass while the hands work quietly: (seconds, x, y, z) of its way."""
    turns = {'board': (0.25, -0.15, 0.1), 'box': (0.45, 0.35, 0.0), 'mug': (0.75, 0.3, 0.1)}
    thing = Occluder(
        kind=kind,
        times_s=tuple(point[0] for point in path),
        places=tuple((point[1], point[2], point[3]) for point in path),
        turn=turns[kind],
    )
    length = path[-1][0]
    quiet = [
        Leg(pose='open', move_s=0.5, hold_s=length / 2 - 0.5, life=0.3),
        Leg(pose='relaxed', move_s=0.5, hold_s=length / 2 - 0.5, life=0.3),
        Leg(move_s=0.4, hold_s=0.6),
    ]
    return _pair(quiet, quiet, (thing,))


#: ``occlude_board`` hides the right hand whole, ``occlude_box`` the left one, ``occlude_mug``
#: parts of both in turn; ``sweep_board`` passes both without a stop.
SITUATIONS: Final[Mapping[str, Situation]] = MappingProxyType(
    {
        'work': _work(),
        'still': _still(),
        'leave_right': _leave(_AWAY, 1.0, 'r'),
        'leave_left': _leave(_AWAY, 1.0, 'l'),
        'leave_both': _leave(_DOWN, 1.5, 'rl'),
        'leave_short': _leave(_AWAY, 0.15, 'r'),
        'edge': _edge(),
        'cross_right_over': _cross('right'),
        'cross_left_over': _cross('left'),
        'reach': _reach(),
        'occlude_board': _hidden(
            'board', [(0.2, 0.36, 0.05, 0.30), (0.9, 0.085, 0.01, 0.29), (1.6, 0.075, 0.01, 0.29),
                      (2.3, 0.36, 0.02, 0.30)]),
        'occlude_box': _hidden(
            'box', [(0.2, -0.36, 0.05, 0.30), (0.9, -0.085, 0.02, 0.28), (1.6, -0.08, 0.02, 0.28),
                    (2.3, -0.36, 0.02, 0.30)]),
        'occlude_mug': _hidden(
            'mug', [(0.2, 0.30, 0.10, 0.28), (0.8, 0.075, 0.03, 0.29), (1.3, 0.07, 0.03, 0.29),
                    (1.9, -0.075, 0.04, 0.29), (2.4, -0.075, 0.04, 0.29),
                    (3.0, -0.30, 0.10, 0.28)]),
        'sweep_board': _hidden('board', [(0.3, 0.36, 0.0, 0.29), (1.7, -0.36, 0.0, 0.29)]),
    }
)  # fmt: skip
