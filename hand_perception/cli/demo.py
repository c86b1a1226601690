"""``hand_perception demo``: video source, perception and recorder as real nodes over real DDS."""

import argparse
import json
import math
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from tqdm import tqdm

from hand_perception import dds_profile
from hand_perception.cli import demo_report
from hand_perception.errors import ConfigError, HandPerceptionError
from hand_perception.optional import require

_NAMESPACE: Final = '/hands'
#: Perception and recorder, one image topic each.
_IMAGE_SUBSCRIBERS: Final = 2
#: What the recorder writes; an old recording is removed before a new one.
_RECORDED: Final = ('bag', 'overlay.mp4', 'hands.npz', 'contact_sheet.png')
_POLL_S: Final = 0.1
#: After the last image, results may still be on their way this long.
_DRAIN_S: Final = 1.5
_STOP_TIMEOUT_S: Final = 20.0
#: Domains whose ports are free on every system (ROS 2 documentation, "The ROS_DOMAIN_ID").
_DOMAIN_IDS: Final = (1, 101)
#: Loading torch and the networks takes seconds, on a small board longer.
_READY_TIMEOUT_S: Final = 90.0


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        'demo', help='run the nodes on the built-in clip, a video, images or a camera, and record'
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument('--video', metavar='FILE', help='a video of yours')
    source.add_argument('--images', metavar='DIR', help='a folder of images, played as a video')
    source.add_argument('--camera', metavar='N', type=int, help='a camera of this machine')
    parser.add_argument('--out', metavar='DIR', type=Path, default=Path('demo_output'))
    parser.add_argument('--rate', metavar='HZ', type=float, default=0.0,
                        help='images per second (default: the rate of the source)')  # fmt: skip
    parser.add_argument('--seconds', metavar='S', type=float, default=20.0,
                        help='how long to record a camera (default: 20)')  # fmt: skip
    parser.add_argument('--focal-px', metavar='PX', type=float, default=0.0,
                        help='focal length; without it distances are guesses')  # fmt: skip
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the nodes until the source ends, then report.

    Raises:
        ConfigError: the output folder holds something else.
        MissingPackageError: rclpy or rosbags is not there.
        HandPerceptionError: a node ended early; the message holds its last words.
    """
    require('rclpy', purpose='the demo runs real nodes; it',
            install='source a ROS 2 distro, or run scripts/demo')  # fmt: skip
    require('rosbags', purpose='the demo records a bag; it')
    total = demo_report.count_images(_source(options))
    _prepare_folder(options.out)
    environment = _environment()
    started = time.monotonic()
    with _Nodes(options.out, environment) as nodes:
        _play(nodes, options, total)
    print(f'done in {time.monotonic() - started:.0f} s')
    is_synthetic = _source(options) == 'synthetic'
    demo_report.report(options.out, with_truth=is_synthetic)
    return 0


class _Nodes:
    """The node processes of the demo, their logs and an orderly end."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = dict(environment)
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._logs: dict[str, IO[str]] = {}

    @property
    def domain_id(self) -> str:
        """Where the nodes can be seen."""
        return self._environment['ROS_DOMAIN_ID']

    def __enter__(self) -> '_Nodes':
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # The recorder first: what it has is complete, and it must not wait for the others.
        try:
            for name in ('video_source', 'recorder', 'perception'):
                self._stop(name, must_succeed=kind is None)
        finally:
            for process in self._running.values():
                process.kill()
            for log in self._logs.values():
                log.close()

    def start(
        self, name: str, parameters: Mapping[str, object], *, is_piped: bool = False
    ) -> None:
        """Start a node of this package as a process, its output in a log file."""
        command = [sys.executable, '-m', f'hand_perception.ros.{name}_node', '--ros-args']
        command += ['-r', f'__ns:={_NAMESPACE}']
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


def _play(nodes: _Nodes, options: argparse.Namespace, total: int | None) -> None:
    """Start the nodes, show the progress, and wait until the last result is recorded."""
    source = _source(options)
    print(
        f'demo: {source} -> perception -> recorder, topics under {_NAMESPACE} '
        f'(ROS_DOMAIN_ID={nodes.domain_id})'
    )
    has_camera_info = source == 'synthetic' or options.focal_px > 0
    nodes.start(
        'recorder',
        {'output_dir': str(options.out), 'overlay_rate_hz': options.rate or 30.0},
        is_piped=True,
    )
    nodes.start(
        'perception',
        {'reliability': 'reliable', 'camera_info_timeout_s': 5.0 if has_camera_info else 0.0},
    )
    with _progress(nodes, total) as progress:
        # Diagnostics that arrive tell that perception is ready and connected to the recorder.
        _wait(nodes, lambda: progress.has_diagnostics, _READY_TIMEOUT_S)
        _start_source(nodes, options)
        _wait(nodes, lambda: nodes.has_ended('video_source'), _recording_s(options))
        _wait(nodes, lambda: time.monotonic() - progress.last_news > _DRAIN_S, _STOP_TIMEOUT_S)


def _recording_s(options: argparse.Namespace) -> float:
    return float(options.seconds) if options.camera is not None else math.inf


def _wait(nodes: '_Nodes', is_done: Callable[[], bool], timeout_s: float) -> None:
    """Wait for something, or for the time to pass; a node that fails meanwhile is an error."""
    ends = time.monotonic() + timeout_s
    while not is_done() and time.monotonic() < ends:
        nodes.has_ended('perception')
        nodes.has_ended('recorder')
        time.sleep(_POLL_S)


def _start_source(nodes: '_Nodes', options: argparse.Namespace) -> None:
    nodes.start(
        'video_source',
        {
            'source': _source(options),
            'loop': False,
            'rate_hz': options.rate,
            'transport': 'both',
            'focal_px': options.focal_px,
            'wait_for_subscribers': _IMAGE_SUBSCRIBERS,
        },
    )


@dataclass(slots=True)
class _Progress:
    """What the recorder has told so far."""

    has_diagnostics: bool = False
    num_seen: int = 0  # images and results
    last_news: float = field(default_factory=time.monotonic)


@contextmanager
def _progress(nodes: _Nodes, total: int | None) -> Iterator[_Progress]:
    """Draw a bar from what the recorder tells."""
    progress = _Progress()
    bar = tqdm(total=total, unit='image', desc='starting', file=sys.stdout, disable=None)

    def show(counts: dict[str, int]) -> None:
        progress.has_diagnostics |= counts['diagnostics'] > 0
        if counts['images'] + counts['processed'] == progress.num_seen:
            return
        progress.last_news = time.monotonic()
        progress.num_seen = counts['images'] + counts['processed']
        bar.set_description('hands', refresh=False)
        shown = {name: counts[name] for name in ('processed', 'dropped', 'hands', 'actions')}
        bar.set_postfix(shown, refresh=False)
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


def _source(options: argparse.Namespace) -> str:
    """Name the source as the node ``video_source`` wants it."""
    if options.camera is not None:
        return str(options.camera)
    return str(options.video or options.images or 'synthetic')


def _environment() -> dict[str, str]:
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


def _prepare_folder(folder: Path) -> None:
    """Make the output folder; remove an old recording, and nothing else."""
    if folder.exists():
        names = {path.name for path in folder.iterdir() if path.suffix != '.log'}
        if names - set(_RECORDED):
            raise ConfigError(
                f'{folder} holds files that are not a recording of the demo '
                f'({", ".join(sorted(names - set(_RECORDED))[:3])}); choose another --out'
            )
        shutil.rmtree(folder / 'bag', ignore_errors=True)
        for name in _RECORDED[1:]:
            (folder / name).unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
