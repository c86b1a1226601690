"""Time HaMeR's step alone and with HTT running beside it, in one run on one device.

    python -m benchmarks.htt_beside_hamer [--device cuda] [--hamer-dir DIR] [--htt-checkpoint FILE]

As on the node: one worker, and for each image hands first, timed here, then actions. HTT queues
its work on a CUDA stream of its own. It looks at every image, which is harder than its 15 Hz.
Blocks of images without HTT (twice, to show what the machine does by itself) and with it take
turns.
Exit status 1: on CUDA, p50 or p99 with HTT is above 1.05 times that without. Weights are random
unless given; the CPU is for trying this program, HTT and HaMeR share its caches.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Final

import numpy as np
import torch

from benchmarks.common import Times, environment, report
from benchmarks.hamer_forward import release_folder
from benchmarks.hamer_model import SIZES
from hand_perception.config import PipelineSettings
from hand_perception.datatypes import Box, Camera, Frame
from hand_perception.models.device import select_device
from hand_perception.pipeline.stream import HandPipeline
from hand_perception.pipeline.stream_state import Stopwatch, StreamState
from tools.make_htt_checkpoint import SIZES as HTT_SIZES
from tools.make_htt_checkpoint import official_arguments, random_module, write_official

_MOST: Final = 1.05
_WAYS: Final = ('alone', 'alone again', 'with HTT')
_NUM_PICTURES: Final = 8
#: Left and right, shares of the picture: x_min, y_min, x_max, y_max.
_BOXES: Final = ((0.15, 0.4, 0.4, 0.8), (0.6, 0.4, 0.85, 0.8))


def main() -> int:
    """Time the ways, print them, and judge them on CUDA."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--device', default='auto')
    parser.add_argument('--size', choices=SIZES, help='of a random HaMeR; narrow on the CPU')
    parser.add_argument('--hamer-dir', default='', help='real weights instead of random ones')
    parser.add_argument('--htt-checkpoint', default='', help='real weights, not random ones')
    parser.add_argument('--hands', type=int, choices=(1, 2), default=2)
    parser.add_argument('--picture', type=int, nargs=2, default=[1280, 720], metavar=('W', 'H'))
    parser.add_argument('--images', type=int, default=50, help='in one block')
    parser.add_argument('--rounds', type=int, default=0, help='0: 2 on the CPU, 40 on CUDA')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    if arguments.images < 2 or arguments.rounds < 0:
        parser.error('--images must be at least 2, --rounds at least 0')
    device = select_device(arguments.device)
    is_cuda = device.type == 'cuda'
    size = arguments.size or ('full' if is_cuda else 'narrow')
    with tempfile.TemporaryDirectory(prefix='htt_') as scratch:
        checkpoint = arguments.htt_checkpoint or _random_htt(Path(scratch))
        with release_folder(arguments.hamer_dir, size) as folder:
            settings = PipelineSettings(
                backend='hamer', hamer_dir=str(folder), action_source='htt',
                htt_checkpoint=str(checkpoint), token_rate_hz=0.0, device=arguments.device,
                num_threads=arguments.threads,
            )  # fmt: skip
            bench = _Bench(HandPipeline.load(settings), arguments)
            times = bench.run(arguments.rounds or (40 if is_cuda else 2), arguments.images)
    where = environment(
        device=torch.cuda.get_device_name(device) if is_cuda else 'cpu', hands=arguments.hands,
        hamer=arguments.hamer_dir or f'random, {size}',
        htt=arguments.htt_checkpoint or 'random',
    )  # fmt: skip
    report({'step of the hands': times}, baseline='alone', where=where, json_path=arguments.json)
    worst = max(_ratios(times, 'with HTT'))
    for way in _WAYS[1:]:
        p50, p99 = _ratios(times, way)
        print(f'{way} / alone: p50 {p50:.3f}, p99 {p99:.3f}')
    if not is_cuda:
        print('WARNING: this is no measurement: on a CPU both networks share cores and caches',
              file=sys.stderr)  # fmt: skip
        return 0
    is_good = worst <= _MOST
    print(f'{"fine" if is_good else "TOO SLOW"}: at most {_MOST} was asked for, {worst:.3f} found')
    return int(not is_good)


class _Bench:
    """One loaded pipeline, and a stream of its own for each way."""

    def __init__(self, pipeline: HandPipeline, arguments: argparse.Namespace) -> None:
        self._pipeline = pipeline
        self._states: dict[str, StreamState] = {way: pipeline.new_stream() for way in _WAYS}
        self._counts = dict.fromkeys(_WAYS, 0)
        width, height = arguments.picture
        shape = (_NUM_PICTURES, height, width, 3)
        self._pictures = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        self._camera = Camera.assumed(width, height)
        self._boxes = tuple(
            Box(xyxy=(x0 * width, y0 * height, x1 * width, y1 * height), is_right=bool(side))
            for side, (x0, y0, x1, y1) in enumerate(_BOXES[: arguments.hands])
        )

    def run(self, rounds: int, images: int) -> dict[str, Times]:
        """Let the ways take turns, in a new order each round: seconds per image."""
        for way in _WAYS:
            self._block(way, images)  # warm
        rng = np.random.default_rng(0)
        times: dict[str, list[float]] = {way: [] for way in _WAYS}
        for _ in range(rounds):
            for k in rng.permutation(len(_WAYS)):
                # The first image of a block follows one of another way.
                times[_WAYS[k]] += self._block(_WAYS[k], images)[1:]
        return {way: np.array(seconds) for way, seconds in times.items()}

    def _block(self, way: str, images: int) -> list[float]:
        pipeline, state, seconds = self._pipeline, self._states[way], []
        for _ in range(images):
            frame = self._next_frame(way)
            watch = Stopwatch()
            result = pipeline.step(state, frame)
            watch.lap('hands')
            seconds.append(watch.stages[0][1])
            if way == 'with HTT':
                said = pipeline.recognise(state, frame, result)
                assert said.actions, 'HTT did not look at the image'
        return seconds

    def _next_frame(self, way: str) -> Frame:
        self._counts[way] = number = self._counts[way] + 1
        return Frame(
            image=self._pictures[number % _NUM_PICTURES], is_rgb=True,
            stamp_ns=round(number * 1e9 / 30), frame_id='camera', camera=self._camera,
            boxes=self._boxes,
        )  # fmt: skip


def _random_htt(folder: Path) -> Path:
    return write_official(
        folder, random_module(HTT_SIZES['h2o']), arguments=official_arguments('h2o')
    )


def _ratios(times: dict[str, Times], way: str) -> tuple[float, float]:
    """Give p50 and p99 of a way over those of HaMeR alone."""
    p50, p99 = np.percentile(times[way], [50, 99]) / np.percentile(times['alone'], [50, 99])
    return float(p50), float(p99)


if __name__ == '__main__':
    sys.exit(main())
