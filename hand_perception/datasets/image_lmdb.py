"""Images of a data set from an LMDB folder, as the published HTT reads its training images.

A process can hold an LMDB folder open only once. Readers of the same folder therefore share one
handle, and a process that was forked off opens its own.
"""

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np

from hand_perception import optional
from hand_perception.datasets.segments import Segment, Split
from hand_perception.datatypes import ImageArray
from hand_perception.errors import DatasetError
from hand_perception.models.htt.constants import IMAGE_HEIGHT, IMAGE_WIDTH

#: File of a folder that tells that it is one.
DATA_FILE: Final = 'data.mdb'
_MAX_DATABASES: Final = 4096
_IMAGE_BYTES: Final = IMAGE_HEIGHT * IMAGE_WIDTH * 3

_LOCK: Final = threading.Lock()
#: Open folders by path: the process that opened it, the handle, and how many readers have it.
_OPEN: Final[dict[Path, tuple[int, Any, int]]] = {}


def lmdb_folder(split: Split) -> Path:
    """Folder in which the images of a split are looked for."""
    return split.root / 'lmdb_imgs' / split.name


class LmdbImages:
    """Reads the images of a split from its LMDB folder; opened at the first image.

    May be sent to other processes. Close it, or use it in a ``with``.
    """

    def __init__(self, split: Split) -> None:
        """Look for the folder.

        Args:
            split: which images; their folder is that of ``lmdb_folder``.

        Raises:
            DatasetError: the folder is not there.
            MissingPackageError: the package lmdb is not installed.
        """
        self.split = split
        self.folder = lmdb_folder(split)
        _require()
        if not (self.folder / DATA_FILE).is_file():
            raise DatasetError(
                f'{self.folder / DATA_FILE} is missing: the LMDB folder of the {split.name} '
                'images of this data set; read the image files instead with images: files'
            )
        self._key: tuple[int, Path] | None = None
        self._databases: dict[str, Any] = {}

    def read(self, segment: Segment, frames: Sequence[int]) -> list[ImageArray]:
        """Read images of a segment, (270, 480, 3) uint8 RGB; they cannot be written to.

        Raises:
            DatasetError: one is not there or has another size, or the folder cannot be opened.
        """
        lmdb, handle = _require(), self._handle()
        try:
            if segment.database not in self._databases:
                self._databases[segment.database] = handle.open_db(
                    segment.database.encode('ascii'), create=False
                )
            database = self._databases[segment.database]
            with handle.begin(db=database) as transaction:
                keys = [self.split.image_key(segment, frame) for frame in frames]
                values = [transaction.get(key.encode('ascii')) for key in keys]
        except lmdb.NotFoundError as error:
            raise DatasetError(
                f'{self.folder} has no sub-database {segment.database} for {segment.name}; it was '
                'made from another table, or is not whole'
            ) from error
        except lmdb.Error as error:
            raise DatasetError(f'{self.folder} cannot be read: {error}') from error
        return [self._image(key, value) for key, value in zip(keys, values, strict=True)]

    def close(self) -> None:
        """Give the folder back; the last reader of this process closes it."""
        key, self._key = self._key, None
        self._databases = {}
        if key is None or key[0] != os.getpid():
            return  # a handle of the process that this one was forked from is not ours
        with _LOCK:
            process, handle, users = _OPEN[key[1]]
            if users > 1:
                _OPEN[key[1]] = (process, handle, users - 1)
                return
            del _OPEN[key[1]]
            handle.close()

    def __enter__(self) -> 'LmdbImages':
        """Return this reader."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        """Close it."""
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the handle out: it belongs to this process."""
        return {**self.__dict__, '_key': None, '_databases': {}}

    def _handle(self) -> Any:
        process = os.getpid()
        if self._key is not None and self._key[0] == process:
            return _OPEN[self._key[1]][1]
        self._databases = {}
        path = self.folder.resolve()
        with _LOCK:
            owner, handle, users = _OPEN.get(path, (process, None, 0))
            if handle is not None and owner != process:
                # Forked with the folder open: the copy is closed, the parent's handle stays.
                handle.close()
                handle, users = None, 0
            if handle is None:
                _OPEN.pop(path, None)
                handle = self._open(path)
            _OPEN[path] = (process, handle, users + 1)
        self._key = (process, path)
        return handle

    def _open(self, path: Path) -> Any:
        lmdb = _require()
        try:
            return lmdb.open(
                str(path), readonly=True, lock=False, create=False, readahead=False,
                max_dbs=_MAX_DATABASES,
            )  # fmt: skip
        except lmdb.Error as error:
            raise DatasetError(
                f'the LMDB folder {path} cannot be opened: {error}; when it is open elsewhere in '
                'this process close it there, else make or copy it again'
            ) from error

    def _image(self, key: str, value: bytes | None) -> ImageArray:
        if value is None:
            raise DatasetError(f'{self.folder} has no image {key}; it is not whole, make it again')
        if len(value) != _IMAGE_BYTES:
            raise DatasetError(
                f'{self.folder}: {key} has {len(value)} bytes, expected {_IMAGE_BYTES}: '
                f'{IMAGE_WIDTH} x {IMAGE_HEIGHT} pixels in RGB; make it again'
            )
        return np.frombuffer(value, np.uint8).reshape(IMAGE_HEIGHT, IMAGE_WIDTH, 3)


def _require() -> Any:
    return optional.require('lmdb', purpose='reading images from an LMDB folder')
