"""A person whose hands wander and cross, and who works the clutch, sometimes badly."""

import math
from typing import Final

import numpy as np

from hand_perception.teleop.states import Side, SideState, State
from hand_perception.teleop.vectors import (
    Quaternion,
    Vector,
    multiply,
    quaternion_from_vector,
)

#: Where the hands are in the mean: camera optical frame, metres.
_PLACES: Final[dict[Side, Vector]] = {'left': (-0.14, 0.12, 0.45), 'right': (0.14, 0.12, 0.45)}
#: How they are turned in the mean, rotation vectors.
_TURNS: Final[dict[Side, Vector]] = {'left': (1.2, -0.4, 0.2), 'right': (1.2, 0.4, -0.2)}
#: Greatest size of one wave, metres and radians, of three axes and three turns.
_SIZES: Final = np.array([0.06, 0.06, 0.06, 0.25, 0.25, 0.25])[:, None]
_NUM_WAVES: Final = 3
#: Seconds for which crossed hands stay crossed, and between crossings.
_CROSS_S: Final = 3.0
_CROSS_EVERY_S: Final = 23.0
#: How quickly a hand comes to rest and starts, seconds.
_REST_S: Final = 0.12


class WanderingHand:
    """The true motion of one hand: sums of slow waves, slowed down to rest when it wants to."""

    def __init__(self, side: Side, rng: np.random.Generator) -> None:
        """Draw the waves of one hand."""
        self._side = side
        shape = (6, _NUM_WAVES)
        self._rates = (2 * math.pi * rng.uniform(0.05, 0.4, shape)).tolist()
        self._phases = rng.uniform(0, 2 * math.pi, shape).tolist()
        self._sizes = (rng.uniform(0.3, 1.0, shape) * _SIZES).tolist()
        self._phase_s = 0.0
        self._pace = 1.0
        self.wants_rest = False
        self.position: Vector = _PLACES[side]
        self.quaternion: Quaternion = (0.0, 0.0, 0.0, 1.0)
        self.pinch = 0.3
        self.held_pinch: float | None = None

    def move(self, seconds: float) -> None:
        """Go on by some seconds."""
        pace = 0.0 if self.wants_rest else 1.0
        self._pace += (pace - self._pace) * min(1.0, seconds / _REST_S)
        self._phase_s += self._pace * seconds
        waves = [
            sum(
                size * math.sin(rate * self._phase_s + phase)
                for size, rate, phase in zip(*axis, strict=True)
            )
            for axis in zip(self._sizes, self._rates, self._phases, strict=True)
        ]
        x, y, z = _PLACES[self._side]
        self.position = (x * self._crossing() + waves[0], y + waves[1], z + waves[2])
        turn = quaternion_from_vector((waves[3], waves[4], waves[5]))
        self.quaternion = multiply(turn, quaternion_from_vector(_TURNS[self._side]))
        self.pinch = 0.5 + 0.5 * math.sin(1.3 * self._phase_s)
        if self.held_pinch is not None:
            self.pinch = self.held_pinch

    def _crossing(self) -> float:
        """1 while a hand is on its own side, -1 when it is on the other, smooth in between."""
        at_s = self._phase_s % _CROSS_EVERY_S - (_CROSS_EVERY_S - _CROSS_S)
        return 1.0 if at_s < 0 else math.cos(2 * math.pi * at_s / _CROSS_S)


class ClutchUser:
    """Works the clutch of one side: holds still, presses, drives, lets go, and makes mistakes.

    ``acts`` holds the times of all deliberate acts: a press, after a release, that is meant to
    engage. Mistakes are pressing while the hand moves, and holding on after a loss.
    """

    def __init__(self, hand: WanderingHand, rng: np.random.Generator, *, is_toggle: bool) -> None:
        """Begin with the clutch released.

        Args:
            hand: that is held still to engage.
            rng: for pauses and mistakes.
            is_toggle: the clutch is pressed once to engage and once more to stop, rather than
                held.
        """
        self._hand, self._rng, self._is_toggle = hand, rng, is_toggle
        self._do = 'rest'
        self._until_s = 1.0
        self._asked_in: SideState | None = None
        self.is_down = False
        self.acts: list[float] = []

    def act(self, time_s: float, state: SideState) -> None:
        """Decide what to do with the clutch now."""
        if self._do == 'rest':
            self._rest(time_s, state)
        elif self._do == 'ask':
            self._ask(time_s, state)
        elif self._do == 'drive':
            self._drive(time_s, state)
        elif time_s >= self._until_s or state.state is not State.ENGAGED:  # stopping
            self._let_go(time_s)

    def _rest(self, time_s: float, state: SideState) -> None:
        is_late = time_s >= self._until_s
        if self.is_down:
            self.is_down = not is_late  # held on after a loss
            self._until_s = time_s + 0.5 if is_late else self._until_s
        elif is_late and state.state in (State.IDLE, State.DISENGAGED):
            if not self._hand.wants_rest and self._rng.random() < 0.9:
                self._hand.wants_rest = True
                self._until_s = time_s + 0.4
                return
            self.is_down = True
            self.acts.append(time_s)
            self._asked_in = state
            self._do, self._until_s = 'ask', time_s + 5.0

    def _ask(self, time_s: float, state: SideState) -> None:
        is_refused = state.state is State.DISENGAGED and state is not self._asked_in
        if state.state is State.ENGAGED:
            self._hand.wants_rest = False
            self.is_down = not self._is_toggle
            self._do, self._until_s = 'drive', time_s + self._rng.uniform(4.0, 16.0)
        elif is_refused or time_s >= self._until_s:
            self._let_go(time_s)

    def _drive(self, time_s: float, state: SideState) -> None:
        if state.state is not State.ENGAGED:
            self._let_go(time_s)
            if self._rng.random() < 0.5 and not self._is_toggle:
                self.is_down = True
                self._until_s = time_s + self._rng.uniform(0.3, 2.5)
        elif time_s >= self._until_s:
            self.is_down = self._is_toggle
            self._do, self._until_s = 'stop', time_s + 2.0

    def _let_go(self, time_s: float) -> None:
        self.is_down = False
        self._hand.wants_rest = False
        self._do, self._until_s = 'rest', time_s + self._rng.uniform(0.2, 0.8)
