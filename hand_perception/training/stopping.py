"""An interruption ends a run between two steps, so that it can be saved first."""

import signal
import threading
from types import FrameType
from typing import Any, Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether SIGINT (Ctrl-C) or SIGTERM came; the second one ends the process at once.

    Attributes:
        signal: number of the signal; 0 while none came.
    """

    def __init__(self) -> None:
        """Begin without a request."""
        self.signal = 0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> 'StopRequest':
        """Listen to the signals; only a main thread can."""
        if threading.current_thread() is threading.main_thread():
            self._before = {one: signal.signal(one, self._take) for one in _SIGNALS}
        return self

    def __exit__(self, *_: Any) -> None:
        """Handle signals as before."""
        for one, handler in self._before.items():
            signal.signal(one, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        for one, handler in self._before.items():
            signal.signal(one, handler)
