"""The action tables of H2O: which frames of which recording show which action."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hand_perception.datasets.sample import UNKNOWN
from hand_perception.datasets.tables import read_lines, whole_number
from hand_perception.errors import DatasetError

_RECORDING: Final = re.compile(r'subject(\d+)/\w+/\w+')
_LABEL: Final = 'action_label'
_COLUMNS: Final = ('id', 'path', 'start_act', 'end_act', 'start_frame', 'end_frame')


@dataclass(frozen=True, slots=True, kw_only=True)
class H2oRow:
    """One segment of a table.

    Attributes:
        number: its id.
        recording: folder of its recording below the root.
        subject: number of the person.
        label: class from 0; ``UNKNOWN`` in the public test table, which has no such column.
        first: its first frame in the recording.
        last: its last frame, which belongs to it.
    """

    number: int
    recording: str
    subject: int
    label: int
    first: int
    last: int


def table_path(root: Path, split: str) -> Path:
    """File of a table."""
    return root / 'action_labels' / f'action_{split}.txt'


def read_table(path: Path, *, num_actions: int, source: str) -> tuple[H2oRow, ...]:
    """Read a table: a line of column names, then a segment on each line.

    The public test table has no labels. For the published HTT code labels are put behind its last
    column; that form is read too, whether its head names the new column or not.

    Args:
        path: the table.
        num_actions: labels go from 1 to this.
        source: where it comes from, for error messages.

    Raises:
        DatasetError: it is missing or damaged, or one of its numbers cannot be.
    """
    lines = read_lines(path, what=f'the table of actions, from {source}')
    columns = lines[0].split() if lines else []
    if not set(_COLUMNS) <= set(columns) or set(columns) - {*_COLUMNS, _LABEL}:
        raise DatasetError(
            f'{path}, line 1: {" ".join(columns)!r}, expected the columns {" ".join(_COLUMNS)} '
            f'and, where labels are told, {_LABEL}'
        )
    rows: list[H2oRow] = []
    for number, line in enumerate(lines[1:], 2):
        if line.split():
            rows.append(_row(path, number, line.split(), columns, num_actions))
    if not rows:
        raise DatasetError(f'{path} has no segment; it comes from {source}')
    _refuse_twice(path, rows)
    if len({row.label == UNKNOWN for row in rows}) > 1:
        raise DatasetError(f'{path}: some lines have a label and some have none')
    return tuple(rows)


def refuse_shared_recordings(tables: Sequence[tuple[Path, Sequence[H2oRow]]]) -> None:
    """Refuse tables of which two cut segments from the same frames.

    Raises:
        DatasetError: splits are mixed up; the message names both tables and the recording.
    """
    place: dict[str, list[tuple[Path, H2oRow]]] = {}
    for path, rows in tables:
        for row in rows:
            for other_path, other in place.get(row.recording, ()):
                if other_path != path and row.first <= other.last and other.first <= row.last:
                    raise DatasetError(
                        f'{row.recording} is in {other_path} (id {other.number}) and in {path} '
                        f'(id {row.number}) with the same frames; the tables are mixed up, copy '
                        'them again'
                    )
            place.setdefault(row.recording, []).append((path, row))


def _row(
    path: Path, line: int, words: list[str], columns: list[str], num_actions: int
) -> H2oRow:  # fmt: skip
    names = columns
    if len(words) == len(columns) + 1 and _LABEL not in columns:
        names = [*columns, _LABEL]
    if len(words) != len(names):
        raise DatasetError(
            f'{path}, line {line}: {len(words)} columns, but line 1 names {len(columns)}'
        )
    cells = dict(zip(names, words, strict=True))
    recording = cells.pop('path')
    match = _RECORDING.fullmatch(recording)
    if match is None:
        raise DatasetError(
            f'{path}, line {line}: path is {recording!r}, expected one such as subject1/h1/0'
        )
    value = {
        name: whole_number(word, path=path, line=line, what=name) for name, word in cells.items()
    }  # fmt: skip
    label = value.get(_LABEL)
    if label is not None and not 1 <= label <= num_actions:
        raise DatasetError(
            f'{path}, line {line}: {_LABEL} is {label}, expected 1 to {num_actions}; the columns '
            'may be in another order than line 1 tells'
        )
    order = [value[name] for name in ('start_frame', 'start_act', 'end_act', 'end_frame')]
    if order != sorted(order):
        raise DatasetError(
            f'{path}, line {line}: start_frame, start_act, end_act and end_frame are '
            f'{", ".join(map(str, order))}, expected them to rise; the columns may be in another '
            'order than line 1 tells'
        )
    return H2oRow(
        number=value['id'],
        recording=recording,
        subject=int(match[1]),
        label=UNKNOWN if label is None else label - 1,
        first=value['start_act'],
        last=value['end_act'],
    )


def _refuse_twice(path: Path, rows: Sequence[H2oRow]) -> None:
    numbers: set[int] = set()
    places: set[tuple[str, int, int]] = set()
    for row in rows:
        place = (row.recording, row.first, row.last)
        if row.number in numbers or place in places:
            raise DatasetError(
                f'{path}: id {row.number} ({row.recording}, frames {row.first} to {row.last}) is '
                'in it twice'
            )
        numbers.add(row.number)
        places.add(place)
