"""Arrays of an npz file, read without running what may be pickled in it."""

import pickle
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from hand_perception.datatypes import DoubleArray
from hand_perception.errors import DatasetError
from hand_perception.models.mano_file import resolve
from hand_perception.models.pickle_records import ArrayRecord, load_records

_AGAIN: Final = 'copy or download it again'


@dataclass(frozen=True, slots=True)
class NpzTable:
    """Columns of an npz file; one row for each hand.

    Attributes:
        path: the file.
        columns: names of its arrays.
    """

    path: Path
    columns: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def open(cls, path: Path, *, source: str) -> 'NpzTable':
        """Look which arrays there are.

        Raises:
            DatasetError: the file is missing or no npz file.
        """
        if not path.is_file():
            raise DatasetError(f'{path} is not a file; it comes from {source}')
        try:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
        except (OSError, zipfile.BadZipFile) as error:
            raise DatasetError(f'{path} is not a whole npz file ({error}); {_AGAIN}') from error
        return cls(
            path, frozenset(name.removesuffix('.npy') for name in names if name.endswith('.npy'))
        )

    def numbers(self, name: str) -> DoubleArray:
        """Read an array of numbers.

        Raises:
            DatasetError: it is not there or something else.
        """
        array = self._read(name)
        if array.dtype.kind not in 'fiub':
            raise DatasetError(f'{self.path}: {name} is {array.dtype}, expected numbers; {_AGAIN}')
        return array.astype(np.float64)

    def texts(self, name: str) -> tuple[str, ...]:
        """Read a list of texts, stored as text, as bytes, or pickled.

        Raises:
            DatasetError: it is not there or something else.
        """
        values = self._read(name).tolist()
        if not isinstance(values, list):
            raise DatasetError(f'{self.path}: {name} is not a list; {_AGAIN}')
        texts = [value.decode('utf-8') if isinstance(value, bytes) else value for value in values]
        if not all(isinstance(text, str) for text in texts):
            raise DatasetError(f'{self.path}: {name} are not texts; {_AGAIN}')
        return tuple(texts)

    def _read(self, name: str) -> NDArray[Any]:
        if name not in self.columns:
            raise DatasetError(
                f'{self.path} has no {name}, only {", ".join(sorted(self.columns))}; {_AGAIN}'
            )
        try:
            with (
                zipfile.ZipFile(self.path) as archive,
                archive.open(f'{name}.npy') as stream,
            ):
                return _array(stream)
        except pickle.UnpicklingError as error:
            raise DatasetError(f'refused to read {name} of {self.path}: {error}') from error
        except Exception as error:  # zipfile, zlib and numpy raise a dozen kinds for damaged files
            raise DatasetError(
                f'{name} of {self.path} cannot be read ({error}); {_AGAIN}'
            ) from error


def _array(stream: IO[bytes]) -> NDArray[Any]:
    version = np.lib.format.read_magic(stream)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    shape, is_fortran, dtype = read(stream)
    content = stream.read()
    if not dtype.hasobject:
        array = np.frombuffer(content, dtype)
        return array.reshape(shape, order='F' if is_fortran else 'C')
    record = load_records(content)
    state = record.state if isinstance(record, ArrayRecord) else None
    # Version, shape, type, order, and the objects themselves as a list.
    if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[4], list):
        raise pickle.UnpicklingError('it is not a pickled array of objects')
    values = [_plain(value) for value in state[4]]
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _plain(value: object) -> object:
    return resolve(value).tolist() if isinstance(value, ArrayRecord) else value
