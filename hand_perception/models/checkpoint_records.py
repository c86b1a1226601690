"""Unpickle a checkpoint without running what is in it.

Known are tensors and plain containers; objects of the libraries that are known to leave some in
checkpoints become inert records, and every other name is refused. No class or function that a
file names is ever imported or called.
"""

import io
import pickle
from collections.abc import Callable
from typing import Any, Final

import torch

from hand_perception.models.pickle_records import Record, check_operations

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
#: Schedulers and optimizers, which HTT pickles whole; their modules change with torch's version.
_INERT_MODULE: Final = 'torch.optim.'
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

FindStorage = Callable[[str, torch.dtype, int], torch.UntypedStorage]


class InertRecord(Record):
    """An object that is not made: keeps what the pickle says of it and does nothing."""

    __slots__ = ('content',)
    content: list[object]

    def __new__(cls, *arguments: object) -> 'InertRecord':
        """Keep the arguments."""
        record = super().__new__(cls, *arguments)
        assert isinstance(record, InertRecord)
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


class StorageRecord(_Closed):
    """The bytes of one tensor, or of several that share them, in the mapped file."""

    __slots__ = ('count', 'dtype', 'storage')

    def __init__(self, storage: torch.UntypedStorage, dtype: torch.dtype, count: int) -> None:
        """Keep them; ``count`` elements of ``dtype`` fill the storage."""
        self.storage = storage
        self.dtype = dtype
        self.count = count


class TensorRecord(_Closed):
    """A tensor of which place, sizes and strides are known to lie within the file."""

    __slots__ = ('_offset', '_sizes', '_storage', '_strides')

    def __init__(self, storage: object, offset: object, size: object, stride: object) -> None:
        """Check the description as torch._utils._rebuild_tensor_v2 is given it."""
        if not isinstance(storage, StorageRecord):
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
    ('torch._utils', '_rebuild_parameter_with_state'): _Function(_rebuild_parameter),
    **{('torch', name): _StorageType(dtype) for name, dtype in _DTYPES.items()},
}


class _Unpickler(pickle.Unpickler):
    """Knows tensors, plain containers and inert records."""

    def __init__(self, content: bytes, find_storage: FindStorage) -> None:
        super().__init__(io.BytesIO(content))
        self._find_storage = find_storage

    def find_class(self, module: str, name: str) -> Any:
        module = {'__builtin__': 'builtins', 'copy_reg': 'copyreg'}.get(module, module)
        name = {'long': 'int', 'unicode': 'str'}.get(name, name) if module == 'builtins' else name
        known = _KNOWN.get((module, name))
        if known is not None:
            return known
        is_inert = module.split('.')[0] in _INERT_PACKAGES or (module, name) in _INERT_NAMES
        if is_inert or f'{module}.'.startswith(_INERT_MODULE):
            return type(name.rpartition('.')[2], (InertRecord,), {'__slots__': ()})
        raise pickle.UnpicklingError(f'it asks for {module}.{name}')

    def persistent_load(self, pid: object) -> Any:
        is_right = isinstance(pid, tuple) and len(pid) == 5 and pid[0] == 'storage'
        if not isinstance(pid, tuple) or not is_right:
            raise pickle.UnpicklingError('it asks for an object from outside the file')
        kind, key, count = pid[1], pid[2], pid[4]
        if not isinstance(kind, _StorageType) or type(count) is not int or count < 0:
            raise pickle.UnpicklingError('a storage whose description is damaged')
        return StorageRecord(self._find_storage(str(key), kind.dtype, count), kind.dtype, count)


def load_checkpoint_records(content: bytes, find_storage: FindStorage) -> object:
    """Unpickle to plain values, dicts, lists, and records of all else.

    Args:
        content: the pickle.
        find_storage: gives the bytes of a storage from its key, type and number of elements, or
            raises UnpicklingError.

    Raises:
        pickle.UnpicklingError: the pickle is damaged or asks for something that no checkpoint
            needs; the message says what.
    """
    check_operations(content)
    try:
        return _Unpickler(content, find_storage).load()
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # a crafted or damaged pickle can make any operation fail
        raise pickle.UnpicklingError(f'it is damaged ({error})') from error


def _whole_numbers(values: object) -> tuple[int, ...]:
    if not isinstance(values, tuple | list):
        raise pickle.UnpicklingError('a tensor whose sizes are damaged')
    if not all(type(value) is int and value >= 0 for value in values):
        raise pickle.UnpicklingError('a tensor whose sizes are damaged')
    return tuple(values)
