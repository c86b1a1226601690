"""Measure how fast the device multiplies and copies, and what that allows HaMeR at best.

    python -m benchmarks.roofline [--device cuda] [--dtype bf16] [--hands 1 2 4 8]

The four products of a ViT-H block at 192 tokens a hand, and a copy of 1 GiB. The floor of one pass
is the larger of arithmetic at the measured peak and weights at the measured bandwidth.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch

from benchmarks.common import environment
from hand_perception.models.device import select_device

#: Of one crop: 248 GFLOP in the backbone, 3 in the keys and values of the head.
FLOP_PER_HAND: Final = 251e9
NUM_WEIGHTS: Final = 670e6
TOKENS: Final = 192
#: (inputs, outputs) of the linear layers of a block.
PRODUCTS: Final = {'qkv': (1280, 3840), 'proj': (1280, 1280), 'fc1': (1280, 5120),
                   'fc2': (5120, 1280)}  # fmt: skip
DTYPES: Final = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}
_ENOUGH_S: Final = 0.3


@dataclass(frozen=True, kw_only=True)
class Roofline:
    """What the device can do.

    Attributes:
        flops: per second, the best product at the largest batch.
        bytes_per_s: of a copy, read and written together.
        dtype_bytes: size of one weight.
    """

    flops: float
    bytes_per_s: float
    dtype_bytes: int

    def floor_s(self, hands: int) -> float:
        """Return the least time of a forward, seconds."""
        arithmetic = hands * FLOP_PER_HAND / self.flops
        return max(arithmetic, NUM_WEIGHTS * self.dtype_bytes / self.bytes_per_s)


def least_time(work: Callable[[], object], device: torch.device) -> float:
    """Return the least time of repeated calls, seconds; on CUDA measured by events."""
    work()
    times: list[float] = []
    while sum(times) < _ENOUGH_S or len(times) < 5:
        if device.type == 'cuda':
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            work()
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end) / 1e3)
        else:
            started = time.perf_counter()
            work()
            times.append(time.perf_counter() - started)
    return min(times)


def product_flops(device: torch.device, dtype: torch.dtype, hands: int) -> dict[str, float]:
    """Measure the four products of a block: FLOP per second by name."""
    found = {}
    for name, (inputs, outputs) in PRODUCTS.items():
        x = torch.rand(hands * TOKENS, inputs, device=device).to(dtype)
        weight = torch.rand(outputs, inputs, device=device).to(dtype)
        seconds = least_time(lambda x=x, w=weight: torch.nn.functional.linear(x, w), device)
        found[name] = 2 * hands * TOKENS * inputs * outputs / seconds
    return found


def copy_bandwidth(device: torch.device) -> float:
    """Measure a copy of 1 GiB (256 MiB on the CPU): bytes per second, both directions."""
    num_bytes = 1 << (30 if device.type == 'cuda' else 28)
    source = torch.zeros(num_bytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * num_bytes / least_time(lambda: target.copy_(source), device)


def measure(device: torch.device, dtype: torch.dtype, most_hands: int) -> Roofline:
    """Measure the device for one type of numbers."""
    with torch.inference_mode():
        flops = max(product_flops(device, dtype, most_hands).values())
        return Roofline(
            flops=flops, bytes_per_s=copy_bandwidth(device), dtype_bytes=dtype.itemsize
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--device', default='auto')
    parser.add_argument('--dtype', choices=DTYPES, nargs='+', default=['fp32', 'bf16'])
    parser.add_argument('--hands', type=int, nargs='+', default=[1, 2, 4, 8])
    parser.add_argument('--threads', type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = select_device(arguments.device)
    name = torch.cuda.get_device_name(device) if device.type == 'cuda' else 'cpu'
    for key, value in environment(device=name, threads=arguments.threads).items():
        print(f'{key}: {value}')
    with torch.inference_mode():
        bandwidth = copy_bandwidth(device)
        print(f'\ncopy: {bandwidth / 1e9:.1f} GB/s\n')
        print(f'{"dtype":6}{"hands":>6}' + ''.join(f'{name:>10}' for name in PRODUCTS)
              + '   TFLOP/s; floor of a forward')  # fmt: skip
        for dtype_name in arguments.dtype:
            dtype = DTYPES[dtype_name]
            measured = {hands: product_flops(device, dtype, hands) for hands in arguments.hands}
            peak = max(max(found.values()) for found in measured.values())
            roofline = Roofline(flops=peak, bytes_per_s=bandwidth, dtype_bytes=dtype.itemsize)
            for hands, found in measured.items():
                row = ''.join(f'{flops / 1e12:10.3f}' for flops in found.values())
                print(f'{dtype_name:6}{hands:6d}{row}   {roofline.floor_s(hands) * 1e3:.2f} ms')


if __name__ == '__main__':
    main()
