"""The pickled dictionary that HO-3D has for each image, read without running what is in it."""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hand_perception.datatypes import DoubleArray
from hand_perception.errors import DatasetError
from hand_perception.models.mano_file import resolve
from hand_perception.models.pickle_records import Record, load_records


@dataclass(frozen=True, slots=True)
class Ho3dMeta:
    """What HO-3D says of one image.

    Attributes:
        path: the file.
        entries: by name, not looked into yet.
    """

    path: Path
    entries: dict[object, object]

    @classmethod
    def read(cls, path: Path) -> 'Ho3dMeta':
        """Read the dictionary.

        Raises:
            DatasetError: it is missing, damaged, or holds anything but arrays and plain values.
        """
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            raise DatasetError(
                f'{path} is missing; `hand_perception data check` lists all that are'
            ) from error
        except OSError as error:
            raise DatasetError(f'{path} cannot be read ({error}); copy it again') from error
        try:
            entries = load_records(content)
        except pickle.UnpicklingError as error:
            raise DatasetError(f'refused to read {path}: {error}; copy it again') from error
        if not isinstance(entries, dict):
            raise DatasetError(f'{path} holds no dictionary; copy it again')
        return cls(path, entries)

    def array(self, name: str, shape: tuple[int, ...]) -> DoubleArray:
        """Give an entry as numbers.

        Raises:
            DatasetError: it is not there, of another shape, or not finite.
        """
        path = self.path
        if name not in self.entries:
            raise DatasetError(f'{path} has no {name}; copy it again')
        value: Any = self.entries[name]
        try:
            array: DoubleArray = np.asarray(_plain(value)).astype(np.float64)
        except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
            raise DatasetError(
                f'{path}: {name} cannot be read ({error}); copy it again'
            ) from error
        if array.shape != shape:
            raise DatasetError(f'{path}: {name} has the shape {array.shape}, expected {shape}')
        if not np.isfinite(array).all():
            raise DatasetError(
                f'{path}: {name} is not finite; copy it again or take it off the list'
            )
        return array


def _plain(value: object) -> Any:
    """Give lists of numbers and arrays alike what NumPy makes an array of."""
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return resolve(value) if isinstance(value, Record) else value
