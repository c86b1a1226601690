"""Options of ``hand_perception evaluate`` that every network has, and what is done at its end."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from hand_perception.errors import ConfigError
from hand_perception.evaluation.plots import check_plots
from hand_perception.evaluation.report import Report, report_text, write_report


def add_options(parser: argparse.ArgumentParser, kinds: Sequence[str]) -> None:
    """Add them; ``kinds`` are those of the data sets."""
    parser.add_argument(
        '--weights', required=True, metavar='FILE', help='checkpoint, export, or folder with one'
    )
    parser.add_argument(
        '--data', required=True, metavar='KIND:DIR',
        help=f'data set and its folder, such as {kinds[0]}:~/data; KIND is {", ".join(kinds)}',
    )  # fmt: skip
    parser.add_argument('--split', default='', metavar='NAME', help='of the data set')
    parser.add_argument(
        '--out', default=None, type=Path, metavar='DIR',
        help='write metrics.json, metrics.csv, plots and what was computed so far',
    )  # fmt: skip
    parser.add_argument(
        '--resume', action='store_true', help='go on with what is in --out already'
    )
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda or cuda:N')
    parser.add_argument(
        '--workers', type=int, default=2, metavar='N', help='threads that read images; default 2'
    )


def parse_data(text: str, kinds: Sequence[str], *, files: Sequence[str] = ()) -> tuple[str, Path]:
    """Take ``KIND:DIR`` apart; kinds in ``files`` are told by a file, not by a folder.

    Raises:
        ConfigError: the kind is not known, or the folder or file is not there.
    """
    kind, colon, folder = text.partition(':')
    if not colon or not folder or kind not in kinds:
        raise ConfigError(
            f'--data must be KIND:DIR with one of {", ".join(kinds)}, such as {kinds[0]}:~/data; '
            f'got {text!r}'
        )
    path = Path(folder).expanduser()
    if not (path.is_file() if kind in files else path.is_dir()):
        raise ConfigError(f'--data {text}: {path} is no {"file" if kind in files else "folder"}')
    return kind, path


def choose_split(given: str, splits: Sequence[str], usual: str) -> str:
    """Give the wanted split, or the usual one.

    Raises:
        ConfigError: the data set has no such split.
    """
    split = given or usual
    if split not in splits:
        raise ConfigError(f'--split must be {" or ".join(splits)}, got {split!r}')
    return split


def check_out(options: argparse.Namespace) -> None:
    """Refuse what would fail after all the work.

    Raises:
        ConfigError: an option has no meaning.
        MissingPackageError: there are to be plots and matplotlib is not installed.
    """
    if options.workers < 1:
        raise ConfigError(f'--workers must be 1 or more, got {options.workers}')
    if options.out is not None:
        check_plots()
    elif options.resume:
        raise ConfigError('--resume goes on with what is in --out: give both')


def tell(report: Report, options: argparse.Namespace, written: Sequence[Path] = ()) -> None:
    """Print a report and, with ``--out``, write it; errors are those of ``write_report``.

    Args:
        report: of the evaluation.
        options: of the command.
        written: other files that are there already, for the last line.
    """
    print(report_text(report))
    if options.out is not None:
        names = ', '.join(path.name for path in (*write_report(report, options.out), *written))
        print(f'\nwrote {names} to {options.out}')
