"""Nodes of this package as processes of a demo: their logs, their end, what they tell."""

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from tqdm import tqdm

from hand_perception import dds_profile
from hand_perception.errors import HandPerceptionError

_POLL_S: Final = 0.1
_STOP_TIMEOUT_S: Final = 20.0
#: Domains whose ports are free on every system (ROS 2 documentation, "The ROS_DOMAIN_ID").
_DOMAIN_IDS: Final = (1, 101)


class NodeProcesses:
    """The node processes of the demo, their logs and an orderly end."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        """Run nothing yet.

        Args:
            folder: of the logs.
            environment: of the nodes, see :func:`node_environment`.
        """
        self._folder = folder
        self._environment = dict(environment)
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._logs: dict[str, IO[str]] = {}

    @property
    def domain_id(self) -> str:
        """Where the nodes can be seen."""
        return self._environment['ROS_DOMAIN_ID']

    def __enter__(self) -> 'NodeProcesses':
        """Give itself; the nodes end with the block."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End all nodes, well or by force."""
        # In the order in which they were started, the recorder first of all: what it has is
        # complete, and it must not wait for the others.
        try:
            for name in list(self._running):
                self._stop(name, must_succeed=kind is None)
        finally:
            for process in self._running.values():
                process.kill()
            for log in self._logs.values():
                log.close()

    def start(
        self,
        name: str,
        parameters: Mapping[str, object],
        *,
        namespace: str,
        is_piped: bool = False,
    ) -> None:
        """Start a node of this package as a process, its output in a log file.

        The node that is started first is stopped first.
        """
        command = [sys.executable, '-m', f'hand_perception.ros.{name}_node', '--ros-args']
        command += ['-r', f'__ns:={namespace}']
        for key, value in parameters.items():
            command += ['-p', f'{key}:={json.dumps(value)}']
        log = self._logs[name] = (self._folder / f'{name}.log').open('w', encoding='utf-8')
        self._running[name] = subprocess.Popen(
            command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if is_piped else log,
            stderr=log,
            text=True,
        )

    def output(self, name: str) -> IO[str]:
        """Standard output of a node that was started with ``is_piped``."""
        stream = self._running[name].stdout
        assert stream is not None
        return stream

    def has_ended(self, name: str) -> bool:
        """Whether a node has ended well.

        Raises:
            HandPerceptionError: it ended with an error.
        """
        code = self._running[name].poll()
        if code:
            self._fail(name, code)
        return code is not None

    def check(self) -> None:
        """See that nothing has ended early.

        Raises:
            HandPerceptionError: a node ended with an error.
        """
        for name in list(self._running):
            self.has_ended(name)

    def wait(self, is_done: Callable[[], bool], timeout_s: float) -> bool:
        """Wait for something, or for the time to pass; tells which.

        Raises:
            HandPerceptionError: a node ended with an error meanwhile.
        """
        ends = time.monotonic() + timeout_s
        while not is_done():
            if time.monotonic() >= ends:
                return False
            self.check()
            time.sleep(_POLL_S)
        return True

    def _stop(self, name: str, *, must_succeed: bool) -> None:
        process = self._running.get(name)
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
        try:
            code = process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise HandPerceptionError(
                f'{name} did not end within {_STOP_TIMEOUT_S:.0f} s of being told to and was '
                f'killed; its log is {self._folder / name}.log'
            ) from None
        del self._running[name]
        if code and must_succeed:
            self._fail(name, code)

    def _fail(self, name: str, code: int) -> None:
        path = self._folder / f'{name}.log'
        last = path.read_text(encoding='utf-8').splitlines()[-5:]
        raise HandPerceptionError(
            f'{name} ended with code {code}; its last words ({path}):\n  ' + '\n  '.join(last)
        )


@dataclass(slots=True)
class Progress:
    """What the recorder has told so far."""

    counts: dict[str, int] = field(default_factory=dict)  # by what it calls them
    num_seen: int = 0  # images and results
    last_news: float = field(default_factory=time.monotonic)

    def has_heard(self, *names: str) -> bool:
        """Whether something came of each of these."""
        return all(self.counts.get(name, 0) > 0 for name in names)


@contextmanager
def recorder_progress(
    nodes: NodeProcesses,
    total: int | None,
    *,
    shown: Sequence[str] = ('processed', 'dropped', 'hands', 'actions'),
) -> Iterator[Progress]:
    """Draw a bar from what the recorder tells; it must have been started with ``is_piped``."""
    progress = Progress()
    bar = tqdm(total=total, unit='image', desc='starting', file=sys.stdout, disable=None)

    def show(counts: dict[str, int]) -> None:
        progress.counts = counts
        if counts['images'] + counts['processed'] == progress.num_seen:
            return
        progress.last_news = time.monotonic()
        progress.num_seen = counts['images'] + counts['processed']
        bar.set_description('hands', refresh=False)
        bar.set_postfix({name: counts.get(name, 0) for name in shown}, refresh=False)
        bar.update(counts['images'] - bar.n)

    def follow() -> None:
        with nodes.output('recorder') as lines:
            for line in lines:
                if line.startswith('{'):
                    show(json.loads(line))

    thread = threading.Thread(target=follow, name='progress', daemon=True)
    thread.start()
    try:
        yield progress
    finally:
        bar.close()


def node_environment() -> dict[str, str]:
    """Environment of the nodes: large images through shared memory, found by this host alone."""
    environment = dict(os.environ)
    profile = dds_profile.shipped_profile()
    if profile is not None and not any(map(environment.get, dds_profile.PROFILE_VARIABLES)):
        variable = dds_profile.profile_variable(environment.get('ROS_DISTRO', 'jazzy'))
        environment[variable] = str(profile)
    environment.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    # A domain of its own: another graph with the same topics must not mix in.
    environment.setdefault('ROS_DOMAIN_ID', str(random.randint(*_DOMAIN_IDS)))
    environment['PYTHONUNBUFFERED'] = '1'
    return environment
