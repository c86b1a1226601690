"""Which images of a stream HTT looks at ("tokens"), told by their stamps alone.

HTT was trained on every second image of 30 Hz video, and counts tokens, not seconds. So tokens
lie on a grid of times, and the image nearest to each is taken. Where the camera's rate is nearly a
multiple of the grid's the grid follows the camera: a camera of 29.97 Hz gives every second image
for ever instead of slipping by an image now and then. Images that were lost put the grid behind
the images; it then starts again at the image that is there. With two phases (even and odd images
of 30 Hz) it does not: which phase an image belongs to is the parity of its place on the grid,
whatever was lost before it.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

#: Newest intervals between images from which that of the camera is measured.
_NUM_INTERVALS: Final = 32
#: An interval this many times a short one holds a lost image.
_LOST_IMAGE: Final = 1.7
#: The grid follows a camera whose images lie this near to it, as a share of the period.
_FOLLOW: Final = 0.1
#: Share of the distance between image and grid by which the following grid is moved.
_FOLLOW_GAIN: Final = 0.25
#: Tokens farther apart than this many periods are too few to be read, with 5 % for jitter.
_MAX_PERIODS: Final = 1.5 * 1.05
#: Newest distances between tokens that decide on it, and how few of them may.
_NUM_SPACINGS, _MIN_SPACINGS = 5, 3
#: So many tokens in a row of one phase leave the other one empty.
_NUM_OF_ONE_PHASE: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenChoice:
    """What becomes of one image.

    Attributes:
        is_token: HTT looks at it.
        phase: 0 or 1: even or odd place on a grid of two phases; 0 with one phase.
        reset_reason: why the grid starts anew with this image; empty when it does not.
    """

    is_token: bool
    phase: int = 0
    reset_reason: str = ''


class TokenClock:
    """Chooses tokens; remembers a few intervals, however long the stream."""

    def __init__(self, rate_hz: float, *, gap_s: float, num_phases: int = 1) -> None:
        """Start with no images.

        Args:
            rate_hz: tokens per second and phase; 0 takes every image.
            gap_s: a longer time without a token starts anew; two periods at least.
            num_phases: 1, or 2 for even and odd images, which take turns when ``rate_hz`` is 0.
        """
        self._num_phases = num_phases
        self._token_period_ns = 1e9 / rate_hz if rate_hz else 0.0
        self._period_ns = self._token_period_ns / num_phases
        self._gap_ns = max(gap_s * 1e9, 2 * self._token_period_ns)
        self._intervals: deque[int] = deque(maxlen=_NUM_INTERVALS)
        self._spacings: deque[int] = deque(maxlen=_NUM_SPACINGS)
        self._phases: deque[int] = deque(maxlen=_NUM_OF_ONE_PHASE)
        self._phase_stamps: list[int | None] = [None] * num_phases
        self._last_ns: int | None = None
        self._last_token_ns = 0
        self._next_slot = 0
        self._due_ns = 0.0

    def choose(self, stamp_ns: int) -> TokenChoice:
        """Decide on the next image of the stream."""
        reset_reason = ''
        if self._last_ns is not None:
            if stamp_ns < self._last_ns:
                reset_reason = f'stamps went back by {(self._last_ns - stamp_ns) * 1e-9:.3f} s'
                self._forget_camera()
            elif stamp_ns - self._last_token_ns > self._gap_ns:
                missing_s = (stamp_ns - self._last_token_ns) * 1e-9
                reset_reason = f'no image to look at for {missing_s:.3f} s'
            elif stamp_ns > self._last_ns:
                self._intervals.append(stamp_ns - self._last_ns)
        is_first = self._last_ns is None or bool(reset_reason)
        self._last_ns = stamp_ns
        slot = self._start(stamp_ns) if is_first else self._slot_of(stamp_ns)
        if slot is None:
            return TokenChoice(is_token=False)
        phase = slot % self._num_phases
        self._note_token(stamp_ns, phase)
        self._next_slot = slot + 1
        return TokenChoice(is_token=True, phase=phase, reset_reason=reset_reason)

    @property
    def slow_reason(self) -> str:
        """Why the tokens are too few to be read; empty when they are not.

        They are too far apart, or one of two phases gets none.
        """
        if not self._period_ns or len(self._spacings) < _MIN_SPACINGS:
            return ''
        spacing_ns = sorted(self._spacings)[len(self._spacings) // 2]
        if len(self._phases) == _NUM_OF_ONE_PHASE and len(set(self._phases)) < self._num_phases:
            return (
                f'images come too slowly for two phases: {1e9 / spacing_ns:.1f} per second, all '
                f'in one of them, HTT wants {1e9 / self._period_ns:.1f}'
            )
        if spacing_ns <= _MAX_PERIODS * self._token_period_ns:
            return ''
        where = ' in each phase' if self._num_phases > 1 else ''
        return (
            f'images come too slowly: {1e9 / spacing_ns:.1f} per second{where}, HTT wants '
            f'{1e9 / self._token_period_ns:.1f}'
        )

    def _forget_camera(self) -> None:
        self._intervals.clear()
        self._spacings.clear()
        self._phases.clear()
        self._phase_stamps = [None] * self._num_phases

    def _start(self, stamp_ns: int) -> int:
        """Begin the grid at an image."""
        self._due_ns = stamp_ns + self._period_ns
        return 0

    def _slot_of(self, stamp_ns: int) -> int | None:
        """Give the place of an image on the grid, and move the grid on; None: no token."""
        if not self._period_ns:
            return self._next_slot
        # An image of the last token's stamp has no interval yet, and is none of the next.
        interval = self._interval_ns() if self._intervals else 0.0
        tolerance = min(interval, self._period_ns) / 2
        late = stamp_ns - self._due_ns
        if late <= -tolerance:
            return None  # a later image will be nearer
        skipped = 0
        if self._num_phases > 1:
            skipped = max(0, round(late / self._period_ns))
        elif late > tolerance:
            self._due_ns = stamp_ns + self._period_ns
            return self._next_slot
        late -= skipped * self._period_ns
        self._due_ns += skipped * self._period_ns + self._step_ns(interval, late)
        return self._next_slot + skipped

    def _step_ns(self, interval: float, late: float) -> float:
        """Say how far the next place of the grid is from one that an image missed by ``late``."""
        if interval:
            following = round(self._period_ns / interval) * interval
            if abs(following - self._period_ns) <= _FOLLOW * self._period_ns:
                return following + _FOLLOW_GAIN * late
        return self._period_ns

    def _interval_ns(self) -> float:
        """Measure the camera's interval: the median of those that hold no lost image."""
        ordered = sorted(self._intervals)
        most = _LOST_IMAGE * ordered[len(ordered) // 10]
        single = [interval for interval in ordered if interval <= most]
        return float(single[len(single) // 2])

    def _note_token(self, stamp_ns: int, phase: int) -> None:
        before = self._phase_stamps[phase]
        if before is not None and stamp_ns > before:
            self._spacings.append(stamp_ns - before)
        self._phases.append(phase)
        self._phase_stamps[phase] = stamp_ns
        self._last_token_ns = stamp_ns
