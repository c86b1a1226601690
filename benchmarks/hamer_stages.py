"""Time the stages of HaMeR apart: normalise, backbone, head, hand and projection, to the host.

    python -m benchmarks.hamer_stages [--device cuda] [--hands 2] [--precision bf16]

Shares of the whole, and each stage against the same stage as published. On CUDA stages are timed
without graphs, each with a wait behind it, so their sum is more than the graph takes.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.common import Times, environment, report, time_interleaved
from benchmarks.hamer_forward import _waiting, load_reference, release_folder
from benchmarks.hamer_model import SIZES, random_crops
from hand_perception.models.device import select_device
from hand_perception.models.hamer.network import HamerNetwork
from hand_perception.models.hamer.packing import PACKED_SIZE, pack


def main() -> None:
    """Time the stages and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--device', default='auto')
    parser.add_argument('--size', choices=SIZES, default='full')
    parser.add_argument('--hamer-dir', default='', help='real weights instead of random ones')
    parser.add_argument('--hands', type=int, default=1)
    parser.add_argument('--precision', default='bf16')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=0, help='0: 5 on the CPU, 200 on CUDA')
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = select_device(arguments.device)
    is_cuda = device.type == 'cuda'
    with release_folder(arguments.hamer_dir, arguments.size) as folder, torch.inference_mode():
        reference = load_reference(folder, device)
        network = HamerNetwork.load(folder, device=arguments.device, precision=arguments.precision)
        crops = torch.from_numpy(random_crops(arguments.hands)).to(device)
        images = network.normalize(crops).contiguous()
        features = network.features(images)
        parameters = network.parameters_from_features(features)
        output = network.hands_from_parameters(parameters)
        readouts = reference.readouts(features)
        packed = torch.empty(arguments.hands, PACKED_SIZE, device=device)
        outputs = reference.hands(*readouts)

        def download_fields() -> None:
            for value in outputs.values():
                value.cpu()

        def download_packed() -> None:
            pack(output, out=packed)
            packed.cpu()

        stages: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
            'normalise': (lambda: _normalise_on_host(crops, device),
                          lambda: network.normalize(crops).contiguous()),
            'backbone': (lambda: reference.features(images), lambda: network.features(images)),
            'head': (lambda: reference.readouts(features),
                     lambda: network.parameters_from_features(features)),
            'hand, projection': (lambda: reference.hands(*readouts),
                                 lambda: network.hands_from_parameters(parameters)),
            'to the host': (download_fields, download_packed),
        }  # fmt: skip
        results: dict[str, dict[str, Times]] = {}
        for stage, (published, ours) in stages.items():
            is_short = is_cuda or stage != 'backbone'
            results[stage] = time_interleaved(
                {'published': _waiting(published, device), 'ours': _waiting(ours, device)},
                rounds=arguments.rounds or (200 if is_cuda else (50 if is_short else 5)),
                warm_up=50 if is_cuda else 1,
            )
    name = torch.cuda.get_device_name(device) if is_cuda else 'cpu'
    where = environment(device=name, threads=arguments.threads, size=arguments.size,
                        hands=arguments.hands, precision=arguments.precision)  # fmt: skip
    report(results, baseline='published', where=where, json_path=arguments.json)
    for way in ('published', 'ours'):
        medians = {stage: float(np.median(ways[way])) for stage, ways in results.items()}
        shares = ', '.join(
            f'{s} {100 * t / sum(medians.values()):.1f} %' for s, t in medians.items()
        )
        print(f'shares, {way}: {shares}')


def _normalise_on_host(crops: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Do as published: per crop on the host in float32, then to the device."""
    mean, std = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]) * 255
    batch = []
    for crop in crops.cpu().numpy():
        image = crop.transpose(2, 0, 1).astype(np.float32)
        for channel in range(3):
            image[channel] = (image[channel] - mean[channel]) / std[channel]
        batch.append(torch.from_numpy(image))
    return torch.stack(batch).to(device)


if __name__ == '__main__':
    main()
