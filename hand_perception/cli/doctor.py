"""``hand_perception doctor``: look at everything the package needs and say what to do."""

import argparse
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

import cv2
import numpy as np

from hand_perception import dds_profile, optional
from hand_perception.config import PipelineSettings
from hand_perception.datatypes import Camera, Frame
from hand_perception.errors import HandPerceptionError, MissingPackageError
from hand_perception.labels import SHIPPED, load_label_map
from hand_perception.models.hand_model import load_hand_model
from hand_perception.pipeline.stream import HandPipeline

OK: Final = 'ok'
WARN: Final = 'warn'
FAIL: Final = 'FAIL'

_TESTED_PYTHON: Final = ((3, 10), (3, 13))
_OPENCV_PACKAGES: Final = (
    'opencv-python',
    'opencv-python-headless',
    'opencv-contrib-python',
    'opencv-contrib-python-headless',
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the report.

    Attributes:
        level: ok, warn (works, but not as well as it could) or FAIL (does not work).
        topic: what was looked at.
        text: what was found.
        advice: what to do; empty when nothing.
    """

    level: str
    topic: str
    text: str
    advice: str = ''


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        'doctor', help='check Python, ROS, DDS, torch, OpenCV, weights and MANO; say what to do'
    )
    parser.add_argument('--mano-dir', default='', help='also check your licensed MANO folder here')
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the report; return 1 when something does not work."""
    failed = False
    for finding in findings(os.environ, mano_dir=options.mano_dir):
        print(f'{finding.level:<5} {finding.topic:<14} {finding.text}')
        if finding.advice:
            print(f'{"":<20} -> {finding.advice}')
        failed |= finding.level == FAIL
    return int(failed)


def findings(environment: Mapping[str, str], *, mano_dir: str) -> Iterator[Finding]:
    """Look at one thing after the other; no check stops the next."""
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _python,
        _ros,
        lambda: _dds(environment),
        _torch,
        _opencv,
        _pipeline,
        lambda: _mano(mano_dir),
        _actions,
        _optional_packages,
    )
    for check in checks:
        yield from check()


def _python() -> Iterator[Finding]:
    text = f'{platform.python_version()}, numpy {np.__version__}, {platform.machine()}'
    low, high = _TESTED_PYTHON
    if low <= sys.version_info[:2] <= high:
        yield Finding(level=OK, topic='python', text=text)
    else:
        advice = f'tested with {low[0]}.{low[1]} to {high[0]}.{high[1]}'
        yield Finding(level=WARN, topic='python', text=text, advice=advice)


def _ros() -> Iterator[Finding]:
    try:
        optional.require('rclpy', purpose='the nodes')
    except MissingPackageError:
        yield Finding(
            level=WARN,
            topic='ros',
            text='rclpy is not there: predict works, the nodes do not',
            advice='source a ROS 2 distro (source /opt/ros/jazzy/setup.bash) or use scripts/run',
        )
        return
    except ImportError as error:
        yield Finding(
            level=FAIL,
            topic='ros',
            text=f'rclpy is there and does not load: {error}',
            advice='source one distro only, with the Python it was made for; docs/installation.md',
        )
        return
    implementation: ModuleType = importlib.import_module('rclpy.utilities')
    distro = os.environ.get('ROS_DISTRO', 'distro not named')
    rmw = implementation.get_rmw_implementation_identifier()
    yield Finding(level=OK, topic='ros', text=f'{distro}, {rmw}')
    try:
        importlib.import_module('hand_perception.msg')
    except ImportError as error:
        yield Finding(
            level=FAIL,
            topic='messages',
            text=f'the messages of this package are not built or not sourced ({error})',
            advice='colcon build --packages-select hand_perception, then source '
            'install/setup.bash; without a distro: scripts/setup, then scripts/run ...',
        )
    else:
        yield Finding(level=OK, topic='messages', text='hand_perception.msg can be imported')


def _dds(environment: Mapping[str, str]) -> Iterator[Finding]:
    if importlib.util.find_spec('rclpy') is None:
        return  # without ROS nothing goes through DDS
    problem = dds_profile.profile_problem(environment)
    profile = dds_profile.shipped_profile()
    variable = dds_profile.profile_variable(environment.get('ROS_DISTRO', 'jazzy'))
    if problem is None:
        yield Finding(level=OK, topic='dds profile', text='large images go through shared memory')
    else:
        advice = (
            'for the process that publishes the camera images: export '
            f'{variable}={profile or "config/fastdds_large_images.xml"}'
        )
        yield Finding(level=WARN, topic='dds profile', text=problem, advice=advice)
    shared = dds_profile.shared_memory()
    small = sum(size < dds_profile.GOOD_SEGMENT_BYTES for size in shared.segments)
    if small:
        yield Finding(
            level=WARN,
            topic='shared memory',
            text=f'{small} running DDS participants use a segment of less than 16 MB',
            advice='a camera among them loses large images: start it with the profile above',
        )
    if shared.num_stale:
        yield Finding(
            level=WARN,
            topic='shared memory',
            text=f'{shared.num_stale} files of ended processes hold '
            f'{shared.stale_bytes / 1e6:.1f} MB',
            advice='remove them with: fastdds shm clean',
        )
    if not small and not shared.num_stale:
        text = f'{len(shared.segments)} DDS participants, nothing stale'
        yield Finding(level=OK, topic='shared memory', text=text)


def _torch() -> Iterator[Finding]:
    torch = optional.require('torch', purpose='the networks')
    if torch.cuda.is_available():
        text = f'{torch.__version__}, CUDA on {torch.cuda.get_device_name(0)}'
    else:
        text = f'{torch.__version__}, CPU only (the default back end is made for it)'
    yield Finding(level=OK, topic='torch', text=text)


def _opencv() -> Iterator[Finding]:
    installed = []
    for name in _OPENCV_PACKAGES:
        try:
            installed.append(f'{name} {importlib.metadata.version(name)}')
        except importlib.metadata.PackageNotFoundError:
            continue
    if len(installed) > 1:
        yield Finding(
            level=WARN,
            topic='opencv',
            text=f'{", ".join(installed)} overwrite each other',
            advice='keep one of them: pip uninstall the others, then reinstall the one',
        )
    else:
        yield Finding(
            level=OK, topic='opencv', text=installed[0] if installed else cv2.__version__
        )


def _pipeline() -> Iterator[Finding]:
    started = time.perf_counter()
    try:
        pipeline = HandPipeline.load(PipelineSettings())
    except HandPerceptionError as error:
        yield Finding(level=FAIL, topic='weights', text=str(error), advice='reinstall the package')
        return
    loaded_s = time.perf_counter() - started
    camera = Camera.assumed(640, 480)
    image = np.zeros((camera.height, camera.width, 3), np.uint8)
    state = pipeline.new_stream()
    started = time.perf_counter()
    pipeline.step(state, Frame(image=image, is_rgb=True, stamp_ns=0, frame_id='', camera=camera))
    step_ms = (time.perf_counter() - started) * 1e3
    yield Finding(
        level=OK,
        topic='weights',
        text=f'{pipeline.backend_name} on {pipeline.device_name}, loaded in {loaded_s:.1f} s; '
        f'a full search of an empty image took {step_ms:.0f} ms',
    )


def _mano(mano_dir: str) -> Iterator[Finding]:
    if not mano_dir:
        text = 'not asked for; the default hand model needs no licence'
        advice = 'to check your MANO folder: hand_perception doctor --mano-dir DIR'
        yield Finding(level=OK, topic='mano', text=text, advice=advice)
        return
    try:
        model = load_hand_model('mano', mano_dir=mano_dir)
    except HandPerceptionError as error:
        yield Finding(level=FAIL, topic='mano', text=str(error))
    else:
        yield Finding(level=OK, topic='mano', text=f'{model.num_vertices} vertices in {mano_dir}')


def _actions() -> Iterator[Finding]:
    try:
        names = [load_label_map(name).name for name in SHIPPED]
    except HandPerceptionError as error:
        yield Finding(level=FAIL, topic='actions', text=str(error))
        return
    yield Finding(
        level=OK,
        topic='actions',
        text=f'labels of {", ".join(names)}; primitives need no weights',
        advice='to check your weights of HTT or HaMeR: hand_perception weights check PATH',
    )


def _optional_packages() -> Iterator[Finding]:
    for name, purpose in (
        ('smplx', 'hand_model: mano'),
        ('rosbags', 'recording bags'),
        ('safetensors', 'converted weights of HaMeR and HTT'),
    ):
        try:
            optional.require(name, purpose=purpose)
        except MissingPackageError as error:
            yield Finding(level=WARN, topic=name, text=str(error))
        else:
            version = importlib.metadata.version(name)
            yield Finding(level=OK, topic=name, text=f'{version} ({purpose})')
