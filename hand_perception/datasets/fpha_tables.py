"""The tables of FPHA: actions with their objects, the split, how many frames a sequence has."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hand_perception.actions import LabelMap
from hand_perception.datasets.tables import read_lines, whole_number
from hand_perception.errors import DatasetError

ACTIONS_TABLE: Final = 'action_object_info.txt'
SPLIT_TABLE: Final = 'data_split_action_recognition.txt'
_HEADS: Final = {'Training': 'train', 'Test': 'test'}
_SEQUENCE: Final = re.compile(r'(Subject_\d+)/(\w+)/(\w+)')
#: Lines at the top of a file of Subjects_info.
_HEADER_LINES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class FphaTables:
    """What the tables say.

    Attributes:
        labels: actions in the order of their numbers, objects as they first appear.
        object_of: the object's class for each action's class.
        splits: the sequences of each split, ``Subject_1/open_milk/2``, in the table's order.
        num_frames: of each sequence in the split.
    """

    labels: LabelMap
    object_of: tuple[int, ...]
    splits: Mapping[str, tuple[str, ...]]
    num_frames: Mapping[str, int]


def read_tables(root: Path, *, source: str) -> FphaTables:
    """Read all tables.

    Args:
        root: folder of the data set.
        source: where the files come from, for error messages.

    Raises:
        DatasetError: one is missing, damaged, or contradicts another one.
    """
    labels, object_of = _read_actions(root / ACTIONS_TABLE, source)
    splits = _read_splits(root / SPLIT_TABLE, labels, source)
    subjects = {name.split('/')[0] for names in splits.values() for name in names}
    num_frames: dict[str, int] = {}
    for subject in sorted(subjects):
        num_frames.update(_read_subject(root, subject, source))
    return FphaTables(labels=labels, object_of=object_of, splits=splits, num_frames=num_frames)


def _read_actions(path: Path, source: str) -> tuple[LabelMap, tuple[int, ...]]:
    lines = read_lines(path, what=f'the table of actions and objects, from {source}')
    actions: list[str] = []
    objects: list[str] = []
    object_of: list[int] = []
    for number, line in enumerate(lines[1:], 2):
        words = line.split()
        if not words:
            continue
        if len(words) < 3:
            raise DatasetError(
                f'{path}, line {number}: {line!r}, expected number, action and object'
            )
        index = whole_number(words[0], path=path, line=number, what='the number of the action')
        if index != len(actions) + 1 or words[1] in actions:
            raise DatasetError(
                f'{path}, line {number}: action {index} {words[1]!r}, expected number '
                f'{len(actions) + 1} and a name of its own'
            )
        actions.append(words[1])
        if words[2] not in objects:
            objects.append(words[2])
        object_of.append(objects.index(words[2]))
    if not actions:
        raise DatasetError(f'{path} names no action; it comes from {source}')
    labels = LabelMap(name='fpha', actions=tuple(actions), objects=tuple(objects))
    return labels, tuple(object_of)


def _read_splits(path: Path, labels: LabelMap, source: str) -> dict[str, tuple[str, ...]]:
    lines = read_lines(path, what=f'the split of the sequences, from {source}')
    found: dict[str, list[str]] = {}
    told: dict[str, int] = {}
    place: dict[str, tuple[str, int]] = {}
    split = ''
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2:
            raise DatasetError(f'{path}, line {number}: {line!r}, expected two words')
        count = whole_number(words[1], path=path, line=number, what=f'what follows {words[0]}')
        if words[0] in _HEADS:
            split = _HEADS[words[0]]
            if split in found:
                raise DatasetError(f'{path}, line {number}: {words[0]} begins a second time')
            found[split], told[split] = [], count
            continue
        _check_sequence(path, number, words[0], count, labels)
        if not split:
            raise DatasetError(f'{path}, line {number}: {line!r}, expected "Training" before it')
        if words[0] in place:
            raise DatasetError(
                f'{path}, line {number}: {words[0]} is in {split}, and in {place[words[0]][0]} on '
                f'line {place[words[0]][1]}; no sequence may be in a table twice'
            )
        place[words[0]] = (split, number)
        found[split].append(words[0])
    for head, split in _HEADS.items():
        if len(found.get(split, ())) != told.get(split, -1):
            tells = f'it tells {told[split]}' if split in told else f'"{head}" is missing'
            raise DatasetError(
                f'{path}: {len(found.get(split, ()))} sequences in {split}, but {tells}; copy it '
                'again'
            )
    return {split: tuple(names) for split, names in found.items()}


def _check_sequence(path: Path, line: int, name: str, label: int, labels: LabelMap) -> None:
    match = _SEQUENCE.fullmatch(name)
    if match is None:
        raise DatasetError(
            f'{path}, line {line}: {name!r}, expected a sequence such as Subject_1/open_milk/2'
        )
    if label >= len(labels.actions) or labels.actions[label] != match[2]:
        expected = (
            f'class {labels.actions.index(match[2])}' if match[2] in labels.actions
            else 'no such action'
        )  # fmt: skip
        raise DatasetError(
            f'{path}, line {line}: {name} has class {label}, but {ACTIONS_TABLE} tells '
            f'{expected}; the two files do not belong together'
        )


def _read_subject(root: Path, subject: str, source: str) -> dict[str, int]:
    path = root / 'Subjects_info' / f'{subject}_info.txt'
    lines = read_lines(path, what=f'how many frames the sequences have, from {source}')
    frames: dict[str, int] = {}
    for number, line in enumerate(lines[_HEADER_LINES:], _HEADER_LINES + 1):
        words = line.split()
        if not words:
            continue
        if len(words) != 3:
            raise DatasetError(
                f'{path}, line {number}: {line!r}, expected action, sequence and frames'
            )
        count = whole_number(words[2], path=path, line=number, what='the number of frames')
        if not count:
            continue  # the sequence was never recorded; when the split wants it, that is told
        frames[f'{subject}/{words[0]}/{words[1]}'] = count
    return frames
