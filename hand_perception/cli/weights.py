"""``hand_perception weights``: what a file or folder holds, whether it works, exports of it."""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from hand_perception.cli import weights_hamer, weights_htt
from hand_perception.cli.doctor import FAIL, Finding
from hand_perception.cli.weight_steps import megabytes
from hand_perception.errors import ConfigError, WeightsError
from hand_perception.models.checkpoint_file import read_checkpoint_file
from hand_perception.models.checkpoint_kinds import HAMER, HTT, kind_of
from hand_perception.models.hamer import files as hamer_files
from hand_perception.models.htt import files as htt_files
from hand_perception.models.safetensors_file import MODEL_KEY, SUFFIX, read_export_metadata

_EXPORTS: Final = f'{hamer_files.EXPORT} or {htt_files.EXPORT}'


def add_parser(commands: Any) -> None:
    """Add the subcommand with its three actions."""
    parser = commands.add_parser(
        'weights', help='check, describe or convert your weights of HaMeR or HTT'
    )
    actions = parser.add_subparsers(dest='action', required=True, metavar='ACTION')
    texts = {
        'check': 'read everything, verify it and run it once; say what to do',
        'info': 'tell what the files hold, without verifying all of it',
        'convert': f'write {_EXPORTS}: no pickle, only what inference needs',
    }
    for name, text in texts.items():
        action = actions.add_parser(name, help=text)
        action.add_argument(
            'path', help='checkpoint, folder with one, or folder of the HaMeR release'
        )
        action.add_argument(
            '--mano-dir', default='',
            help=f'HaMeR: folder of {hamer_files.MANO}, when elsewhere',
        )  # fmt: skip
        action.add_argument(
            '--labels', default='', metavar='FILE',
            help='HTT: YAML file with the names of its actions and objects',
        )  # fmt: skip
        action.set_defaults(run=run)
        if name == 'info':
            action.add_argument('--sha256', action='store_true', help='also the sha256 (slow)')
        if name == 'convert':
            action.add_argument(
                '--out', default='', help=f'file to write; {_EXPORTS} in that folder if absent'
            )
            action.add_argument(
                '--with-mano',
                action='store_true',
                help="HaMeR: keep the checkpoint's hand model; its licence forbids passing it on",
            )


def run(options: argparse.Namespace) -> int:
    """Run one action; return 1 when a check found a problem."""
    kind = recognise(options.path)
    with_mano = options.action == 'convert' and options.with_mano
    if kind == HTT and (options.mano_dir or with_mano):
        raise ConfigError(f'{options.path} is of HTT, which has no hand model: leave out MANO')
    if kind == HAMER and options.labels:
        raise ConfigError(f'{options.path} is of HaMeR, which has no labels: leave out --labels')
    if options.action == 'check':
        return _print_findings(_check(kind, options))
    if not kind:
        raise WeightsError('; '.join(text for text in _missing(options.path)))
    if options.action == 'info':
        return _print_findings(_info(kind, options))
    if kind == HTT:
        path, labels = weights_htt.convert(options.path, out=options.out, labels=options.labels)
        print(f'wrote {path} ({megabytes(path)})')
        print(f'labels in it: {labels.name if labels else "none, set htt_labels"}')
        return 0
    path = weights_hamer.convert(options.path, out=options.out, with_mano=options.with_mano)
    print(f'wrote {path} ({megabytes(path)})')
    if not options.with_mano:
        print(f'the hand model is not in it: keep {hamer_files.MANO} beside it or set mano_dir')
    return 0


def recognise(given: str) -> str:
    """Tell ``hamer`` or ``htt`` from what a path holds; empty when nothing is there.

    A file that cannot be read, or that holds something else, is taken for what its name says, so
    that its reader tells what is wrong with it.

    Raises:
        WeightsError: a folder holds weights of both.
    """
    path = Path(given).expanduser()
    if path.is_file():
        return _kind_of_file(path)
    htt = htt_files.find_in_folder(path) if path.is_dir() else None
    try:
        hamer = hamer_files.find_files(path).checkpoint
    except WeightsError:
        hamer = None
    if htt is not None and hamer is not None:
        raise WeightsError(f'{path} holds weights of HTT ({htt}) and HaMeR ({hamer}); name one')
    return HTT if htt is not None else HAMER if hamer is not None else ''


def _kind_of_file(path: Path) -> str:
    by_name = HTT if path.name in htt_files.NAMES or path.suffix in ('.pth', '.pt') else HAMER
    try:
        if path.suffix == SUFFIX:
            found = read_export_metadata(path).get(MODEL_KEY, HAMER)
            return found if found in (HAMER, HTT) else by_name
        content, _ = read_checkpoint_file(path)
    except WeightsError:
        return by_name
    state = content.get('state_dict', content) if isinstance(content, Mapping) else None
    names = [str(name) for name in state] if isinstance(state, Mapping) else []
    return kind_of(names) or by_name


def _check(kind: str, options: argparse.Namespace) -> Iterator[Finding]:
    if kind != HTT:
        yield from weights_hamer.check(options.path, mano_dir=options.mano_dir)
    if kind != HAMER:
        yield from weights_htt.check(options.path, labels=options.labels)


def _info(kind: str, options: argparse.Namespace) -> Iterator[Finding]:
    if kind == HTT:
        return weights_htt.info(options.path, labels=options.labels, with_sha256=options.sha256)
    return weights_hamer.info(options.path, mano_dir=options.mano_dir, with_sha256=options.sha256)


def _missing(given: str) -> Iterator[str]:
    """Say of each network where its weights were looked for and where they come from."""
    for find in (hamer_files.find_files, htt_files.find_checkpoint):
        try:
            find(given)
        except WeightsError as error:
            yield str(error)


def _print_findings(findings: Iterator[Finding]) -> int:
    failed = False
    for finding in findings:
        print(f'{finding.level:<5} {finding.topic:<11} {finding.text}')
        if finding.advice:
            print(f'{"":<17} -> {finding.advice}')
        failed |= finding.level == FAIL
    return int(failed)
