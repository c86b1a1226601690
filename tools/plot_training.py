"""Draw the curves of a training run as a PNG for the documents.

    python -m tools.plot_training RUN OUT.png [--error mpjpe_mm] [--losses total keypoints_3d]

RUN is the folder of the run. On the left the figures of held-out samples in the unit of
``--error``, with the mean pose and a third of it; on the right losses over those of the start.
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use('Agg')
from matplotlib import pyplot  # noqa: E402 - the backend first

from hand_perception.training.run_folder import RunFolder  # noqa: E402

_MEAN = 'mean_pose'


def main() -> None:
    """Read the figures of the run and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('run', type=Path)
    parser.add_argument('out', type=Path)
    parser.add_argument('--error', default='mpjpe_mm')
    parser.add_argument('--losses', nargs='+', default=['total'])
    options = parser.parse_args()
    lines = RunFolder(options.run).read_figures()
    looks = [line for line in lines if line['kind'] == 'validation']
    steps = [line for line in lines if line['kind'] == 'training']
    unit = options.error.rpartition('_')[2]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.2), dpi=110)
    for name in looks[-1]:
        if name.endswith(f'_{unit}') and not name.startswith(_MEAN):
            left.plot([one['step'] for one in looks], [one[name] for one in looks], label=name)
    mean = next((v for name, v in looks[-1].items() if name.startswith(_MEAN)), None)
    if mean is not None:
        left.axhline(mean, linestyle='--', color='grey', label='mean pose of training')
        left.axhline(mean / 3, linestyle=':', color='grey', label='a third of it')
    left.set(xlabel='step', ylabel=unit, title='held-out people', ylim=(0, None))
    for name in options.losses:
        values = [one[name] / steps[0][name] for one in steps]
        right.plot([one['step'] for one in steps], values, linewidth=0.8, label=name)
    right.set(xlabel='step', yscale='log', title='training losses over those of the start')
    for part in (left, right):
        part.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(options.out)


if __name__ == '__main__':
    main()
