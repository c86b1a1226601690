"""Send rendered hands through situations that a robot must survive; print what goes wrong.

    python -m benchmarks.robustness [--seeds 0 1] [--situations reach edge ...] [--width 320]

Renders every situation of every seed with motion blur, sensor noise and a depth camera, finds and
follows the hands as the node does, once by their size alone and once with the depth image, and
compares with the truth. Hands of which at least half is visible have to be found; a hand told
where at most a tenth of one is visible counts as ``hidden``, one told where none is as ``false``.
``new id``: a hand that was in sight all along got another id. ``swap``: an id went over to the
other hand. ``jumps``: images in which the wrist jumped by 5 cm against the true one. ``2 sigma``:
share of distances within two told standard deviations. Errors are medians and, after the slash,
95th percentiles. The last row is all of it.
"""

import argparse
import dataclasses
from collections.abc import Iterable

import numpy as np
import torch

from benchmarks.common import environment
from hand_perception.config import PipelineSettings
from hand_perception.datatypes import Camera, DoubleArray, FloatArray, Frame
from hand_perception.evaluation.tracking_errors import (
    TrackingErrors,
    evaluate_tracking,
    merge_tracking,
)
from hand_perception.pipeline.stream import HandPipeline
from hand_perception.synthetic.backgrounds import BACKGROUNDS
from hand_perception.synthetic.camera_effects import CameraEffects
from hand_perception.synthetic.depth_sensor import DepthSensor
from hand_perception.synthetic.scene import Scene, SceneImage, SceneSpec
from hand_perception.synthetic.situations import SITUATIONS
from hand_perception.synthetic.skin import SKIN_TONES

_HEAD = (
    'situation', 'images', 'found', 'side', 'false', 'hidden', 'new id', 'swap', 'jumps', 'flips',
    'turn, deg', 'mono: wrist, mm', 'distance, mm', '2 sigma', 'depth: wrist, mm',
    'distance, mm', '2 sigma',
)  # fmt: skip


def scene_of(seed: int, situation: str, asked: argparse.Namespace) -> Scene:
    """Make the scene of a seed: each has another table and skin."""
    backgrounds, tones = sorted(BACKGROUNDS), sorted(SKIN_TONES)
    effects = CameraEffects(exposure_s=asked.exposure, shot_noise=asked.shot_noise)
    return Scene(
        SceneSpec(
            seed=seed, situations=(situation,), width=asked.width, height=asked.width * 3 // 4,
            background=backgrounds[seed % len(backgrounds)], skin_tone=tones[seed % len(tones)],
            supersampling=1, hand_scale=asked.hand_scale, effects=effects,
            depth_sensor=DepthSensor(),
        )
    )  # fmt: skip


def frame_of(
    picture: SceneImage, camera: Camera, time_s: float, depth_m: FloatArray | None
) -> Frame:
    """Wrap a rendered picture."""
    return Frame(
        image=picture.image_bgr, is_rgb=False, stamp_ns=round(time_s * 1e9), frame_id='camera',
        camera=camera, depth_m=depth_m,
    )  # fmt: skip


def run_scene(
    pipeline: HandPipeline, scene: Scene, rate_hz: float
) -> tuple[TrackingErrors, TrackingErrors]:
    """Run one scene by size alone and with depth."""
    mono, deep = pipeline.new_stream(), pipeline.new_stream()
    truth, by_size, by_depth = [], [], []
    for number in range(round(scene.spec.period_s * rate_hz)):
        time_s = number / rate_hz
        picture = scene.render(time_s, with_depth=True)
        frame = frame_of(picture, scene.camera, time_s, None)
        by_size.append(pipeline.step(mono, frame).hands)
        with_depth = dataclasses.replace(frame, depth_m=picture.sensed_depth_m)
        by_depth.append(pipeline.step(deep, with_depth).hands)
        truth.append(picture.hands)
    return evaluate_tracking(truth, by_size), evaluate_tracking(truth, by_depth)


def row_of(name: str, mono: TrackingErrors, deep: TrackingErrors) -> tuple[str, ...]:
    """Write one row of the table."""
    return (
        name,
        str(mono.num_images),
        f'{mono.recall:.1%}',
        f'{mono.side_accuracy:.1%}',
        *(
            str(n)
            for n in (
                mono.num_false,
                mono.num_hidden,
                mono.num_new_ids,
                mono.num_swaps,
                mono.num_jumps,
            )
        ),
        f'{mono.flip_share:.1%}',
        _spread(np.rad2deg(mono.rotation_error_rad)),
        *_distances(mono),
        *_distances(deep),
    )


def _distances(errors: TrackingErrors) -> tuple[str, str, str]:
    return (
        _spread(errors.wrist_error_m * 1e3),
        _spread(np.abs(errors.depth_error_m) * 1e3),
        f'{errors.covered(2.0):.0%}',
    )


def _spread(values: DoubleArray) -> str:
    if not len(values):
        return '-'
    middle, high = np.percentile(values, [50, 95])
    return f'{middle:.0f} / {high:.0f}'


def print_table(rows: Iterable[tuple[str, ...]]) -> None:
    """Print rows under their heads."""
    lines = [_HEAD, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    for line in lines:
        name, *values = line
        cells = [value.rjust(width) for value, width in zip(values, widths[1:], strict=True)]
        print('  '.join([name.ljust(widths[0]), *cells]))


def main() -> None:
    """Render, follow, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1])
    parser.add_argument('--situations', nargs='+', choices=list(SITUATIONS),
                        default=list(SITUATIONS))  # fmt: skip
    parser.add_argument('--width', type=int, default=320)
    parser.add_argument('--rate', type=float, default=30.0, help='images per second')
    parser.add_argument('--exposure', type=float, default=0.012, help='seconds; 0: no blur')
    parser.add_argument('--shot-noise', type=float, default=5.0, help='8-bit steps')
    parser.add_argument('--hand-scale', type=float, default=1.0, help='true size of the hands')
    asked = parser.parse_args()
    torch.set_num_threads(1)
    pipeline = HandPipeline.load(PipelineSettings(device='cpu'))
    for key, value in environment(seeds=asked.seeds).items():
        print(f'{key}: {value}')
    print()
    rows, all_mono, all_deep = [], [], []
    for situation in asked.situations:
        runs = [
            run_scene(pipeline, scene_of(seed, situation, asked), asked.rate)
            for seed in asked.seeds
        ]
        mono, deep = (merge_tracking(parts) for parts in zip(*runs, strict=True))
        rows.append(row_of(situation, mono, deep))
        all_mono.append(mono)
        all_deep.append(deep)
    rows.append(row_of('all', merge_tracking(all_mono), merge_tracking(all_deep)))
    print_table(rows)


if __name__ == '__main__':
    main()
