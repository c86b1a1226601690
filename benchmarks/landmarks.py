"""Time the landmark back end: the networks in three forms, then the work per image.

    python -m benchmarks.landmarks [--device cpu] [--rounds 60] [--json FILE]

Networks: ``plain`` is the module as it is, ``channels-last`` the same with maps stored as images
are (what runs on CUDA), ``frozen`` that with fused layers (what runs on the CPU). Per image:
search and observe with letterbox and crop.
"""

import argparse
import copy
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.common import Times, environment, report, time_interleaved
from hand_perception.datatypes import Region
from hand_perception.models.device import select_device
from hand_perception.models.landmarks.backend import LandmarkBackend
from hand_perception.models.landmarks.frozen import Network, freeze_for_cpu
from hand_perception.models.landmarks.layout import LANDMARK_INPUT_PX, PALM_INPUT_PX
from hand_perception.models.landmarks.networks import HandLandmarkNetwork, PalmDetector
from hand_perception.models.landmarks.weight_files import WEIGHTS_DIR, load_network

IMAGE_SIZES = ((480, 640), (1080, 1920))


def time_network(
    network: nn.Module, size: int, batch: int, device: torch.device, rounds: int
) -> dict[str, Times]:
    """Time the three forms of one network on a batch."""
    torch.manual_seed(0)
    images = torch.rand(batch, 3, size, size, device=device)
    images_last = images.contiguous(memory_format=torch.channels_last)
    plain = copy.deepcopy(network).to(device)
    eager = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    runs: dict[str, tuple[Network, Tensor]] = {
        'plain': (plain, images),
        'channels-last': (eager, images_last),
    }
    if device.type == 'cpu':
        runs['frozen'] = (freeze_for_cpu(eager, images_last), images_last)
        if runs['frozen'][0] is eager:
            sys.exit('error: torch.jit could not freeze the network, see the warning above')

    def waiting(run: Network, inputs: Tensor) -> Callable[[], object]:
        return lambda: run(inputs).cpu()

    return time_interleaved({way: waiting(*run) for way, run in runs.items()}, rounds=rounds)


def time_images(backend: LandmarkBackend, rounds: int) -> dict[str, dict[str, Times]]:
    """Time what the pipeline calls, on noise images with regions in them."""
    results = {}
    for height, width in IMAGE_SIZES:
        image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        regions = [
            Region(center_px=(width * x, height / 2), size_px=height / 2, angle_rad=0.3)
            for x in (0.3, 0.7)
        ]

        def search(with_tiles: bool, image: np.ndarray = image) -> None:
            backend.search(image, is_rgb=False, threshold=0.5, with_tiles=with_tiles)

        def observe(
            count: int, image: np.ndarray = image, regions: list[Region] = regions
        ) -> None:
            backend.observe(image, regions[:count], is_rgb=False)

        results[f'{height}p'] = time_interleaved(
            {
                'search': lambda search=search: search(False),
                'search + tiles': lambda search=search: search(True),
                'observe 1 hand': lambda observe=observe: observe(1),
                'observe 2 hands': lambda observe=observe: observe(2),
            },
            rounds=rounds,
            warm_up=10,
        )
    return results


def main() -> None:
    """Run both parts and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--device', default='cpu', help='auto, cpu or cuda')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=60)
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    device = select_device(arguments.device)
    torch.set_num_threads(arguments.threads)
    name = torch.cuda.get_device_name(device) if device.type == 'cuda' else 'cpu'
    where = environment(device=name, threads=arguments.threads)
    networks: tuple[tuple[str, type[nn.Module], str, int], ...] = (
        ('palm', PalmDetector, 'palm_detection_full', PALM_INPUT_PX),
        ('landmark', HandLandmarkNetwork, 'hand_landmark_full', LANDMARK_INPUT_PX),
    )
    results = {}
    with torch.inference_mode():
        for title, network_class, file, size in networks:
            network = load_network(network_class, WEIGHTS_DIR / f'{file}.npz')
            for batch in (1, 2, 4):
                results[f'{title} x {batch}'] = time_network(
                    network, size, batch, device, arguments.rounds
                )
    report(results, baseline='plain', where=where, json_path=arguments.json)
    backend = LandmarkBackend.load(device=arguments.device, num_threads=arguments.threads)
    report(time_images(backend, arguments.rounds), baseline='search', where={})


if __name__ == '__main__':
    main()
