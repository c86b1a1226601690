"""Read the container that torch.save writes, without running what is in it.

A checkpoint of PyTorch Lightning holds the training configuration as objects of omegaconf or
yacs, and ``torch.load(weights_only=True)`` refuses the whole file for them. Here the pickle in the
container is read by an unpickler that knows tensors and plain containers; objects of the libraries
that are known to leave some in checkpoints become inert records, and every other name is refused.
No class or function that a file names is ever imported or called. Tensors are views of the mapped
file: nothing of them is read before it is used.
"""

import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch

from hand_perception.models.pickle_records import Record, check_operations

_MAX_PICKLE_BYTES: Final = 64 << 20  # the published checkpoint has well under 1 MB
_LOCAL_HEADER: Final = struct.Struct('<4s22xHH')

_DTYPES: Final = {
    'DoubleStorage': torch.float64, 'FloatStorage': torch.float32, 'HalfStorage': torch.float16,
    'BFloat16Storage': torch.bfloat16, 'LongStorage': torch.int64, 'IntStorage': torch.int32,
    'ShortStorage': torch.int16, 'CharStorage': torch.int8, 'ByteStorage': torch.uint8,
    'BoolStorage': torch.bool,
}  # fmt: skip

#: Packages whose objects a training run leaves beside the weights, and harmless names of the
#: standard library that these objects refer to. All of them become inert.
_INERT_PACKAGES: Final = frozenset(
    {'omegaconf', 'yacs', 'pytorch_lightning', 'lightning', 'lightning_fabric', 'hamer', 'numpy'}
)
_INERT_NAMES: Final = frozenset(
    {
        *(('builtins', name) for name in ('dict', 'list', 'tuple', 'set', 'frozenset', 'int')),
        *(('builtins', name) for name in ('float', 'bool', 'str', 'bytes', 'complex', 'object')),
        *(('builtins', name) for name in ('slice', 'range')),
        *(('typing', name) for name in ('Any', 'Union', 'Optional', 'List', 'Dict', 'Tuple')),
        *(('pathlib', name) for name in ('Path', 'PosixPath', 'PurePosixPath', 'WindowsPath')),
        ('collections', 'defaultdict'), ('copyreg', '_reconstructor'), ('argparse', 'Namespace'),
        ('torch', 'Size'), ('torch', 'device'), ('torch', 'float32'), ('torch', 'float16'),
        ('torch', 'bfloat16'), ('_codecs', 'encode'), ('enum', 'Enum'),
    }
)  # fmt: skip


class InertRecord(Record):
    """An object that is not made: keeps what the pickle says of it and does nothing."""

    __slots__ = ('content',)
    content: list[object]

    def __new__(cls, *arguments: object) -> 'InertRecord':
        """Keep the arguments."""
        record = super().__new__(cls, *arguments)
        record.content = []
        return record

    def __setitem__(self, key: object, value: object) -> None:
        """Keep an entry of a mapping."""
        self.content.append((key, value))

    def append(self, value: object) -> None:
        """Keep an entry of a list."""
        self.content.append(value)

    def extend(self, values: list[object]) -> None:
        """Keep entries of a list."""
        self.content.extend(values)

    # Pickles made with protocol 4 add to sets by this name.
    add = append


class _Closed:
    """Something of ours that a pickle can name or make, but not change."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError('state for something that has none')


class _StorageType(_Closed):
    """Stands for one of torch's storage classes, which pickles only name."""

    __slots__ = ('dtype',)

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype


class _Storage(_Closed):
    """The bytes of one tensor, or of several that share them, in the mapped file."""

    __slots__ = ('count', 'dtype', 'storage')

    def __init__(self, storage: torch.UntypedStorage, dtype: torch.dtype, count: int) -> None:
        self.storage = storage
        self.dtype = dtype
        self.count = count


class TensorRecord(_Closed):
    """A tensor of which place, sizes and strides are known to lie within the file."""

    __slots__ = ('_offset', '_sizes', '_storage', '_strides')

    def __init__(self, storage: object, offset: object, size: object, stride: object) -> None:
        """Check the description as torch._utils._rebuild_tensor_v2 is given it."""
        if not isinstance(storage, _Storage):
            raise pickle.UnpicklingError('a tensor without storage')
        self._storage = storage
        self._sizes, self._strides = _whole_numbers(size), _whole_numbers(stride)
        if type(offset) is not int or offset < 0 or len(self._sizes) != len(self._strides):
            raise pickle.UnpicklingError('a tensor whose sizes are damaged')
        self._offset: int = offset
        steps = zip(self._sizes, self._strides, strict=True)
        last = offset + sum((n - 1) * step for n, step in steps)
        if 0 not in self._sizes and last >= storage.count:
            raise pickle.UnpicklingError('a tensor that reaches beyond its storage')

    def tensor(self) -> torch.Tensor:
        """Make the tensor, a view of the mapped file."""
        empty = torch.empty(0, dtype=self._storage.dtype)
        return empty.set_(self._storage.storage, self._offset, self._sizes, self._strides)


class OrderedRecord(dict[object, object]):
    """An OrderedDict without what torch adds to that of a state_dict."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        """Forget the versions of the modules."""


def _rebuild_tensor(
    storage: object, offset: object, size: object, stride: object, *unused: object
) -> TensorRecord:
    return TensorRecord(storage, offset, size, stride)


def _rebuild_parameter(tensor: object, *unused: object) -> TensorRecord:
    if not isinstance(tensor, TensorRecord):
        raise pickle.UnpicklingError('a parameter without tensor')
    return tensor


def _ordered_dict(*items: object) -> OrderedRecord:
    if items:
        raise pickle.UnpicklingError('an OrderedDict made with arguments')
    return OrderedRecord()


class _Function(_Closed):
    """A function of ours under a name that the pickle calls."""

    __slots__ = ('_call',)

    def __init__(self, call: Callable[..., object]) -> None:
        self._call = call

    def __call__(self, *arguments: object) -> object:
        return self._call(*arguments)


_KNOWN: Final[dict[tuple[str, str], object]] = {
    ('collections', 'OrderedDict'): _Function(_ordered_dict),
    ('torch._utils', '_rebuild_tensor_v2'): _Function(_rebuild_tensor),
    ('torch._utils', '_rebuild_parameter'): _Function(_rebuild_parameter),
    **{('torch', name): _StorageType(dtype) for name, dtype in _DTYPES.items()},
}


class _Unpickler(pickle.Unpickler):
    """Knows tensors, plain containers and inert records."""

    def __init__(self, stream: io.BytesIO, container: '_Container') -> None:
        super().__init__(stream)
        self._container = container

    def find_class(self, module: str, name: str) -> Any:
        module = {'__builtin__': 'builtins', 'copy_reg': 'copyreg'}.get(module, module)
        name = {'long': 'int', 'unicode': 'str'}.get(name, name) if module == 'builtins' else name
        known = _KNOWN.get((module, name))
        if known is not None:
            return known
        if module.split('.')[0] in _INERT_PACKAGES or (module, name) in _INERT_NAMES:
            return type(name.rpartition('.')[2], (InertRecord,), {'__slots__': ()})
        raise pickle.UnpicklingError(f'it asks for {module}.{name}')

    def persistent_load(self, pid: object) -> Any:
        is_right = isinstance(pid, tuple) and len(pid) == 5 and pid[0] == 'storage'
        if not is_right:
            raise pickle.UnpicklingError('it asks for an object from outside the file')
        _, kind, key, _, count = pid  # type: ignore[misc]  # the length was checked above
        if not isinstance(kind, _StorageType) or type(count) is not int or count < 0:
            raise pickle.UnpicklingError('a storage whose description is damaged')
        return self._container.storage(str(key), kind.dtype, count)


class _Container:
    """The zip file that torch.save writes: one pickle, and one stored entry per storage."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._entries = {info.filename: info for info in archive.infolist()}
        pickles = [name for name in self._entries if name.endswith('/data.pkl')]
        if len(pickles) != 1 or any('constants.pkl' in name for name in self._entries):
            raise pickle.UnpicklingError('it is not a file of torch.save')
        self._root = pickles[0].removesuffix('data.pkl')
        if self._entries[pickles[0]].file_size > _MAX_PICKLE_BYTES:
            raise pickle.UnpicklingError(f'its pickle has over {_MAX_PICKLE_BYTES >> 20} MB')
        order = f'{self._root}byteorder'
        if order in self._entries and archive.read(order) != b'little':
            raise pickle.UnpicklingError('it was written on a big-endian machine')
        self.pickle = archive.read(pickles[0])
        self._archive = archive
        self._num_bytes = path.stat().st_size
        self._mapped = torch.UntypedStorage.from_file(str(path), False, self._num_bytes)
        self._storages: dict[str, _Storage] = {}

    def storage(self, key: str, dtype: torch.dtype, count: int) -> _Storage:
        known = self._storages.get(key)
        if known is not None and (known.dtype, known.count) == (dtype, count):
            return known
        info = self._entries.get(f'{self._root}data/{key}')
        if info is None or info.compress_type != zipfile.ZIP_STORED:
            raise pickle.UnpicklingError(f'the entry data/{key} is missing or compressed')
        num_bytes = count * dtype.itemsize
        start = self._content_start(info)
        if info.file_size != num_bytes or start + num_bytes > self._num_bytes:
            raise pickle.UnpicklingError(
                f'the entry data/{key} has {info.file_size} bytes, expected {num_bytes}'
            )
        mapped = self._mapped[start : start + num_bytes]
        if start % dtype.itemsize:
            mapped = mapped.clone()  # old versions of torch did not align entries
        made = _Storage(mapped, dtype, count)
        self._storages[key] = made
        return made

    def _content_start(self, info: zipfile.ZipInfo) -> int:
        assert self._archive.fp is not None
        self._archive.fp.seek(info.header_offset)
        header = self._archive.fp.read(_LOCAL_HEADER.size)
        if len(header) != _LOCAL_HEADER.size:
            raise pickle.UnpicklingError('it is cut off')
        signature, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
        if signature != b'PK\x03\x04':
            raise pickle.UnpicklingError('its directory is damaged')
        return info.header_offset + _LOCAL_HEADER.size + name_bytes + extra_bytes


def read_container(path: Path) -> object:
    """Read what torch.save wrote: plain values, dicts, lists, and records of all else.

    Raises:
        pickle.UnpicklingError: the file is damaged, or its pickle asks for something that no
            checkpoint needs; the message says what.
        OSError: the file cannot be opened.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            container = _Container(path, archive)
            check_operations(container.pickle)
            return _Unpickler(io.BytesIO(container.pickle), container).load()
    except (pickle.UnpicklingError, OSError):
        raise
    except zipfile.BadZipFile as error:
        raise pickle.UnpicklingError(f'it is cut off or damaged ({error})') from error
    except Exception as error:  # a crafted or damaged pickle can make any operation fail
        raise pickle.UnpicklingError(f'it is damaged ({error})') from error


def _whole_numbers(values: object) -> tuple[int, ...]:
    if not isinstance(values, tuple | list):
        raise pickle.UnpicklingError('a tensor whose sizes are damaged')
    if not all(type(value) is int and value >= 0 for value in values):
        raise pickle.UnpicklingError('a tensor whose sizes are damaged')
    return tuple(values)
