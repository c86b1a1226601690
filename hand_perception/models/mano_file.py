"""Read the user's MANO_RIGHT.pkl: without trust, and without chumpy or SciPy.

The published file is a pickle of Python 2 days with chumpy and SciPy objects in it. chumpy does
not install on current Python, and a pickle can run code; ``pickle_records`` reads it into inert
records, and this module turns records into arrays, checking every size before it is believed.
"""

import pickle
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hand_perception.errors import WeightsError
from hand_perception.models.hand_arrays import MANO_PARENTS, check_shapes
from hand_perception.models.pickle_records import (
    ArrayRecord,
    ChumpyRecord,
    CscRecord,
    CsrRecord,
    DtypeRecord,
    Record,
    ScalarRecord,
    SelectRecord,
    load_records,
)

AnyArray = NDArray[Any]

FILE_NAME: Final = 'MANO_RIGHT.pkl'
#: Where the file may lie under the folder that is given: itself, MANO's own archive, HaMeR's data.
_PLACES: Final = ('', 'models', 'mano')
_MAX_BYTES: Final = 64 << 20  # the published file has 3.8 MB
_MAX_DENSE: Final = 10_000_000
_MAX_DEPTH: Final = 8
_CODES: Final = frozenset({'f4', 'f8', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8'})
_BYTE_ORDERS: Final = frozenset({'<', '>', '=', '|'})
_NUM_VERTICES, _NUM_FACES = 778, 1538

_WHERE_FROM: Final = (
    f'MANO is not part of this package: register at https://mano.is.tue.mpg.de, accept its '
    f'licence (non-commercial research), download the models and set mano_dir to the folder '
    f"that has {FILE_NAME}; or set hand_model to 'default'"
)
_AGAIN: Final = (
    "use the unchanged file from https://mano.is.tue.mpg.de, or set hand_model to 'default'"
)

_SHAPES: Final[dict[str, tuple[int | None, ...]]] = {
    'v_template': (_NUM_VERTICES, 3),
    'shapedirs': (_NUM_VERTICES, 3, 10),
    'posedirs': (_NUM_VERTICES, 3, 135),
    'J_regressor': (16, _NUM_VERTICES),
    'weights': (_NUM_VERTICES, 16),
    'kintree_table': (2, 16),
    'f': (_NUM_FACES, 3),
    'hands_components': (45, 45),
    'hands_mean': (45,),
}


def find_mano_file(mano_dir: str | Path) -> Path:
    """Find MANO_RIGHT.pkl from the folder or file the user named.

    Raises:
        WeightsError: it is not there; the message says where it was looked for and where MANO
            comes from.
    """
    if not str(mano_dir):
        raise WeightsError(f'hand_model is mano but mano_dir is empty. {_WHERE_FROM}')
    given = Path(mano_dir).expanduser()
    if given.is_file():
        return given
    candidates = [given / place / FILE_NAME for place in _PLACES]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    looked = ', '.join(map(str, candidates)) if given.is_dir() else f'{given} (does not exist)'
    raise WeightsError(f'no {FILE_NAME} found; looked at {looked}. {_WHERE_FROM}')


def read_mano_file(mano_dir: str | Path) -> dict[str, AnyArray]:
    """Read the arrays of MANO's right hand.

    Args:
        mano_dir: the folder with MANO_RIGHT.pkl, or the file.

    Returns:
        v_template, shapedirs, posedirs, J_regressor (dense), weights, kintree_table, f,
        hands_components, hands_mean; floats as float64.

    Raises:
        WeightsError: the file is missing, too large, damaged, of another model, or asks for
            anything but arrays.
    """
    path = find_mano_file(mano_dir)
    try:
        with path.open('rb') as stream:
            content = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise WeightsError(f'{path} cannot be read: {error}') from error
    if len(content) > _MAX_BYTES:
        raise WeightsError(
            f'{path} has more than {_MAX_BYTES >> 20} MB, which no MANO file has; {_AGAIN}'
        )
    try:
        entries = load_records(content)
    except pickle.UnpicklingError as error:
        raise WeightsError(f'refused to read {path}: {error}; {_AGAIN}') from error
    if not isinstance(entries, dict):
        raise WeightsError(f'{path} holds no dictionary of arrays; {_AGAIN}')
    missing = sorted(set(_SHAPES) - set(entries))
    if missing:
        raise WeightsError(f'{path} lacks {", ".join(missing)}; {_AGAIN}')
    arrays = {}
    for name in _SHAPES:
        try:
            arrays[name] = resolve(entries[name])
        except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
            raise WeightsError(f'refused to read {path}: {name}: {error}; {_AGAIN}') from error
    check_shapes(arrays, _SHAPES, path)
    _check_tree(arrays['kintree_table'], path)
    return {
        name: array.astype(np.float64) if array.dtype.kind == 'f' else array
        for name, array in arrays.items()
    }


def _check_tree(table: AnyArray, path: Path) -> None:
    """Refuse joints that hang together otherwise than MANO's; the root's parent is any number."""
    order, parents = table[1].tolist(), table[0].tolist()
    if order != list(range(16)) or parents[1:] != list(MANO_PARENTS[1:]):
        raise WeightsError(
            f"{path}: kintree_table is not MANO's: expected parents {list(MANO_PARENTS[1:])} of "
            f'joints 1 to 15, got {parents[1:]}; {_AGAIN}'
        )


def resolve(value: object, depth: int = 0) -> AnyArray:
    """Turn a record into the array it stands for.

    Raises:
        ValueError: it is not an array, or its sizes do not fit together.
    """
    if depth > _MAX_DEPTH:
        raise ValueError(f'nested more than {_MAX_DEPTH} deep')
    if isinstance(value, ArrayRecord):
        return _dense_array(value)
    if isinstance(value, ScalarRecord):
        return _scalar(value)
    state = value.state if isinstance(value, Record) else None
    if not isinstance(state, dict):
        raise ValueError(f'expected an array, got {type(value).__name__}')
    if isinstance(value, ChumpyRecord):
        return resolve(state['x'], depth + 1)
    if isinstance(value, SelectRecord):
        source = resolve(state['a'], depth + 1).ravel()
        picks = _checked_indices(resolve(state['idxs'], depth + 1), source.size)
        shape = state.get('preferred_shape')
        if isinstance(shape, Record):
            shape = tuple(resolve(shape, depth + 1).tolist())
        return source[picks].reshape(_sizes(shape) if shape is not None else picks.shape)
    if isinstance(value, CscRecord | CsrRecord):
        return _dense_matrix(value, state, depth)
    raise ValueError(f'expected an array, got {type(value).__name__}')


def _dense_array(record: ArrayRecord) -> AnyArray:
    state = record.state
    if not isinstance(state, tuple) or len(state) != 5:
        raise ValueError('an array without content')
    _, shape, dtype_record, is_fortran, content = state
    dtype = _dtype(dtype_record)
    sizes = _sizes(shape)
    if isinstance(content, str):  # a Python 2 string, read as latin-1
        content = content.encode('latin1')
    num_bytes = dtype.itemsize
    for size in sizes:
        num_bytes *= size
    if not isinstance(content, bytes) or len(content) != num_bytes or len(sizes) > _MAX_DEPTH:
        raise ValueError(f'an array of shape {sizes} whose content is not {num_bytes} bytes')
    array = np.frombuffer(content, dtype).reshape(sizes, order='F' if is_fortran else 'C')
    return array.astype(dtype.newbyteorder('='))


def _scalar(record: ScalarRecord) -> AnyArray:
    if len(record.arguments) != 2:
        raise ValueError('a number without content')
    dtype_record, content = record.arguments
    dtype = _dtype(dtype_record)
    if isinstance(content, str):  # a Python 2 string, read as latin-1
        content = content.encode('latin1')
    if not isinstance(content, bytes) or len(content) != dtype.itemsize:
        raise ValueError(f'a number whose content is not {dtype.itemsize} bytes')
    return np.frombuffer(content, dtype).reshape(()).astype(dtype.newbyteorder('='))


def _dtype(record: object) -> np.dtype[Any]:
    code = record.arguments[0] if isinstance(record, DtypeRecord) and record.arguments else None
    state = record.state if isinstance(record, DtypeRecord) else None
    if isinstance(code, bytes):
        code = code.decode('latin1')
    order = state[1] if isinstance(state, tuple) and len(state) > 1 else '='
    if isinstance(order, bytes):
        order = order.decode('latin1')
    is_known = isinstance(code, str) and code in _CODES
    if not is_known or not isinstance(order, str) or order not in _BYTE_ORDERS:
        raise ValueError(f'an array of {code!r}; only plain numbers are read')
    return np.dtype(str(code)).newbyteorder('=' if order == '|' else order)  # type: ignore[arg-type]


def _dense_matrix(
    record: CscRecord | CsrRecord, state: dict[object, object], depth: int
) -> AnyArray:
    shape = _sizes(state['_shape'] if '_shape' in state else state['shape'])
    if len(shape) != 2 or shape[0] * shape[1] > _MAX_DENSE:
        raise ValueError(f'a sparse matrix of shape {shape}')
    major, minor = shape if isinstance(record, CsrRecord) else shape[::-1]
    content, inner, starts = (resolve(state[k], depth + 1) for k in ('data', 'indices', 'indptr'))
    starts = _checked_indices(starts, len(content) + 1)
    inner = _checked_indices(inner, minor)
    fits = starts.shape == (major + 1,) and inner.shape == content.shape == (len(content),)
    if not fits or starts[0] != 0 or starts[-1] != len(content) or (np.diff(starts) < 0).any():
        raise ValueError('a sparse matrix whose parts do not fit together')
    dense = np.zeros((major, minor), content.dtype)
    np.add.at(dense, (np.repeat(np.arange(major), np.diff(starts)), inner), content)
    return dense if isinstance(record, CsrRecord) else dense.T


def _checked_indices(indices: AnyArray, size: int) -> AnyArray:
    is_whole = indices.dtype.kind in 'iu'
    if not is_whole or (indices.size and (indices.min() < 0 or indices.max() >= size)):
        raise ValueError(f'indices outside 0 to {size - 1}')
    return indices.astype(np.int64)


def _sizes(shape: object) -> tuple[int, ...]:
    """Read a shape: whole numbers from 0, plain or NumPy's."""
    if not isinstance(shape, tuple | list):
        raise ValueError('a shape that is not a list of numbers')
    return tuple(_size(size) for size in shape)


def _size(value: object) -> int:
    if isinstance(value, ScalarRecord):
        number = _scalar(value)
        value = int(number) if number.dtype.kind in 'iu' else value
    if type(value) is not int or value < 0:
        raise ValueError('a size that is not a whole number from 0')
    return value
