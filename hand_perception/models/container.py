"""Read the container that torch.save writes, without running what is in it.

It is a zip file with one pickle and one stored entry per storage. Tensors are views of the mapped
file: nothing of them is read before it is used.
"""

import pickle
import struct
import zipfile
from pathlib import Path
from typing import Final

import torch

from hand_perception.models.checkpoint_records import load_checkpoint_records

_MAX_PICKLE_BYTES: Final = 64 << 20  # the published checkpoint has well under 1 MB
_LOCAL_HEADER: Final = struct.Struct('<4s22xHH')


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
            return load_checkpoint_records(container.pickle, container.storage)
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise pickle.UnpicklingError(f'it is cut off or damaged ({error})') from error


class _Container:
    """The zip file that torch.save writes: one pickle, and one stored entry per storage."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._entries = {info.filename: info for info in archive.infolist()}
        pickles = [name for name in self._entries if name.endswith('/data.pkl')]
        if len(pickles) != 1 or any('constants.pkl' in name for name in self._entries):
            raise pickle.UnpicklingError(
                'it is a zip file, but not a file of torch.save; unpack it if it is an archive'
            )
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

    def storage(self, key: str, dtype: torch.dtype, count: int) -> torch.UntypedStorage:
        """Give the part of the mapped file that holds a storage."""
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
        return mapped

    def _content_start(self, info: zipfile.ZipInfo) -> int:
        assert self._archive.fp is not None
        self._archive.fp.seek(info.header_offset)
        header = self._archive.fp.read(_LOCAL_HEADER.size)
        if len(header) != _LOCAL_HEADER.size:
            raise pickle.UnpicklingError('it is cut off')
        name_bytes: int
        extra_bytes: int
        signature, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
        if signature != b'PK\x03\x04':
            raise pickle.UnpicklingError('its directory is damaged')
        return info.header_offset + _LOCAL_HEADER.size + name_bytes + extra_bytes
