"""Unpickle arrays without running anything: the pickle machine builds inert records only.

A pickle may name any function of any module and have it called. MANO_RIGHT.pkl needs eleven names
of NumPy, SciPy, chumpy and the standard library; here each leads to a record that keeps what it
is given, and every other name is refused. NumPy's own classes are not used either, since a file
could give them shapes or dtype flags that no array has. ``mano_file`` turns records into arrays.
"""

import io
import pickle
import pickletools
from typing import Any, Final

#: Memo slots may not lie further out than this above the number of operations so far: the C
#: unpickler allocates the whole range up to a slot.
_MEMO_SLACK: Final = 1000


class Record:
    """What a pickle says of one object: its arguments and its state, nothing done with them."""

    __slots__ = ('arguments', 'state')
    arguments: tuple[object, ...]
    state: object

    def __new__(cls, *arguments: object) -> 'Record':
        """Keep the arguments."""
        record = super().__new__(cls)
        record.arguments = arguments
        record.state = None
        return record

    def __setstate__(self, state: object) -> None:
        """Keep the state."""
        self.state = state


class ArrayRecord(Record):
    """A numpy.ndarray."""

    __slots__ = ()


class DtypeRecord(Record):
    """A numpy.dtype."""

    __slots__ = ()


class ScalarRecord(Record):
    """A NumPy scalar."""

    __slots__ = ()


class ChumpyRecord(Record):
    """A chumpy.ch.Ch: its array is the entry ``x`` of its state."""

    __slots__ = ()


class SelectRecord(Record):
    """A chumpy.reordering.Select: some entries of another array."""

    __slots__ = ()


class CscRecord(Record):
    """A scipy.sparse.csc_matrix."""

    __slots__ = ()


class CsrRecord(Record):
    """A scipy.sparse.csr_matrix."""

    __slots__ = ()


class _Inert:
    """Something a pickle may name but not change; callable only in the subclass below."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError('state for something that has none')


class _Marker(_Inert):
    """A class that is named as an argument and never called."""

    __slots__ = ()


_NDARRAY: Final = _Marker()
_OBJECT: Final = _Marker()


class _Reconstruct(_Inert):
    """numpy's ``_reconstruct(ndarray, (0,), b'b')``: an array still without content."""

    __slots__ = ()

    def __call__(self, cls: object, shape: object, code: object) -> Record:
        if cls is not _NDARRAY:
            raise pickle.UnpicklingError('an array of a class other than numpy.ndarray')
        return ArrayRecord()


class _Reconstructor(_Inert):
    """copyreg's ``_reconstructor(cls, object, None)``: an object still without state."""

    __slots__ = ()

    def __call__(self, cls: object, base: object, state: object) -> Record:
        if not (isinstance(cls, type) and issubclass(cls, Record)) or base is not _OBJECT:
            raise pickle.UnpicklingError('copyreg._reconstructor of a class that is not expected')
        return cls()


class _Encode(_Inert):
    """``_codecs.encode(text, 'latin1')``: how protocol 2 writes bytes from Python 3."""

    __slots__ = ()

    def __call__(self, text: object, codec: object = None) -> bytes:
        if not isinstance(text, str) or codec not in ('latin1', 'latin-1'):
            raise pickle.UnpicklingError('_codecs.encode other than latin1')
        return text.encode('latin1')


class _EmptySet(_Inert):
    """``set([...])``: chumpy's bookkeeping, not needed."""

    __slots__ = ()

    def __call__(self, *items: object) -> tuple[()]:
        return ()


_ALLOWED: Final[dict[tuple[str, str], object]] = {
    ('numpy', 'ndarray'): _NDARRAY,
    ('numpy', 'dtype'): DtypeRecord,
    ('_codecs', 'encode'): _Encode(),
    ('chumpy.ch', 'Ch'): ChumpyRecord,
    ('chumpy', 'Ch'): ChumpyRecord,
    ('chumpy.reordering', 'Select'): SelectRecord,
    **{(f'numpy.{core}.multiarray', '_reconstruct'): _Reconstruct() for core in ('core', '_core')},
    **{(f'numpy.{core}.multiarray', 'scalar'): ScalarRecord for core in ('core', '_core')},
    **{(module, '_reconstructor'): _Reconstructor() for module in ('copy_reg', 'copyreg')},
    **{(module, 'object'): _OBJECT for module in ('__builtin__', 'builtins')},
    **{(module, 'set'): _EmptySet() for module in ('__builtin__', 'builtins')},
    **{(f'scipy.sparse.{module}', 'csc_matrix'): CscRecord for module in ('csc', '_csc')},
    **{(f'scipy.sparse.{module}', 'csr_matrix'): CsrRecord for module in ('csr', '_csr')},
}


class _RecordUnpickler(pickle.Unpickler):
    """An unpickler that knows the names above."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f'it asks for {module}.{name}') from None

    def persistent_load(self, pid: object) -> Any:
        raise pickle.UnpicklingError('it asks for an object from outside the file')


def load_records(content: bytes) -> object:
    """Unpickle to plain values and records.

    Raises:
        pickle.UnpicklingError: the pickle is damaged or asks for something not allowed; the
            message says what.
    """
    check_operations(content)
    try:
        return _RecordUnpickler(io.BytesIO(content), encoding='latin1').load()
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # a crafted or damaged pickle can make any operation fail
        raise pickle.UnpicklingError(f'it is damaged ({error})') from error


def check_operations(content: bytes) -> None:
    """Read through the operations without running them: sizes and memo slots must be sane.

    Raises:
        pickle.UnpicklingError: they are not, or the pickle is cut off.
    """
    count = 0
    try:
        for operation, argument, _ in pickletools.genops(content):
            count += 1
            is_slot = operation.name in ('PUT', 'BINPUT', 'LONG_BINPUT')
            if is_slot and isinstance(argument, int) and argument > count + _MEMO_SLACK:
                raise pickle.UnpicklingError(f'it uses memo slot {argument}')
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # pickletools raises ValueError, IndexError, struct.error, ...
        raise pickle.UnpicklingError(f'it is cut off or damaged ({error})') from error
