"""``hand_perception evaluate htt``: figures of FPHA and H2O, and those of streams beside them."""

import argparse
from pathlib import Path
from typing import Any, Final

from hand_perception.cli.evaluate_options import (
    add_options,
    check_out,
    choose_split,
    parse_data,
    tell,
)
from hand_perception.datasets.clips import HANDS, IMAGES, KINDS, SPLITS, open_images, open_split
from hand_perception.datasets.segments import Split
from hand_perception.errors import ConfigError
from hand_perception.evaluation.htt_report import htt_report, write_answers
from hand_perception.evaluation.htt_run import HttEvaluation, HttWindows, images_per_token
from hand_perception.evaluation.partial_results import Arrays, run_parts
from hand_perception.evaluation.ranks import Rank
from hand_perception.models.htt.constants import POSE_WINDOW, WINDOW
from hand_perception.models.htt.folded_backbone import DTYPES
from hand_perception.models.htt.network import HttNetwork
from hand_perception.models.htt.weight_files import LoadedHtt, load_module
from hand_perception.models.safetensors_file import file_sha256

#: Images per token, where neither the weights nor the user tell.
_SPACING: Final = 2


def add_parser(networks: Any) -> None:
    """Add the network with its options."""
    parser = networks.add_parser(
        'htt', help='joints, actions and objects on FPHA, H2O or synthetic clips'
    )
    add_options(parser, KINDS)
    parser.add_argument(
        '--hands', choices=HANDS, default=HANDS[0],
        help='H2O: hands that are annotated, or all, as its published evaluation counts them',
    )  # fmt: skip
    parser.add_argument(
        '--images', choices=IMAGES, default=IMAGES[0], help='where images are read from'
    )
    for name, words in (
        ('window', 'tokens of a clip'),
        ('pose-window', 'tokens of a pose window'),
        ('spacing', 'images per token'),
    ):
        parser.add_argument(
            f'--{name}', type=int, default=0, metavar='N',
            help=f'{words}; as the weights were trained, where nothing is given',
        )  # fmt: skip
    parser.add_argument(
        '--offline-only', action='store_true', help='leave the engines of a stream out'
    )
    parser.add_argument(
        '--mean-pose', action='store_true',
        help='set the errors of the mean pose of the training split beside',
    )  # fmt: skip
    parser.add_argument(
        '--precision', choices=tuple(DTYPES), default='fp32', help='of the backbone'
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Evaluate; the first process prints and writes the report.

    Raises:
        ConfigError: an option is refused, or weights and data do not fit each other.
        WeightsError: the weights cannot be loaded.
        DatasetError: data are missing or damaged, or a file cannot be written.
        MissingPackageError: a package for reading or plotting is missing.
    """
    check_out(options)
    kind, root = parse_data(options.data, KINDS)
    split = open_split(
        kind, root, choose_split(options.split, SPLITS[kind], 'test'), hands=options.hands
    )
    trained_on = (
        open_split(kind, root, 'train', hands=options.hands) if options.mean_pose else None
    )
    rank = Rank.from_environment()
    device = rank.device(options.device)
    loaded = load_module(options.weights)
    windows = _windows(options, loaded, split.rate_hz)
    evaluation = HttEvaluation(split, open_images(split, options.images), windows)
    sizes = loaded.sizes
    evaluation.check_network(
        num_joints=sizes.num_joints, num_actions=sizes.num_actions, num_objects=sizes.num_objects
    )
    _check_labels(loaded, split)
    networks: list[HttNetwork] = []

    def compute(number: int, images: Any) -> Arrays:
        if not networks:
            networks.append(
                HttNetwork.from_module(loaded.module, device=device, precision=options.precision)
            )
        return evaluation.compute(networks[0], number, images)

    facts: dict[str, object] = {
        'weights': str(loaded.path), 'sha256': file_sha256(loaded.path),
        'data': f'{kind}:{root}', 'split': split.name, 'hands': options.hands,
        'windows': f'{windows.window} and {windows.pose_window} tokens, one image of '
        f'{windows.spacing}', 'precision': options.precision,
    }  # fmt: skip
    if windows.lookahead is not None:
        facts['windows'] = f'{facts["windows"]}, sliding with a lookahead of {windows.lookahead}'
    results = run_parts(
        options.out, evaluation.names, compute, prepare=evaluation.read, rank=rank,
        resume=options.resume, workers=options.workers,
        identity={**_stable(facts, root), 'engines': list(windows.engines)},
    )  # fmt: skip
    if results is None:
        return 0
    report, scores = htt_report(split, windows, results, facts, trained_on=trained_on)
    written = [] if options.out is None else write_answers(options.out, split, results, scores)
    tell(report, options, written)
    return 0


def _windows(options: argparse.Namespace, loaded: LoadedHtt, rate_hz: float) -> HttWindows:
    """Choose windows: those given, else those of the weights, else the published ones."""
    trained = loaded.options
    for name in ('window', 'pose_window', 'spacing'):
        if getattr(options, name) < 0:
            raise ConfigError(f'--{name.replace("_", "-")} must be 1 or more')
    return HttWindows(
        window=options.window or trained.window or WINDOW,
        pose_window=options.pose_window or trained.pose_window or POSE_WINDOW,
        spacing=options.spacing or images_per_token(trained.spacing or _SPACING, rate_hz),
        lookahead=trained.lookahead if trained.engine == 'sliding' else None,
        with_engines=not options.offline_only,
    )


def _check_labels(loaded: LoadedHtt, split: Split) -> None:
    """Refuse classes of other names than those of the data.

    Raises:
        ConfigError: names differ; official files have none.
    """
    if loaded.labels is None:
        return
    for what in ('actions', 'objects'):
        found, wanted = getattr(loaded.labels, what), getattr(split.labels, what)
        for number, (name, true_name) in enumerate(zip(found, wanted, strict=True)):
            if name != true_name:
                raise ConfigError(
                    f'class {number} of the {what} is {name!r} in {loaded.path} and {true_name!r} '
                    f'in {split.root}; give weights that were trained on these classes'
                )


def _stable(facts: dict[str, object], root: Path) -> dict[str, object]:
    """Leave out what does not decide on the results: where the weights lie."""
    known = {name: value for name, value in facts.items() if name != 'weights'}
    return {**known, 'data': str(root.resolve())}
