"""Time HaMeR from crops on the device to hands on the device: ours, as published, and the floor.

    python -m benchmarks.hamer_forward [--device cuda] [--hands 1 2 4 8] [--precision fp32 bf16]

``published`` is the eager fp32 path as published; on CUDA also with TF32 and autocast. ``ours`` is
the engine (CUDA: one graph per number of hands), ``eager`` ours without graphs. Random weights of
the published size unless ``--hamer-dir``. A row counts only when benchmarks.accuracy_guard passes
for the same precision.
"""

import argparse
import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.common import Times, environment, report, time_interleaved
from benchmarks.hamer_model import SIZES, random_crops, write_random_release
from benchmarks.hamer_reference import ReferenceHamer
from benchmarks.roofline import DTYPES, measure
from hand_perception.models.device import select_device
from hand_perception.models.hamer.checkpoint import read_checkpoint
from hand_perception.models.hamer.config_file import parse_config
from hand_perception.models.hamer.engine import HamerEngine
from hand_perception.models.hamer.files import find_files
from hand_perception.models.hamer.network import HamerNetwork
from hand_perception.models.hamer.sizes import read_sizes


def load_reference(hamer_dir: Path, device: torch.device) -> ReferenceHamer:
    """Make the eager reference path of a checkpoint; on the CPU its tensors stay mapped."""
    checkpoint = read_checkpoint(find_files(hamer_dir))
    shapes = {name: tuple(tensor.shape) for name, tensor in checkpoint.tensors.items()}
    config = parse_config(checkpoint.config, source=checkpoint.config_source)
    sizes = read_sizes(shapes, config, source=str(hamer_dir))
    used = ('backbone.', 'mano_head.', 'mano.')
    state = {k: v.to(device) for k, v in checkpoint.tensors.items() if k.startswith(used)}
    return ReferenceHamer(state, sizes)


@contextlib.contextmanager
def release_folder(hamer_dir: str, size: str):
    """Give the user's folder, or one with random weights that is removed at the end."""
    if hamer_dir:
        yield Path(hamer_dir)
        return
    with tempfile.TemporaryDirectory(prefix='hamer_') as folder:
        yield write_random_release(Path(folder), SIZES[size])


def _waiting(work: Callable[[], object], device: torch.device) -> Callable[[], object]:
    if device.type != 'cuda':
        return work

    def wait() -> None:
        work()
        torch.cuda.synchronize(device)

    return wait


def _reference_ways(
    reference: ReferenceHamer, images: torch.Tensor, device: torch.device
) -> dict[str, Callable[[], object]]:
    def published() -> object:
        with torch.no_grad():
            return reference(images)

    def autocast() -> object:
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
            features = reference.features(images)
        with torch.no_grad():
            return reference.hands(*reference.readouts(features.float()))

    def tf32() -> object:
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision('high')
        try:
            return published()
        finally:
            torch.set_float32_matmul_precision(before)

    ways: dict[str, Callable[[], object]] = {'published': published}
    if device.type == 'cuda':
        ways |= {'published, TF32': tf32, 'published, autocast': autocast}
    return ways


def main() -> None:
    """Time all ways in turns and print ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--device', default='auto')
    parser.add_argument('--size', choices=SIZES, default='full')
    parser.add_argument('--hamer-dir', default='', help='real weights instead of random ones')
    parser.add_argument('--hands', type=int, nargs='+', default=[1, 2])
    parser.add_argument('--precision', nargs='+', default=['fp32', 'bf16'])
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=0, help='0: 5 on the CPU, 200 on CUDA')
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = select_device(arguments.device)
    is_cuda = device.type == 'cuda'
    rounds = arguments.rounds or (200 if is_cuda else 5)
    results: dict[str, dict[str, Times]] = {}
    with release_folder(arguments.hamer_dir, arguments.size) as folder:
        reference = load_reference(folder, device)
        networks = {
            precision: HamerNetwork.load(folder, device=arguments.device, precision=precision)
            for precision in arguments.precision
        }
        engines = {
            precision: HamerEngine(network, buckets=arguments.hands)
            for precision, network in networks.items()
        }
        for engine in engines.values():
            engine.warm_up()
        for hands in arguments.hands:
            crops = torch.from_numpy(random_crops(hands)).to(device)
            images = next(iter(networks.values())).normalize(crops).contiguous()
            ways = _reference_ways(reference, images, device)
            for precision in arguments.precision:
                network, engine = networks[precision], engines[precision]
                ways[f'ours {precision}'] = lambda engine=engine, crops=crops: engine.run(crops)
                if is_cuda:
                    ways[f'eager {precision}'] = lambda n=network, images=images: n(images)
            waiting = {name: _waiting(work, device) for name, work in ways.items()}
            results[f'{hands} hands'] = time_interleaved(
                waiting, rounds=rounds, warm_up=50 if is_cuda else 1
            )
    name = torch.cuda.get_device_name(device) if is_cuda else 'cpu'
    where = environment(device=name, threads=arguments.threads, size=arguments.size)
    report(results, baseline='published', where=where, json_path=arguments.json)
    if arguments.size == 'full':
        _print_floors(results, arguments.precision, device, max(arguments.hands))


def _print_floors(
    results: dict[str, dict[str, Times]], precisions: list[str], device: torch.device, most: int
) -> None:
    """Print every way of ours as a multiple of the floor measured in this run."""
    print('\ntimes of the floor (benchmarks.roofline), least over least:')
    for precision in precisions:
        if precision not in DTYPES:
            continue
        roofline = measure(device, DTYPES[precision], most)
        for case, ways in results.items():
            floor_s = roofline.floor_s(int(case.split()[0]))
            ratio = ways[f'ours {precision}'].min() / floor_s
            print(f'  {precision} {case}: {ratio:.2f} x {floor_s * 1e3:.2f} ms')


if __name__ == '__main__':
    main()
