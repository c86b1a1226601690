"""Read a HaMeR checkpoint of any kind into named tensors: official container or our export."""

import json
import logging
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from hand_perception.errors import WeightsError
from hand_perception.models.hamer.checkpoint_records import TensorRecord
from hand_perception.models.hamer.config_file import read_config_file
from hand_perception.models.hamer.container import read_container
from hand_perception.models.hamer.files import CONFIG, HamerFiles
from hand_perception.optional import require

#: Version of the metadata in our export.
EXPORT_FORMAT: Final = '1'
INSTALL_SAFETENSORS: Final = "pip install 'hand_perception[hamer]' (or: pip install safetensors)"
_logger = logging.getLogger(__name__)
_ZIP_START: Final = b'PK\x03\x04'
_AGAIN: Final = 'copy or download it again and compare its size with the original'


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a file of weights holds.

    Attributes:
        path: the file.
        tensors: under their published names; views of the mapped file on the CPU.
        config: the content of model_config.yaml.
        config_source: the file that ``config`` is from.
        how: how the file was read, for people.
        notes: other things that the file says of itself.
    """

    path: Path
    tensors: dict[str, Tensor]
    config: dict[str, Any]
    config_source: str
    how: str
    notes: dict[str, str]


def read_checkpoint(files: HamerFiles) -> Checkpoint:
    """Read the checkpoint that was found, with its configuration.

    Raises:
        WeightsError: the file is damaged, unsafe, or no checkpoint; the configuration is missing.
        MissingPackageError: our export without safetensors.
    """
    if files.is_export:
        return _read_export(files.checkpoint)
    if files.config is None:
        raise WeightsError(
            f'{CONFIG} was not found beside {files.checkpoint}; it lies in _DATA/hamer_ckpts of '
            'the official release: put it beside the checkpoint'
        )
    content, how = _read_container(files.checkpoint)
    tensors, notes = _named_tensors(content, files.checkpoint)
    return Checkpoint(
        path=files.checkpoint, tensors=tensors, config=read_config_file(files.config),
        config_source=str(files.config), how=how, notes=notes,
    )  # fmt: skip


def _read_container(path: Path) -> tuple[object, str]:
    """Read with torch's own unpickler for weights, else with ours."""
    try:
        with path.open('rb') as stream:
            start = stream.read(len(_ZIP_START))
    except OSError as error:
        raise WeightsError(f'{path} cannot be read: {error}') from error
    if start != _ZIP_START:
        # Files of torch before 1.6 are refused too: reading those is not safe in all versions.
        raise WeightsError(f'{path} is not a file of torch.save (1.6 or newer); {_AGAIN}')
    try:
        content = torch.load(path, map_location='cpu', weights_only=True, mmap=True)
        return content, 'torch.load(weights_only=True)'
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, KeyError) as error:
        # It is damaged or holds more than weights; the reader below says which.
        _logger.debug('torch.load(weights_only=True) refuses %s: %s', path, error)
    try:
        return read_container(path), 'restricted unpickler: it holds objects beside weights'
    except pickle.UnpicklingError as error:
        raise WeightsError(f'refused to read {path}: {error}; {_AGAIN}') from error
    except OSError as error:
        raise WeightsError(f'{path} cannot be read: {error}') from error


def _named_tensors(content: object, path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Take the state_dict out of a Lightning checkpoint, or the content if it is one itself."""
    if not isinstance(content, Mapping):
        kind = type(content).__name__
        raise WeightsError(f'{path} holds {kind}, expected a Lightning checkpoint')
    state = content.get('state_dict', content)
    if not isinstance(state, Mapping):
        raise WeightsError(f'{path}: state_dict is {type(state).__name__}, expected a mapping')
    tensors = {}
    for name, value in state.items():
        if isinstance(value, TensorRecord):
            value = value.tensor()
        if isinstance(name, str) and isinstance(value, Tensor):
            tensors[name] = value.detach()
    if not tensors:
        raise WeightsError(f'{path} holds no tensors; it is not a HaMeR checkpoint')
    plain = (str, int, float)
    notes = {
        str(key): str(value)
        for key, value in content.items()
        if key in ('epoch', 'global_step', 'pytorch-lightning_version') and type(value) in plain
    }
    return tensors, notes


def _read_export(path: Path) -> Checkpoint:
    """Read what ``hand_perception weights convert`` wrote."""
    safetensors = require(
        'safetensors', purpose=f'reading {path.name}', install=INSTALL_SAFETENSORS
    )
    try:
        with safetensors.safe_open(str(path), framework='pt', device='cpu') as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError) as error:
        raise WeightsError(f'{path} cannot be read ({error}); {_AGAIN}') from error
    found = metadata.get('hand_perception_format')
    if found != EXPORT_FORMAT:
        raise WeightsError(
            f'{path} is not an export of this package (its format is {found!r}, expected '
            f'{EXPORT_FORMAT!r}); make one with `hand_perception weights convert`'
        )
    try:
        config = json.loads(metadata['config'])
    except (KeyError, ValueError) as error:
        raise WeightsError(
            f'{path} holds no configuration ({error}); make it again with '
            '`hand_perception weights convert`'
        ) from error
    notes = {key: value for key, value in metadata.items() if key.startswith('source_')}
    return Checkpoint(
        path=path, tensors=tensors, config=config, config_source=f'the configuration in {path}',
        how='safetensors', notes=notes,
    )  # fmt: skip
