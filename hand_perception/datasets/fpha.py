"""FPHA on disk, the First-Person Hand Action Benchmark (Garcia-Hernando et al., CVPR 2018).

The layout is the published one: a table of actions, the 1:1 split of sequences, the numbers of
frames, a skeleton file for each sequence, and the colour images. Skeletons are millimetres of the
magnetic sensors' frame and go through the published transform into that of the colour camera.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from hand_perception.actions import LabelMap
from hand_perception.datasets.fpha_tables import FphaTables, read_tables
from hand_perception.datasets.sample import HandTruth
from hand_perception.datasets.segments import Segment
from hand_perception.datasets.tables import (
    no_such_split,
    numbers,
    read_lines,
    refuse_not_finite,
)
from hand_perception.datatypes import NUM_JOINTS, DoubleArray
from hand_perception.errors import DatasetError

NAME: Final = 'fpha'
SPLITS: Final = ('train', 'test')
SOURCE: Final = 'https://github.com/guiggh/hand_pose_action (ask its authors for access)'
#: Folders of the images: of 480 x 270 pixels, and as published.
SMALL_IMAGES: Final = 'Video_files_480'
ORIGINAL_IMAGES: Final = 'Video_files'
ANNOTATIONS: Final = 'Hand_pose_annotation_v1'

#: Place in the file of each of our joints: files hold the wrist, five bases, three of each finger.
_FILE_JOINTS: Final = (0, 1, 6, 7, 8, 2, 9, 10, 11, 3, 12, 13, 14, 4, 15, 16, 17, 5, 18, 19, 20)
#: Colour camera from sensors, millimetres (from the data set's own page).
_CAMERA_FROM_WORLD: Final = np.array([
    [0.999988496304, -0.00468848412856, 0.000982563360594, 25.7],
    [0.00469115935266, 0.999985218048, -0.00273845880292, 1.22],
    [-0.000969709653873, 0.00274303671904, 0.99999576807, 3.902],
])  # fmt: skip
#: Intrinsics of the colour camera at 1920 x 1080, from the same page, and at a quarter of it.
_FULL_K: Final = np.array([
    [1395.749023, 0.0, 935.732544], [0.0, 1395.749268, 540.681030], [0.0, 0.0, 1.0],
])  # fmt: skip
_K: Final = np.diag((0.25, 0.25, 1.0)) @ _FULL_K


@dataclass(frozen=True, slots=True, kw_only=True)
class FphaSplit:
    """Sequences of one split of FPHA; see ``segments.Split``."""

    name: str
    root: Path
    labels: LabelMap
    segments: tuple[Segment, ...]
    dataset: str = NAME
    is_right: tuple[bool, ...] = (True,)
    kernel: str = 'antialias'
    rate_hz: float = 30.0
    K: DoubleArray = field(default_factory=_K.copy)

    def truth(self, segment: Segment) -> HandTruth:
        """Read the skeleton file of a sequence."""
        world_mm = read_skeleton(skeleton_path(self.root, segment), segment.num_frames)
        rotation, shift = _CAMERA_FROM_WORLD[:, :3], _CAMERA_FROM_WORLD[:, 3]
        joints = (world_mm[:, _FILE_JOINTS] @ rotation.T + shift) / 1000  # (F, 21, 3) m
        projected = joints @ self.K.T
        with np.errstate(divide='ignore', invalid='ignore'):
            pixels = projected[..., :2] / projected[..., 2:]
        return HandTruth(
            joints_3d=joints[:, None].astype(np.float32),
            joints_2d=pixels[:, None].astype(np.float32),
            hand_valid=np.ones((segment.num_frames, 1), np.bool_),
        )

    def image_key(self, segment: Segment, frame: int) -> str:
        """Name of an image in an LMDB folder, which is its path below the image folder."""
        return f'{segment.recording}/color/color_{segment.first_frame + frame:04d}.jpeg'

    def image_path(self, segment: Segment, frame: int, *, is_original: bool) -> Path:
        """File of an image."""
        folder = ORIGINAL_IMAGES if is_original else SMALL_IMAGES
        return self.root / folder / self.image_key(segment, frame)


def open_split(root: str | Path, split: str) -> FphaSplit:
    """Read the tables of FPHA and list the sequences of a split in the order of its table.

    Raises:
        DatasetError: a table is missing or contradicts another one; the message says how.
    """
    if split not in SPLITS:
        no_such_split('FPHA', split, SPLITS)
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise DatasetError(f'{folder} is not a folder; FPHA comes from {SOURCE}')
    tables = read_tables(folder, source=SOURCE)
    return FphaSplit(
        name=split,
        root=folder,
        labels=tables.labels,
        segments=tuple(
            _segment(tables, name, row) for row, name in enumerate(tables.splits[split], 1)
        ),
    )


def skeleton_path(root: Path, segment: Segment) -> Path:
    """File with the annotated joints of a sequence."""
    return root / ANNOTATIONS / segment.recording / 'skeleton.txt'


def read_skeleton(path: Path, num_frames: int) -> DoubleArray:
    """Read a skeleton file: for each frame its number and 21 x 3 millimetres.

    Returns:
        (F, 21, 3) millimetres, sensors' frame, in the order of the file.

    Raises:
        DatasetError: it is missing, empty, shorter than the sequence, or holds something else.
    """
    source = f'the joints of a sequence, from {SOURCE}'
    lines = [line.split() for line in read_lines(path, what=source)]
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) < num_frames:
        what = 'is empty' if not lines else f'has {len(lines)} lines'
        raise DatasetError(
            f'{path} {what}, but Subjects_info tells {num_frames} frames; copy it again, or take '
            'the sequence out of the split'
        )
    size = 1 + 3 * NUM_JOINTS
    joints = np.empty((num_frames, NUM_JOINTS, 3))
    for index, words in enumerate(lines[:num_frames]):
        if len(words) != size:
            raise DatasetError(
                f'{path}, line {index + 1}: {len(words)} numbers, expected {size}: the frame and '
                'x y z of 21 joints; copy it again'
            )
        values = numbers(words, path=path, line=index + 1)
        if values[0] != index:
            raise DatasetError(
                f'{path}, line {index + 1}: of frame {words[0]}, expected frame {index}; the file '
                'is not whole or not sorted, copy it again'
            )
        refuse_not_finite(path, index + 1, values[1:])
        joints[index] = values[1:].reshape(NUM_JOINTS, 3)
    return joints


def _segment(tables: FphaTables, name: str, row: int) -> Segment:
    subject, action, number = name.split('/')
    frames: Mapping[str, int] = tables.num_frames
    if name not in frames:
        raise DatasetError(
            f'Subjects_info/{subject}_info.txt does not tell how many frames {name} has, which is '
            f'in the split; the file comes from {SOURCE}'
        )
    action_class = tables.labels.actions.index(action)
    return Segment(
        name=name,
        recording=name,
        subject=int(subject.removeprefix('Subject_')),
        row=row,
        action=action_class,
        object=tables.object_of[action_class],
        first_frame=0,
        num_frames=frames[name],
        database=f'{subject}_{action}_{number}_color',
    )
