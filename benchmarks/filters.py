"""Measure lag and jitter of smoothing, the errors of looking ahead, and what smoothing costs.

    python -m benchmarks.filters [--rate 30] [--noise 0.002] [--turn-noise 2] [--json FILE]
    python -m benchmarks.filters --scenes [--seeds 0 1] [--width 320]

First on made tracks (``filter_tracks.py``): ways to filter, with noise per axis and image. The
goals for the shipped settings: at most 15 ms of lag on reach and wave, at most half the jitter,
for places and for turns; exits 1 when one is missed. With ``--scenes`` also on what the pipeline
sees of rendered hands that are held still and of the clip: steps from image to image of the
difference between found and true wrist, of palm and fingers, and the share of a step of the
pipeline that smoothing takes, in the same run.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.common import environment
from benchmarks.filter_tracks import (
    Way,
    low_pass,
    mean,
    measure_ahead,
    measure_places,
    measure_turns,
    one_euro,
    rms,
)
from hand_perception.config import PipelineSettings
from hand_perception.datatypes import (
    Camera,
    DoubleArray,
    Frame,
    FrameResult,
    Hand,
    ImageArray,
)
from hand_perception.pipeline import quaternions
from hand_perception.pipeline.one_euro import OneEuro
from hand_perception.pipeline.stream import HandPipeline
from hand_perception.synthetic.scene import Scene, SceneSpec
from hand_perception.synthetic.truth import HandTruth, load_clip_truth
from hand_perception.video import SYNTHETIC, open_source

_LAG_MS, _LESS_JITTER = 15.0, 2.0
#: While both hands of the situation ``still`` are held.
_HELD_S = (1.0, 3.9)
Rows = dict[str, dict[str, float]]
Images = Iterator[tuple[Frame, Sequence[HandTruth]]]


def shipped(settings: PipelineSettings) -> tuple[OneEuro, OneEuro]:
    """Give the filters of places and of turns that the pipeline has by default."""
    cutoff = settings.smoothing_min_cutoff_hz
    return (
        OneEuro(min_cutoff_hz=cutoff, beta=settings.smoothing_beta),
        OneEuro(min_cutoff_hz=cutoff, beta=settings.smoothing_beta_turn),
    )


def filter_made_tracks(rate_hz: float, noise_m: float, noise_rad: float) -> dict[str, Rows]:
    """Make the three tables of made tracks."""
    place, turn = shipped(PipelineSettings())
    ways: dict[str, Way] = {
        'raw': lambda measured, _: measured,
        'shipped': one_euro(place),
        'One-Euro, 1 Hz, beta 0': one_euro(OneEuro(speed_cutoff_hz=1.0)),
        'One-Euro, 1 Hz, beta 1': one_euro(OneEuro(beta=1.0, speed_cutoff_hz=1.0)),
        'One-Euro, 1 Hz, beta 10': one_euro(OneEuro(beta=10.0, speed_cutoff_hz=1.0)),
        'One-Euro, 1 Hz, beta 30': one_euro(OneEuro(beta=30.0, speed_cutoff_hz=1.0)),
        'low-pass 6 Hz': low_pass(6.0),
        'mean, alpha 0.2': mean(0.2),
    }
    places = {
        name: measure_places(way, rate_hz=rate_hz, noise_m=noise_m) for name, way in ways.items()
    }
    ways['shipped'] = one_euro(turn)
    turns = {
        name: measure_turns(way, rate_hz=rate_hz, noise_rad=noise_rad)
        for name, way in ways.items()
        if name not in ('One-Euro, 1 Hz, beta 10', 'One-Euro, 1 Hz, beta 30')
    }
    ahead = {
        f'{round(1e3 * seconds)} ms, {label}': measure_ahead(
            ways['raw'] if label == 'raw' else one_euro(place), fade=fade, rate_hz=rate_hz,
            noise_m=noise_m, ahead_s=seconds,
        )
        for seconds in (0.02, 0.05, 0.1)
        for label, fade in (
            ('raw', None), ('smoothed', None), ('ahead, not faded', False), ('ahead', True),
        )
    }  # fmt: skip
    return {'places': places, 'turns': turns, 'looking ahead': ahead}


def misses(tables: Mapping[str, Rows]) -> list[str]:
    """Name the goals that the shipped settings miss."""
    missed = []
    for title, unit in (('places', 'mm'), ('turns', 'deg')):
        raw, found = tables[title]['raw'], tables[title]['shipped']
        lag = max(found['reach lag ms'], found['wave lag ms'])
        ratio = raw[f'jitter {unit}'] / found[f'jitter {unit}']
        spread = raw[f'spread {unit}'] / found[f'spread {unit}']
        print(
            f'{title}: lag {lag:.1f} ms (goal {_LAG_MS:.0f}), jitter {ratio:.1f} times less '
            f'(goal {_LESS_JITTER:.0f}), spread {spread:.1f} times less'
        )
        if lag > _LAG_MS or ratio < _LESS_JITTER:
            missed.append(title)
    return missed


def still_scene(seed: int, width: int, rate_hz: float) -> Images:
    """Render hands that are held still."""
    scene = Scene(SceneSpec(seed=seed, width=width, height=width * 3 // 4, situations=('still',)))
    for number in range(round(_HELD_S[1] * rate_hz)):
        image = scene.render(number / rate_hz)
        yield _frame(image.image_bgr, number / rate_hz, scene.camera), image.hands


def clip() -> Images:
    """Read the clip that ships with the package."""
    truth, source = load_clip_truth(), open_source(SYNTHETIC)
    for image, hands in zip(source.frames(), truth.frames, strict=True):
        yield _frame(image.image_bgr, image.time_s, truth.camera), hands


def _frame(image: ImageArray, time_s: float, camera: Camera) -> Frame:
    return Frame(
        image=image, is_rgb=False, stamp_ns=round(time_s * 1e9), frame_id='camera', camera=camera
    )


def run_scene(
    pipeline: HandPipeline, images: Images, begin_s: float
) -> tuple[dict[str, float], list[FrameResult]]:
    """Give the steps from image to image, raw and smoothed, and all results."""
    state, results = pipeline.new_stream(), []
    steps: dict[str, list[DoubleArray]] = defaultdict(list)
    last: dict[tuple[str, int], tuple[DoubleArray, DoubleArray]] = {}
    for frame, truth in images:
        result = pipeline.step(state, frame)
        results.append(result)
        now = {}
        for kind, hands in (('raw', result.raw_hands or ()), ('smooth', result.hands)):
            for hand in hands:
                place, turns = _measure(hand, truth)
                now[kind, hand.track_id] = place, turns
                before = last.get((kind, hand.track_id))
                if before is None or frame.stamp_ns < begin_s * 1e9:
                    continue
                turned = np.degrees(quaternions.turn_between(before[1], turns))
                steps[f'wrist {kind} mm'].append(1e3 * (place - before[0]))
                steps[f'palm {kind} deg'].append(turned[0])
                steps[f'fingers {kind} deg'].append(turned[1:])
        last = now
    figures = {'steps': float(len(steps['wrist raw mm']))}
    figures |= {name: rms(np.stack(values)) for name, values in sorted(steps.items())}
    return figures, results


def _measure(hand: Hand, truth: Sequence[HandTruth]) -> tuple[DoubleArray, DoubleArray]:
    """Give (3,) found less true wrist, and (16, 4) rotations."""
    true = next(true for true in truth if true.is_right == hand.is_right)
    parameters = hand.parameters
    vectors = np.concatenate([parameters.global_orient, parameters.hand_pose]).reshape(16, 3)
    return hand.keypoints_3d[0] - true.keypoints_3d[0], quaternions.from_axis_angle(vectors)


def cost(results: Sequence[FrameResult]) -> dict[str, float]:
    """Give the time of smoothing and of whole steps (ms, medians) with as many hands as most."""
    most = max(len(result.hands) for result in results)
    full = [dict(result.stage_s) for result in results if len(result.hands) == most]
    smooth = np.array([stages['smooth'] for stages in full[5:]])
    whole = np.array([sum(stages.values()) for stages in full[5:]])
    return {
        'hands': float(most),
        'smooth ms': 1e3 * float(np.median(smooth)),
        'step ms': 1e3 * float(np.median(whole)),
        'share %': 100 * float(np.median(smooth / whole)),
    }


def main() -> int:
    """Print the tables; 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--rate', type=float, default=30.0, help='images per second')
    parser.add_argument('--noise', type=float, default=0.002, help='metres, per axis')
    parser.add_argument('--turn-noise', type=float, default=2.0, help='degrees, per axis')
    parser.add_argument('--scenes', action='store_true', help='also what the pipeline sees')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1])
    parser.add_argument('--width', type=int, default=320, help='columns of rendered images')
    parser.add_argument('--json', type=Path)
    options = parser.parse_args()
    where = environment(rate_hz=options.rate)
    for key, value in where.items():
        print(f'{key}: {value}')
    tables = filter_made_tracks(options.rate, options.noise, np.radians(options.turn_noise))
    if options.scenes:
        pipeline, scenes, costs = HandPipeline.load(PipelineSettings()), {}, {}
        for seed in options.seeds:
            images = still_scene(seed, options.width, options.rate)
            scenes[f'still, seed {seed}'], _ = run_scene(pipeline, images, _HELD_S[0])
        scenes['clip'], results = run_scene(pipeline, clip(), 0.5)
        costs['two hands'] = cost(results)
        alone = HandPipeline.load(PipelineSettings(max_hands=1))
        costs['one hand'] = cost(run_scene(alone, clip(), 0.5)[1])
        tables |= {'scenes': scenes, 'cost': costs}
    for title, rows in tables.items():
        _print_table(title, rows)
    print()
    missed = misses(tables)
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({'environment': where, **tables}, indent=2))
    return 1 if missed else 0


def _print_table(title: str, rows: Rows) -> None:
    width = max(len(name) for name in (title, *rows))
    columns = list(next(iter(rows.values())))
    print(f'\n{title:{width}}  ' + '  '.join(columns))
    for name, figures in rows.items():
        print(f'{name:{width}}  ' + '  '.join(f'{figures[c]:{len(c)}.2f}' for c in columns))


if __name__ == '__main__':
    sys.exit(main())
