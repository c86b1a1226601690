"""Write test/data/htt_evaluators.npz from complete reference results of the official HTT.

    python -m tools.make_metric_excerpts FOLDER

FOLDER holds evaluators.npz: random joints and probabilities, and what the official evaluation
program says of them.
"""

import argparse
from pathlib import Path

import numpy as np

DATA = Path(__file__).resolve().parents[1] / 'test' / 'data'


def main() -> None:
    """Write the excerpt."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path)
    folder = parser.parse_args().folder
    path = DATA / 'htt_evaluators.npz'
    with np.load(folder / 'evaluators.npz') as reference:
        np.savez_compressed(path, **reference)
    print(path, path.stat().st_size)


if __name__ == '__main__':
    main()
