"""Files that are complete or as they were before, whatever happens while they are written."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from hand_perception.errors import DatasetError, HandPerceptionError


@contextmanager
def whole_path(
    path: Path,
    error: type[HandPerceptionError] = DatasetError,
    *,
    also: tuple[type[Exception], ...] = (),
) -> Iterator[Path]:
    """Give another path to write to; the file takes its name when all of it is on the disk.

    So neither a full disk nor an interruption harms a file of that name. Its folder is made.

    Args:
        path: of the file.
        error: raised when it cannot be written.
        also: what writers raise for a full disk beside OSError.

    Raises:
        HandPerceptionError: of the type ``error``: folder or file cannot be written, or the disk
            is full.
    """
    failures: tuple[type[Exception], ...] = (OSError, *also)
    # Several processes may write into one folder.
    unfinished = path.with_name(f'.{path.name}.{os.getpid()}.unfinished')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield unfinished
            with unfinished.open('rb') as stream:
                os.fsync(stream.fileno())
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except failures as why:
        raise error(f'{path} cannot be written: {why}') from why


@contextmanager
def whole_file(path: Path, error: type[HandPerceptionError] = DatasetError) -> Iterator[IO[bytes]]:
    """Open a file for writing as :func:`whole_path` does."""
    with whole_path(path, error) as unfinished, unfinished.open('wb') as stream:
        yield stream


def write_whole_text(
    path: Path, text: str, error: type[HandPerceptionError] = DatasetError
) -> None:
    """Write a text file as :func:`whole_path` does, in UTF-8."""
    with whole_file(path, error) as stream:
        stream.write(text.encode('utf-8'))


def remove_unfinished(folder: Path) -> None:
    """Remove what processes that were killed left in a folder and those below it."""
    for left_over in folder.rglob('.*.unfinished'):
        left_over.unlink(missing_ok=True)
