"""``hand_perception demo --teleop``: a simulated operator drives a simulated arm, really."""

import json
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from tqdm import tqdm

from hand_perception.cli import demo_teleop_report
from hand_perception.cli.demo_folder import CLIP_FOLDER, prepare_folder
from hand_perception.cli.node_processes import (
    NodeProcesses,
    node_environment,
    recorder_progress,
)
from hand_perception.errors import HandPerceptionError
from hand_perception.settings_base import SettingValue
from hand_perception.synthetic.clip import num_clip_frames, write_clip
from hand_perception.synthetic.spec import SceneSpec
from hand_perception.synthetic.truth import load_clip_truth
from hand_perception.teleop.node_settings import TeleopNodeSettings

HANDS: Final = '/hands'
TELEOP: Final = '/teleop'
SIDE: Final = 'right'
#: Held still and engaged; at work; hidden behind a clipboard; gone and back; arms that cross; a
#: fast reach. After each loss the hands are held still, so that the operator can engage anew.
SITUATIONS: Final = (
    'still', 'work', 'occlude_board', 'still', 'leave_right', 'still', 'cross_right_over', 'reach',
)  # fmt: skip
RATE_HZ: Final = 15.0
#: What differs from the defaults of ``teleop``: the operator holds a button all the time, which
#: shows best that a button that is still held after a loss moves nothing. Half the usual rate of
#: commands, for small computers that do everything at once; and at 15 Hz, one image that is
#: dropped must not count as a loss yet (2 x 67 ms and the usual age).
TELEOP_SETTINGS: Final[Mapping[str, SettingValue]] = {
    'sides': SIDE,
    'clutch': 'button',
    'dead_man': 'button',
    'rate_hz': 50.0,
    'max_age_s': 0.25,
}
_BUTTON: Final = 5
_ROBOT_SETTINGS: Final[Mapping[str, SettingValue]] = {'rate_hz': 50.0}
_MAX_PROCESSES: Final = 4
#: Perception and recorder, one image topic each.
_IMAGE_SUBSCRIBERS: Final = 2
#: After the last image: the hand becomes stale, the side holds, and disengages.
_END_S: Final = 2.5
_READY_TIMEOUT_S: Final = 90.0
_SLACK_S: Final = 60.0


def scene_spec(situations: Sequence[str] = SITUATIONS) -> SceneSpec:
    """Give the scene: small and without supersampling, so that it is rendered in a minute."""
    return SceneSpec(width=320, height=240, supersampling=1, situations=tuple(situations))


def run(folder: Path, *, situations: Sequence[str] = SITUATIONS) -> int:
    """Render, run all nodes, report.

    Args:
        folder: to write to.
        situations: what the hands do.

    Returns:
        0; 1 when something happened that must not, or nothing could be shown.

    Raises:
        ConfigError: the folder holds something else.
        HandPerceptionError: a node ended early; the message holds its last words.
    """
    prepare_folder(folder)
    spec = scene_spec(situations)
    video = _prepare_clip(folder / CLIP_FOLDER, spec)
    settings = TeleopNodeSettings.from_mapping(TELEOP_SETTINGS)
    with NodeProcesses(folder, node_environment()) as nodes:
        _play(nodes, folder, video, spec, settings)
    truth = load_clip_truth(video.with_suffix('.json'))
    return demo_teleop_report.report(
        folder, truth, spec, settings, side=SIDE, button=_BUTTON, hands=HANDS, teleop=TELEOP
    )


def _prepare_clip(folder: Path, spec: SceneSpec) -> Path:
    """Render the clip, unless the same one is there from before."""
    video, key_file = folder / 'scene.mp4', folder / 'scene.txt'
    key = f'{json.dumps(asdict(spec))} at {RATE_HZ} Hz\n'
    if key_file.exists() and key_file.read_text(encoding='utf-8') == key:
        print(f'the clip is there: {video}')
        return video
    folder.mkdir(parents=True, exist_ok=True)
    key_file.unlink(missing_ok=True)
    total = num_clip_frames(spec, RATE_HZ)
    frames = write_clip(
        spec, video, video.with_suffix('.json'), rate_hz=RATE_HZ,
        num_processes=min(os.cpu_count() or 1, _MAX_PROCESSES),
    )  # fmt: skip
    bar = tqdm(total=total, unit='image', desc='rendering', file=sys.stdout, disable=None)
    with bar:
        for done in frames:
            bar.update(done - bar.n)
    key_file.write_text(key, encoding='utf-8')
    return video


def _play(
    nodes: NodeProcesses, folder: Path, video: Path, spec: SceneSpec, settings: TeleopNodeSettings
) -> None:
    """Start the nodes one after the other, then the camera; wait until all is recorded."""
    total = num_clip_frames(spec, RATE_HZ)
    print(
        f'demo: scene -> perception -> teleop -> simulated arm, {spec.period_s:.0f} s at '
        f'{RATE_HZ:g} Hz (ROS_DOMAIN_ID={nodes.domain_id})'
    )
    started = time.monotonic()
    nodes.start(
        'recorder',
        {'output_dir': str(folder), 'overlay_rate_hz': RATE_HZ, 'teleop': TELEOP},
        namespace=HANDS,
        is_piped=True,
    )
    nodes.start('perception', _perception_parameters(), namespace=HANDS)
    shown = ('processed', 'dropped', 'hands', 'target')
    with recorder_progress(nodes, total, shown=shown) as progress:

        def wait_for(*names: str) -> None:
            if not nodes.wait(lambda: progress.has_heard(*names), _READY_TIMEOUT_S):
                raise HandPerceptionError(
                    f'nothing came of {", ".join(names)} within {_READY_TIMEOUT_S:.0f} s; the '
                    f'logs are {folder}/*.log'
                )

        wait_for('diagnostics')  # perception is ready and connected to the recorder
        nodes.start('simulated_robot', _ROBOT_SETTINGS, namespace=f'{TELEOP}/{SIDE}')
        nodes.start('simulated_operator', {'side': SIDE, 'button': _BUTTON}, namespace='/')
        nodes.start('teleop', TELEOP_SETTINGS, namespace='/')
        wait_for('arm_pose', 'joy', 'state')
        nodes.start('video_source', _source_parameters(video, spec), namespace=HANDS)
        nodes.wait(lambda: nodes.has_ended('video_source'), spec.period_s + _SLACK_S)
        nodes.wait(lambda: time.monotonic() - progress.last_news > _END_S, _SLACK_S)
    print(f'done in {math.ceil(time.monotonic() - started)} s')


def _perception_parameters() -> dict[str, Any]:
    return {
        'reliability': 'reliable',
        'camera_info_timeout_s': 5.0,
        'action_source': 'none',
        'overlay_rate_hz': RATE_HZ,
        'max_age_ms': 150.0,
    }


def _source_parameters(video: Path, spec: SceneSpec) -> dict[str, Any]:
    return {
        'source': str(video),
        'loop': False,
        'transport': 'both',
        'focal_px': spec.camera.fx,
        'wait_for_subscribers': _IMAGE_SUBSCRIBERS,
    }
