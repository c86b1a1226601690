"""Time one more image of a stream through HTT against the whole window computed anew.

    python -m benchmarks.htt_stream [--device cuda] [--threads 2] [--precision fp32 bf16]

Both ways run in the same process, on the same network with random weights, and say the same: the
engine ``tiled`` with an action window that is being filled to its 128 tokens, an action at every
token, from the camera's image to joints in metres, and ``clip``, which takes the 128 images at
once. They take turns. Time of the stream is wall time, stage by stage; on CUDA it is also told as
a multiple of the floor: arithmetic at the peak and weights at the bandwidth measured in this run.
"""

import argparse
import time
from pathlib import Path
from typing import Final

import numpy as np
import torch

from benchmarks.common import Times, environment, report
from benchmarks.roofline import DTYPES, measure
from hand_perception.datatypes import Camera, Frame
from hand_perception.models.device import select_device
from hand_perception.models.hamer.precision import has_fast_bf16
from hand_perception.models.htt.constants import POSE_WINDOW, WINDOW
from hand_perception.models.htt.module import HttModule
from hand_perception.models.htt.network import HttNetwork
from hand_perception.models.htt.sizes import HttSizes
from hand_perception.pipeline.htt_stream import HttStream
from hand_perception.pipeline.temporal_state import TemporalSettings

_SIZES: Final = HttSizes(num_joints=42, num_objects=8, num_actions=36)
#: Of one more token with full windows, and numbers that are read for it.
_FLOP_PER_TOKEN: Final = 11.5e9
_NUM_WEIGHTS: Final = 25e6
_NUM_IMAGES: Final = 16


def main() -> None:
    """Time both ways and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--device', default='auto')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--precision', choices=DTYPES, nargs='+', default=['fp32', 'bf16'])
    parser.add_argument('--tokens', type=int, default=101, help='timed, the last of the window')
    parser.add_argument('--rounds', type=int, default=3, help='times that the window is computed')
    parser.add_argument('--size', type=int, nargs=2, default=[1280, 720], metavar=('W', 'H'))
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = select_device(arguments.device)
    torch.manual_seed(0)
    module = HttModule(_SIZES)
    results: dict[str, dict[str, Times]] = {}
    stages: dict[str, dict[str, Times]] = {}
    for precision in arguments.precision:
        network = HttNetwork.from_module(module, device=device, precision=precision)
        results[precision], stages[precision] = _both_ways(network, arguments)
    where = environment(
        device=torch.cuda.get_device_name(device) if device.type == 'cuda' else 'cpu',
        threads=arguments.threads,
        image=f'{arguments.size[0]}x{arguments.size[1]}',
        has_fast_bf16=has_fast_bf16(device),
    )
    report(results, baseline='whole window', where=where, json_path=arguments.json)
    for precision, ways in results.items():
        _print_token(precision, ways['one more image'], stages[precision])
        if device.type == 'cuda':
            _print_floor(precision, ways['one more image'], device)


def _both_ways(
    network: HttNetwork, arguments: argparse.Namespace
) -> tuple[dict[str, Times], dict[str, Times]]:
    """Time the window and the tokens in turns: seconds by way, and by stage of a token."""
    frames = _frames(*arguments.size, count=WINDOW)
    windows = TemporalSettings(window=WINDOW, pose_window=POSE_WINDOW)
    stream = HttStream(network, windows, kernel='antialias', token_rate_hz=0.0, token_gap_s=10.0)
    images = torch.randint(0, 256, (WINDOW, 270, 480, 3), dtype=torch.uint8)
    not_padding = torch.ones(WINDOW)
    turns = set(np.linspace(0, arguments.tokens - 1, arguments.rounds).round().astype(int))
    whole: list[float] = []
    tokens: list[float] = []
    steps = []
    for frame in frames[: WINDOW - arguments.tokens]:
        stream.step(frame)
    for i, frame in enumerate(frames[WINDOW - arguments.tokens :]):
        if i in turns:
            start = time.perf_counter()
            output = network.clip(images, not_padding, window=WINDOW, pose_window=POSE_WINDOW)
            output.action_prob.cpu()  # waits for the device
            whole.append(time.perf_counter() - start)
        start = time.perf_counter()
        step = stream.step(frame)
        tokens.append(time.perf_counter() - start)
        assert step is not None and step.action_prob is not None
        steps.append(dict(step.stage_s))
    ways = {'whole window': np.array(whole), 'one more image': np.array(tokens)}
    return ways, {name: np.array([step[name] for step in steps]) for name in steps[0]}


def _frames(width: int, height: int, *, count: int) -> list[Frame]:
    """Make images of noise, a few that take turns, as a camera of 15 Hz would give them."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (_NUM_IMAGES, height, width, 3), np.uint8)
    camera = Camera.assumed(width, height)
    return [
        Frame(
            image=images[i % _NUM_IMAGES], is_rgb=False, stamp_ns=round(i * 1e9 / 15),
            frame_id='camera_optical_frame', camera=camera,
        )
        for i in range(count)
    ]  # fmt: skip


def _print_token(precision: str, tokens: Times, stages: dict[str, Times]) -> None:
    p50, p95 = np.percentile(tokens, [50, 95]) * 1e3
    print(
        f'\n{precision}: one more image {tokens.mean() * 1e3:.1f} ms in the mean, p50 {p50:.1f}, '
        f'p95 {p95:.1f} over {len(tokens)} tokens; '
        + ', '.join(f'{name} {np.median(times) * 1e3:.1f}' for name, times in stages.items())
    )


def _print_floor(precision: str, tokens: Times, device: torch.device) -> None:
    roofline = measure(device, DTYPES[precision], 8)
    arithmetic = _FLOP_PER_TOKEN / roofline.flops
    floor_s = max(arithmetic, _NUM_WEIGHTS * roofline.dtype_bytes / roofline.bytes_per_s)
    print(
        f'{precision}: p50 is {np.median(tokens) / floor_s:.1f} x the floor of '
        f'{floor_s * 1e3:.3f} ms'
    )


if __name__ == '__main__':
    main()
