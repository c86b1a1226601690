"""Time whole steps of the pipeline: images of the built-in clip in, metric hands out.

    python -m benchmarks.pipeline [--device cpu] [--threads 1] [--json FILE]

Ways: one followed hand, two followed hands, and no hand (a palm search on every image). The clip
is enlarged to 1440x1080 first. The goals are 25 ms for one and 45 ms for two followed hands on a
two-core machine without GPU.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from benchmarks.common import Times, environment, report
from hand_perception.config import PipelineSettings
from hand_perception.datatypes import Camera, Frame
from hand_perception.pipeline.stream import HandPipeline
from hand_perception.synthetic.truth import load_clip_truth
from hand_perception.video import open_source

_SCALE = 2.25
_GOALS_MS = {'one hand': 25.0, 'two hands': 45.0}


def clip_frames() -> list[Frame]:
    """Read the built-in clip, enlarged."""
    truth = load_clip_truth()
    camera = truth.camera
    large = Camera(
        width=round(camera.width * _SCALE), height=round(camera.height * _SCALE),
        fx=camera.fx * _SCALE, fy=camera.fy * _SCALE,
        cx=camera.cx * _SCALE, cy=camera.cy * _SCALE,
    )  # fmt: skip
    source = open_source('synthetic')
    frames = [
        Frame(
            image=cv2.resize(item.image_bgr, (large.width, large.height)),
            is_rgb=False,
            stamp_ns=round(item.time_s * 1e9),
            frame_id='camera',
            camera=large,
        )
        for item in source.frames()
    ]
    source.close()
    return frames


def followed_steps(pipeline: HandPipeline, frames: list[Frame]) -> tuple[Times, int]:
    """Run over the frames; return the times of the images without a search, and their hands."""
    state, seconds, hands = pipeline.new_stream(), [], 0
    for frame in frames:
        result = pipeline.step(state, frame)
        if not result.num_detections:
            seconds.append(sum(duration for _, duration in result.stage_s))
            hands += len(result.hands)
    return np.array(seconds), hands


def main() -> None:
    """Time the ways in turns of a quarter of the clip each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--device', default='cpu', help='auto, cpu or cuda')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=3, help='passes over the clip')
    parser.add_argument('--json', type=Path)
    options = parser.parse_args()

    frames = clip_frames()
    blank = np.zeros_like(frames[0].image)
    common = {'device': options.device, 'num_threads': options.threads}
    pipelines = {
        'one hand': HandPipeline.load(PipelineSettings(max_hands=1, **common)),
        'two hands': HandPipeline.load(PipelineSettings(max_hands=2, **common)),
    }
    searching = pipelines['two hands']
    times: dict[str, list[Times]] = {way: [] for way in (*pipelines, 'no hand')}
    quarter = len(frames) // 4
    for start in list(range(0, 4 * quarter, quarter)) * options.rounds:
        part = frames[start : start + quarter]
        for way, pipeline in pipelines.items():
            seconds, hands = followed_steps(pipeline, part)
            assert hands == len(seconds) * (1 if way == 'one hand' else 2), f'{way}: hands lost'
            times[way].append(seconds)
        state = searching.new_stream()
        empty = [
            searching.step(
                state,
                Frame(
                    image=blank,
                    is_rgb=False,
                    stamp_ns=frame.stamp_ns,
                    frame_id='camera',
                    camera=frame.camera,
                ),
            )  # fmt: skip
            for frame in part
        ]
        times['no hand'].append(np.array([sum(s for _, s in r.stage_s) for r in empty]))
    results = {way: np.concatenate(parts) for way, parts in times.items()}
    report(
        {'1440x1080': results},
        baseline='two hands',
        where=environment(device=searching.device_name, threads=options.threads),
        json_path=options.json,
    )
    for way, goal in _GOALS_MS.items():
        median = np.median(results[way]) * 1e3
        print(f'{way}: {median:.1f} ms of {goal:.0f} ms ({median / goal:.2f} of the goal)')


if __name__ == '__main__':
    main()
