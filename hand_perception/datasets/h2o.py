"""H2O on disk (Kwon et al., ICCV 2021): both hands of one person, the camera on the head (cam4).

The layout is the published one: three tables of segments, a file of 128 numbers for the hands of
each frame, and the colour images. Joints are metres in the frame of cam4 already.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from hand_perception.actions import LabelMap
from hand_perception.datasets.h2o_tables import (
    H2oRow,
    read_table,
    refuse_shared_recordings,
    table_path,
)
from hand_perception.datasets.sample import UNKNOWN, HandTruth
from hand_perception.datasets.segments import Segment
from hand_perception.datasets.tables import (
    no_such_split,
    numbers,
    read_lines,
    refuse_not_finite,
)
from hand_perception.datatypes import NUM_JOINTS, DoubleArray
from hand_perception.errors import DatasetError
from hand_perception.labels import load_label_map

NAME: Final = 'h2o'
SPLITS: Final = ('train', 'val', 'test')
SOURCE: Final = 'https://taeinkwon.com/projects/h2o (ask its authors for access)'
#: Folders of the images of a recording: of 480 x 270 pixels, and as published.
SMALL_IMAGES: Final = 'rgb480_270'
ORIGINAL_IMAGES: Final = 'rgb'

#: Numbers of one hand: whether it is annotated, then 21 joints.
_HAND_NUMBERS: Final = 1 + 3 * NUM_JOINTS
#: cam4 at 1280 x 720. The published HTT takes it for all recordings, whatever their files say.
FULL_K: Final = np.array([
    [636.6593017578125, 0.0, 635.283881879317], [0.0, 636.251953125, 366.8740353496978],
    [0.0, 0.0, 1.0],
])  # fmt: skip
_K: Final = np.diag((0.375, 0.375, 1.0)) @ FULL_K


@dataclass(frozen=True, slots=True, kw_only=True)
class H2oSplit:
    """Segments of one split of H2O; see ``segments.Split``.

    Attributes:
        with_flags: False takes all hands as annotated, as the published HTT does: a hand that is
            not has its joints at 0 and NaN pixels.
    """

    name: str
    root: Path
    labels: LabelMap
    segments: tuple[Segment, ...]
    with_flags: bool = True
    dataset: str = NAME
    is_right: tuple[bool, ...] = (False, True)
    kernel: str = 'linear'
    rate_hz: float = 30.0
    K: DoubleArray = field(default_factory=_K.copy)

    def truth(self, segment: Segment) -> HandTruth:
        """Read the hands of all frames of a segment."""
        joints = np.empty((segment.num_frames, 2, NUM_JOINTS, 3))
        valid = np.ones((segment.num_frames, 2), np.bool_)
        for frame in range(segment.num_frames):
            path = hand_path(self.root, segment, frame)
            joints[frame], flags = read_hands(path, with_flags=self.with_flags)
            if self.with_flags:
                valid[frame] = flags
        projected = joints @ self.K.T
        with np.errstate(divide='ignore', invalid='ignore'):
            pixels = projected[..., :2] / projected[..., 2:]
        if self.with_flags:
            pixels[~valid] = 0
        return HandTruth(
            joints_3d=joints.astype(np.float32),
            joints_2d=pixels.astype(np.float32),
            hand_valid=valid,
        )

    def image_key(self, segment: Segment, frame: int) -> str:
        """Name of an image in an LMDB folder, which is its path below the root."""
        return _image_name(segment, frame, SMALL_IMAGES)

    def image_path(self, segment: Segment, frame: int, *, is_original: bool) -> Path:
        """File of an image."""
        folder = ORIGINAL_IMAGES if is_original else SMALL_IMAGES
        return self.root / _image_name(segment, frame, folder)


def open_split(root: str | Path, split: str, *, with_flags: bool = True) -> H2oSplit:
    """Read the tables of H2O and list the segments of a split in the order of its table.

    Raises:
        DatasetError: a table is missing, damaged, or shares frames with that of another split.
    """
    if split not in SPLITS:
        no_such_split('H2O', split, SPLITS)
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise DatasetError(f'{folder} is not a folder; H2O comes from {SOURCE}')
    labels = load_label_map(NAME)
    tables = {
        name: read_table(
            table_path(folder, name), num_actions=len(labels.actions), source=SOURCE
        )
        for name in SPLITS
        if name == split or table_path(folder, name).exists()
    }  # fmt: skip
    refuse_shared_recordings([(table_path(folder, name), rows) for name, rows in tables.items()])
    return H2oSplit(
        name=split,
        root=folder,
        labels=labels,
        segments=tuple(
            _segment(split, row, place, labels) for place, row in enumerate(tables[split])
        ),
        with_flags=with_flags,
    )


def hand_path(root: Path, segment: Segment, frame: int) -> Path:
    """File with the annotated hands of one image."""
    name = f'{segment.first_frame + frame:06d}.txt'
    return root / segment.recording / 'cam4' / 'hand_pose' / name


def read_hands(path: Path, *, with_flags: bool) -> tuple[DoubleArray, tuple[bool, bool]]:
    """Read the left and the right hand of one image.

    Returns:
        (2, 21, 3) metres, camera frame, and which of both are annotated. With flags, joints of a
        hand that is not are 0, whatever the file holds there.

    Raises:
        DatasetError: the file is missing, holds something else, or NaN for an annotated hand.
    """
    lines = read_lines(path, what=f'the hands of one image, from {SOURCE}')
    words = [word for line in lines for word in line.split()]
    if len(words) != 2 * _HAND_NUMBERS:
        raise DatasetError(
            f'{path} has {len(words)} numbers, expected {2 * _HAND_NUMBERS}: for the left and the '
            'right hand whether it is annotated and x y z of 21 joints; copy it again'
        )
    values = numbers(words, path=path, line=1).reshape(2, _HAND_NUMBERS)
    joints = values[:, 1:].reshape(2, NUM_JOINTS, 3)
    if not np.isin(values[:, 0], (0, 1)).all():
        raise DatasetError(
            f'{path}: the numbers that tell whether a hand is annotated are {values[0, 0]:g} and '
            f'{values[1, 0]:g}, expected 0 or 1; copy it again'
        )
    is_annotated = (bool(values[0, 0]), bool(values[1, 0]))
    if with_flags:
        joints[~np.array(is_annotated)] = 0
    refuse_not_finite(path, 1, joints)
    return joints, is_annotated


def _image_name(segment: Segment, frame: int, folder: str) -> str:
    return f'{segment.recording}/cam4/{folder}/{segment.first_frame + frame:06d}.png'


def _segment(split: str, row: H2oRow, place: int, labels: LabelMap) -> Segment:
    is_known = row.label != UNKNOWN
    return Segment(
        name=f'{split}/{row.number}',
        recording=row.recording,
        subject=row.subject,
        row=row.number,
        action=row.label,
        # An action is named verb and object: "take out espresso".
        object=labels.objects.index(labels.actions[row.label].split()[-1])
        if is_known
        else UNKNOWN,
        first_frame=row.first,
        num_frames=row.last - row.first + 1,
        database=f'{place:04d}',
    )
