"""What the operator does to engage and to stop: buttons, pinches, calls of a service.

Everything is a lever that is down, up, or unknown. Stopping is easy: any sign that the lever is
not down stops at once. Engaging is hard: the lever must be seen up, then go down, and stay down
for its time; unknown in between spoils it, and so does a lever that changes too often.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from hand_perception.teleop.settings import TeleopSettings
from hand_perception.teleop.states import Reason

#: A release shorter than this is a loose contact, not a person.
_RELEASE_NS: Final = 50_000_000
#: A press of a button must be seen for this long.
_PRESS_NS: Final = 20_000_000
#: A person does not change a lever more often than this within a second.
_MAX_CHANGES: Final = 8
_FLUTTER_NS: Final = 1_000_000_000


class Lever:
    """One thing that an operator holds and lets go; times are integer nanoseconds."""

    def __init__(self, *, hold_ns: int = 0, expiry_ns: int | None = None) -> None:
        """Make a lever whose place is unknown.

        Args:
            hold_ns: how long it must stay down to count as pressed.
            expiry_ns: how long it is known after it was last heard of; None: forever.
        """
        self.hold_ns = hold_ns
        self._expiry_ns = expiry_ns
        self._changes: deque[int] = deque(maxlen=_MAX_CHANGES + 1)
        self.forget()

    def forget(self) -> None:
        """Know nothing: it must be seen up, then down, to count."""
        self._is_down: bool | None = None
        self._since_ns = 0
        self._heard_ns = 0
        self._is_armed = False
        self._was_up = True
        self._is_held = False
        self._changes.clear()

    def hear(self, is_down: bool | None, now_ns: int) -> None:
        """Take a message about the lever; None: its place is not known."""
        if now_ns < self._heard_ns:
            self.forget()
        self._expire(now_ns)
        self._heard_ns = now_ns
        if is_down is not True:
            self._was_up = True  # remembered until the next reading, however short it was
        if is_down is self._is_down:
            return
        was_up_ns = now_ns - self._since_ns if self._is_down is False else 0
        self._is_armed = is_down is True and was_up_ns >= _RELEASE_NS
        self._is_down = is_down
        self._since_ns = now_ns
        self._changes.append(now_ns)

    def disarm(self) -> None:
        """Let a press that has begun not count; a lever that is down must be released first."""
        if self._is_down is not False:
            self._is_armed = False

    @property
    def is_up(self) -> bool:
        """Whether the last that was heard of it is that it is up."""
        return self._is_down is False

    def is_known(self, now_ns: int) -> bool:
        """Whether its place is known."""
        self._expire(now_ns)
        return self._is_down is not None

    def is_fluttering(self, now_ns: int) -> bool:
        """Whether it changed more often within the last second than a person would."""
        is_full = len(self._changes) > _MAX_CHANGES
        return is_full and now_ns - self._changes[0] < _FLUTTER_NS

    def is_armed(self, now_ns: int) -> bool:
        """Whether the press that is going on, or the next one if it began now, would count."""
        if self.is_fluttering(now_ns):
            return False
        if self._is_down is False:
            return now_ns - self._since_ns >= _RELEASE_NS
        return self._is_armed

    def read_held(self, now_ns: int) -> bool:
        """Whether it is down and was so, without a gap, since the last reading."""
        self._expire(now_ns)
        if self.is_fluttering(now_ns):
            self._is_armed = False
            self._is_held = False
        else:
            self._is_held = self._is_down is True and not self._was_up
        self._was_up = self._is_down is not True
        return self._is_held

    def take_press(self, now_ns: int) -> bool:
        """Whether a new press is complete, by the last reading; each press is told once."""
        is_complete = self._is_armed and self._is_held and now_ns - self._since_ns >= self.hold_ns
        if is_complete:
            self._is_armed = False
        return is_complete

    def _expire(self, now_ns: int) -> None:
        if self._expiry_ns is None or self._is_down is None:
            return
        if now_ns - self._heard_ns > self._expiry_ns:
            self._is_down = None
            self._is_armed = False
            self._was_up = True
            self._since_ns = now_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class ClutchReading:
    """What the operator wants of one side since the last reading.

    Attributes:
        is_pressed: a new deliberate act: engage, or, where nothing has to be held, stop.
        stop: why an engaged side must stop; ``NONE`` when it may go on.
    """

    is_pressed: bool
    stop: Reason


class Clutch:
    """Clutch and dead-man of one side."""

    def __init__(self, settings: TeleopSettings) -> None:
        """Make a clutch that nobody has touched."""
        self._clutch, self._dead_man = settings.clutch, settings.dead_man
        self._levers = {
            'service': Lever(),
            'button': Lever(hold_ns=_PRESS_NS, expiry_ns=round(settings.button_timeout_s * 1e9)),
            'pinch': Lever(hold_ns=round(settings.pinch_hold_s * 1e9)),
        }
        self._stop_asked = False
        self._levers['service'].hear(False, 0)  # nobody has called it yet

    def use(self, settings: TeleopSettings) -> None:
        """Take the live settings of another moment."""
        self._levers['pinch'].hold_ns = round(settings.pinch_hold_s * 1e9)

    def hear_button(self, is_down: bool | None, now_ns: int) -> None:
        """Take the state of the button; None: the message did not have it."""
        self._levers['button'].hear(is_down, now_ns)

    def hear_pinch(self, is_down: bool | None, now_ns: int) -> None:
        """Take the state of the pinch; None: that hand may not be used."""
        self._levers['pinch'].hear(is_down, now_ns)

    def hear_service(self, engage: bool, now_ns: int) -> None:
        """Take a call of the service; False stops whatever the clutch is."""
        if not engage:
            self._stop_asked = True
        self._levers['service'].hear(engage, now_ns)

    def disarm(self) -> None:
        """After a loss or a refusal: only an act that begins from now on counts."""
        for lever in self._levers.values():
            lever.disarm()

    def forget(self) -> None:
        """After a jump of time: nothing is known of any lever, all must be seen up first."""
        for lever in self._levers.values():
            lever.forget()

    def would_refuse(self, now_ns: int) -> Reason:
        """Say why a press that began now would not count."""
        lever = self._levers[self._clutch]
        if lever.is_fluttering(now_ns):
            return Reason.CLUTCH_FLUTTERS
        if not lever.is_known(now_ns):
            return Reason.CLUTCH_SILENT
        return Reason.NONE if lever.is_armed(now_ns) else Reason.NOT_RELEASED

    def read(self, now_ns: int) -> ClutchReading:
        """Read all levers once per tick."""
        held = {name: lever.read_held(now_ns) for name, lever in self._levers.items()}
        lever = self._levers[self._clutch]
        is_pressed = lever.take_press(now_ns) and not self._stop_asked
        stop = self._stop(held, now_ns)
        self._stop_asked = False
        return ClutchReading(is_pressed=is_pressed, stop=stop)

    def _stop(self, held: dict[str, bool], now_ns: int) -> Reason:
        lever = self._levers[self._clutch]
        if self._stop_asked:
            return Reason.RELEASED
        if lever.is_fluttering(now_ns):
            return Reason.CLUTCH_FLUTTERS
        if self._clutch != 'pinch' and not lever.is_known(now_ns):
            return Reason.CLUTCH_SILENT
        if self._clutch == 'service' and lever.is_up:
            return Reason.RELEASED
        if self._dead_man != 'none' and not held[self._dead_man]:
            return Reason.DEAD_MAN
        return Reason.NONE
