"""``hand_perception weights``: what a HaMeR folder holds, whether it works, and exports of it."""

import argparse
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import torch

from hand_perception.cli.doctor import FAIL, OK, WARN, Finding
from hand_perception.errors import HandPerceptionError, WeightsError
from hand_perception.models.hamer.checkpoint import Checkpoint, read_checkpoint
from hand_perception.models.hamer.config_file import IMAGE_SIZE_PX, HamerConfig, parse_config
from hand_perception.models.hamer.export import write_export
from hand_perception.models.hamer.files import (
    EXPORT,
    LICENCES,
    MANO,
    WHERE_MANO,
    HamerFiles,
    find_files,
)
from hand_perception.models.hamer.hand_files import hand_from_checkpoint, load_hand
from hand_perception.models.hamer.network import HamerNetwork
from hand_perception.models.hamer.weight_files import HamerParts, build_parts
from hand_perception.models.safetensors_file import file_sha256

_ADVICE: Final = 'copy the file again, compare its size and sha256 with the original'


def add_parser(commands: Any) -> None:
    """Add the subcommand with its three actions."""
    parser = commands.add_parser(
        'weights', help='check, describe or convert the HaMeR weights in a folder of yours'
    )
    actions = parser.add_subparsers(dest='action', required=True, metavar='ACTION')
    texts = {
        'check': 'read everything, verify it and reconstruct one crop; say what to do',
        'info': 'tell what the files hold, without verifying all of it',
        'convert': f'write {EXPORT}: no pickle, only what inference needs',
    }
    for name, text in texts.items():
        action = actions.add_parser(name, help=text)
        action.add_argument(
            'hamer_dir', help='folder of the release, folder with the files, or the checkpoint'
        )
        action.add_argument('--mano-dir', default='', help=f'folder of {MANO}, when elsewhere')
        action.set_defaults(run=run)
        if name == 'info':
            action.add_argument('--sha256', action='store_true', help='also the sha256 (slow)')
        if name == 'convert':
            action.add_argument('--out', default='', help=f'file to write; DIR/{EXPORT} if absent')
            action.add_argument(
                '--with-mano',
                action='store_true',
                help="keep the checkpoint's hand model; its licence forbids passing it on",
            )


def run(options: argparse.Namespace) -> int:
    """Run one action; return 1 when a check found a problem."""
    if options.action == 'check':
        return _print_findings(check(options.hamer_dir, mano_dir=options.mano_dir))
    if options.action == 'info':
        return _print_findings(
            info(options.hamer_dir, mano_dir=options.mano_dir, with_sha256=options.sha256)
        )
    path = convert(options.hamer_dir, out=options.out, with_mano=options.with_mano)
    print(f'wrote {path} ({_megabytes(path)})')
    if not options.with_mano:
        print(f'the hand model is not in it: keep {MANO} beside it or set mano_dir')
    return 0


def check(hamer_dir: str, *, mano_dir: str = '') -> Iterator[Finding]:
    """Verify a folder, from finding the files to one reconstructed crop."""
    try:
        files = find_files(hamer_dir)
    except WeightsError as error:
        yield Finding(level=FAIL, topic='checkpoint', text=str(error))
        yield Finding(level=WARN, topic='mano', text='also needed, if the weights have no MANO '
                      'in them', advice=WHERE_MANO)  # fmt: skip
        return
    try:
        checkpoint = read_checkpoint(files)
    except HandPerceptionError as error:
        yield Finding(level=FAIL, topic='checkpoint', text=str(error))
        return
    yield _found(files, checkpoint)
    failed = False
    steps: tuple[tuple[str, Callable[[], str]], ...] = (
        ('networks', lambda: _networks(files, checkpoint)),
        ('content', lambda: _content(checkpoint)),
        ('mano', lambda: _hand(files, checkpoint, mano_dir)),
    )
    for topic, step in steps:
        try:
            yield Finding(level=OK, topic=topic, text=step())
        except HandPerceptionError as error:
            failed = True
            yield Finding(level=FAIL, topic=topic, text=str(error))
    if not failed:
        yield _trial(hamer_dir, mano_dir)


def info(hamer_dir: str, *, mano_dir: str = '', with_sha256: bool = False) -> Iterator[Finding]:
    """Tell what a folder holds.

    Raises:
        WeightsError: there is no checkpoint, or it cannot be read.
    """
    files = find_files(hamer_dir)
    checkpoint = read_checkpoint(files)
    yield _found(files, checkpoint)
    if with_sha256:
        yield Finding(level=OK, topic='sha256', text=file_sha256(files.checkpoint))
    for key, value in checkpoint.notes.items():
        yield Finding(level=OK, topic='note', text=f'{key} {value}')
    yield Finding(level=OK, topic='networks', text=_networks(files, checkpoint))
    counts: dict[str, int] = {}
    for name, tensor in checkpoint.tensors.items():
        part = name.split('.')[0]
        counts[part] = counts.get(part, 0) + tensor.numel()
    for part, count in counts.items():
        yield Finding(level=OK, topic='part', text=f'{part}: {count:,} numbers')
    has_hand = bool(mano_dir or files.mano) or hand_from_checkpoint(checkpoint) is not None
    text = _hand_source(files, checkpoint, mano_dir)
    yield Finding(level=OK if has_hand else WARN, topic='mano', text=text)
    yield Finding(level=OK, topic='licences', text=LICENCES)


def convert(hamer_dir: str, *, out: str = '', with_mano: bool = False) -> Path:
    """Write our export of a checkpoint after checking all its names and shapes.

    Returns:
        The file that was written.

    Raises:
        WeightsError: the checkpoint is missing or not whole, or the file cannot be written.
        MissingPackageError: safetensors is not installed.
    """
    files = find_files(hamer_dir)
    checkpoint = read_checkpoint(files)
    _parts(files, checkpoint)
    folder = Path(hamer_dir).expanduser()
    default = (folder.parent if folder.is_file() else folder) / EXPORT
    path = Path(out).expanduser() if out else default
    if path.exists() and path.resolve() == files.checkpoint.resolve():
        raise WeightsError(f'{path} would be read and written at once; give another --out')
    if with_mano and hand_from_checkpoint(checkpoint) is None:
        raise WeightsError(f'{files.checkpoint} has no hand model to keep; leave out --with-mano')
    write_export(checkpoint, path, mean_params=files.mean_params, with_mano=with_mano)
    return path


def _print_findings(findings: Iterator[Finding]) -> int:
    failed = False
    for finding in findings:
        print(f'{finding.level:<5} {finding.topic:<11} {finding.text}')
        if finding.advice:
            print(f'{"":<17} -> {finding.advice}')
        failed |= finding.level == FAIL
    return int(failed)


def _found(files: HamerFiles, checkpoint: Checkpoint) -> Finding:
    text = (
        f'{files.checkpoint} ({_megabytes(files.checkpoint)}, {len(checkpoint.tensors)} tensors, '
        f'read with {checkpoint.how})'
    )
    return Finding(level=OK, topic='checkpoint', text=text)


def _parts(files: HamerFiles, checkpoint: Checkpoint) -> tuple[HamerParts, HamerConfig]:
    config = parse_config(checkpoint.config, source=checkpoint.config_source)
    return build_parts(checkpoint, config, mean_params=files.mean_params), config


def _networks(files: HamerFiles, checkpoint: Checkpoint) -> str:
    parts, config = _parts(files, checkpoint)
    backbone = parts.backbone
    return (
        f'every name and shape fits; backbone {len(backbone.blocks)} blocks of width '
        f'{backbone.pos_embed.shape[-1]}, decoder {len(parts.mano_head.decoder.layers)} layers of '
        f'width {parts.mano_head.decpose.in_features}; {config.source}'
    )


def _content(checkpoint: Checkpoint) -> str:
    """Read every byte: sums of the container, and no NaN among the weights."""
    if zipfile.is_zipfile(checkpoint.path):
        with zipfile.ZipFile(checkpoint.path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise WeightsError(f'{checkpoint.path}: {damaged} is damaged; {_ADVICE}')
    wrong = [
        name
        for name, tensor in checkpoint.tensors.items()
        if tensor.is_floating_point() and not torch.isfinite(tensor).all()
    ]
    if wrong:
        raise WeightsError(
            f'{checkpoint.path}: {", ".join(wrong[:5])} have values that are not finite; {_ADVICE}'
        )
    return 'every byte read; all numbers are finite'


def _hand(files: HamerFiles, checkpoint: Checkpoint, mano_dir: str) -> str:
    hand = load_hand(checkpoint, files, mano_dir=mano_dir, device='cpu')
    return f'{hand.num_vertices} vertices, {_hand_source(files, checkpoint, mano_dir)}'


def _hand_source(files: HamerFiles, checkpoint: Checkpoint, mano_dir: str) -> str:
    if hand_from_checkpoint(checkpoint) is not None:
        return f'the hand model in the checkpoint is used (MANO, no {MANO} needed)'
    found = mano_dir or files.mano
    return f'from {found}' if found else f'not there: {WHERE_MANO}'


def _trial(hamer_dir: str, mano_dir: str) -> Finding:
    """Reconstruct one grey crop on the CPU."""
    started = time.perf_counter()
    network = HamerNetwork.load(hamer_dir, mano_dir=mano_dir, device='cpu')
    loaded_s = time.perf_counter() - started
    crop = torch.full((1, IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3), 128.0)
    started = time.perf_counter()
    output = network(network.normalize(crop))
    ran_s = time.perf_counter() - started
    if not torch.isfinite(output.vertices).all():
        text = 'the hand of a grey crop is not finite: the weights are not those of a HaMeR'
        return Finding(level=FAIL, topic='trial', text=text, advice=_ADVICE)
    text = f'loaded in {loaded_s:.1f} s, one crop took {ran_s:.2f} s on the CPU in fp32'
    return Finding(level=OK, topic='trial', text=text)


def _megabytes(path: Path) -> str:
    return f'{path.stat().st_size / 1e6:,.1f} MB'
