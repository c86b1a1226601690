"""Waving: how often an open hand turned round on its way from side to side, by stamps.

The tips of the fingers are followed across the palm, step by step and in palms, so that the way
does not depend on the size, the distance or the turning of the hand. A turn counts when the way
into it was long enough, and quick enough. Only turning points are kept: the memory is a few
numbers, at any frame rate.
"""

from dataclasses import dataclass
from typing import Final

from hand_perception.datatypes import DoubleArray
from hand_perception.pipeline.primitive_shapes import HandShape

#: Way from one side to the other, palms: about 5 cm. A hand that works sways less, or slower.
SWING: Final = 0.5
#: The first way begins in the middle: half as long.
FIRST_SWING: Final = SWING / 2
#: Way back from a turning point after which it is one; less is a tremor or noise, palms.
_BACK: Final = 0.15
#: Longest time from one side to the other; people wave at 1 to 3 Hz: 0.17 to 0.5 s.
SWING_S: Final = 0.6
#: Waving is over when the hand has not turned round for this much of its last swing's time and a
#: little more, for slow cameras.
_PATIENCE: Final = 1.5
_PATIENCE_MORE_S: Final = 0.1
#: Turns that are waving for sure; half of them are enough to be told.
CLEAR_TURNS: Final = 4


@dataclass(slots=True)
class WaveMemory:
    """Where the hand was on its way across; the unit of ways is palms.

    Attributes:
        tips_m: tips in the last image; None before the first.
        way: how far across the tips are from where they were first seen.
        turn: the last turning point.
        left_ns: when the hand left it.
        extreme: the farthest since then in ``direction`` (0: it has not left where it was).
        extreme_ns: when it was there.
        near_ns: when it was last near there.
        direction: 1, -1 or 0.
        num_turns: turns that count, one after another.
        onset_ns: when the way into the first of them began.
        swing_ns: time that the last swing took.
    """

    tips_m: DoubleArray | None = None
    way: float = 0.0
    turn: float = 0.0
    left_ns: int = 0
    extreme: float = 0.0
    extreme_ns: int = 0
    near_ns: int = 0
    direction: int = 0
    num_turns: int = 0
    onset_ns: int = 0
    swing_ns: int = 0

    def follow(self, shape: HandShape, stamp_ns: int) -> None:
        """Take in the next image of the hand."""
        if self.tips_m is not None:
            self.way += float((shape.tips_m - self.tips_m) @ shape.across) / shape.palm_m
        self.tips_m = shape.tips_m
        ahead = (self.way - self.extreme) * self.direction
        if self.direction != 0 and ahead >= 0:
            self.extreme, self.extreme_ns, self.near_ns = self.way, stamp_ns, stamp_ns
        elif abs(self.way - self.extreme) <= _BACK:
            self.near_ns = stamp_ns
        else:
            self._turn_round(stamp_ns)
        if self.num_turns and stamp_ns - self.left_ns > self._patience_ns():
            self.num_turns = 0

    def score(self) -> float:
        """0-1: turns counted, of ``CLEAR_TURNS``; two turns are 0.5."""
        return min(self.num_turns / CLEAR_TURNS, 1.0)

    def _turn_round(self, stamp_ns: int) -> None:
        """Note that the farthest point was a turning point, or that the hand left its start."""
        swing, taken_ns = abs(self.extreme - self.turn), self.extreme_ns - self.left_ns
        is_first = self.num_turns == 0
        is_long = swing >= (FIRST_SWING if is_first else SWING)
        if self.direction != 0 and is_long and taken_ns <= SWING_S * 1e9:
            self.onset_ns = self.left_ns if is_first else self.onset_ns
            self.num_turns += 1
            self.swing_ns = taken_ns
        else:
            self.num_turns = 0
        self.turn, self.left_ns = self.extreme, self.near_ns
        self.direction = 1 if self.way > self.extreme else -1
        self.extreme, self.extreme_ns, self.near_ns = self.way, stamp_ns, stamp_ns

    def _patience_ns(self) -> float:
        """Time after a turn in which the next must come; the first swing says little of it."""
        if self.num_turns < 2:
            return SWING_S * 1e9
        return min(_PATIENCE * self.swing_ns + _PATIENCE_MORE_S * 1e9, SWING_S * 1e9)
