"""Time from a process without weights to a HaMeR that can run, and the memory that takes.

    python -m benchmarks.cold_start [--size full] [--rounds 2]

``build and copy`` is what is usual: modules with random weights, the checkpoint read into memory,
its values copied into the modules. ``ours`` builds without memory and maps the file. Each runs in
a process of its own; both end with the networks ready, without a forward.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.common import environment, ratio_of_medians
from benchmarks.hamer_forward import release_folder
from benchmarks.hamer_model import SIZES

_START: Final = """
import json, resource, sys, time, warnings
import torch
from hand_perception.models.hamer import checkpoint, config_file, files, network, sizes
from hand_perception.models.hamer.weight_files import HamerParts, published_name
torch.set_num_threads(1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started = time.perf_counter()
"""
_END: Final = """
seconds = time.perf_counter() - started
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({'seconds': seconds, 'gib': (after - before) / 2**20}))
"""
WAYS: Final = {
    'build and copy': '''
found = files.find_files(sys.argv[1])
values = config_file.read_config_file(found.config)
config = config_file.parse_config(values, source='config')
state = torch.load(found.checkpoint, map_location='cpu', weights_only=True)['state_dict']
shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
parts = HamerParts(sizes.read_sizes(shapes, config, source='checkpoint'))
parts.load_state_dict({name: state[published_name(name)] for name in parts.state_dict()})
''',
    'ours': '''
network.HamerNetwork.load(sys.argv[1], device='cpu', precision='fp32')
''',
    'ours, bf16': '''
network.HamerNetwork.load(sys.argv[1], device='cpu', precision='bf16')
''',
    'ours, first crop too': '''
found = network.HamerNetwork.load(sys.argv[1], device='cpu', precision='fp32')
found(torch.zeros(1, 3, 256, 256))
''',
}  # fmt: skip


def run_once(way: str, hamer_dir: Path) -> dict[str, float]:
    """Run one way in a fresh process: seconds, and GiB of resident memory on top of imports."""
    done = subprocess.run(
        [sys.executable, '-c', _START + WAYS[way] + _END, str(hamer_dir)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def main() -> None:
    """Take turns and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--size', choices=SIZES, default='full')
    parser.add_argument('--hamer-dir', default='', help='real weights instead of random ones')
    parser.add_argument('--rounds', type=int, default=2)
    arguments = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with release_folder(arguments.hamer_dir, arguments.size) as folder:
        for way in WAYS:
            run_once(way, folder)  # brings the file into the page cache
        for _ in range(arguments.rounds):
            for way, runs in found.items():
                runs.append(run_once(way, folder))
    for key, value in environment(size=arguments.size, rounds=arguments.rounds).items():
        print(f'{key}: {value}')
    seconds = {w: np.array([run['seconds'] for run in runs]) for w, runs in found.items()}
    memory = {w: np.array([run['gib'] for run in runs]) for w, runs in found.items()}
    print(f'\n{"":22}  seconds  GiB   times faster  times less memory')
    for way in WAYS:
        faster, *_ = ratio_of_medians(seconds['build and copy'], seconds[way])
        less, *_ = ratio_of_medians(memory['build and copy'], memory[way])
        print(f'{way:22}  {np.median(seconds[way]):7.2f}  {np.median(memory[way]):.2f}  '
              f'{faster:12.1f}  {less:17.1f}')  # fmt: skip


if __name__ == '__main__':
    main()
