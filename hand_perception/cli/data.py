"""``hand_perception data``: whether the folder of a data set is whole, and what it holds."""

import argparse
from typing import Any

from hand_perception.cli import data_make
from hand_perception.cli.data_check import KINDS, SPLITS, check
from hand_perception.cli.doctor import FAIL
from hand_perception.errors import ConfigError


def add_parser(commands: Any) -> None:
    """Add the subcommand with its action."""
    parser = commands.add_parser('data', help='check or make folders of data sets')
    actions = parser.add_subparsers(dest='action', required=True, metavar='ACTION')
    action = actions.add_parser(
        'check', help='read all tables and annotations, look for every image; say what to do'
    )
    action.add_argument('kind', choices=KINDS, metavar='KIND', help=', '.join(KINDS))
    action.add_argument(
        'folder', metavar='DIR', help='its folder; the npz file for hamer_eval'
    )  # fmt: skip
    action.add_argument('--split', default='', metavar='NAME', help='only this one, such as train')
    action.add_argument(
        '--images', default='', metavar='DIR', help='hamer_eval: folder of the images'
    )
    action.add_argument(
        '--mano-dir', default='', metavar='DIR',
        help='freihand: folder of MANO_RIGHT.pkl, without which poses are not known',
    )  # fmt: skip
    action.add_argument(
        '--all-images', action='store_true',
        help='read every image (long), not only the first and last of each segment or some',
    )  # fmt: skip
    action.set_defaults(run=run)
    data_make.add_actions(actions)


def run(options: argparse.Namespace) -> int:
    """Print what was found; return 1 when something is missing or damaged."""
    splits = SPLITS[options.kind]
    if options.split and options.split not in splits:
        raise ConfigError(
            f'{options.kind} has the splits {", ".join(splits)}, got --split {options.split}'
        )
    failed = False
    for finding in check(
        options.kind, options.folder, splits=(options.split,) if options.split else splits,
        all_images=options.all_images, images=options.images, mano_dir=options.mano_dir,
    ):  # fmt: skip
        print(f'{finding.level:<5} {finding.topic:<13} {finding.text}', flush=True)
        if finding.advice:
            print(f'{"":<19} -> {finding.advice}', flush=True)
        failed |= finding.level == FAIL
    return int(failed)
