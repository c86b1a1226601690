"""Read a HaMeR checkpoint of any kind into named tensors: official container or our export."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from hand_perception.errors import WeightsError
from hand_perception.models.checkpoint_file import read_checkpoint_file, tensors_in
from hand_perception.models.checkpoint_kinds import HTT, kind_of, wrong_kind
from hand_perception.models.hamer.config_file import read_config_file
from hand_perception.models.hamer.files import CONFIG, HamerFiles
from hand_perception.models.safetensors_file import read_export_file

#: The name of this network in the metadata of our exports.
MODEL: Final = 'hamer'
#: Hand models that weights are trained on.
MANO: Final = 'mano'
DEFAULT: Final = 'default'
#: Where metadata of our exports and the configuration (below MODEL) name the hand model; files
#: without it were trained on MANO.
HAND_MODEL_KEY: Final = 'hand_model'
CONFIG_HAND_MODEL_KEY: Final = 'HAND_MODEL'
#: Metadata of our exports that people want to see.
_NOTED: Final = ('source_', 'trained_', 'hand_model')


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
        hand_model: that the weights were trained on: ``mano``, as the published ones, or
            ``default``, which ships with this package.
    """

    path: Path
    tensors: dict[str, Tensor]
    config: dict[str, Any]
    config_source: str
    how: str
    notes: dict[str, str]
    hand_model: str = MANO


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
    content, how = read_checkpoint_file(files.checkpoint)
    tensors, notes = _named_tensors(content, files.checkpoint)
    config = read_config_file(files.config)
    model = config.get('MODEL')
    named = model.get(CONFIG_HAND_MODEL_KEY, MANO) if isinstance(model, Mapping) else MANO
    return Checkpoint(
        path=files.checkpoint, tensors=tensors, config=config,
        config_source=str(files.config), how=how, notes=notes,
        hand_model=_hand_model(named, files.config),
    )  # fmt: skip


def _named_tensors(content: object, path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Take the state_dict out of a Lightning checkpoint, or the content if it is one itself."""
    if not isinstance(content, Mapping):
        kind = type(content).__name__
        raise WeightsError(f'{path} holds {kind}, expected a Lightning checkpoint')
    state = content.get('state_dict', content)
    if not isinstance(state, Mapping):
        raise WeightsError(f'{path}: state_dict is {type(state).__name__}, expected a mapping')
    tensors = tensors_in(state)
    if not tensors:
        raise WeightsError(f'{path} holds no tensors; it is not a HaMeR checkpoint')
    if kind_of(tensors) == HTT:
        raise WeightsError(f'{path} {wrong_kind(content, tensors, wanted=MODEL)}')
    plain = (str, int, float)
    notes = {
        str(key): str(value)
        for key, value in content.items()
        if key in ('epoch', 'global_step', 'pytorch-lightning_version') and type(value) in plain
    }
    return tensors, notes


def _read_export(path: Path) -> Checkpoint:
    """Read what ``hand_perception weights convert`` wrote."""
    tensors, metadata = read_export_file(path, model=MODEL)
    try:
        config = json.loads(metadata['config'])
    except (KeyError, ValueError) as error:
        raise WeightsError(
            f'{path} holds no configuration ({error}); make it again with '
            '`hand_perception weights convert`'
        ) from error
    notes = {key: value for key, value in metadata.items() if key.startswith(_NOTED)}
    return Checkpoint(
        path=path, tensors=tensors, config=config, config_source=f'the configuration in {path}',
        how='safetensors', notes=notes,
        hand_model=_hand_model(metadata.get(HAND_MODEL_KEY, MANO), path),
    )  # fmt: skip


def _hand_model(name: object, source: Path) -> str:
    if name not in (MANO, DEFAULT):
        raise WeightsError(
            f'{source} is for the hand model {name!r}, expected {MANO} or {DEFAULT}; it may be of '
            'a newer version of this package'
        )
    return str(name)
