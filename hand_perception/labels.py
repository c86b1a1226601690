"""Names of the classes that recognisers tell: maps that come with the package, and the user's.

A map is a YAML file with ``name``, ``actions`` and ``objects``; the place of a label in its list
is the class of the network. Those of this package lie in config/labels/.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

import yaml

from hand_perception.actions import LabelMap
from hand_perception.errors import ConfigError
from hand_perception.shared_files import find_shared

#: The maps that come with the package; the first two are those of HTT's data sets.
SHIPPED: Final = ('fpha', 'h2o', 'primitives')
_FOLDER: Final = 'config/labels'
_KEYS: Final = frozenset({'name', 'actions', 'objects'})
_MAX_BYTES: Final = 1 << 20
_FORMAT: Final = 'expected a name, a list of actions and, where there are any, a list of objects'


class ClassCounts(Protocol):
    """A network's sizes, as far as labels are concerned."""

    @property
    def num_actions(self) -> int:
        """Classes of actions."""

    @property
    def num_objects(self) -> int:
        """Classes of objects."""


def load_label_map(name_or_path: str | Path) -> LabelMap:
    """Load a map that comes with the package, or a YAML file of the user.

    Args:
        name_or_path: fpha, h2o or primitives; else a file. A file of that name in the current
            folder is meant by ``./fpha``.

    Raises:
        ConfigError: there is no such map, or the file is not one; the message says why.
    """
    if str(name_or_path) in SHIPPED:
        path = find_shared(f'{_FOLDER}/{name_or_path}.yaml')
        if path is None:
            raise ConfigError(
                f'{_FOLDER}/{name_or_path}.yaml, which comes with the package, was not found; '
                'install the package again or source its workspace'
            )
        return _read(path)
    path = Path(name_or_path).expanduser()
    if not path.is_file():
        what = 'is a folder' if path.is_dir() else 'does not exist'
        raise ConfigError(
            f'the label file {path} {what}; give a YAML file, or one of {", ".join(SHIPPED)}'
        )
    return _read(path)


def label_map_for(
    sizes: ClassCounts, dataset: str, labels_file: str = '', stored: LabelMap | None = None
) -> LabelMap:
    """Choose the names of a network's classes.

    The user's file comes first, then what the weights carry, then the names of the data set.

    Args:
        sizes: how many actions and objects the network tells.
        dataset: ``fpha`` or ``h2o``; empty when it is not known.
        labels_file: the user's file, or the name of a map of this package; may be empty.
        stored: the map in the metadata of the weights.

    Raises:
        ConfigError: a file is missing or not a label map, the counts differ from the network's,
            or nothing names its classes.
    """
    if labels_file:
        labels = load_label_map(labels_file)
        where = f'htt_labels ({labels_file})'
    elif stored is not None:
        labels, where = stored, 'the metadata of the weights'
    elif dataset:
        labels, where = load_label_map(dataset), f'the labels of {dataset}'
    else:
        raise ConfigError(
            f'nothing names the {sizes.num_actions} actions and {sizes.num_objects} objects of '
            'these weights; set htt_labels to a YAML file with their names'
        )
    check_label_map(labels, sizes, where=where)
    return labels


def check_label_map(labels: LabelMap, sizes: ClassCounts, *, where: str) -> None:
    """Refuse labels that are not as many as the classes of a network.

    Raises:
        ConfigError: with both counts.
    """
    named = (len(labels.actions), len(labels.objects))
    if named != (sizes.num_actions, sizes.num_objects):
        raise ConfigError(
            f'{where}: {_counts(*named)}, but the weights tell '
            f'{_counts(sizes.num_actions, sizes.num_objects)}; set htt_labels to a YAML file '
            'with the names of the data set that the weights are from'
        )


def label_map_from(content: object, *, source: str, name: str = '') -> LabelMap:
    """Make a map from the content of a YAML or JSON file.

    Args:
        content: as parsed.
        source: where it is from, for error messages.
        name: used where the content has no name.

    Raises:
        ConfigError: it is not a label map; the message says what came.
    """
    if not isinstance(content, Mapping):
        raise ConfigError(f'{source} holds {_kind(content)}; {_FORMAT}')
    unknown = sorted(str(key) for key in set(content) - _KEYS)
    if unknown:
        raise ConfigError(f'{source} has unknown entries {", ".join(unknown[:5])}; {_FORMAT}')
    found = content.get('name', name)
    if not isinstance(found, str) or not found:
        raise ConfigError(f'{source}: name is {_kind(found)} ({found!r}), expected a text')
    actions = _labels(content.get('actions'), 'actions', source)
    if not actions:
        raise ConfigError(f'{source}: actions is empty; {_FORMAT}')
    objects = _labels(content.get('objects', []), 'objects', source)
    return LabelMap(name=found, actions=actions, objects=objects)


def _read(path: Path) -> LabelMap:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigError(f'{path} is too large for a label file; {_FORMAT}')
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except OSError as error:
        raise ConfigError(f'the label file {path} cannot be read: {error}') from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        text = ' '.join(str(error).split())
        raise ConfigError(f'the label file {path} is not YAML ({text}); {_FORMAT}') from error
    return label_map_from(content, source=str(path), name=path.stem)


def _labels(value: object, key: str, source: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ConfigError(f'{source}: {key} is {_kind(value)}, expected a list of names')
    for index, label in enumerate(value):
        if not isinstance(label, str):
            raise ConfigError(
                f'{source}: entry {index + 1} of {key} is {_kind(label)} ({label!r}), expected '
                'a text; put it in quotes'
            )
        if not label.strip():
            raise ConfigError(f'{source}: entry {index + 1} of {key} is empty')
    first: dict[str, int] = {}
    for index, label in enumerate(value):
        if label in first:
            raise ConfigError(
                f'{source}: {label!r} is entry {first[label] + 1} and entry {index + 1} of {key}; '
                'every class needs a name of its own'
            )
        first[label] = index
    return tuple(value)


def _kind(value: object) -> str:
    return 'nothing' if value is None else type(value).__name__


def _counts(num_actions: int, num_objects: int) -> str:
    return f'{num_actions} actions and {num_objects} objects'
