"""Time the stages of HTT apart: backbone, pose block, heads, action block.

    python -m benchmarks.htt_stages [--device cuda] [--threads 2]

Each stage as it runs on a stream against the plain module in the same process: channels first,
batch normalisation apart, all tokens of every layer. The weights are random. Beside the ratios
the time of one new token is summed up: one image, a pose window and its heads, one action.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.common import Times, environment, report, time_interleaved
from benchmarks.hamer_forward import _waiting
from hand_perception.models.device import select_device
from hand_perception.models.hamer.precision import has_fast_bf16
from hand_perception.models.htt.constants import IMAGE_OFFSET, POSE_WINDOW, WINDOW
from hand_perception.models.htt.fused_encoder import FusedEncoder
from hand_perception.models.htt.module import HttModule
from hand_perception.models.htt.network import HttNetwork
from hand_perception.models.htt.sizes import HttSizes

_SIZES = HttSizes(num_joints=42, num_objects=8, num_actions=36)
_Ways = dict[str, Callable[[], object]]


def main() -> None:
    """Time the stages and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--device', default='auto')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=0, help='0: 20 on the CPU, 200 on CUDA')
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = select_device(arguments.device)
    is_cuda = device.type == 'cuda'
    torch.manual_seed(0)
    module = HttModule(_SIZES)
    exact = HttNetwork.from_module(module, device=device, precision='fp32')
    quick = HttNetwork.from_module(module, device=device, precision='bf16')
    with torch.inference_mode():
        every_token = FusedEncoder(
            module.transformer_action.encoder, module.transformer_pe.pe[0], device
        )
        module.to(device)
        stages = _stages(module, exact, quick, every_token, device)
        results: dict[str, dict[str, Times]] = {}
        for stage, ways in stages.items():
            is_short = is_cuda or not stage.startswith('backbone')
            results[stage] = time_interleaved(
                {name: _waiting(way, device) for name, way in ways.items()},
                rounds=arguments.rounds or (200 if is_cuda else (100 if is_short else 20)),
                warm_up=20 if is_short else 2,
            )
    where = environment(
        device=torch.cuda.get_device_name(device) if is_cuda else 'cpu',
        threads=arguments.threads,
        has_fast_bf16=has_fast_bf16(device),
    )
    report(results, baseline='plain', where=where, json_path=arguments.json)
    _sum_up(results)


def _stages(
    module: HttModule,
    exact: HttNetwork,
    quick: HttNetwork,
    every_token: FusedEncoder,
    device: torch.device,
) -> dict[str, _Ways]:
    image = torch.randint(0, 256, (1, 270, 480, 3), dtype=torch.uint8, device=device)
    window = torch.randn(1, POSE_WINDOW, _SIZES.width, device=device)
    clip = torch.randn(1, WINDOW, _SIZES.width, device=device)
    with_token = torch.randn(1, 1 + WINDOW, _SIZES.width, device=device)

    def plain_features() -> torch.Tensor:
        levels = image.permute(0, 3, 1, 2).contiguous()  # channels first
        return module.features(levels.float() / 255 - IMAGE_OFFSET)

    return {
        'backbone, 1 image': {
            'plain': plain_features,
            'fp32': lambda: exact.features(image),
            'bf16': lambda: quick.features(image),
        },
        'pose, 1 token': {
            'plain': lambda: module.pose(window[:, :1]),
            'fp32': lambda: exact.pose(window[:, :1]),
        },
        f'pose, {POSE_WINDOW} tokens': {
            'plain': lambda: module.pose(window),
            'fp32': lambda: exact.pose(window),
        },
        f'heads, {POSE_WINDOW} tokens': {
            'plain': lambda: module.heads(window[0]),
            'fp32': lambda: exact.heads(window[0]),
        },
        f'action, {1 + WINDOW} tokens': {
            'plain': lambda: module.action(clip),
            'every token': lambda: every_token(with_token, None),
            'fp32': lambda: exact.action(clip),
        },
        'action, 33 tokens': {
            'plain': lambda: module.action(clip[:, :32]),
            'fp32': lambda: exact.action(clip[:, :32]),
        },
    }


def _sum_up(results: dict[str, dict[str, Times]]) -> None:
    """Print the time of one new token with full windows, by precision of the backbone."""
    stages = ('backbone, 1 image', f'pose, {POSE_WINDOW} tokens', f'heads, {POSE_WINDOW} tokens',
              f'action, {1 + WINDOW} tokens')  # fmt: skip
    for name in ('plain', 'fp32', 'bf16'):
        ways = [results[stage] for stage in stages]
        total = sum(float(np.median(way.get(name, way['fp32']))) for way in ways)
        print(f'one token, {name}: {1e3 * total:.1f} ms')


if __name__ == '__main__':
    main()
