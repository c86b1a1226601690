"""Results part by part, so that an interrupted evaluation goes on and processes share the work.

A part is what one segment, or one slice of the images, comes to: named arrays in a file of its
own. Files are complete or not there; what they were computed from is written beside them, and
other results never mix with them.
"""

import json
import logging
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from hand_perception.errors import ConfigError, DatasetError
from hand_perception.evaluation.ranks import Rank, together
from hand_perception.whole_files import whole_file

_logger = logging.getLogger(__name__)

Arrays = Mapping[str, NDArray[Any]]
#: Beside the parts: what they were computed from.
IDENTITY: Final = 'identity.json'
PARTS: Final = 'parts'


class PartialResults:
    """Arrays of all parts, in files of a folder or, without a folder, in memory.

    Attributes:
        names: of the parts, in their order.
        folder: of the files; None keeps them in memory.
    """

    def __init__(self, folder: Path | None, names: Sequence[str]) -> None:
        """Take the folder of the results, in which the parts get a folder of their own."""
        self.names = tuple(names)
        self.folder = None if folder is None else folder / PARTS
        self._memory: dict[int, Arrays] = {}

    def check_identity(self, identity: Mapping[str, object], *, resume: bool) -> None:
        """Note what the results are computed from, or compare it with what is there.

        Args:
            identity: all that decides on the results, such as the weights' sha256; plain values.
            resume: go on with results that are there.

        Raises:
            ConfigError: results are there and ``resume`` is False, or they are of other things.
            DatasetError: the folder cannot be read or written.
        """
        if self.folder is None:
            return
        path = self.folder / IDENTITY
        wanted = json.loads(json.dumps({**identity, 'parts': list(self.names)}))
        try:
            found = json.loads(path.read_text(encoding='utf-8')) if path.exists() else None
        except (OSError, ValueError) as error:
            raise DatasetError(
                f'{path} cannot be read ({error}); give another --out, or remove {self.folder}'
            ) from error
        if found is None:
            with whole_file(path) as stream:
                stream.write(json.dumps(wanted, indent=1).encode())
            return
        if not resume:
            raise ConfigError(
                f'{self.folder.parent} holds results already: give --resume to go on with them, '
                'or another --out'
            )
        differing = sorted(
            name for name in {*wanted, *found} if wanted.get(name) != found.get(name)
        )
        if differing:
            texts = [
                f'{n} ({_short(found.get(n))}, now {_short(wanted.get(n))})' for n in differing
            ]
            raise ConfigError(
                f'{self.folder.parent} holds results of something else; different: '
                f'{"; ".join(texts)}; give another --out'
            )

    def is_known(self, number: int) -> bool:
        """Tell whether a part is there and can be read; a damaged file is computed anew."""
        if self.folder is None:
            return number in self._memory
        path = self._path(number)
        if not path.exists():
            return False
        try:
            with zipfile.ZipFile(path) as archive:
                if archive.testzip() is None:
                    return True
        except (OSError, zipfile.BadZipFile) as error:
            _logger.debug('%s: %s', path, error)
        _logger.warning('%s is damaged and computed anew', path)
        return False

    def save(self, number: int, arrays: Arrays) -> None:
        """Keep the arrays of a part.

        Raises:
            DatasetError: the file cannot be written.
        """
        if self.folder is None:
            self._memory[number] = dict(arrays)
            return
        with whole_file(self._path(number)) as stream:
            np.savez_compressed(stream, **dict[str, Any](arrays))

    def read(self, number: int) -> Arrays:
        """Give the arrays of a part.

        Raises:
            DatasetError: the part is missing or damaged.
        """
        if self.folder is None:
            return self._memory[number]
        path = self._path(number)
        try:
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise DatasetError(f'{path} cannot be read ({error}); run it with --resume') from error

    def __iter__(self) -> Iterator[Arrays]:
        """Give the arrays of all parts in their order, one after the other."""
        return (self.read(number) for number in range(len(self.names)))

    def _path(self, number: int) -> Path:
        assert self.folder is not None
        return self.folder / f'{number:05d}.npz'


def run_parts(
    folder: Path | None,
    names: Sequence[str],
    compute: Callable[[int, Any], Arrays],
    *,
    identity: Mapping[str, object],
    prepare: Callable[[int], Any] = lambda number: number,
    rank: Rank | None = None,
    resume: bool = False,
    workers: int = 1,
    unit: str = 'segment',
) -> PartialResults | None:
    """Compute all parts that are not there yet, together with the other processes.

    Args:
        folder: of the results; None keeps them in memory, for one process only.
        names: of the parts.
        compute: gives the arrays of a part, by its number and what ``prepare`` gave. It is never
            called when all is there already, so load networks at its first call.
        identity: see ``PartialResults.check_identity``.
        prepare: reads what a part needs, in threads ahead of ``compute``.
        rank: which process this is; None: the only one.
        resume: go on with results that are there.
        workers: threads that prepare parts.
        unit: what a part is, for the progress bar.

    Returns:
        All parts, for the first process; None for the others, which are done.

    Raises:
        ConfigError: several processes have no folder, or it holds other results.
        DatasetError: files cannot be read or written; all parts finished before stay.
    """
    rank = rank or Rank()
    if folder is None and rank.count > 1:
        raise ConfigError('several processes put their results together in a folder: give --out')
    results = PartialResults(folder, names)
    with together(rank) as wait:
        if rank.is_first:
            results.check_identity(identity, resume=resume)
        wait()
        mine = [n for n in range(rank.number, len(names), rank.count) if not results.is_known(n)]
        bar = tqdm(
            total=len(mine), unit=unit, desc='evaluate', disable=None if rank.is_first else True
        )
        with bar:
            try:
                for number, prepared in _ahead(mine, prepare, workers):
                    results.save(number, compute(number, prepared))
                    bar.update()
            except BaseException:
                if results.folder is not None:
                    kept = len(list(results.folder.glob('*.npz')))
                    _logger.warning(
                        '%d of %d parts are kept in %s; go on with --resume',
                        kept, len(names), results.folder,
                    )  # fmt: skip
                raise
        wait()
    return results if rank.is_first else None


def _ahead(
    numbers: Sequence[int], prepare: Callable[[int], Any], workers: int
) -> Iterator[tuple[int, Any]]:
    """Prepare numbers in threads, a few ahead of where they are used, in their order."""
    with ThreadPoolExecutor(max(workers, 1), 'evaluation-reader') as pool:
        waiting: list[tuple[int, Future[Any]]] = []
        rest = iter(numbers)
        try:
            while True:
                while len(waiting) <= workers and (number := next(rest, None)) is not None:
                    waiting.append((number, pool.submit(prepare, number)))
                if not waiting:
                    return
                number, future = waiting.pop(0)
                yield number, future.result()
        finally:
            for _, future in waiting:
                future.cancel()


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f'{text[:57]}...'
