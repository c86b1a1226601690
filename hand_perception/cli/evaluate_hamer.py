"""``hand_perception evaluate hamer``: the tables of HaMeR's benchmarks, and of other hands."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from hand_perception.cli.evaluate_options import (
    add_options,
    check_out,
    choose_split,
    parse_data,
    tell,
)
from hand_perception.datasets import hands as single_hands
from hand_perception.datasets.hands import HandImages
from hand_perception.datatypes import DoubleArray
from hand_perception.errors import ConfigError
from hand_perception.evaluation.hamer_benchmarks import benchmark_for, published_name
from hand_perception.evaluation.hamer_run import PART_HANDS, evaluate_hamer
from hand_perception.evaluation.hand_answers import HandsWithAnswers
from hand_perception.evaluation.mean_hand import (
    is_known,
    mean_hand,
    mean_hand_figures,
    mean_hand_table,
)
from hand_perception.evaluation.ranks import Rank
from hand_perception.models.hamer.files import find_files
from hand_perception.models.hamer.network import HamerNetwork
from hand_perception.models.safetensors_file import file_sha256

_DESCRIPTION: Final = """\
Score HaMeR on single hands: FreiHAND, HO-3D, HInt, HaMeR's own evaluation files, synthetic data.

docs/evaluation.md says what each figure is and which boxes the published ones were made with.
"""
#: Data sets that publish the answers to a file of HaMeR.
_ANSWERS: Final = ('freihand', 'ho3d')


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
        '--answers', default='', metavar='KIND:DIR',
        help='FreiHAND or HO-3D, whose published truth a hamer_eval file is scored with',
    )  # fmt: skip
    parser.add_argument(
        '--mean-pose', action='store_true',
        help='set the errors of the mean hand of the training split beside',
    )  # fmt: skip
    parser.add_argument(
        '--precision', default='fp32', help='of the backbone: auto, fp32, bf16, fp16 or int8 (CPU)'
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
    kind, root = parse_data(options.data, single_hands.KINDS, files=single_hands.FILE_KINDS)
    for flag in ('images', 'answers'):
        if getattr(options, flag) and kind not in single_hands.FILE_KINDS:
            raise ConfigError(
                f'--{flag} belongs to {", ".join(single_hands.FILE_KINDS)}, not to {kind}'
            )
    splits = single_hands.SPLITS[kind]
    if options.mean_pose and 'train' not in splits:
        raise ConfigError(f'--mean-pose is of a training split, which {kind} has not')
    split = choose_split(options.split, splits, splits[-1])
    rank = Rank.from_environment()
    device = str(rank.device(options.device))
    files = find_files(options.weights)
    hands = single_hands.open_hands(
        kind, root, split, images=options.images,
        version='' if options.answers else options.version,
    )  # fmt: skip
    mean = _mean_hand(hands, kind, root, rank) if options.mean_pose else None
    name = published_name(hands, root)
    identity: dict[str, object] = {
        'sha256': file_sha256(files.checkpoint), 'precision': options.precision,
        'data': str(root.resolve()),
    }  # fmt: skip
    if options.answers:
        answers, place = parse_data(options.answers, _ANSWERS)
        hands = HandsWithAnswers(
            hands, single_hands.open_hands(answers, place, 'test', version=options.version)
        )
        identity['answers'] = f'{answers}:{place.resolve()}'
    report = evaluate_hamer(
        hands,
        lambda: HamerNetwork.load(
            options.weights, mano_dir=options.mano, device=device, precision=options.precision
        ),
        benchmark=benchmark_for(kind, root, split), identity=identity,
        facts={'weights': str(files.checkpoint)}, folder=options.out, name=name, rank=rank,
        resume=options.resume, batch=options.batch, workers=options.workers,
    )  # fmt: skip
    if report is not None:
        if mean is not None:
            figures = mean_hand_figures(mean, hands)
            table = mean_hand_table(report.figures, figures, 'train')
            report = replace(report, tables=(*report.tables, table))
        tell(report, options)
    return 0


def _mean_hand(hands: HandImages, kind: str, root: Path, rank: Rank) -> DoubleArray | None:
    """Average the hands of the training split in the process that reports, before the work.

    Raises:
        ConfigError: the hands are not known in 3D.
        DatasetError: the training split is not there, or knows no hand in 3D.
    """
    if not rank.is_first:
        return None
    if not any(is_known(hands.truth(number)) for number in range(len(hands))):
        raise ConfigError(f'--mean-pose needs hands in 3D, which {kind} does not tell here')
    return mean_hand(single_hands.open_hands(kind, root, 'train'))
