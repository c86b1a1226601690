"""Segments of a synthetic data set, with left and right hand, for clips as those of H2O."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hand_perception.actions import LabelMap
from hand_perception.datasets.sample import HandTruth
from hand_perception.datasets.segments import Segment
from hand_perception.datasets.synthetic_files import (
    IS_RIGHT,
    NAME,
    SPLITS,
    Recording,
    SyntheticTable,
    frame_name,
    hand_truth,
    open_table,
    read_image,
    read_truths,
    shard_path,
)
from hand_perception.datasets.tables import no_such_split
from hand_perception.datatypes import DoubleArray, ImageArray


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticSplit:
    """Segments of one split; see ``segments.Split``. A segment is a whole recording.

    Attributes:
        table: of the data set.
    """

    name: str
    root: Path
    labels: LabelMap
    segments: tuple[Segment, ...]
    table: SyntheticTable
    K: DoubleArray
    dataset: str = NAME
    is_right: tuple[bool, ...] = IS_RIGHT
    kernel: str = 'linear'

    @property
    def rate_hz(self) -> float:
        """Images a second."""
        return self.table.rate_hz

    def truth(self, segment: Segment) -> HandTruth:
        """Read the hands of all images of a segment."""
        shard = self.table.shard(self.name, segment.recording)
        return hand_truth(read_truths(shard, list(range(segment.num_frames))))

    def image_key(self, segment: Segment, frame: int) -> str:
        """Name of an image in an LMDB folder."""
        return f'{self.name}/{segment.recording}/{frame_name(frame)}.jpg'

    def image_path(self, segment: Segment, frame: int, *, is_original: bool) -> Path:
        """File that an image is in: the shard of its recording, whatever the size."""
        return shard_path(self.root, self.name, segment.recording)


@dataclass(frozen=True, slots=True)
class SyntheticImages:
    """Reads the images of a split from its shards."""

    split: SyntheticSplit

    def read(self, segment: Segment, frames: Sequence[int]) -> list[ImageArray]:
        """Read images of a segment, (H, W, 3) uint8 RGB.

        Raises:
            DatasetError: one is missing or damaged; the message names it.
        """
        shard = self.split.table.shard(self.split.name, segment.recording)
        return [read_image(shard, frame) for frame in frames]


def open_split(root: str | Path, split: str) -> SyntheticSplit:
    """Read the table and list the segments of a split.

    Raises:
        DatasetError: the table is missing or damaged, or the split has no recordings.
    """
    if split not in SPLITS:
        no_such_split('the synthetic data set', split, SPLITS)
    table = open_table(root)
    return SyntheticSplit(
        name=split, root=table.root, labels=table.labels, table=table, K=table.K,
        segments=tuple(
            _segment(split, recording, row) for row, recording in enumerate(table.splits[split], 1)
        ),
    )  # fmt: skip


def _segment(split: str, recording: Recording, row: int) -> Segment:
    return Segment(
        name=f'{split}/{recording.name}',
        recording=recording.name,
        subject=recording.subject,
        row=row,
        action=recording.action,
        object=0,
        first_frame=0,
        num_frames=recording.num_frames,
        database=recording.name,
    )
