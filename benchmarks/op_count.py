"""Count the operations that one forward of HaMeR dispatches, views left out.

    python -m benchmarks.op_count [--hands 2]

``published`` is the eager reference path, which has to do the published 790; ``ours`` has to stay
below 400. On CUDA a graph makes one launch of them; the count is what that graph holds, and what
is dispatched where there is no graph. Widths do not matter, so the networks are narrow. Exits 1
when a bound is broken.
"""

import argparse
import collections
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.hamer_model import NARROW, random_crops, write_random_release
from benchmarks.hamer_reference import ReferenceHamer
from hand_perception.models.hamer.checkpoint import read_checkpoint
from hand_perception.models.hamer.files import find_files
from hand_perception.models.hamer.head import ManoParameters
from hand_perception.models.hamer.network import HamerNetwork

PUBLISHED = 790
MOST = 400
#: Share by which the reference path may miss the published number.
SLACK = 0.05
#: Dispatched, but it does nothing on the device: the second half of ``reshape``.
_FREE = ('aten._unsafe_view',)


class OperationCounter(TorchDispatchMode):
    """Counts what is dispatched to a device."""

    def __init__(self) -> None:
        """Start at zero."""
        super().__init__()
        self.counts: collections.Counter[str] = collections.Counter()

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Count and run."""
        if not operation.is_view and not str(operation).startswith(_FREE):
            self.counts[str(operation)] += 1
        return operation(*args, **(kwargs or {}))


def count(work: Callable[[], object]) -> collections.Counter[str]:
    """Count the operations of some work.

    Inference mode is held off: in it composite operations are dispatched whole.
    """
    with mock.patch.object(torch, 'inference_mode', torch.no_grad), OperationCounter() as counter:
        work()
    return counter.counts


def count_stages(hands: int) -> dict[str, tuple[collections.Counter[str], ...]]:
    """Count backbone, head, and hand with projection: of the published way and of ours."""
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        release = write_random_release(Path(folder), NARROW)
        reference = ReferenceHamer(read_checkpoint(find_files(release)).tensors, NARROW)
        networks = {
            f'ours {precision}': HamerNetwork.load(release, device='cpu', precision=precision)
            for precision in ('fp32', 'bf16')
        }
        crops = torch.from_numpy(random_crops(hands))
        images = networks['ours fp32'].normalize(crops).contiguous()
        features = reference.features(images)
        readouts = reference.readouts(features)
        rows = {
            'published': (
                count(lambda: reference.features(images)),
                count(lambda: reference.readouts(features)),
                count(lambda: reference.hands(*readouts)),
            )
        }
        for name, network in networks.items():
            rotations, betas, cam = readouts
            parameters = ManoParameters(rotations=rotations, betas=betas, pred_cam=cam)
            rows[name] = (
                count(lambda network=network: network.features(images)),
                count(lambda network=network: network.parameters_from_features(features)),
                count(lambda network=network, p=parameters: network.hands_from_parameters(p)),
            )
    return rows


def problems_of(totals: Mapping[str, int]) -> list[str]:
    """Say which bounds are broken."""
    problems = [
        f'{name} dispatches {total}, more than {MOST}'
        for name, total in totals.items()
        if name != 'published' and total > MOST
    ]
    if abs(totals['published'] - PUBLISHED) > SLACK * PUBLISHED:
        problems.append(f'the reference path dispatches {totals["published"]}, not {PUBLISHED}')
    return problems


def main() -> None:
    """Count by stage and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--hands', type=int, default=2)
    parser.add_argument('--details', action='store_true', help='every operation of ours in bf16')
    arguments = parser.parse_args()
    rows = count_stages(arguments.hands)
    print(f'{"":10}  backbone  head  hand and projection  total')
    totals = {}
    for name, stages in rows.items():
        numbers = [sum(stage.values()) for stage in stages]
        totals[name] = sum(numbers)
        print(f'{name:10}  {numbers[0]:8d}  {numbers[1]:4d}  {numbers[2]:19d}  {totals[name]:5d}')
    if arguments.details:
        for name, number in sum(rows['ours bf16'], collections.Counter()).most_common():
            print(f'{number:6d}  {name}')
    if problems := problems_of(totals):
        sys.exit('; '.join(problems))


if __name__ == '__main__':
    main()
