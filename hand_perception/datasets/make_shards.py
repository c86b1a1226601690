"""Pack any data set into shards: a sample for each image, its hands in a JSON file beside it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from hand_perception.datasets.begun_folder import begin_or_go_on
from hand_perception.datasets.clips import ImageSource
from hand_perception.datasets.sample import HandTruth, Sample
from hand_perception.datasets.segments import Split
from hand_perception.datasets.shard_hands import TABLE
from hand_perception.datasets.shard_samples import sample_members
from hand_perception.datasets.shards import write_shard
from hand_perception.datasets.side_by_side import check_processes, side_by_side
from hand_perception.datasets.truth_parts import part_of
from hand_perception.errors import ConfigError, DatasetError
from hand_perception.whole_files import remove_unfinished

_FORMAT: Final = 1


class Images(Protocol):
    """Samples with T = 1, such as ``hands.HandImages`` and ``Frames``."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, index: int, /) -> Sample:
        """Read one."""


@dataclass
class Frames:
    """Every image of a split of clips, with all its hands.

    Attributes:
        split: where the data lie.
        images: reads the images.
    """

    split: Split
    images: ImageSource
    _truth: dict[int, HandTruth] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def _ends(self) -> Any:
        return np.cumsum([segment.num_frames for segment in self.split.segments])

    def __len__(self) -> int:
        """How many images there are; one may be in two segments."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, index: int) -> Sample:
        """Read an image with its hands."""
        number = int(np.searchsorted(self._ends, index, side='right'))
        segment = self.split.segments[number]
        frame = index - (int(self._ends[number - 1]) if number else 0)
        if number not in self._truth:
            self._truth = {number: self.split.truth(segment)}  # images are asked for in order
        truth, one = self._truth[number], slice(frame, frame + 1)
        return Sample(
            dataset=self.split.dataset,
            segment=segment.name,
            images=np.asarray(self.images.read(segment, [frame])[0])[None],
            truth=part_of(truth, images=one),
            is_right=self.split.is_right,
            K=self.split.K[None].astype(np.float32),
            action=segment.action,
            object=segment.object,
            not_padding=np.ones(1, np.bool_),
            frames=np.array([frame], np.int64),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardOptions:
    """How shards are written.

    Attributes:
        per_shard: images of each.
        quality: of JPEG, 1 to 100.
        lossless: PNG instead of JPEG.
    """

    per_shard: int = 1000
    quality: int = 95
    lossless: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.per_shard < 1 or not 1 <= self.quality <= 100:
            raise ConfigError(
                'per_shard must be 1 or more and quality 1 to 100, got '
                f'{self.per_shard} and {self.quality}'
            )


def write_shards(
    images: Images, folder: Path, *, source: str, options: ShardOptions, num_processes: int = 1
) -> Iterator[int]:
    """Write all shards that are not there yet.

    Args:
        images: what to pack; may be sent to other processes.
        folder: of the split.
        source: what it is, such as ``freihand train``; noted, and compared when a run goes on.
        options: how.
        num_processes: that work side by side.

    Yields:
        How many images each shard holds that is there, in order.

    Raises:
        DatasetError: an image is missing or damaged, the folder holds other shards, or cannot be
            written.
    """
    count, size = len(images), options.per_shard
    if not count:
        raise DatasetError(f'{source} has no images to pack')
    firsts = range(0, count, size)
    note = {
        'format': _FORMAT, 'source': source, 'num_images': count, 'num_shards': len(firsts),
        'per_shard': size, 'quality': options.quality, 'lossless': options.lossless,
    }  # fmt: skip
    check_processes(num_processes)
    begin_or_go_on(folder / TABLE, note, is_taken=any(folder.glob('*.tar')))
    missing = []
    for number, first in enumerate(firsts):
        path = folder / f'{number:06d}.tar'
        last = min(first + size, count)
        if path.exists():
            yield last - first
        else:
            missing.append(_Job(path, first, last))
    yield from side_by_side(_write, (images, options), missing, num_processes)
    remove_unfinished(folder)


@dataclass(frozen=True, slots=True)
class _Job:
    path: Path
    first: int
    last: int


def _write(shared: tuple[Images, ShardOptions], job: _Job) -> int:
    write_shard(job.path, _members(*shared, job))
    return job.last - job.first


def _members(images: Images, options: ShardOptions, job: _Job) -> Iterator[tuple[str, bytes]]:
    for index in range(job.first, job.last):
        yield from sample_members(
            f'{index:08d}', images[index], quality=options.quality, lossless=options.lossless
        )
