"""Tell hand primitives from rendered scenes through the whole pipeline; print the confusion table.

    python -m benchmarks.primitives [--seeds 0 1 2 3] [--script primitives] [--width 320]

Renders every seed with its own table and skin, finds, follows and reconstructs the hands as the
node does, and compares what is told of them with what the script made them do. ``--true-joints``
leaves the pictures and networks out and gives the recogniser the true joints. Exits 1 when an
onset (median of a primitive) is off by more than 200 ms. Also times the recogniser against the
step that finds the hands, in the same run.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from benchmarks.common import environment
from hand_perception.actions import PRIMITIVES
from hand_perception.config import PipelineSettings
from hand_perception.datatypes import DoubleArray, Frame, FrameResult
from hand_perception.evaluation.actions import ActionErrors, evaluate_actions, merge_actions
from hand_perception.pipeline.stream import HandPipeline
from hand_perception.synthetic.backgrounds import BACKGROUNDS
from hand_perception.synthetic.scene import Scene, SceneSpec
from hand_perception.synthetic.scripts import SCRIPTS
from hand_perception.synthetic.skin import SKIN_TONES
from hand_perception.synthetic.truth import HandTruth

#: Most that the median onset of a primitive may be off, seconds.
ONSET_LIMIT_S: Final = 0.2


def scene_of(seed: int, script: str, width: int) -> Scene:
    """Make the scene of a seed: each has another table and skin."""
    backgrounds, tones = sorted(BACKGROUNDS), sorted(SKIN_TONES)
    return Scene(
        SceneSpec(
            seed=seed, script=script, duration_s=SCRIPTS[script].duration_s,
            width=width, height=width * 3 // 4,
            background=backgrounds[seed % len(backgrounds)], skin_tone=tones[seed % len(tones)],
        )
    )  # fmt: skip


def run_scene(
    pipeline: HandPipeline, scene: Scene, rate_hz: float, *, true_joints: bool
) -> tuple[ActionErrors, list[float], list[float]]:
    """Run one scene; also give the seconds that hands and actions took, image by image."""
    state, stamps, truth, told = pipeline.new_stream(), [], [], []
    hands_s, actions_s = [], []
    blank = np.zeros((scene.camera.height, scene.camera.width, 3), np.uint8)
    for number in range(round(scene.spec.duration_s * rate_hz)):
        time_s = number / rate_hz
        image = blank if true_joints else scene.render(time_s).image_bgr
        frame = Frame(
            image=image, is_rgb=False, stamp_ns=round(time_s * 1e9), frame_id='camera',
            camera=scene.camera,
        )  # fmt: skip
        begun = time.perf_counter()
        if true_joints:
            result = _true_result(frame, scene.truth(time_s))
        else:
            result = pipeline.step(state, frame)
        found = time.perf_counter()
        actions = pipeline.recognise(state, frame, result)
        actions_s.append(time.perf_counter() - found)
        hands_s.append(found - begun)
        stamps.append(frame.stamp_ns)
        truth.append(scene.truth(time_s))
        told.append(actions.actions)
    return evaluate_actions(stamps, truth, told, labels=PRIMITIVES), hands_s, actions_s


@dataclass(frozen=True)
class _TrueHand:
    """A true hand with what the recogniser reads of a ``datatypes.Hand``."""

    track_id: int
    is_right: bool
    keypoints_3d: DoubleArray
    confidence: float = 1.0
    handedness_score: float = 1.0


def _true_result(frame: Frame, truth: Sequence[HandTruth]) -> FrameResult:
    hands = [
        _TrueHand(
            track_id=1 + hand.is_right, is_right=hand.is_right, keypoints_3d=hand.keypoints_3d
        )
        for hand in truth
    ]
    return FrameResult(stamp_ns=frame.stamp_ns, frame_id=frame.frame_id, hands=tuple(hands))


def late_primitives(errors: ActionErrors) -> list[str]:
    """Name the primitives whose median onset is off by more than ``ONSET_LIMIT_S``, or untold."""
    late = []
    for number in np.unique(errors.label):
        delays = errors.onset_delay_s[errors.label == number]
        known = delays[np.isfinite(delays)]
        if not len(known) or abs(np.median(known)) > ONSET_LIMIT_S:
            late.append(errors.labels[number])
    return late


def main() -> None:
    """Render, recognise, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2, 3])
    parser.add_argument('--script', choices=sorted(SCRIPTS), default='primitives')
    parser.add_argument('--width', type=int, default=320)
    parser.add_argument('--rate', type=float, default=15.0, help='images per second')
    parser.add_argument('--min-duration', type=float, default=0.1, help='action_min_duration_s')
    parser.add_argument('--true-joints', action='store_true')
    asked = parser.parse_args()
    torch.set_num_threads(1)
    pipeline = HandPipeline.load(
        PipelineSettings(device='cpu', action_min_duration_s=asked.min_duration)
    )
    for key, value in environment(script=asked.script, seeds=asked.seeds).items():
        print(f'{key}: {value}')
    parts, hands_s, actions_s = [], [], []
    for seed in asked.seeds:
        errors, of_hands, of_actions = run_scene(
            pipeline, scene_of(seed, asked.script, asked.width), asked.rate,
            true_joints=asked.true_joints,
        )  # fmt: skip
        print(f'\nseed {seed}: {errors.accuracy:.1%} right, {errors.wrong_share:.1%} wrong, '
              f'{errors.num_missed} missed, {errors.num_false} without cause')  # fmt: skip
        parts.append(errors)
        hands_s += of_hands
        actions_s += of_actions
    errors = merge_actions(parts)
    print('\n' + '\n'.join(errors.table()) + '\n')
    for name, value in errors.rows():
        print(f'{name:38} {value}')
    print(f'{"recogniser, median per image":38} {np.median(actions_s) * 1e3:.2f} ms')
    if not asked.true_joints:
        print(
            f'{"of the time that hands take":38} {np.median(actions_s) / np.median(hands_s):.1%}'
        )
    late = late_primitives(errors)
    if late:
        sys.exit(f'onsets off by more than {ONSET_LIMIT_S} s: {", ".join(late)}')


if __name__ == '__main__':
    main()
