"""One worker thread that always takes the newest item and never lets a queue grow."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, Generic, TypeVar

_LOG = logging.getLogger(__name__)
ItemT = TypeVar('ItemT')
ResultT = TypeVar('ResultT')

#: Longest time a worker may take to end its current item when it is stopped.
JOIN_TIMEOUT_S = 10.0
#: The same error again is logged after this time, not for every image.
REPEAT_LOG_S = 10.0


class RepeatLog:
    """Logs errors with their traceback; the same one again only after a while."""

    def __init__(self, sentence: str) -> None:
        """Say ``sentence`` of each error."""
        self._sentence = sentence
        self._last = ('', 0.0)

    def error(self, error: Exception) -> None:
        """Log an error, unless it was logged just now."""
        text, now = repr(error), time.monotonic()
        last_text, last_time = self._last
        if text != last_text or now - last_time > REPEAT_LOG_S:
            self._last = (text, now)
            _LOG.error(self._sentence, exc_info=error)


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
        self._calls: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._stopping = False
        self._log = RepeatLog('an image was lost to an error')
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

    def call(self, function: Callable[[], ResultT]) -> 'Future[ResultT]':
        """Run a function in the worker's thread: after its current item, before the next one.

        Returns:
            What the function returns or raises, once it ran; cancelled when the worker is stopped.
        """
        future: Future[ResultT] = Future()
        with self._condition:
            if self._stopping:
                future.cancel()
            else:
                self._calls.append((future, function))
                self._condition.notify()
        return future

    def stop(self, timeout_s: float = JOIN_TIMEOUT_S) -> bool:
        """End the thread after its current item; return whether it ended in time."""
        with self._condition:
            self._stopping = True
            self._newest = None
            for future, _ in self._calls:
                future.cancel()
            self._calls.clear()
            self._condition.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _take(self) -> Callable[[], None] | None:
        """Wait for something to do; None when the worker is stopped."""
        with self._condition:
            while self._newest is None and not self._calls and not self._stopping:
                self._condition.wait()
            if self._stopping:
                return None
            if self._calls:
                return partial(_answer, *self._calls.popleft())
            item, self._newest = self._newest, None
            return partial(self._process, item)  # type: ignore[arg-type]  # not None: see above

    def _run(self) -> None:
        while (work := self._take()) is not None:
            try:
                work()
            except Exception as error:
                self._log.error(error)
                self._on_error(error)


def _answer(future: 'Future[Any]', function: Callable[[], Any]) -> None:
    try:
        future.set_result(function())
    except Exception as error:
        _LOG.error('a call between two images failed', exc_info=error)
        future.set_exception(error)
