"""Read large JSON files of nested lists of numbers without making a Python list of each."""

import re
import warnings
from pathlib import Path
from typing import Final

import numpy as np

from hand_perception.datatypes import DoubleArray
from hand_perception.errors import DatasetError

_BRACKETS_AND_SPACES: Final = b'[] \t\r\n'
_EMPTY: Final = re.compile(rb'\s*\[\s*\]\s*')


def read_numbers(path: Path, tail: tuple[int, ...], *, source: str) -> DoubleArray:
    """Read a list of arrays of one shape.

    Args:
        path: the file.
        tail: shape of each array.
        source: where the file comes from, for the message when it is missing.

    Returns:
        (N, *tail); NaN where the file says so.

    Raises:
        DatasetError: the file is missing, ends in the middle, or holds something else.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DatasetError(f'{path} is missing; it comes from {source}') from error
    except OSError as error:
        raise DatasetError(f'{path} cannot be read ({error}); copy it again') from error
    wanted = ' x '.join(map(str, tail))
    if _EMPTY.fullmatch(content):
        raise DatasetError(f'{path} is an empty list, expected lists of {wanted} numbers')
    opened, closed = content.count(b'['), content.count(b']')
    if opened == 0 or opened != closed or not content.rstrip().endswith(b']'):
        raise DatasetError(
            f'{path} ends in the middle ({len(content)} bytes, {opened} lists begin and {closed} '
            'end), or is not a list; copy it again'
        )
    values = _values(content.translate(None, _BRACKETS_AND_SPACES), path)
    count, rest = divmod(len(values), int(np.prod(tail)))
    lists = 1  # how many lists there are in one entry, itself counted
    for size in reversed(tail[:-1]):
        lists = 1 + size * lists
    if rest or opened != 1 + count * lists:
        raise DatasetError(
            f'{path} does not hold lists of {wanted} numbers: {len(values)} numbers in '
            f'{opened} lists; copy it again'
        )
    return values.reshape(count, *tail)


def refuse_not_finite_entries(path: Path, values: DoubleArray) -> None:
    """Refuse NaN and infinity in what ``read_numbers`` gave.

    Raises:
        DatasetError: with the entries, counted from 0.
    """
    bad = np.flatnonzero(~np.isfinite(values).all(axis=tuple(range(1, values.ndim))))
    if len(bad):
        raise DatasetError(
            f'{path}: {len(bad)} of {len(values)} entries are not finite, first '
            f'{", ".join(map(str, bad[:5]))} (counted from 0); copy it again'
        )


def _values(text: bytes, path: Path) -> DoubleArray:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('error', DeprecationWarning)  # what NumPy says of bad text
            values: DoubleArray = np.fromstring(text.decode('ascii'), np.float64, sep=',')
    except (DeprecationWarning, ValueError) as error:
        raise DatasetError(
            f'{path} does not hold numbers only ({error}); copy it again'
        ) from error
    if len(values) != text.count(b',') + 1:
        raise DatasetError(f'{path} does not hold numbers only; copy it again')
    return values
