"""Hold every speed mode of HaMeR against the published fp32 path on fixed crops.

    python -m benchmarks.accuracy_guard [--hamer-dir DIR] [--size full] [--device cpu]

Prints how far vertices (mm) and keypoints (pixels of the crop) move, and exits 1 when a mode moves
them further than its bound. Random weights amplify rounding; with real ones the errors are to be
measured again (--hamer-dir). A speed of a mode counts only where its guard passes.
"""

import argparse
import sys
from typing import Final

import numpy as np
import torch

from benchmarks.common import environment
from benchmarks.hamer_forward import load_reference, release_folder
from benchmarks.hamer_model import SIZES, random_crops
from hand_perception.models.device import select_device
from hand_perception.models.hamer.engine import HamerEngine
from hand_perception.models.hamer.network import HamerNetwork

#: Most that a mode may move: the largest of all vertices in mm, the largest of all keypoints in
#: pixels of the 256 crop. For random weights; fp32 is the noise of the reference itself.
BOUNDS: Final = {
    'fp32': (0.005, 0.005), 'fp16': (0.5, 0.5), 'bf16': (4.0, 4.0), 'int8': (8.0, 8.0),
}  # fmt: skip


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--device', default='auto')
    parser.add_argument('--size', choices=SIZES, default='narrow')
    parser.add_argument('--hamer-dir', default='', help='real weights instead of random ones')
    parser.add_argument('--hands', type=int, default=4)
    parser.add_argument('--precision', nargs='+', default=['fp32', 'bf16', 'int8'])
    parser.add_argument('--threads', type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = select_device(arguments.device)
    crops = random_crops(arguments.hands, seed=1)
    problems = []
    where = environment(device=device, size=arguments.hamer_dir or arguments.size)
    for key, value in where.items():
        print(f'{key}: {value}')
    print(f'\n{"precision":10}  vertices mm: max   mean   keypoints px: max   mean')
    with release_folder(arguments.hamer_dir, arguments.size) as folder:
        reference = load_reference(folder, device)
        wanted = None
        for precision in arguments.precision:
            network = HamerNetwork.load(folder, device=arguments.device, precision=precision)
            if wanted is None:
                images = network.normalize(torch.from_numpy(crops).to(device)).contiguous()
                with torch.no_grad():
                    rows = [reference(images[i : i + 1]) for i in range(len(images))]
                wanted = {k: torch.cat([row[k] for row in rows]).cpu().numpy() for k in rows[0]}
            hands = HamerEngine(network).run(crops)
            moved_mm = 1e3 * np.linalg.norm(hands.vertices - wanted['vertices'], axis=-1)
            moved_px = 256 * np.linalg.norm(
                hands.pred_keypoints_2d - wanted['pred_keypoints_2d'], axis=-1
            )
            print(f'{precision:10}  {moved_mm.max():16.4f} {moved_mm.mean():6.4f}   '
                  f'{moved_px.max():17.4f} {moved_px.mean():6.4f}')  # fmt: skip
            for found, bound, what in zip(
                (moved_mm.max(), moved_px.max()), BOUNDS[precision], ('mm', 'px'), strict=True
            ):
                if not found <= bound:
                    problems.append(f'{precision} moves by {found:.4f} {what}, more than {bound}')
            del network, hands
    if problems:
        sys.exit('; '.join(problems))


if __name__ == '__main__':
    main()
