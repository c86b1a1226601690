"""What the stamps of images say: in order, standing still, jumped back, too old."""

import enum
from collections import deque
from typing import Final

#: Stamps this far from the node's clock are another clock, not a late image.
OTHER_CLOCK_S: Final = 60.0
#: An image can be stamped this much after the node's clock by jitter of synchronised clocks.
FUTURE_TOLERANCE_S: Final = 0.1
#: Images whose ages are kept to tell a steady offset from a single late image.
_WINDOW: Final = 30


class StampOrder(enum.Enum):
    """How the stamp of an image follows the one before."""

    FORWARD = enum.auto()
    STILL = enum.auto()  #: the same stamp again: a repeated image or a driver without a clock
    BACK = enum.auto()  #: a bag starts again or a clock was set: a new run of the stream


class StampOrderCheck:
    """Compares each stamp with the last one."""

    def __init__(self) -> None:
        """Start without a stamp."""
        self._last_ns: int | None = None

    def check(self, stamp_ns: int) -> StampOrder:
        """Say how ``stamp_ns`` follows the last stamp, and remember it."""
        last, self._last_ns = self._last_ns, stamp_ns
        if last is None or stamp_ns > last:
            return StampOrder.FORWARD
        return StampOrder.STILL if stamp_ns == last else StampOrder.BACK


class AgeCheck:
    """Tells late images, and cameras with another clock, from the ages of arriving images."""

    def __init__(self) -> None:
        """Start without an age."""
        self._ages_s: deque[float] = deque(maxlen=_WINDOW)

    def is_too_old(self, age_s: float, max_age_ms: float) -> bool:
        """Say whether an image must be dropped.

        Args:
            age_s: node's clock minus stamp, seconds.
            max_age_ms: limit; 0 for none.
        """
        self._ages_s.append(age_s)
        return bool(max_age_ms) and age_s * 1e3 > max_age_ms

    def clock_problem(self, max_age_ms: float) -> str:
        """Say what is wrong when even the freshest of the last images is too old or not yet taken.

        Returns:
            A sentence that names the offset and what to do; empty when clocks agree.
        """
        ages_s = tuple(self._ages_s)  # the worker may add one meanwhile
        if not ages_s:
            return ''
        best = min(ages_s)  # the way from the camera only adds to it
        if best < -FUTURE_TOLERANCE_S:
            return (
                f"image stamps are {-best:.3f} s ahead of the node's clock, so ages are wrong; "
                'synchronise the clocks of camera and node (chrony, PTP)'
            )
        if not max_age_ms or best * 1e3 <= max_age_ms:
            return ''
        if best > OTHER_CLOCK_S:
            return (
                f"image stamps are {best:.3f} s behind the node's clock and all images are "
                'dropped; for a recording play it with --clock and set use_sim_time, for a camera '
                'with its own clock set max_age_ms to 0'
            )
        return (
            f'images are at least {best:.3f} s old when they come and all are dropped; find what '
            f'delays them, synchronise the clocks, or raise max_age_ms (now {max_age_ms:g})'
        )

    def reset(self) -> None:
        """Forget the ages: clocks or stamps jumped."""
        self._ages_s.clear()
