"""``hand_perception evaluate hamer``: the tables of HaMeR's benchmarks, and of other hands."""

import argparse
from typing import Any, Final

from hand_perception.cli.evaluate_options import (
    add_options,
    check_out,
    choose_split,
    parse_data,
    tell,
)
from hand_perception.datasets import hands as single_hands
from hand_perception.errors import ConfigError
from hand_perception.evaluation.hamer_run import PART_HANDS, benchmark_for, evaluate_hamer
from hand_perception.evaluation.ranks import Rank
from hand_perception.models.hamer.files import find_files
from hand_perception.models.hamer.network import HamerNetwork
from hand_perception.models.safetensors_file import file_sha256

_DESCRIPTION: Final = """\
Score HaMeR on single hands: FreiHAND, HO-3D, HInt, HaMeR's own evaluation files, synthetic data.

docs/evaluation.md says what each figure is and which boxes the published ones were made with.
"""
#: Kinds that are told by a file.
_FILES: Final = ('hamer_eval',)


def add_parser(networks: Any) -> None:
    """Add the network to those that can be evaluated."""
    parser = networks.add_parser(
        'hamer', help='hands from crops', description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add_options(parser, single_hands.KINDS)
    parser.add_argument(
        '--mano', default='', metavar='DIR',
        help='folder of MANO_RIGHT.pkl, where the weights need it and it lies elsewhere',
    )  # fmt: skip
    parser.add_argument(
        '--version', default='', metavar='NAME',
        help='of the data set: v2 or v3 of HO-3D; newdays, epick or ego4d of HInt',
    )  # fmt: skip
    parser.add_argument(
        '--images', default='', metavar='DIR',
        help='folder of the images of a hamer_eval file, when they lie elsewhere',
    )  # fmt: skip
    parser.add_argument(
        '--precision', default='auto', help='auto, fp32, bf16, fp16 or int8 (CPU); default auto'
    )
    parser.add_argument(
        '--batch', type=int, default=PART_HANDS, metavar='N',
        help=f'hands at once, up to {PART_HANDS}; fewer need less memory',
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Evaluate, print the report and write the files.

    Raises:
        ConfigError: an option is refused.
        DatasetError: the data cannot be read, or files not be written.
        WeightsError: the network cannot be loaded.
    """
    check_out(options)
    kind, root = parse_data(options.data, single_hands.KINDS, files=_FILES)
    if options.images and kind not in _FILES:
        raise ConfigError(f'--images belongs to {", ".join(_FILES)}, not to {kind}')
    splits = single_hands.SPLITS[kind]
    split = choose_split(options.split, splits, splits[-1])
    rank = Rank.from_environment()
    device = str(rank.device(options.device))
    files = find_files(options.weights)
    hands = single_hands.open_hands(
        kind, root, split, version=options.version, images=options.images
    )
    report = evaluate_hamer(
        hands,
        lambda: HamerNetwork.load(
            options.weights, mano_dir=options.mano, device=device, precision=options.precision
        ),
        benchmark=benchmark_for(kind, root, split),
        identity={
            'weights': str(files.checkpoint),
            'sha256': file_sha256(files.checkpoint),
            'precision': options.precision,
        },
        folder=options.out, rank=rank, resume=options.resume, batch=options.batch,
        workers=options.workers,
    )  # fmt: skip
    if report is not None:
        tell(report, options)
    return 0
