"""Steps of ``hand_perception weights`` that are the same for every network."""

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from hand_perception.cli.doctor import OK, Finding
from hand_perception.errors import ConfigError, WeightsError
from hand_perception.models.safetensors_file import SUFFIX
from hand_perception.models.weight_names import listed

COPY_AGAIN: Final = 'copy the file again, compare its size and sha256 with the original'


def check_content(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Read every byte: sums of the container, and no NaN among the weights.

    Raises:
        WeightsError: an entry is damaged, or numbers are not finite.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise WeightsError(f'{path}: {damaged} is damaged; {COPY_AGAIN}')
    wrong = [
        name
        for name, tensor in tensors.items()
        if tensor.is_floating_point() and not torch.isfinite(tensor).all()
    ]
    if wrong:
        raise WeightsError(
            f'{path}: {listed(wrong)} {"has" if len(wrong) == 1 else "have"} values that are not '
            f'finite; {COPY_AGAIN}'
        )
    return 'every byte read; all numbers are finite'


def describe_parts(tensors: Mapping[str, Tensor]) -> Iterator[Finding]:
    """Count the numbers in every part of a network."""
    counts: dict[str, int] = {}
    for name, tensor in tensors.items():
        part = name.split('.')[0]
        counts[part] = counts.get(part, 0) + tensor.numel()
    for part, count in counts.items():
        yield Finding(level=OK, topic='part', text=f'{part}: {count:,} numbers')


def export_path(given: str, checkpoint: Path, *, out: str, name: str) -> Path:
    """Choose the file to write: ``--out``, else under its usual name in the given folder.

    Args:
        given: folder or file that the user named.
        checkpoint: the file that is read.
        out: ``--out``, a file or a folder; empty when it was not given.
        name: the usual name.

    Raises:
        WeightsError: the file is the one that is read.
        ConfigError: its name has another ending than it would be recognised by.
    """
    folder = Path(given).expanduser()
    path = (folder.parent if folder.is_file() else folder) / name
    if out:
        path = Path(out).expanduser()
        path = path / name if path.is_dir() else path
    if path.suffix != SUFFIX:
        raise ConfigError(f'--out must be a file that ends in {SUFFIX}, got {path}')
    if path.exists() and path.resolve() == checkpoint.resolve():
        raise WeightsError(f'{path} would be read and written at once; give another --out')
    return path


def megabytes(path: Path) -> str:
    """Tell the size of a file."""
    return f'{path.stat().st_size / 1e6:,.1f} MB'
