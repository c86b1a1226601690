"""What a node process needs around its node: memory, signals, logs, and a clean end."""

import contextlib
import ctypes
import gc
import logging
import os
import platform
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Final

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.impl.logging_severity import LoggingSeverity
from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future

from hand_perception.errors import HandPerceptionError

#: mallopt parameters of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_KEEP_BYTES: Final = 1 << 30
_GROW_BYTES: Final = 64 << 20
#: What rclpy.init raises for a parameter file or a remapping that it cannot read.
_COMMAND_LINE_ERRORS: Final = (
    rclpy_implementation.RCLError,
    rclpy_implementation.RCLInvalidROSArgsError,
    rclpy_implementation.UnknownROSArgsError,
)
#: A Python thread that wants the interpreter waits at most this long for another one.
_SWITCH_INTERVAL_S: Final = 5e-4
#: A signal this long after the first one ends a process that does not end by itself.
_INSIST_S: Final = 2.0


def tune_process() -> None:
    """Keep freed image memory in the process and let threads take turns quickly.

    glibc returns a freed 6 MB image to the system at once and gets it back page fault by page
    fault: 4540 faults and 9 ms per 1080p image.
    """
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    if platform.libc_ver()[0] != 'glibc':
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_THRESHOLD, _KEEP_BYTES)
    libc.mallopt(_M_TRIM_THRESHOLD, _KEEP_BYTES)
    libc.mallopt(_M_TOP_PAD, _GROW_BYTES)


class NodeLogHandler(logging.Handler):
    """Forwards log lines of the core to a node's logger, and so to /rosout."""

    def __init__(self, logger: RcutilsLogger) -> None:
        """Forward to ``logger``."""
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Log one line; rclpy wants each severity on a source line of its own."""
        text = self.format(record)
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        elif record.levelno >= logging.INFO:
            self._logger.info(text)
        else:
            self._logger.debug(text)


@contextlib.contextmanager
def forwarded_logs(logger: RcutilsLogger) -> Iterator[None]:
    """Send what the package logs to a node's logger."""
    package = logging.getLogger('hand_perception')
    handler = NodeLogHandler(logger)
    propagate, level = package.propagate, package.level
    package.addHandler(handler)
    package.propagate = False
    wants_debug = logger.get_effective_level() == LoggingSeverity.DEBUG
    package.setLevel(logging.DEBUG if wants_debug else logging.INFO)
    try:
        yield
    finally:
        package.removeHandler(handler)
        package.propagate, package.level = propagate, level


@contextlib.contextmanager
def stop_signals(on_stop: Callable[[], None]) -> Iterator[None]:
    """Call ``on_stop`` from a thread at the first SIGINT or SIGTERM; a later one is final.

    The executor waits inside C, where Python's own signal handlers do not run; the wake-up file
    of the interpreter does not have to wait for it. Ctrl-C on ``ros2 launch`` arrives twice, from
    the terminal and from launch, so signals right after the first one mean the same.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def handle(number: int, frame: FrameType | None) -> None:
        """Nothing: the number has gone to the wake-up file already."""

    first_s: float | None = None

    def wait() -> None:
        nonlocal first_s
        while (received := reader.recv(1)) not in (b'', b'\0'):
            if first_s is None:
                first_s = time.monotonic()
                on_stop()
            elif time.monotonic() - first_s > _INSIST_S:
                os._exit(128 + received[0])  # as the shell counts: whoever asks again means it

    handled = (signal.SIGINT, signal.SIGTERM)
    old_handlers = {number: signal.signal(number, handle) for number in handled}
    old_fd = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    thread = threading.Thread(target=wait, name='signals', daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(old_fd)
        for number, old in old_handlers.items():
            # The process is about to end: a signal that arrives twice must not interrupt that.
            signal.signal(number, old if first_s is None else signal.SIG_IGN)
        writer.send(b'\0')  # ends the thread when no signal did
        thread.join(1.0)
        reader.close()
        writer.close()


def run_node(make_node: Callable[[Future], Any], args: list[str] | None) -> int:
    """Run one node until it ends, SIGINT or SIGTERM comes, or it cannot start.

    Args:
        make_node: makes the node, which has ``close()``; whoever sets the future's result ends
            the process with it as the exit code.
        args: command line, with or without ROS arguments; None for ``sys.argv``.

    Returns:
        The exit code: 0 for a clean end, 1 when the node refused to start or gave up.
    """
    tune_process()
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except _COMMAND_LINE_ERRORS as error:
        # A parameter file that is missing or malformed, a remapping that is none.
        print(f'the command line is refused: {error}', file=sys.stderr)
        return 1
    done: Future = Future()
    node: Node | None = None
    executor = SingleThreadedExecutor()

    def finish() -> None:
        if not done.done():
            done.set_result(0)

    def stop() -> None:
        # In the executor's own thread: set from here, the result would be seen, and the executor
        # gone, before it is woken. One that is gone already (its guard is None) needs no end.
        with contextlib.suppress(rclpy_implementation.InvalidHandle, AttributeError):
            executor.create_task(finish)

    with stop_signals(stop):
        try:
            node = make_node(done)
            executor.add_node(node)
            # What was loaded stays: collecting garbage among it would stall images for 10 ms.
            gc.collect()
            gc.freeze()
            executor.spin_until_future_complete(done)
            return int(done.result()) if done.done() else 0
        except HandPerceptionError as error:
            name = 'hand_perception' if node is None else node.get_logger().name
            rclpy.logging.get_logger(name).fatal(str(error))
            return 1
        finally:
            if node is not None:
                executor.remove_node(node)
                node.close()
            executor.shutdown()
            rclpy.shutdown()
