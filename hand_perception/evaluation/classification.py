"""How often actions and objects are named right, as HTT is scored (Wen et al., CVPR 2023)."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hand_perception.datatypes import DoubleArray
from hand_perception.errors import DatasetError

#: Class of what has no label, such as H2O's public test table.
UNLABELLED = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionScores:
    """Actions of whole videos; A classes. Rates are NaN without labels.

    Attributes:
        num_videos: with a label.
        num_right: those of them whose vote is right.
        num_windows: windows of videos with a label.
        soft_rate: mean probability of the true class over those windows, 0-1.
        confusion: (A, A) videos: true by told.
        told: class of every video, those without a label included, in the order they came.
    """

    num_videos: int
    num_right: int
    num_windows: int
    soft_rate: float
    confusion: NDArray[np.int64]
    told: Mapping[Hashable, int]

    @property
    def accuracy(self) -> float:
        """Share of the videos that are named right."""
        return self.num_right / self.num_videos if self.num_videos else float('nan')


class ActionVote:
    """Adds up the probabilities of all windows of a video, both phases; the largest sum wins."""

    def __init__(self, num_classes: int) -> None:
        """Start without videos."""
        self.num_classes = num_classes
        self._sums: dict[Hashable, DoubleArray] = {}
        self._labels: dict[Hashable, int] = {}
        self._num_windows = 0
        self._true_mass = 0.0

    def add(self, videos: Sequence[Hashable], probabilities: ArrayLike, labels: ArrayLike) -> None:
        """Feed B windows.

        Args:
            videos: B names of videos: subject, action and sequence of FPHA; subject, action and
                segment of H2O.
            probabilities: (B, A).
            labels: (B,) class of each video, ``UNLABELLED`` when unknown.

        Raises:
            DatasetError: shapes differ, a label is no class, a video has two labels, or
                probabilities are not finite.
        """
        shares, classes = np.asarray(probabilities, np.float64), np.asarray(labels)
        if shares.shape != (len(videos), self.num_classes) or classes.shape != (len(videos),):
            raise DatasetError(
                f'expected ({len(videos)}, {self.num_classes}) probabilities and as many labels '
                f'as windows, got {shares.shape} and {classes.shape}'
            )
        if not np.isfinite(shares).all():
            raise DatasetError('action probabilities are not finite; look at the network')
        _check_labels(classes, self.num_classes, may_be_unknown=True)
        for video, row, label in zip(videos, shares, classes.tolist(), strict=True):
            if self._labels.setdefault(video, label) != label:
                raise DatasetError(
                    f'video {video} has label {self._labels[video]} in one window and {label} in '
                    'another; a video has one action'
                )
            self._sums[video] = self._sums.get(video, 0) + row
            if label != UNLABELLED:
                self._num_windows += 1
                self._true_mass += float(row[label])

    def merge(self, other: 'ActionVote') -> None:
        """Take over the windows of another one; they may be of the same videos.

        Raises:
            DatasetError: classes or labels differ.
        """
        if other.num_classes != self.num_classes:
            raise DatasetError(
                f'votes over {other.num_classes} classes cannot be put to those over '
                f'{self.num_classes}; merge parts of one evaluation'
            )
        for video, row in other._sums.items():
            label = other._labels[video]
            if self._labels.setdefault(video, label) != label:
                raise DatasetError(
                    f'video {video} has label {self._labels[video]} here and {label} there'
                )
            self._sums[video] = self._sums.get(video, 0) + row
        self._num_windows += other._num_windows
        self._true_mass += other._true_mass

    def finish(self) -> ActionScores:
        """Let every video vote."""
        told = {video: int(row.argmax()) for video, row in self._sums.items()}
        labelled = [video for video in told if self._labels[video] != UNLABELLED]
        confusion = np.zeros((self.num_classes, self.num_classes), np.int64)
        for video in labelled:
            confusion[self._labels[video], told[video]] += 1
        windows = self._num_windows
        return ActionScores(
            num_videos=len(labelled),
            num_right=int(np.trace(confusion)),
            num_windows=windows,
            soft_rate=self._true_mass / windows if windows else float('nan'),
            confusion=confusion,
            told=told,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameScores:
    """Classes of single images; C classes.

    Attributes:
        confusion: (C, C) images: true by told.
    """

    confusion: NDArray[np.int64]

    @property
    def num_images(self) -> int:
        """Images that counted."""
        return int(self.confusion.sum())

    @property
    def num_right(self) -> int:
        """Those of them that are named right."""
        return int(np.trace(self.confusion))

    @property
    def accuracy(self) -> float:
        """Share of the images that are named right; NaN without images."""
        return self.num_right / self.num_images if self.num_images else float('nan')


class FrameAccuracy:
    """Counts classes of single images, such as the object in the hand."""

    def __init__(self, num_classes: int) -> None:
        """Start without images."""
        self._confusion = np.zeros((num_classes, num_classes), np.int64)

    def add(self, told: ArrayLike, labels: ArrayLike, is_valid: ArrayLike | None = None) -> None:
        """Feed N images.

        Args:
            told: (N,) classes.
            labels: (N,) true classes.
            is_valid: (N,), not 0 for what counts; None: all does.

        Raises:
            DatasetError: lengths differ, or there is no such class.
        """
        found, true = np.asarray(told), np.asarray(labels)
        valid = np.ones(found.shape, np.bool_) if is_valid is None else np.asarray(is_valid) != 0
        if found.ndim != 1 or not found.shape == true.shape == valid.shape:
            raise DatasetError(
                f'expected as many told classes, labels and marks of validity, got {found.shape}, '
                f'{true.shape} and {valid.shape}'
            )
        for classes in (found[valid], true[valid]):
            _check_labels(classes, len(self._confusion), may_be_unknown=False)
        np.add.at(self._confusion, (true[valid], found[valid]), 1)

    def merge(self, other: 'FrameAccuracy') -> None:
        """Take over what another one counted of other images.

        Raises:
            DatasetError: classes differ.
        """
        if other._confusion.shape != self._confusion.shape:
            raise DatasetError(
                f'counts over {len(other._confusion)} classes cannot be put to those over '
                f'{len(self._confusion)}; merge parts of one evaluation'
            )
        self._confusion += other._confusion

    def finish(self) -> FrameScores:
        """Sum up."""
        return FrameScores(confusion=self._confusion.copy())


def _check_labels(labels: NDArray[np.int64], num_classes: int, *, may_be_unknown: bool) -> None:
    lowest = UNLABELLED if may_be_unknown else 0
    if len(labels) and not (
        np.issubdtype(labels.dtype, np.integer)
        and labels.min() >= lowest
        and labels.max() < num_classes
    ):
        raise DatasetError(
            f'labels must be whole numbers from {lowest} to {num_classes - 1}, got '
            f'{sorted(set(labels.tolist()))[:5]}; labels of files begin with 1, classes with 0'
        )
