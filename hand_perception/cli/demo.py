"""``hand_perception demo``: video source, perception and recorder as real nodes over real DDS."""

import argparse
import math
import time
from pathlib import Path
from typing import Any, Final

from hand_perception.cli import demo_report, demo_teleop
from hand_perception.cli.demo_folder import prepare_folder
from hand_perception.cli.node_processes import (
    NodeProcesses,
    node_environment,
    recorder_progress,
)
from hand_perception.optional import require

_NAMESPACE: Final = '/hands'
#: Perception and recorder, one image topic each.
_IMAGE_SUBSCRIBERS: Final = 2
#: After the last image, results may still be on their way this long.
_DRAIN_S: Final = 1.5
_DRAIN_TIMEOUT_S: Final = 20.0
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
    source.add_argument('--teleop', action='store_true',
                        help='a simulated operator drives a simulated arm; tells how well and how '
                        'safely (2 to 3 minutes)')  # fmt: skip
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

    Returns:
        0; with ``--teleop`` 1 where something happened that must not.

    Raises:
        ConfigError: the output folder holds something else.
        MissingPackageError: rclpy or rosbags is not there.
        HandPerceptionError: a node ended early; the message holds its last words.
    """
    require('rclpy', purpose='the demo runs real nodes; it',
            install='source a ROS 2 distro, or run scripts/demo')  # fmt: skip
    require('rosbags', purpose='the demo records a bag; it')
    if options.teleop:
        return demo_teleop.run(options.out)
    total = demo_report.count_images(_source(options))
    prepare_folder(options.out)
    started = time.monotonic()
    with NodeProcesses(options.out, node_environment()) as nodes:
        _play(nodes, options, total)
    print(f'done in {time.monotonic() - started:.0f} s')
    is_synthetic = _source(options) == 'synthetic'
    demo_report.report(options.out, with_truth=is_synthetic)
    return 0


def _play(nodes: NodeProcesses, options: argparse.Namespace, total: int | None) -> None:
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
        namespace=_NAMESPACE,
        is_piped=True,
    )
    nodes.start(
        'perception',
        {'reliability': 'reliable', 'camera_info_timeout_s': 5.0 if has_camera_info else 0.0},
        namespace=_NAMESPACE,
    )
    with recorder_progress(nodes, total) as progress:
        # Diagnostics that arrive tell that perception is ready and connected to the recorder.
        nodes.wait(lambda: progress.has_heard('diagnostics'), _READY_TIMEOUT_S)
        _start_source(nodes, options)
        nodes.wait(lambda: nodes.has_ended('video_source'), _recording_s(options))
        nodes.wait(lambda: time.monotonic() - progress.last_news > _DRAIN_S, _DRAIN_TIMEOUT_S)


def _recording_s(options: argparse.Namespace) -> float:
    return float(options.seconds) if options.camera is not None else math.inf


def _start_source(nodes: NodeProcesses, options: argparse.Namespace) -> None:
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
        namespace=_NAMESPACE,
    )


def _source(options: argparse.Namespace) -> str:
    """Name the source as the node ``video_source`` wants it."""
    if options.camera is not None:
        return str(options.camera)
    return str(options.video or options.images or 'synthetic')
