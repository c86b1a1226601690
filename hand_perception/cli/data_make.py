"""``hand_perception data make-synthetic``: data sets that we make ourselves."""

import argparse
import os
from typing import Any

from tqdm import tqdm

from hand_perception.datasets.synthetic_files import TABLE
from hand_perception.errors import ConfigError
from hand_perception.synthetic.data_set import write_data_set
from hand_perception.synthetic.people import SCRIPT_CHOICES, DataSpec


def add_actions(actions: Any) -> None:
    """Add the actions of ``hand_perception data`` that make something."""
    usual = DataSpec()
    action = actions.add_parser(
        'make-synthetic', help='render people with exact truth; goes on where it stopped'
    )
    action.add_argument('folder', metavar='DIR', help='folder to write')
    for name, text in (
        ('subjects', 'people to train on'),
        ('held-out', 'people to validate on, and as many others to test on'),
        ('recordings', 'recordings of each person'),
        ('frames', 'images of a recording, 30 a second'),
        ('seed', 'of everything that is random'),
        ('quality', 'of the JPEG files, 1 to 100'),
        (
            'supersampling',
            'samples per pixel and axis; 2 looks better, takes 2.5 times as long',
        ),
    ):
        value = getattr(usual, name.replace('-', '_'))
        action.add_argument(
            f'--{name}', type=int, default=value, metavar='N', help=f'{text} ({value})'
        )
    action.add_argument(
        '--size', default=f'{usual.width}x{usual.height}', metavar='WxH',
        help='of the images, pixels (480x270, what HTT takes)',
    )  # fmt: skip
    action.add_argument(
        '--script', choices=SCRIPT_CHOICES, default=usual.script,
        help='what hands do: acts (one action in each recording), primitives, desk (acts)',
    )  # fmt: skip
    action.add_argument(
        '--variety', type=float, default=usual.variety, metavar='SHARE',
        help='how far places and turns of hands stray, 0 to 1 (1)',
    )  # fmt: skip
    action.add_argument(
        '--processes', type=int, default=os.cpu_count() or 1, metavar='N',
        help='that render side by side (one for each core)',
    )  # fmt: skip
    action.set_defaults(run=run_synthetic)


def run_synthetic(options: argparse.Namespace) -> int:
    """Write the data set with a bar; say what it holds."""
    if options.processes < 1:
        raise ConfigError(f'--processes must be 1 or more, got {options.processes}')
    spec = DataSpec(
        seed=options.seed, subjects=options.subjects, held_out=options.held_out,
        recordings=options.recordings, frames=options.frames, script=options.script,
        variety=options.variety, supersampling=options.supersampling, quality=options.quality,
        **read_size(options.size),
    )  # fmt: skip
    takes = spec.takes
    with tqdm(total=len(takes) * spec.frames, unit='image', disable=None) as bar:
        for _ in write_data_set(spec, options.folder, num_processes=options.processes):
            bar.update(spec.frames)
    print(
        f'{options.folder}: {len(takes)} recordings, {len(takes) * spec.frames:,} images; '
        f'{spec.subjects} people to train on, {spec.held_out} to validate on, {spec.held_out} to '
        f'test on; {TABLE} lists them'
    )
    return 0


def read_size(text: str) -> dict[str, int]:
    """Read ``480x270``."""
    width, _, height = text.partition('x')
    if not (width.isdecimal() and height.isdecimal()):
        raise ConfigError(f'--size must be like 480x270, got {text!r}')
    return {'width': int(width), 'height': int(height)}
