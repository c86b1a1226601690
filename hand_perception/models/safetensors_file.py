"""Our exports of weights: safetensors, which hold no pickle, with what we say of them."""

import hashlib
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from torch import Tensor

from hand_perception.errors import WeightsError
from hand_perception.optional import require
from hand_perception.whole_files import whole_path

SUFFIX: Final = '.safetensors'
#: Version of the metadata in our exports.
EXPORT_FORMAT: Final = '1'
#: The metadata that says of which network an export is; without it the export is of HaMeR.
MODEL_KEY: Final = 'model'
_FORMAT_KEY: Final = 'hand_perception_format'
_INSTALL: Final = 'pip install safetensors'


def write_export_file(
    path: Path, tensors: Mapping[str, Tensor], *, model: str, metadata: Mapping[str, str]
) -> None:
    """Write tensors with their metadata; the file is complete or as it was before.

    Args:
        path: the file to write; its folder is made.
        tensors: on the CPU.
        model: of which network they are.
        metadata: all else that a reader has to know.

    Raises:
        WeightsError: the file cannot be written.
        MissingPackageError: safetensors is not installed.
    """
    purpose = f'writing {path.name}'
    safetensors = require('safetensors', purpose=purpose, install=_INSTALL)
    writer = require('safetensors.torch', purpose=purpose, install=_INSTALL)
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    described = {_FORMAT_KEY: EXPORT_FORMAT, MODEL_KEY: model, **metadata}
    with whole_path(path, WeightsError, also=(safetensors.SafetensorError,)) as unfinished:
        unfinished.touch()
        mode = unfinished.stat().st_mode
        writer.save_file(contiguous, unfinished, described)
        # The package lets nobody but the user read; here the usual rights hold.
        unfinished.chmod(stat.S_IMODE(mode))


def read_export_metadata(path: Path) -> dict[str, str]:
    """Read what an export says of itself, without its tensors.

    Raises:
        WeightsError: the file is damaged or not an export of this package.
        MissingPackageError: safetensors is not installed.
    """
    return _read(path, with_tensors=False)[1]


def read_export_file(path: Path, *, model: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors of an export, and its metadata.

    Raises:
        WeightsError: the file is damaged, or not an export of this package or of this network.
        MissingPackageError: safetensors is not installed.
    """
    tensors, metadata = _read(path, with_tensors=True)
    found = metadata.get(MODEL_KEY, 'hamer')
    if found != model:
        raise WeightsError(f'{path} is an export of {found}, expected one of {model}')
    return tensors, metadata


def file_sha256(path: Path) -> str:
    """Compute the sha256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open('rb') as stream:
        while block := stream.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def _read(path: Path, *, with_tensors: bool) -> tuple[dict[str, Tensor], dict[str, str]]:
    safetensors = require('safetensors', purpose=f'reading {path.name}', install=_INSTALL)
    try:
        with safetensors.safe_open(str(path), framework='pt', device='cpu') as file:
            metadata = file.metadata() or {}
            names = file.keys() if with_tensors else ()
            tensors = {name: file.get_tensor(name) for name in names}
    except (OSError, safetensors.SafetensorError) as error:
        raise WeightsError(
            f'{path} cannot be read ({error}); copy or download it again and compare its size '
            'with the original'
        ) from error
    found = metadata.get(_FORMAT_KEY)
    if found != EXPORT_FORMAT:
        raise WeightsError(
            f'{path} is not an export of this package (its format is {found!r}, expected '
            f'{EXPORT_FORMAT!r}); make one with `hand_perception weights convert`'
        )
    return tensors, metadata
