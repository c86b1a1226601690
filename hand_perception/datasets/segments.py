"""A split of a data set: segments with one action each, and where their images and hands lie."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hand_perception.actions import LabelMap
from hand_perception.datasets.sample import HandTruth
from hand_perception.datatypes import DoubleArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Successive images of one recording that show one action.

    Attributes:
        name: one of its kind in the data set.
        recording: folder of the recording below the root, with ``/``.
        subject: number of the person.
        row: number in the table of its split, from 1; the id in answers for H2O's challenge.
        action: class, ``UNKNOWN`` when the table does not tell.
        object: class, ``UNKNOWN`` when the table does not tell.
        first_frame: number of its first image in the recording.
        num_frames: how many images it has.
        database: sub-database of its images in an LMDB folder.
    """

    name: str
    recording: str
    subject: int
    row: int
    action: int
    object: int
    first_frame: int
    num_frames: int
    database: str


class Split(Protocol):
    """One split of a data set on disk; nothing but its tables has been read yet."""

    @property
    def dataset(self) -> str:
        """``fpha`` or ``h2o``."""

    @property
    def name(self) -> str:
        """Train, val or test, in small letters."""

    @property
    def root(self) -> Path:
        """Folder of the data set."""

    @property
    def labels(self) -> LabelMap:
        """Names of the classes."""

    @property
    def segments(self) -> tuple[Segment, ...]:
        """In the order of the table."""

    @property
    def is_right(self) -> tuple[bool, ...]:
        """Which hands are annotated."""

    @property
    def K(self) -> DoubleArray:  # noqa: N802 - the field's symbol
        """(3, 3) intrinsics of the images of 480 x 270 pixels."""

    @property
    def rate_hz(self) -> float:
        """Images a second in the recordings."""

    @property
    def kernel(self) -> str:
        """How the published images were made smaller: a kernel of ``network_image``."""

    def truth(self, segment: Segment) -> HandTruth:
        """Read the hands of all images of a segment; pixels are those of 480 x 270.

        Raises:
            DatasetError: a file is missing, damaged or not finite; the message names it.
        """

    def image_key(self, segment: Segment, frame: int) -> str:
        """Name of an image in an LMDB folder; ``frame`` counts from 0 in the segment."""

    def image_path(self, segment: Segment, frame: int, *, is_original: bool) -> Path:
        """File of an image, of 480 x 270 pixels or of its original size."""
