"""Clips of FPHA, H2O and synthetic data: windows of segments, images, hands and labels."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from hand_perception import optional
from hand_perception.datasets import fpha, h2o, synthetic_clips, synthetic_files
from hand_perception.datasets.image_files import ImageFiles
from hand_perception.datasets.image_lmdb import DATA_FILE, LmdbImages, lmdb_folder
from hand_perception.datasets.sample import HandTruth, Sample
from hand_perception.datasets.segments import Segment, Split
from hand_perception.datasets.windows import (
    CHOICES,
    SPACING,
    IndexArray,
    check_lengths,
    clip_frames,
    evaluation_starts,
    training_starts,
)
from hand_perception.datatypes import ImageArray
from hand_perception.errors import ConfigError, MissingPackageError
from hand_perception.models.htt.constants import POSE_WINDOW, WINDOW

KINDS: Final = (fpha.NAME, h2o.NAME, synthetic_files.NAME)
#: Splits of each data set.
SPLITS: Final = {
    fpha.NAME: fpha.SPLITS, h2o.NAME: h2o.SPLITS, synthetic_files.NAME: synthetic_files.SPLITS,
}  # fmt: skip
#: Where images are read from. auto: what is there, first the LMDB folder, then small files, then
#: originals. Synthetic data has its images in shards, which are files here.
IMAGES: Final = ('auto', 'lmdb', 'files', 'originals')
#: Which hands of H2O are taken. flagged: those annotated; all: every one, as published.
HANDS: Final = ('flagged', 'all')


class ImageSource(Protocol):
    """Reads images of a split."""

    def read(self, segment: Segment, frames: list[int]) -> list[ImageArray]:
        """Read images of a segment, (270, 480, 3) uint8 RGB."""


class Clips(ABC):
    """Clips of one split; takes an index and tells its length, as data loaders of torch want.

    Annotations of a segment are kept once read, 840 bytes per frame of two hands: 47 MB for the
    training split of H2O.

    Attributes:
        split: where the data lie.
        starts: (M, 2) segment and first frame in it of each clip.
    """

    def __init__(
        self, split: Split, *, windows: str, window: int = WINDOW,
        pose_window: int = POSE_WINDOW, spacing: int = SPACING,
    ) -> None:  # fmt: skip
        """Choose the clips.

        Args:
            split: where the data lie.
            windows: ``training`` or ``evaluation``.
            window: tokens of a clip.
            pose_window: tokens of a pose window, which tells where training clips start.
            spacing: frames from one token to the next.

        Raises:
            ConfigError: a length or the choice of windows cannot be.
        """
        self.split = split
        self.window = window
        self.spacing = spacing
        self.starts = window_starts(
            split, windows=windows, window=window, pose_window=pose_window, spacing=spacing
        )
        self._truth: dict[int, HandTruth] = {}

    def __len__(self) -> int:
        """How many clips there are."""
        return len(self.starts)

    def __getitem__(self, index: int) -> Sample:
        """Read a clip.

        Raises:
            DatasetError: an image or annotation is missing or damaged; the message names it.
            IndexError: there is no such clip.
        """
        number, start = (int(value) for value in self.starts[index])
        segment = self.split.segments[number]
        frames, not_padding = clip_frames(
            start, segment.num_frames, window=self.window, spacing=self.spacing
        )
        read, truth = self._read(number, frames, int(not_padding.sum()))
        images = np.empty((len(frames), *read[0].shape), np.uint8)
        for place, image in enumerate(read):
            images[place] = image
        images[len(read) :] = read[-1]
        return Sample(
            dataset=self.split.dataset,
            segment=segment.name,
            images=images,
            truth=truth,
            is_right=self.split.is_right,
            K=np.repeat(self.split.K[None].astype(np.float32), self.window, axis=0),
            action=segment.action,
            object=segment.object,
            not_padding=not_padding,
            frames=frames,
        )

    def truth(self, number: int) -> HandTruth:
        """Return the hands of all images of a segment, given its place in ``split.segments``."""
        if number not in self._truth:
            self._truth[number] = self.split.truth(self.split.segments[number])
        return self._truth[number]

    @abstractmethod
    def _read(
        self, number: int, frames: IndexArray, count: int
    ) -> tuple[list[ImageArray], HandTruth]:
        """Read the first ``count`` of some images of a segment, and the hands of all of them."""


class ClipDataset(Clips):
    """Clips of one split on disk.

    Attributes:
        images: reads the images.
    """

    def __init__(
        self, split: Split, images: ImageSource, *, windows: str, window: int = WINDOW,
        pose_window: int = POSE_WINDOW, spacing: int = SPACING,
    ) -> None:  # fmt: skip
        """Choose the clips; other arguments and errors are those of ``Clips``.

        Args:
            split: where the data lie.
            images: reads the images.
            windows: ``training`` or ``evaluation``.
            window: tokens of a clip.
            pose_window: tokens of a pose window.
            spacing: frames from one token to the next.
        """
        super().__init__(
            split, windows=windows, window=window, pose_window=pose_window, spacing=spacing
        )
        self.images = images

    def _read(
        self, number: int, frames: IndexArray, count: int
    ) -> tuple[list[ImageArray], HandTruth]:
        read = self.images.read(self.split.segments[number], frames[:count].tolist())
        truth = self.truth(number)
        return read, HandTruth(
            joints_3d=truth.joints_3d[frames],
            joints_2d=truth.joints_2d[frames],
            hand_valid=truth.hand_valid[frames],
        )


def open_clips(
    kind: str, root: str | Path, split: str, *, windows: str, window: int = WINDOW,
    pose_window: int = POSE_WINDOW, spacing: int = SPACING, images: str = 'auto',
    hands: str = 'flagged',
) -> ClipDataset:  # fmt: skip
    """Open a split of a data set in its published layout.

    Args:
        kind: one of ``KINDS``.
        root: its folder.
        split: one of ``SPLITS``.
        windows: ``training`` starts, or ``evaluation``, which covers each frame once.
        window: tokens of a clip.
        pose_window: tokens of a pose window.
        spacing: frames from one token to the next.
        images: one of ``IMAGES``.
        hands: one of ``HANDS``.

    Raises:
        DatasetError: folders or tables are missing, damaged, or contradict each other.
        ConfigError: one of the choices does not exist.
        MissingPackageError: an LMDB folder is wanted and the package lmdb is not installed.
    """
    opened = open_split(kind, root, split, hands=hands)
    return ClipDataset(
        opened, open_images(opened, images), windows=windows, window=window,
        pose_window=pose_window, spacing=spacing,
    )  # fmt: skip


def open_split(kind: str, root: str | Path, split: str, *, hands: str = 'flagged') -> Split:
    """Read the tables of a split; arguments and errors are those of ``open_clips``."""
    if kind not in KINDS or hands not in HANDS:
        raise ConfigError(
            f'kind must be {", ".join(KINDS)} and hands {" or ".join(HANDS)}, got '
            f'{kind!r} and {hands!r}'
        )
    if kind == fpha.NAME:
        return fpha.open_split(root, split)
    if kind == synthetic_files.NAME:
        return synthetic_clips.open_split(root, split)
    return h2o.open_split(root, split, with_flags=hands == 'flagged')


def open_images(split: Split, images: str = 'auto') -> ImageSource:
    """Choose where images are read from; arguments and errors are those of ``open_clips``."""
    if images not in IMAGES:
        raise ConfigError(f'images must be one of {", ".join(IMAGES)}, got {images!r}')
    if images == 'lmdb':
        return LmdbImages(split)
    if isinstance(split, synthetic_clips.SyntheticSplit):
        return synthetic_clips.SyntheticImages(split)
    if images == 'auto':
        found = {
            is_original: split.image_path(split.segments[0], 0, is_original=is_original).parent
            for is_original in (False, True)
        }
        if (lmdb_folder(split) / DATA_FILE).is_file() and (
            _has_lmdb() or not any(folder.is_dir() for folder in found.values())
        ):
            return LmdbImages(split)
        return ImageFiles(split, not found[False].is_dir() and found[True].is_dir())
    return ImageFiles(split, images == 'originals')


def window_starts(
    split: Split, *, windows: str, window: int = WINDOW, pose_window: int = POSE_WINDOW,
    spacing: int = SPACING,
) -> IndexArray:  # fmt: skip
    """List the clips of a split: (M, 2) segment and first frame in it."""
    if windows not in CHOICES:
        raise ConfigError(f'windows must be {" or ".join(CHOICES)}, got {windows!r}')
    check_lengths(window=window, pose_window=pose_window, spacing=spacing)
    parts = []
    for number, segment in enumerate(split.segments):
        if windows == 'training':
            starts = training_starts(
                segment.num_frames, window=window, pose_window=pose_window, spacing=spacing
            )
        else:
            starts = evaluation_starts(segment.num_frames, window=window, spacing=spacing)
        parts.append(np.stack((np.full_like(starts, number), starts), axis=1))
    return np.concatenate(parts) if parts else np.empty((0, 2), np.int64)


def _has_lmdb() -> bool:
    try:
        optional.require('lmdb', purpose='reading images from an LMDB folder')
    except MissingPackageError:
        return False
    return True
