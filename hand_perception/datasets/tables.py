"""Read the text files of the data sets; what is wrong is told with file and line."""

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np

from hand_perception.datatypes import DoubleArray
from hand_perception.errors import DatasetError


def read_lines(path: Path, *, what: str) -> list[str]:
    """Read the lines of a text file.

    Args:
        path: the file.
        what: what it is, and where it comes from, for the message when it is missing.

    Raises:
        DatasetError: it is missing or not a text.
    """
    try:
        return path.read_text(encoding='utf-8').splitlines()
    except FileNotFoundError as error:
        raise DatasetError(f'{path} is missing: {what}') from error
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f'{path} cannot be read as text ({error}); copy it again') from error


def whole_number(word: str, *, path: Path, line: int, what: str) -> int:
    """Read a whole number from 0.

    Raises:
        DatasetError: it is none.
    """
    if not (word.isascii() and word.isdigit()):
        raise DatasetError(f'{path}, line {line}: {what} is {word!r}, expected a whole number')
    return int(word)


def numbers(words: Sequence[str], *, path: Path, line: int) -> DoubleArray:
    """Read numbers, which may be NaN.

    Raises:
        DatasetError: one of them is no number.
    """
    try:
        return np.array(words, np.float64)
    except ValueError as error:
        raise DatasetError(f'{path}, line {line}: {error}; copy it again') from error


def refuse_not_finite(path: Path, line: int, values: DoubleArray) -> None:
    """Refuse NaN and infinity in an annotation.

    Raises:
        DatasetError: with how many there are.
    """
    bad = int(np.count_nonzero(~np.isfinite(values)))
    if bad:
        raise DatasetError(
            f'{path}, line {line}: {bad} of {values.size} numbers are not finite; copy it again, '
            'or take the sequence out of the table'
        )


def no_such_split(dataset: str, split: str, splits: Sequence[str]) -> NoReturn:
    """Refuse the name of a split.

    Raises:
        DatasetError: always.
    """
    raise DatasetError(f'{dataset} has the splits {", ".join(splits)}, got {split!r}')
