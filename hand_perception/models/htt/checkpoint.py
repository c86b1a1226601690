"""Read an HTT checkpoint of any kind into named tensors: official container or our export."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from torch import Tensor

from hand_perception.actions import LabelMap
from hand_perception.errors import ConfigError, WeightsError
from hand_perception.labels import label_map_from
from hand_perception.models.checkpoint_file import read_checkpoint_file, tensors_in
from hand_perception.models.checkpoint_kinds import without_module_prefix, wrong_kind
from hand_perception.models.htt.files import OPTIONS, find_checkpoint
from hand_perception.models.htt.options_file import (
    DATASETS,
    HttOptions,
    options_from,
    read_options_file,
)
from hand_perception.models.safetensors_file import SUFFIX, read_export_file

#: The name of this network in the metadata of our exports.
MODEL: Final = 'htt'
_OPTION_KEYS: Final = ('window', 'pose_window', 'spacing', 'lookahead')
#: What exports tell beside it, for people.
NOTES: Final = (
    'epoch', 'step', 'network', 'trained_on', 'positions', 'source_name', 'source_sha256',
)  # fmt: skip
#: What exports name as engine.
_ENGINES: Final = ('', 'sliding')
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttCheckpoint:
    """What a file of weights holds.

    Attributes:
        path: the file.
        tensors: under their published names; views of the mapped file on the CPU.
        options: how they were trained, from opt.pkl beside the file or from our metadata.
        labels: names of the classes; None where the file has none, as the official ones.
        how: how the file was read, for people.
        notes: other things that the file says of itself.
    """

    path: Path
    tensors: dict[str, Tensor]
    options: HttOptions
    labels: LabelMap | None
    how: str
    notes: dict[str, str]


def read_checkpoint(given: str | Path) -> HttCheckpoint:
    """Find and read a checkpoint; names and shapes are checked when a module is built from it.

    Raises:
        WeightsError: there is none, or it is damaged, unsafe, or not one of HTT.
        MissingPackageError: our export without safetensors.
    """
    path = find_checkpoint(given)
    if path.suffix == SUFFIX:
        return _read_export(path)
    content, how = read_checkpoint_file(path)
    if not isinstance(content, Mapping):
        raise WeightsError(f'{path} holds {type(content).__name__}, expected a checkpoint of HTT')
    state = content.get('state_dict', content)
    if not isinstance(state, Mapping):
        raise WeightsError(f'{path}: state_dict is {type(state).__name__}, expected a mapping')
    tensors = without_module_prefix(tensors_in(state))
    problem = wrong_kind(content, tensors, wanted=MODEL)
    if problem:
        raise WeightsError(f'{path} {problem}')
    notes = {
        str(key): str(value)
        for key, value in content.items()
        if key in ('epoch', 'network') and type(value) in (str, int)
    }
    return HttCheckpoint(
        path=path, tensors=tensors, options=_options_beside(path), labels=None, how=how,
        notes=notes,
    )  # fmt: skip


def _options_beside(path: Path) -> HttOptions:
    """Read opt.pkl where there is one; the weights can do without it, so it may be unreadable."""
    source = path.with_name(OPTIONS)
    if not source.is_file():
        return HttOptions()
    try:
        arguments = read_options_file(source)
    except WeightsError as error:
        _logger.warning('%s; how the weights were trained is not known', error)
        return HttOptions()
    return options_from(arguments, source=str(source))


def _read_export(path: Path) -> HttCheckpoint:
    """Read what ``hand_perception weights convert`` wrote."""
    tensors, metadata = read_export_file(path, model=MODEL)
    again = 'make it again with `hand_perception weights convert`'
    try:
        window, pose_window, spacing, lookahead = (
            abs(int(metadata.get(key, '0'))) for key in _OPTION_KEYS
        )
        stored = json.loads(metadata['labels']) if 'labels' in metadata else None
        labels = None if stored is None else label_map_from(stored, source=f'labels in {path}')
    except (ValueError, RecursionError, ConfigError) as error:
        raise WeightsError(f'{path}: its metadata is damaged ({error}); {again}') from error
    dataset = metadata.get('dataset', '')
    if dataset not in ('', *DATASETS.values()):
        raise WeightsError(f'{path}: its metadata names the data set {dataset!r}; {again}')
    engine = metadata.get('engine', '')
    if engine not in _ENGINES:
        raise WeightsError(f'{path}: its metadata names the engine {engine!r}; {again}')
    options = HttOptions(
        window=window, pose_window=pose_window, spacing=spacing, dataset=dataset, engine=engine,
        lookahead=lookahead,
    )  # fmt: skip
    return HttCheckpoint(
        path=path, tensors=tensors, options=options, labels=labels, how='safetensors',
        notes={key: metadata[key] for key in NOTES if key in metadata},
    )  # fmt: skip
