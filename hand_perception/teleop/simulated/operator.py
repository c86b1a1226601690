"""A person who holds a button to drive, and wrongly holds on to it when the hand is lost."""

from collections import deque
from typing import Final

import numpy as np

from hand_perception.teleop.simulated.settings import SimulatedOperatorSettings
from hand_perception.teleop.states import State
from hand_perception.teleop.vectors import Vector

#: An image without the hand is seen as soon as none with it came for this long.
_GONE_NS: Final = 300_000_000


class SimulatedOperator:
    """Decides whether the button is down. Times are integer nanoseconds of one clock.

    The person shows the hand, holds it still, presses, and drives. When the hand is lost, the
    person keeps the button down, also when the hand is back; only ``hold_on_s`` later it is let
    go, and pressed anew: the deliberate act.
    """

    def __init__(self, settings: SimulatedOperatorSettings) -> None:
        """Begin with the button up."""
        self._settings = settings
        self._hands: deque[tuple[int, Vector]] = deque()
        self._tracked_since_ns: int | None = None
        self._state, self._state_since_ns = State.IDLE, 0
        self._do = 'rest'
        self._since_ns: int | None = None  # of what is done

    @property
    def is_down(self) -> bool:
        """Whether the button is pressed."""
        return self._do != 'rest'

    def hear_hand(self, position: Vector | None, now_ns: int) -> None:
        """Take the wrist of an image, metres; None where the hand is not tracked."""
        if position is None or (self._hands and now_ns - self._hands[-1][0] > _GONE_NS):
            self._hands.clear()
            self._tracked_since_ns = None
        if position is None:
            return
        if self._tracked_since_ns is None:
            self._tracked_since_ns = now_ns
        self._hands.append((now_ns, position))
        span_ns = self._settings.still_s * 1e9
        while len(self._hands) > 2 and now_ns - self._hands[1][0] >= span_ns:
            self._hands.popleft()

    def hear_state(self, state: State, since_ns: int) -> None:
        """Take what the teleoperation does with this side, and since when."""
        self._state, self._state_since_ns = state, since_ns

    def act(self, now_ns: int) -> bool:
        """Go on to a later time; tells whether the button is down now."""
        if self._since_ns is None:
            self._since_ns = now_ns
        done_s = (now_ns - self._since_ns) * 1e-9
        settings = self._settings
        if self._do == 'rest':
            may_ask = self._state in (State.IDLE, State.DISENGAGED)
            if may_ask and done_s >= settings.rest_s and self._is_still(now_ns):
                self._start('ask', now_ns)
        elif self._do == 'ask':
            is_refused = self._state is State.DISENGAGED and self._state_since_ns >= self._since_ns
            if self._state is State.ENGAGED:
                self._start('drive', now_ns)
            elif is_refused or done_s >= settings.patience_s:
                self._start('rest', now_ns)
        elif self._do == 'drive':
            if self._state is not State.ENGAGED:
                self._start('hold on', now_ns)
        elif min(self._back_s(now_ns), done_s) >= settings.hold_on_s and (
            self._state is State.DISENGAGED
        ):
            self._start('rest', now_ns)
        return self.is_down

    def _start(self, what: str, now_ns: int) -> None:
        self._do, self._since_ns = what, now_ns

    def _back_s(self, now_ns: int) -> float:
        """How long the hand has been tracked without a break."""
        if self._tracked_since_ns is None or now_ns - self._hands[-1][0] > _GONE_NS:
            return 0.0
        return (now_ns - self._tracked_since_ns) * 1e-9

    def _is_still(self, now_ns: int) -> bool:
        hands, settings = self._hands, self._settings
        if self._back_s(now_ns) < settings.still_s or len(hands) < 3:
            return False
        if hands[-1][0] - hands[0][0] < settings.still_s * 1e9:
            return False
        places = np.array([position for _, position in hands])
        away = np.linalg.norm(places - places.mean(0), axis=1)
        return bool(away.max() <= settings.still_radius_m)
