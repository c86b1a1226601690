"""Reading MANO_RIGHT.pkl: what it may hold, and what must never run."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from mano_fakes import LookAlikes, mano_arrays, pickled

from hand_perception.errors import WeightsError
from hand_perception.models import pickle_records
from hand_perception.models.mano_file import find_mano_file, read_mano_file

ARRAYS = mano_arrays()


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function, *arguments):
        self._call = (function, arguments)

    def __reduce__(self):
        return self._call


def write(folder: Path, content: bytes) -> Path:
    path = folder / 'MANO_RIGHT.pkl'
    path.write_bytes(content)
    return path


def write_with(folder: Path, protocol: int = 2, **changed) -> Path:
    return write(folder, pickled({**ARRAYS, **changed}, protocol))


def assert_equal_to_source(read):
    assert set(read) == {
        'v_template', 'shapedirs', 'posedirs', 'J_regressor', 'weights', 'kintree_table', 'f',
        'hands_components', 'hands_mean',
    }  # fmt: skip
    for name, array in read.items():
        np.testing.assert_array_equal(array, ARRAYS[name], err_msg=name)


@pytest.mark.parametrize('protocol', [0, 1, 2, 3, 4])
def test_plain_arrays_are_read_as_written(tmp_path, protocol):
    assert_equal_to_source(read_mano_file(write_with(tmp_path, protocol)))


@pytest.mark.parametrize('protocol', [0, 2])
@pytest.mark.parametrize('sparse_module', ['csc', '_csc'])
def test_chumpy_and_sparse_objects_are_read_without_chumpy_and_scipy(
    tmp_path, monkeypatch, protocol, sparse_module
):
    fakes = LookAlikes(monkeypatch, sparse_module=sparse_module)
    content = pickled(
        {
            **ARRAYS,
            'v_template': fakes.chumpy(ARRAYS['v_template']),
            'shapedirs': fakes.select(ARRAYS['shapedirs']),
            'posedirs': fakes.chumpy(fakes.chumpy(ARRAYS['posedirs'])),
            'J_regressor': fakes.csc(ARRAYS['J_regressor']),
        },
        protocol,
    )
    monkeypatch.undo()
    assert_equal_to_source(read_mano_file(write(tmp_path, content)))


def test_row_wise_sparse_matrix_is_read(tmp_path, monkeypatch):
    fakes = LookAlikes(monkeypatch, sparse_module='csr')
    content = pickled({**ARRAYS, 'J_regressor': fakes.csr(ARRAYS['J_regressor'])})
    monkeypatch.undo()
    assert_equal_to_source(read_mano_file(write(tmp_path, content)))


def test_other_byte_order_and_memory_order_are_read(tmp_path):
    path = write_with(
        tmp_path,
        v_template=ARRAYS['v_template'].astype('>f8'),
        posedirs=np.asfortranarray(ARRAYS['posedirs']),
        f=ARRAYS['f'].astype('>u4'),
    )
    read = read_mano_file(path)
    assert_equal_to_source(read)
    assert all(array.dtype.isnative for array in read.values())


def marker_calls(marker: Path) -> dict[str, bytes]:
    """Pickles that would leave a file if any of them ran."""
    command = f'touch {marker}'
    hidden = np.empty(1, object)
    hidden[0] = Call(os.system, command)
    return {
        'posix.system': pickled({**ARRAYS, 'v_template': Call(os.system, command)}),
        '__builtin__.eval': pickled(
            {**ARRAYS, 'bs_type': Call(eval, f'open({str(marker)!r}, "w")')}
        ),
        'builtins.getattr': b"cbuiltins\ngetattr\n(cbuiltins\nobject\nS'__subclasses__'\ntR.",
        'numpy.load': pickled({**ARRAYS, 'f': Call(np.load, str(marker))}),
        # An array of objects whose call is of an allowed name: the array itself is refused.
        'plain numbers': pickled({**ARRAYS, 'hands_mean': hidden}).replace(
            b'cposix\nsystem\n', b'c__builtin__\nset\n'
        ),
        'os.system': b"cos\nsystem\n(S'" + command.encode() + b"'\ntR.",
    }


@pytest.mark.parametrize('name', list(marker_calls(Path('marker'))))
def test_pickle_that_asks_for_a_call_is_refused_by_name(tmp_path, name):
    marker = tmp_path / 'ran'
    path = write(tmp_path, marker_calls(marker)[name])
    with pytest.raises(WeightsError, match=name):
        read_mano_file(path)
    assert not marker.exists()


HUGE = 2**40
HOSTILE = {
    'an array built by its class with a huge shape': (
        b'cnumpy\nndarray\n((I%d\nttR.' % HUGE, 'not callable',
    ),
    'an array of another class': (
        b"cnumpy.core.multiarray\n_reconstruct\n(c__builtin__\nobject\n(I0\ntS'b'\ntR.",
        'other than numpy.ndarray',
    ),
    'a plain object of the array class': (
        b'ccopy_reg\n_reconstructor\n(cnumpy\nndarray\nc__builtin__\nobject\nNtR.',
        'not expected',
    ),
    'an object of the array class': (b'\x80\x02cnumpy\nndarray\n)\x81.', 'damaged'),
    'state for a function': (
        b"ccopy_reg\n_reconstructor\n(dS'a'\nI1\nsb.", 'has none',
    ),
    'state for a class': (b"cchumpy.ch\nCh\n(dS'a'\nI1\nsb.", 'damaged'),
    'another codec': (b"c_codecs\nencode\n(Vabc\nS'rot13'\ntR.", 'other than latin1'),
    'another chumpy class': (b'cchumpy.ch\nMatVecMult\n.', 'chumpy.ch.MatVecMult'),
    'an attribute of an allowed class': (
        b'\x80\x04\x8c\x05numpy\x8c\x10ndarray.__init__\x93.', 'numpy.ndarray.__init__',
    ),
    'a persistent id': (b'\x80\x02X\x01\x00\x00\x00aQ.', 'outside the file'),
    'a memo slot far out': (b'\x80\x02Nr\xff\xff\xff\x7f.', 'memo slot'),
    'a string longer than the file': (b'\x80\x02X\xff\xff\xff\x7fab.', 'damaged'),
    'an extension code': (b'\x80\x02\x82\x01.', 'damaged'),
    'no dictionary': (b'N.', 'no dictionary'),
    'text': (b'this is not a pickle', 'damaged'),
    'nothing': (b'', 'damaged'),
}  # fmt: skip


@pytest.mark.parametrize('what', list(HOSTILE))
def test_hostile_or_damaged_pickle_is_refused(tmp_path, what):
    content, message = HOSTILE[what]
    with pytest.raises(WeightsError, match=message):
        read_mano_file(write(tmp_path, content))


@pytest.mark.parametrize('share', [0.001, 0.3, 0.7, 0.999])
def test_file_that_was_cut_off_is_refused(tmp_path, share):
    content = pickled(ARRAYS)
    with pytest.raises(WeightsError, match='damaged'):
        read_mano_file(write(tmp_path, content[: int(share * len(content))]))


def test_file_too_large_for_mano_is_refused(tmp_path):
    path = write(tmp_path, b'')
    os.truncate(path, (64 << 20) + 1)
    with pytest.raises(WeightsError, match='more than 64 MB'):
        read_mano_file(path)


def test_random_damage_never_raises_anything_else(tmp_path):
    content = bytearray(pickled({**ARRAYS, 'posedirs': ARRAYS['posedirs'][:3]}))
    rng = np.random.default_rng(0)
    for _ in range(100):
        damaged = content.copy()
        for at in rng.integers(0, min(len(damaged), 600), 3):
            damaged[at] = rng.integers(256)
        with pytest.raises(WeightsError):
            read_mano_file(write(tmp_path, bytes(damaged)))


def array_record(shape, dtype='f8', content=b'', state=(3, '<', None)):
    """What unpickling gives for an array, with any of its parts made up."""
    made_dtype = pickle_records.DtypeRecord(dtype, 0, 1)
    made_dtype.state = state
    record = pickle_records.ArrayRecord()
    record.state = (1, shape, made_dtype, False, content)
    return record


def chumpy_record(inner, depth):
    for _ in range(depth):
        record = pickle_records.ChumpyRecord()
        record.state = {'x': inner}
        inner = record
    return inner


def select_record(picks):
    record = pickle_records.SelectRecord()
    content = np.array(picks, '<i8').tobytes()
    record.state = {
        'a': array_record((2,), content=bytes(16)),
        'idxs': array_record((len(picks),), 'i8', content),
        'preferred_shape': (len(picks),),
    }
    return record


def sparse_record(shape, indices, starts):
    record = pickle_records.CscRecord()
    record.state = {
        '_shape': shape,
        'data': array_record((len(indices),), content=bytes(8 * len(indices))),
        'indices': array_record((len(indices),), 'i4', np.array(indices, '<i4').tobytes()),
        'indptr': array_record((len(starts),), 'i4', np.array(starts, '<i4').tobytes()),
    }
    return record


MADE_UP = {
    'content shorter than the shape': (array_record((HUGE,), content=bytes(8)), 'not .* bytes'),
    'negative size': (array_record((-1, -8), content=bytes(64)), 'whole number from 0'),
    'objects': (array_record((1,), 'O8', bytes(8), (3, '|', None)), 'plain numbers'),
    'fields': (array_record((1,), 'V8', bytes(8), (3, '|', None)), 'plain numbers'),
    'unknown byte order': (array_record((1,), 'f8', bytes(8), (3, 'x', None)), 'plain numbers'),
    'nesting': (chumpy_record(array_record((1,), content=bytes(8)), 9), 'deep'),
    'index beyond the array': (select_record([0, 2]), 'indices outside 0 to 1'),
    'negative index': (select_record([-1]), 'indices outside'),
    'sparse index beyond the rows': (sparse_record((2, 1), [5], [0, 1]), 'indices outside'),
    'sparse parts that do not fit': (sparse_record((2, 1), [1], [0, 0]), 'do not fit'),
    'sparse starts that go back': (sparse_record((2, 2), [1, 1], [0, 3, 2]), 'indices|fit'),
    'huge sparse matrix': (sparse_record((HUGE, HUGE), [], [0]), 'sparse matrix of shape'),
    'text': ('text', 'expected an array, got str'),
}


@pytest.mark.parametrize('what', list(MADE_UP))
def test_array_that_does_not_add_up_is_refused(tmp_path, monkeypatch, what):
    record, message = MADE_UP[what]
    path = write(tmp_path, pickled(ARRAYS))
    entries = {**pickle_records.load_records(path.read_bytes()), 'posedirs': record}
    monkeypatch.setattr('hand_perception.models.mano_file.load_records', lambda _: entries)
    with pytest.raises(WeightsError, match=f'posedirs: .*{message}'):
        read_mano_file(path)


def with_entry(name, index, value):
    changed = ARRAYS[name].copy()
    changed[index] = value
    return {name: changed}


@pytest.mark.parametrize(
    ('changed', 'message'),
    [
        ({'weights': ARRAYS['weights'][:, :15]}, r'weights must be .*\(778, 16\).*\(778, 15\)'),
        ({'v_template': ARRAYS['v_template'][:700]}, r'v_template must be'),
        ({'f': ARRAYS['f'][:1000]}, r'f must be .*\(1538, 3\)'),
        (with_entry('hands_mean', 3, np.nan), 'hands_mean has values that are not finite'),
        (with_entry('f', (0, 0), 778), 'vertex numbers from 0 to 777'),
        ({'f': ARRAYS['f'].astype(np.float64)}, 'vertex numbers'),
        (with_entry('kintree_table', (0, 5), 9), 'kintree_table is not MANO'),
        (with_entry('kintree_table', (1, 5), 9), 'kintree_table is not MANO'),
    ],
)
def test_array_of_another_model_is_refused_by_name(tmp_path, changed, message):
    with pytest.raises(WeightsError, match=message):
        read_mano_file(write_with(tmp_path, **changed))


def test_missing_array_is_named(tmp_path):
    entries = {name: array for name, array in ARRAYS.items() if name != 'posedirs'}
    with pytest.raises(WeightsError, match='lacks posedirs'):
        read_mano_file(write(tmp_path, pickle.dumps(entries)))


@pytest.mark.parametrize('place', ['', 'models', 'mano'])
def test_file_is_found_in_the_folder_and_in_the_usual_places_below(tmp_path, place):
    folder = tmp_path / place
    folder.mkdir(exist_ok=True)
    path = write(folder, b'')
    assert find_mano_file(tmp_path) == path
    assert find_mano_file(str(path)) == path


@pytest.mark.parametrize('folder', ['', 'empty', 'missing'])
def test_missing_file_says_where_it_was_looked_for_and_where_mano_comes_from(tmp_path, folder):
    (tmp_path / 'empty').mkdir()
    given = str(tmp_path / folder) if folder else ''
    with pytest.raises(WeightsError, match='mano.is.tue.mpg.de') as caught:
        find_mano_file(given)
    assert (given or 'mano_dir is empty') in str(caught.value)
