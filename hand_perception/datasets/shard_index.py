"""Which hands a shard holds and where: found once, then kept beside it or in a cache folder."""

import hashlib
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hand_perception.datasets import hamer_tars, shard_samples
from hand_perception.datasets.hamer_tars import HamerTarRules
from hand_perception.datasets.shards import Member, Shard
from hand_perception.errors import DatasetError
from hand_perception.whole_files import whole_file

IMAGE_ENDINGS: Final = ('jpg', 'jpeg', 'png')
_FORMAT: Final = 1
_NO_MEMBER: Final = Member(-1, 0)
#: Columns of the table: where image, truth and meshes lie, number in the truth, side, theirs.
_COLUMNS: Final = 9


class HandPlace(NamedTuple):
    """Where a hand is in its shard.

    Attributes:
        name: of the hand, one of its kind in the shard.
        image: where its image lies.
        truth: where the file that tells about it lies.
        vertices: where meshes lie; a size of 0 where there are none.
        number: in the truth, from 0.
        is_right: side.
        is_pickled: the truth is one of HaMeR's.
    """

    name: str
    image: Member
    truth: Member
    vertices: Member
    number: int
    is_right: bool
    is_pickled: bool


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """Hands of a shard.

    Attributes:
        names: of the hands.
        rows: (M, 9) whole numbers, see ``place``.
    """

    names: tuple[str, ...]
    rows: NDArray[np.int64]

    def place(self, index: int) -> HandPlace:
        """Say where a hand is."""
        row = self.rows[index].tolist()
        image, truth, vertices = (Member(*row[i : i + 2]) for i in (0, 2, 4))
        return HandPlace(
            self.names[index], image, truth, vertices, row[6], bool(row[7]), bool(row[8])
        )


def open_index(shard: Shard, rules: HamerTarRules) -> ShardIndex:
    """Take the index that is kept for the shard as it is now, or make and keep one.

    Raises:
        DatasetError: the shard is missing or damaged, or holds no samples.
    """
    try:
        state = shard.path.stat()
    except OSError as error:
        raise DatasetError(f'the shard {shard.path} cannot be read: {error}') from error
    mark = json.dumps([_FORMAT, state.st_size, state.st_mtime_ns, str(rules)])
    for path in _places(shard.path):
        kept = _load(path, mark)
        if kept is not None:
            return kept
    index = build_index(shard, rules)
    for path in _places(shard.path):
        if _keep(path, mark, index):
            break
    return index


def build_index(shard: Shard, rules: HamerTarRules) -> ShardIndex:
    """Read all truths of a shard and list its hands.

    Raises:
        DatasetError: a sample is damaged or lacks its image or truth.
    """
    samples: dict[str, dict[str, Member]] = {}
    for name, member in shard.members.items():
        folder, _, base = name.rpartition('/')
        key, _, ending = base.partition('.')
        samples.setdefault(f'{folder}/{key}' if folder else key, {})[ending.lower()] = member
    names: list[str] = []
    rows: list[tuple[int, ...]] = []
    for key, parts in samples.items():
        image = next((parts[ending] for ending in IMAGE_ENDINGS if ending in parts), None)
        is_pickled = hamer_tars.ENDING in parts
        truth = parts.get(hamer_tars.ENDING if is_pickled else shard_samples.ENDING)
        where = f'{key} in {shard.path}'
        if image is None or truth is None:
            raise DatasetError(
                f'{where} has {", ".join(sorted(parts))}; expected an image and '
                f'{shard_samples.ENDING} (ours) or {hamer_tars.ENDING} (HaMeR)'
            )
        vertices = parts.get(shard_samples.VERTICES, _NO_MEMBER)
        content = shard.read_member(truth)
        if is_pickled:
            read = hamer_tars.read_hands(content, rules, where)
            found = [
                (f'{key}_{number}', number, hand.is_right)
                for number, hand in enumerate(read)
                if hand is not None
            ]
        else:
            found = _our_hands(content, where)
        for name, number, is_right in found:
            names.append(name)
            rows.append((*image, *truth, *vertices, number, int(is_right), int(is_pickled)))
    return ShardIndex(tuple(names), np.array(rows, np.int64).reshape(-1, _COLUMNS))


def _our_hands(content: bytes, where: str) -> list[tuple[str, int, bool]]:
    nothing = np.zeros((1, 1, 1, 3), np.uint8)
    sample = shard_samples.read_sample(content, nothing, where)
    name = sample.segment
    if len(sample.is_right) > 1:
        name += f'/{int(sample.frames[0]):06d}'
    return [
        (
            name if len(sample.is_right) == 1 else f'{name}_{"right" if is_right else "left"}',
            number, is_right,
        )
        for number, is_right in enumerate(sample.is_right)
        if sample.truth.hand_valid[0, number]
    ]  # fmt: skip


def _places(path: Path) -> tuple[Path, Path]:
    """Beside the shard, else in the user's cache."""
    cache = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache')
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:24]
    return (
        path.with_name(f'.{path.name}.index'),
        cache / 'hand_perception' / 'shards' / f'{digest}.index',
    )


def _load(path: Path, mark: str) -> ShardIndex | None:
    """Read an index that is kept; None when there is none, or of another state of the shard."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            if bytes(kept['mark']).decode() != mark:
                return None
            names = bytes(kept['names']).decode().split('\n') if len(kept['rows']) else []
            index = ShardIndex(tuple(names), kept['rows'].astype(np.int64))
    except Exception:  # numpy and zipfile raise a dozen kinds for a damaged file: made again
        return None
    fits = index.rows.shape == (len(index.names), _COLUMNS)
    return index if fits else None


def _keep(path: Path, mark: str, index: ShardIndex) -> bool:
    stream = io.BytesIO()
    np.savez_compressed(
        stream, mark=np.frombuffer(mark.encode(), np.uint8), rows=index.rows,
        names=np.frombuffer('\n'.join(index.names).encode(), np.uint8),
    )  # fmt: skip
    try:
        with whole_file(path) as file:
            file.write(stream.getvalue())
    except DatasetError:  # no place to keep it: found anew the next time
        return False
    return True
