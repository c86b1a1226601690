"""One worker thread that always takes the newest item and never lets a queue grow."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

_LOG = logging.getLogger(__name__)
ItemT = TypeVar('ItemT')

#: Longest time a worker may take to end its current item when it is stopped.
JOIN_TIMEOUT_S = 10.0
#: The same error again is logged after this time, not for every image.
REPEAT_LOG_S = 10.0


class NewestItemWorker(Generic[ItemT]):
    """Hands the newest submitted item to a function in its own thread.

    An item that is still waiting when the next one comes is dropped: what is old by the time
    the worker is free is of no use to anybody.
    """

    def __init__(
        self,
        process: Callable[[ItemT], None],
        *,
        name: str,
        on_error: Callable[[Exception], None],
    ) -> None:
        """Prepare the worker; :meth:`start` starts its thread.

        Args:
            process: called with one item at a time, in the worker's thread.
            name: of the thread.
            on_error: told of every exception that ``process`` let through; the worker goes on.
        """
        self._process = process
        self._on_error = on_error
        self._condition = threading.Condition()
        self._newest: ItemT | None = None
        self._stopping = False
        self._last_logged = ('', 0.0)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, item: ItemT) -> bool:
        """Store the newest item; return whether an older one was dropped for it."""
        with self._condition:
            has_dropped = self._newest is not None
            self._newest = item
            self._condition.notify()
        return has_dropped

    def stop(self, timeout_s: float = JOIN_TIMEOUT_S) -> bool:
        """End the thread after its current item; return whether it ended in time."""
        with self._condition:
            self._stopping = True
            self._newest = None
            self._condition.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _take(self) -> ItemT | None:
        with self._condition:
            while self._newest is None and not self._stopping:
                self._condition.wait()
            item, self._newest = self._newest, None
            return None if self._stopping else item

    def _run(self) -> None:
        while (item := self._take()) is not None:
            try:
                self._process(item)
            except Exception as error:
                self._log(error)
                self._on_error(error)

    def _log(self, error: Exception) -> None:
        text, now = repr(error), time.monotonic()
        last_text, last_time = self._last_logged
        if text != last_text or now - last_time > REPEAT_LOG_S:
            self._last_logged = (text, now)
            _LOG.error('an image was lost to an error', exc_info=error)
