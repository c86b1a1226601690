"""No checkpoint runs code, whatever is in it: names are refused, and nothing is imported."""

import io
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import hamer_files
import pytest
import torch

from hand_perception.errors import WeightsError
from hand_perception.models.checkpoint_records import InertRecord
from hand_perception.models.container import read_container
from hand_perception.models.hamer.checkpoint import read_checkpoint
from hand_perception.models.hamer.files import find_files


class Calls:
    """Pickles as a call of any function."""

    def __init__(self, function: Any, *arguments: object) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> Any:
        return self._call


def write(path: Path, content: bytes, storages: dict[str, bytes] | None = None) -> Path:
    """Write a container around a pickle made by hand."""
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_STORED) as archive:
        archive.writestr('archive/data.pkl', content)
        archive.writestr('archive/byteorder', 'little')
        for key, numbers in (storages or {}).items():
            archive.writestr(f'archive/data/{key}', numbers)
    return path


def tensor_pickle(
    *,
    count: int = 4,
    offset: object = 0,
    size: object = (2, 2),
    stride: object = (2, 1),
    kind: str = 'FloatStorage',
    key: str = '0',
) -> bytes:
    """The pickle of one tensor with a description of its own."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, item: object) -> object:
            return item.pid if isinstance(item, Place) else None

    class Place:
        pid = ('storage', getattr(torch, kind), key, 'cpu', count)

    stream = io.BytesIO()
    rebuild = Calls(torch._utils._rebuild_tensor_v2, Place(), offset, size, stride, False, {})
    Pickler(stream, 2).dump({'state_dict': {'x': rebuild}})
    return stream.getvalue()


FOUR = struct.pack('<4f', 1, 2, 3, 4)


def read(tmp_path: Path, content: bytes, storages: dict[str, bytes] | None = None) -> Any:
    return read_container(write(tmp_path / 'hamer.ckpt', content, storages))


@pytest.mark.parametrize(
    ('function', 'arguments', 'name'),
    [
        (os.system, ('touch pwned',), r'(posix|nt)\.system'),
        (eval, ('1',), r'builtins\.eval'),
        (exec, ('1',), r'builtins\.exec'),
        (getattr, (1, 'real'), r'builtins\.getattr'),
        (open, ('/etc/passwd',), r'(io|_io)\.open'),
        (torch.load, ('x',), r'torch\.serialization\.load'),
        (torch.hub.load, ('x', 'y'), r'torch\.hub\.load'),
    ],
)
def test_hostile_checkpoint_is_refused_by_the_name_it_asks_for(
    tmp_path, monkeypatch, function, arguments, name
):
    monkeypatch.chdir(tmp_path)
    content = hamer_files.lightning(hamer_files.state_dict(), Calls(function, *arguments))
    folder = hamer_files.write_flat(tmp_path / 'user', content)
    with pytest.raises(WeightsError, match=rf'refused to read .*hamer\.ckpt: it asks for {name}'):
        read_checkpoint(find_files(folder))
    assert not (tmp_path / 'pwned').exists()


def test_names_of_known_packages_are_not_imported_but_kept_as_records(tmp_path):
    found = read(
        tmp_path, b'\x80\x02comegaconf.missing\nDictConfig\n)\x81}X\x01\x00\x00\x00aK\x01sb.'
    )
    assert isinstance(found, InertRecord)
    assert type(found).__name__ == 'DictConfig'
    assert found.state == {'a': 1}


def test_calling_something_inert_only_keeps_the_arguments(tmp_path):
    found = read(tmp_path, b'\x80\x02chamer.utils\nrun\nX\x02\x00\x00\x00ls\x85R.')
    assert isinstance(found, InertRecord)
    assert found.arguments == ('ls',)


def test_tensor_made_by_hand_is_read(tmp_path):
    found = read(tmp_path, tensor_pickle(), {'0': FOUR})
    assert found['state_dict']['x'].tensor().tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ('change', 'match'),
    [
        ({'size': (3, 2)}, 'reaches beyond'),
        ({'offset': 1}, 'reaches beyond'),
        ({'offset': -1}, 'damaged'),
        ({'stride': (-2, 1)}, 'damaged'),
        ({'stride': (2,)}, 'damaged'),
        ({'size': (2, 2.0)}, 'damaged'),
        ({'size': 'ab'}, 'damaged'),
        ({'count': 8}, 'has 16 bytes, expected 32'),
        ({'count': -4}, 'damaged'),
        ({'kind': 'DoubleStorage'}, 'has 16 bytes, expected 32'),
        ({'key': '1'}, 'missing'),
        ({'key': '../data.pkl'}, 'missing'),
    ],
)
def test_tensor_that_does_not_fit_its_storage_is_refused(tmp_path, change, match):
    with pytest.raises(pickle.UnpicklingError, match=match):
        read(tmp_path, tensor_pickle(**change), {'0': FOUR})


def test_tensor_of_size_zero_is_read(tmp_path):
    found = read(tmp_path, tensor_pickle(count=0, size=(0,), stride=(1,)), {'0': b''})
    assert found['state_dict']['x'].tensor().shape == (0,)


@pytest.mark.parametrize(
    'content',
    [
        b'\x80\x02ctorch\nFloatStorage\n}X\x05\x00\x00\x00dtypeK\x01s\x86b.',  # state for a type
        b'\x80\x02ctorch\nFloatStorage\nN}X\x05\x00\x00\x00dtypeK\x01s\x86b.',  # state for slots
        b'\x80\x02ctorch._utils\n_rebuild_parameter\nN}X\x05\x00\x00\x00_callK\x01s\x86b.',
        b'\x80\x02ccollections\nOrderedDict\n]]K\x01K\x02ea\x85R.',
        b'\x80\x02ctorch._utils\n_rebuild_parameter\nK\x01\x85R.',
        b'\x80\x02X\x01\x00\x00\x00aQ.',  # a persistent id that is no storage
        b'\x80\x04\x82\x01.',  # a class by extension code
        b'',
        b'\x80\x02K\x01',
        b'\x80\x02K\x01r\xff\xff\xff\x7f.',  # a memo slot that would take gigabytes
        b'\x80\x02R.',
    ],
)
def test_pickle_that_changes_what_it_may_not_or_is_damaged_is_refused(tmp_path, content):
    with pytest.raises(pickle.UnpicklingError):
        read(tmp_path, content)
    found = read(tmp_path, tensor_pickle(), {'0': FOUR})  # nothing of ours was changed
    assert found['state_dict']['x'].tensor().dtype == torch.float32


def test_container_of_torchscript_is_refused(tmp_path):
    path = write(tmp_path / 'hamer.ckpt', tensor_pickle(), {'0': FOUR})
    with zipfile.ZipFile(path, 'a') as archive:
        archive.writestr('archive/constants.pkl', b'')
    with pytest.raises(pickle.UnpicklingError, match=r'not a file of torch\.save'):
        read_container(path)


def test_container_of_a_big_endian_machine_is_refused(tmp_path):
    path = tmp_path / 'hamer.ckpt'
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('archive/data.pkl', tensor_pickle())
        archive.writestr('archive/byteorder', 'big')
    with pytest.raises(pickle.UnpicklingError, match='big-endian'):
        read_container(path)
