"""Measure distances of hands on the synthetic scene: by size, and with a depth camera.

    python -m benchmarks.depth [--seeds 4] [--images 50] [--json FILE]

Every seed is another person, way of moving, table and skin. Errors are those of the wrist's
distance along the viewing axis; a frame is covered when its error is at most twice the standard
deviation that was told. Hands are followed as a stream; ``size off`` gives the pipeline a
hand_scale that is wrong by so much. The goals are 12 mm (median) with a depth image, 40 mm by the
size of a measured hand, and 90 % of the frames covered.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.common import environment
from hand_perception.config import PipelineSettings
from hand_perception.datatypes import DoubleArray, FloatArray, Frame, ImageArray
from hand_perception.evaluation.clip_errors import match_hands
from hand_perception.pipeline.stream import HandPipeline
from hand_perception.synthetic.backgrounds import BACKGROUNDS
from hand_perception.synthetic.depth_sensor import DepthSensor, sense_depth
from hand_perception.synthetic.scene import Scene, SceneSpec
from hand_perception.synthetic.skin import SKIN_TONES
from hand_perception.synthetic.truth import HandTruth

_COVER_SIGMAS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An image of a scene, what a depth camera tells, and the truth."""

    image_bgr: ImageArray
    depth_m: FloatArray
    covered_m: FloatArray
    hands: tuple[HandTruth, ...]


def render_pictures(seed: int, num_images: int) -> tuple[Scene, list[Picture]]:
    """Render images over one run through the motion of a scene."""
    looks = list(zip(sorted(BACKGROUNDS), sorted(SKIN_TONES), strict=False))
    background, skin_tone = looks[seed % len(looks)]
    spec = SceneSpec(seed=seed, background=background, skin_tone=skin_tone, supersampling=1)
    scene, rng, pictures = Scene(spec), np.random.default_rng(seed), []
    for number in range(num_images):
        drawn = scene.render(number * spec.duration_s / num_images, with_depth=True)
        assert drawn.depth_m is not None
        told = sense_depth(drawn.depth_m, scene.camera, DepthSensor(), rng)
        covered = told.copy()  # a post stands before a part of the image
        left = int(rng.integers(100, 500))
        covered[:, left : left + 40] = 0.25
        pictures.append(
            Picture(image_bgr=drawn.image_bgr, depth_m=told, covered_m=covered, hands=drawn.hands)
        )
    return scene, pictures


def measure(
    pipeline: HandPipeline, scene: Scene, pictures: Sequence[Picture], *, depth: str
) -> list[tuple[float, float, float]]:
    """Give error and told standard deviation of the wrist's distance, and 3D error, metres."""
    stream, rows = pipeline.new_stream(), []
    period_s = scene.spec.duration_s / len(pictures)
    for number, picture in enumerate(pictures):
        images = {'none': None, 'sensor': picture.depth_m, 'post': picture.covered_m}
        frame = Frame(
            image=picture.image_bgr, is_rgb=False, stamp_ns=round(number * period_s * 1e9),
            frame_id='camera', camera=scene.camera, depth_m=images[depth],
        )  # fmt: skip
        result = pipeline.step(stream, frame)
        hands = result.hands if result.raw_hands is None else result.raw_hands
        for i, j in match_hands(picture.hands, hands):
            missed = hands[j].keypoints_3d - picture.hands[i].keypoints_3d
            mean_m = float(np.linalg.norm(missed, axis=1).mean())
            rows.append((float(missed[0, 2]), hands[j].depth_stddev_m, mean_m))
    return rows


def main() -> None:
    """Measure all cases and print one table."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--seeds', type=int, default=4)
    parser.add_argument('--images', type=int, default=50, help='images per seed')
    parser.add_argument('--json', type=Path)
    options = parser.parse_args()
    cases = {
        'size, hand measured': (1.0, 'none'),
        'size off by 8 %': (1.08, 'none'),
        'depth': (1.0, 'sensor'),
        'depth, size off by -10 %': (0.9, 'sensor'),
        'depth, size off by 15 %': (1.15, 'sensor'),
        'depth, a post in front': (1.0, 'post'),
    }
    rows: dict[str, list[tuple[float, float, float]]] = {case: [] for case in cases}
    pipelines = {
        scale: HandPipeline.load(
            PipelineSettings(device='cpu', hand_scale=scale, action_source='none')
        )
        for scale in {scale for scale, _ in cases.values()}
    }
    for seed in range(options.seeds):
        scene, pictures = render_pictures(seed, options.images)
        for case, (scale, depth) in cases.items():
            rows[case] += measure(pipelines[scale], scene, pictures, depth=depth)
    where = environment()
    for key, value in where.items():
        print(f'{key}: {value}')
    print(f'\n{"case":26}  hands  median mm  p90 mm  bias mm  told mm  covered  3D mm')
    figures = {}
    for case, found in rows.items():
        figures[case] = summary = _summarize(np.array(found))
        print(
            f'{case:26}  {summary["hands"]:5.0f}  {summary["median_mm"]:9.1f}  '
            f'{summary["p90_mm"]:6.1f}  {summary["bias_mm"]:7.1f}  {summary["told_mm"]:7.1f}  '
            f'{summary["covered"]:7.1%}  {summary["mean_3d_mm"]:5.1f}'
        )
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({'environment': where, 'cases': figures}, indent=2))


def _summarize(rows: DoubleArray) -> dict[str, float]:
    error, told = np.abs(rows[:, 0]), rows[:, 1]
    return {
        'hands': float(len(rows)),
        'median_mm': 1e3 * float(np.median(error)),
        'p90_mm': 1e3 * float(np.percentile(error, 90)),
        'bias_mm': 1e3 * float(np.median(rows[:, 0])),
        'told_mm': 1e3 * float(np.median(told)),
        'covered': float((error <= _COVER_SIGMAS * told).mean()),
        'mean_3d_mm': 1e3 * float(np.median(rows[:, 2])),
    }


if __name__ == '__main__':
    main()
