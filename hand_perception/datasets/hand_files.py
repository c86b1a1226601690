"""Single hands whose images are files: what a table of them tells, and how a sample is made."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from hand_perception.datasets.image_files import read_rgb
from hand_perception.datasets.sample import UNKNOWN, HandTruth, ManoTruth, Sample
from hand_perception.datatypes import NUM_JOINTS, DoubleArray, FloatArray


class HandTable(Protocol):
    """Annotated hands of one split on disk."""

    @property
    def dataset(self) -> str:
        """Its kind."""

    @property
    def split(self) -> str:
        """Train, val or test, in small letters."""

    @property
    def root(self) -> Path:
        """Folder of the data set."""

    def __len__(self) -> int:
        """How many hands there are."""

    def name(self, index: int) -> str:
        """Name of a hand, one of its kind in the data set."""

    def image_path(self, index: int) -> Path:
        """File of its image."""

    def is_right(self, index: int) -> bool:
        """Whether it is a right hand."""

    def K(self, index: int) -> DoubleArray:  # noqa: N802 - the field's symbol
        """(3, 3) intrinsics of its image, NaN where nobody tells."""

    def truth(self, index: int) -> HandTruth:
        """Read its annotation.

        Raises:
            DatasetError: it is missing, damaged or not finite; the message names it.
        """


@dataclass(frozen=True, slots=True)
class HandFiles:
    """Single hands of a table with their images; see ``hands.HandImages``."""

    table: HandTable

    @property
    def dataset(self) -> str:
        """Its kind."""
        return self.table.dataset

    @property
    def split(self) -> str:
        """Train, val or test, in small letters."""
        return self.table.split

    def __len__(self) -> int:
        """How many hands there are."""
        return len(self.table)

    def __getitem__(self, index: int, /) -> Sample:
        """Read a hand with its image."""
        index = self._checked(index)
        truth = self.table.truth(index)
        return Sample(
            dataset=self.dataset,
            segment=self.table.name(index),
            images=read_rgb(self.table.image_path(index))[None],
            truth=truth,
            is_right=(self.table.is_right(index),),
            K=self.table.K(index)[None].astype(np.float32),
            action=UNKNOWN,
            object=UNKNOWN,
            not_padding=np.ones(1, np.bool_),
            frames=np.zeros(1, np.int64),
        )

    def name(self, index: int) -> str:
        """Name of a hand; nothing is read."""
        return self.table.name(self._checked(index))

    def is_right(self, index: int) -> bool:
        """Whether it is a right hand; no image is read."""
        return self.table.is_right(self._checked(index))

    def truth(self, index: int) -> HandTruth:
        """What is known of a hand; its image is not read."""
        return self.table.truth(self._checked(index))

    def _checked(self, index: int) -> int:
        length = len(self.table)
        if not -length <= index < length:
            raise IndexError(f'{self.dataset} {self.split} has {length} hands, got {index}')
        return int(index) % length


def single_truth(
    *, joints_3d: DoubleArray | None, joints_2d: DoubleArray | None,
    box: DoubleArray | None = None, confidence_2d: DoubleArray | None = None,
    confidence_3d: DoubleArray | None = None, is_occluded: DoubleArray | None = None,
    mano: ManoTruth | None = None, vertices: FloatArray | None = None,
) -> HandTruth:  # fmt: skip
    """Put the annotation of one hand into the arrays of T = N = 1.

    Args:
        joints_3d: (21, 3) metres, camera optical frame; None: unknown, confidence 0.
        joints_2d: (21, 2) pixels; None: unknown, confidence 0.
        box: (4,) x0, y0, x1, y1.
        confidence_2d: (21,); 1 where None.
        confidence_3d: (21,); 1 where None.
        is_occluded: (21,) not 0 for annotated joints that are hidden.
        mano: parameters, already of T = N = 1.
        vertices: (778, 3) metres, camera optical frame.
    """
    shape = (1, 1, NUM_JOINTS)
    weights = []
    points = []
    for joints, confidence, size in ((joints_2d, confidence_2d, 2), (joints_3d, confidence_3d, 3)):
        weight = np.full(shape, 0 if joints is None else 1, np.float32)
        if joints is not None and confidence is not None:
            weight[:] = confidence
        array = np.zeros((*shape, size), np.float32)
        if joints is not None:
            array[:] = np.where(weight[..., None] > 0, joints, 0)
        points.append(array)
        weights.append(weight)
    return HandTruth(
        joints_2d=points[0],
        joints_3d=points[1],
        hand_valid=np.full((1, 1), weights[0].any() or weights[1].any()),
        boxes=None if box is None else box.astype(np.float32).reshape(1, 1, 4),
        confidence_2d=weights[0],
        confidence_3d=weights[1],
        is_occluded=None if is_occluded is None else (is_occluded != 0).reshape(shape),
        mano=mano,
        vertices=None if vertices is None else vertices[None, None],
    )


def single_mano(
    pose: DoubleArray, betas: DoubleArray, *, has_pose: bool, has_betas: bool
) -> ManoTruth:
    """Put MANO's parameters of one hand, (48,) axis-angle and (10,), into arrays of T = N = 1."""
    kept = pose.astype(np.float32) if has_pose else np.zeros(48, np.float32)
    shape = betas.astype(np.float32) if has_betas else np.zeros(10, np.float32)
    return ManoTruth(
        global_orient=kept[None, None, :3],
        hand_pose=kept[None, None, 3:],
        betas=shape[None, None],
        has_pose=np.full((1, 1), has_pose),
        has_betas=np.full((1, 1), has_betas),
    )


def project(joints_3d: DoubleArray, K: DoubleArray) -> DoubleArray:
    """Project (..., 3) points in front of the camera to pixels (..., 2)."""
    projected = joints_3d @ K.T
    pixels: DoubleArray = projected[..., :2] / projected[..., 2:]
    return pixels


def box_around(joints_2d: DoubleArray) -> DoubleArray:
    """Give the tight box of (J, 2) pixels: (4,) x0, y0, x1, y1."""
    return np.concatenate((joints_2d.min(axis=0), joints_2d.max(axis=0)))
