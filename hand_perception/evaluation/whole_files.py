"""Files that are complete or as they were before, whatever happens while they are written."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from hand_perception.errors import DatasetError


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing; it takes its name when all of it is on the disk.

    Raises:
        DatasetError: the folder or file cannot be written, or the disk is full.
    """
    # Several processes may write into one folder.
    unfinished = path.with_name(f'.{path.name}.{os.getpid()}.unfinished')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with unfinished.open('wb') as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise DatasetError(f'{path} cannot be written: {error}') from error
