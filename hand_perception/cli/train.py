"""``hand_perception train``: train a network by the settings of a file, go on, export."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from hand_perception.cli import train_ablation
from hand_perception.errors import ConfigError
from hand_perception.training.networks import NETWORKS, find_network
from hand_perception.training.run import TrainedRun, run_training
from hand_perception.training.run_folder import RunFolder
from hand_perception.training.training_file import read_training_file, shipped

_RUNS: Final = Path('runs')
_OVERRIDES: Final = 'overrides'


class SettingsParser(argparse.ArgumentParser):
    """A parser that takes ``section.name=value`` words anywhere between the options.

    (argparse itself, until Python 3.12, refuses them behind options.)
    """

    def parse_known_args(  # type: ignore[override]  # the types of the base are overloads
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parse; the words come as ``overrides``."""
        found, left = super().parse_known_args(args, namespace)
        words = [word for word in left if '=' in word and not word.startswith('-')]
        setattr(found, _OVERRIDES, [*(getattr(found, _OVERRIDES, None) or []), *words])
        return found, [word for word in left if word not in words]


def add_parser(commands: Any) -> None:
    """Add the subcommand with its networks."""
    parser = commands.add_parser('train', help='train HTT or HaMeR, or go on with a training')
    networks = parser.add_subparsers(
        dest='network', required=True, metavar='NETWORK', parser_class=SettingsParser
    )
    for name in NETWORKS:
        add_network(networks, name)
    train_ablation.add_parser(networks)


def add_network(networks: Any, name: str) -> None:
    """Add the options of a network."""
    parser = networks.add_parser(
        name,
        help=f'train {name} by a training file',
        usage=f'hand_perception train {name} --config NAME|FILE [--out DIR] [--resume] '
        '[--export] [section.name=value ...]',
        epilog='section.name=value changes a setting of the file, such as run.seed=1',
    )
    parser.add_argument(
        '--config', default='', metavar='NAME|FILE',
        help='training file; names that come with the package: '
        f'{", ".join(one for one in shipped() if one.startswith(name))}',
    )  # fmt: skip
    parser.add_argument(
        '--out', default='', metavar='DIR', help='folder of the run; runs/NAME when absent'
    )
    parser.add_argument(
        '--resume', action='store_true',
        help='go on where the run in the folder was last saved; begin if it was not',
    )  # fmt: skip
    parser.add_argument(
        '--export', action='store_true',
        help='at the end also write the weights as the official program reads them',
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train; 128 and the number of the signal when one ended the run, which can be gone on."""
    out, file = _folder_and_file(options)
    network = find_network(options.network)
    sections = read_training_file(file, network.sections, overrides=options.overrides)
    done = run_training(
        network, sections, out, resume=options.resume, export=options.export,
        show_progress=sys.stderr.isatty(), command=sys.argv,
    )  # fmt: skip
    if done.is_first:
        _tell(done, options.network)
    return 128 + done.outcome.signal if done.outcome.signal else 0


def _folder_and_file(options: argparse.Namespace) -> tuple[Path, str]:
    """Folder of the run and its training file, which the run itself holds when it is gone on."""
    if not options.config and not (options.resume and options.out):
        raise ConfigError(
            'a training needs --config NAME|FILE, or --resume --out DIR to go on with one; names '
            f'that come with the package: {", ".join(shipped())}'
        )
    out = Path(options.out).expanduser() if options.out else _RUNS / Path(options.config).stem
    if options.config:
        return out, options.config
    file = RunFolder(out).settings
    if not file.exists():
        raise ConfigError(f'{out} holds no run ({file.name} is missing); begin one by --config')
    return out, str(file)


def _tell(done: TrainedRun, network: str) -> None:
    outcome, folder = done.outcome, done.folder
    if outcome.signal:
        name = signal.Signals(outcome.signal).name
        print(
            f'{name} after step {outcome.step} of {outcome.total_steps}; saved. Go on: '
            f'hand_perception train {network} --resume --out {folder.path}'
        )
        return
    print(f'{outcome.step} steps done; weights: {folder.last}')
    if outcome.best is not None:
        figure = f'{outcome.watched} {outcome.best:.4g}'.lstrip()
        print(f'best on held-out samples ({figure}): {folder.best}')
    for path in done.exported:
        print(f'for the official program: {path}')
