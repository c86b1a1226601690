"""``hand_perception weights`` for HaMeR: what a folder holds, whether it works, exports of it."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from hand_perception.cli.doctor import FAIL, OK, WARN, Finding
from hand_perception.cli.weight_steps import (
    COPY_AGAIN,
    check_content,
    describe_parts,
    export_path,
    megabytes,
)
from hand_perception.errors import HandPerceptionError, WeightsError
from hand_perception.models.hamer.checkpoint import DEFAULT, Checkpoint, read_checkpoint
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
        ('content', lambda: check_content(checkpoint.path, checkpoint.tensors)),
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
    yield from describe_parts(checkpoint.tensors)
    has_hand = (
        checkpoint.hand_model == DEFAULT
        or bool(mano_dir or files.mano)
        or hand_from_checkpoint(checkpoint) is not None
    )
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
    path = export_path(hamer_dir, files.checkpoint, out=out, name=EXPORT)
    if with_mano and hand_from_checkpoint(checkpoint) is None:
        raise WeightsError(f'{files.checkpoint} has no hand model to keep; leave out --with-mano')
    write_export(checkpoint, path, mean_params=files.mean_params, with_mano=with_mano)
    return path


def _found(files: HamerFiles, checkpoint: Checkpoint) -> Finding:
    text = (
        f'{files.checkpoint} ({megabytes(files.checkpoint)}, {len(checkpoint.tensors)} tensors, '
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


def _hand(files: HamerFiles, checkpoint: Checkpoint, mano_dir: str) -> str:
    hand = load_hand(checkpoint, files, mano_dir=mano_dir, device='cpu')
    return f'{hand.num_vertices} vertices, {_hand_source(files, checkpoint, mano_dir)}'


def _hand_source(files: HamerFiles, checkpoint: Checkpoint, mano_dir: str) -> str:
    if checkpoint.hand_model == DEFAULT:
        return f'the default hand of this package, on which it was trained (no {MANO} needed)'
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
        return Finding(level=FAIL, topic='trial', text=text, advice=COPY_AGAIN)
    text = f'loaded in {loaded_s:.1f} s, one crop took {ran_s:.2f} s on the CPU in fp32'
    return Finding(level=OK, topic='trial', text=text)
