"""WebDataset shards: tar files whose members of one sample share their name up to the first dot.

Read at random: the headers of a tar are walked through once, after which a member is one read of
the file.
"""

import io
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from hand_perception.errors import DatasetError
from hand_perception.whole_files import whole_path


class Member(NamedTuple):
    """Where a member of a tar lies.

    Attributes:
        offset: of its first byte in the file.
        size: bytes.
    """

    offset: int
    size: int


class Shard:
    """A tar file that is read at random; may be sent to other processes.

    Attributes:
        path: the file.
    """

    def __init__(self, path: Path, members: Mapping[str, Member] | None = None) -> None:
        """Remember the file; its headers are read when they are first needed."""
        self.path = path
        self._members = members

    @property
    def members(self) -> Mapping[str, Member]:
        """Where each member lies, by name, in the order of the file.

        Raises:
            DatasetError: the file is missing, damaged, or cut off.
        """
        if self._members is None:
            self._members = read_members(self.path)
        return self._members

    def read(self, name: str) -> bytes:
        """Read a member; see ``read_all``."""
        return self.read_all([name])[0]

    def read_all(self, names: Sequence[str]) -> list[bytes]:
        """Read members by name, with the file opened once.

        Raises:
            DatasetError: one is not there, or the file is missing, damaged, or cut off.
        """
        members = self.members
        absent = [name for name in names if name not in members]
        if absent:
            raise DatasetError(
                f'{self.path} has no {absent[0]}; it is not whole, make or copy it again'
            )
        return self._read([members[name] for name in names])

    def read_member(self, member: Member) -> bytes:
        """Read a member that is known to lie somewhere, without looking at headers.

        Raises:
            DatasetError: the file is missing or cut off.
        """
        return self._read([member])[0]

    def forget(self) -> None:
        """Give the table of members free; it is read again when it is needed again."""
        self._members = None

    def _read(self, members: Sequence[Member]) -> list[bytes]:
        contents = []
        try:
            with self.path.open('rb') as file:
                for offset, size in members:
                    file.seek(offset)
                    contents.append(file.read(size))
        except FileNotFoundError as error:
            raise DatasetError(f'the shard {self.path} is missing; copy it again') from error
        except OSError as error:
            raise DatasetError(f'the shard {self.path} cannot be read: {error}') from error
        if any(len(content) != size for content, (_, size) in zip(contents, members, strict=True)):
            raise DatasetError(f'{self.path} is cut off; make or copy it again')
        return contents


def read_members(path: Path) -> dict[str, Member]:
    """Walk through the headers of a tar.

    Raises:
        DatasetError: it is missing, damaged, or cut off.
    """
    try:
        with tarfile.open(path, 'r:') as tar:
            return {
                entry.name.removeprefix('./'): Member(entry.offset_data, entry.size)
                for entry in tar
                if entry.isreg()
            }
    except FileNotFoundError as error:
        raise DatasetError(f'the shard {path} is missing; make or copy it again') from error
    except (OSError, tarfile.TarError, EOFError) as error:
        raise DatasetError(
            f'{path} is not a whole tar file ({error}); make or copy it again'
        ) from error


def write_shard(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write a tar whose bytes follow from its members alone; it is either whole or not there.

    Args:
        path: the file; its folder is made.
        members: names and contents, in order.

    Raises:
        DatasetError: it cannot be written.
    """
    with (
        whole_path(path) as unfinished,
        tarfile.open(unfinished, 'w', format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
