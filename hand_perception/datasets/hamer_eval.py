"""The files that HaMeR is evaluated with: an npz file of hands beside the images of a benchmark.

They are freihand_val.npz, ho3d_val.npz and TEST_*_{all,vis,occ}.npz of HInt. Each row is a hand
with the box that the published figures were made with, whose size is stored in pixels.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from hand_perception.datasets.hand_files import single_mano, single_truth
from hand_perception.datasets.npz_tables import NpzTable
from hand_perception.datasets.sample import HandTruth
from hand_perception.datasets.tables import no_such_split
from hand_perception.datatypes import NUM_JOINTS, DoubleArray
from hand_perception.errors import DatasetError

NAME: Final = 'hamer_eval'
SPLITS: Final = ('test',)
SOURCE: Final = 'https://github.com/geopavlakos/hamer (hamer_evaluation_data.tar.gz)'

#: Numbers of one row by name, whether or not a file has them. Pose: orientation and 15 joints.
_SHAPES: Final[dict[str, tuple[int, ...]]] = {
    'center': (2,), 'hand_keypoints_2d': (NUM_JOINTS, 3), 'hand_keypoints_3d': (NUM_JOINTS, 4),
    'hand_pose': (48,), 'betas': (10,), 'has_hand_pose': (), 'has_betas': (), 'right': (),
}  # fmt: skip
#: Whose last number is a confidence; a row of 0 does not count, whatever stands there.
_WITH_CONFIDENCE: Final = ('hand_keypoints_2d', 'hand_keypoints_3d')


@dataclass(frozen=True, slots=True, kw_only=True)
class HamerEvalTable:
    """Hands of one file; see ``hand_files.HandTable``.

    Attributes:
        root: folder of the images.
        path: the npz file.
        images: image of each hand below ``root``.
        scale: (M, 2) width and height of the boxes, pixels.
        columns: numbers of each hand by name.
    """

    root: Path
    path: Path
    images: tuple[str, ...]
    scale: DoubleArray
    columns: dict[str, DoubleArray]
    dataset: str = NAME
    split: str = 'test'

    def __len__(self) -> int:
        """How many hands there are."""
        return len(self.images)

    def name(self, index: int) -> str:
        """Number of the row and its image."""
        return f'{index:06d}/{self.images[index]}'

    def image_path(self, index: int) -> Path:
        """File of an image."""
        return self.root / self.images[index]

    def is_right(self, index: int) -> bool:
        """As the file says; right where it says nothing."""
        return 'right' not in self.columns or bool(self.columns['right'][index] > 0)

    def K(self, index: int) -> DoubleArray:  # noqa: N802 - the field's symbol
        """Nobody tells."""
        return np.full((3, 3), np.nan)

    def truth(self, index: int) -> HandTruth:
        """Give the annotation of a hand.

        Its box is that of ``center`` and ``scale``; 3D joints are in whatever frame the file has
        them, which differs from the camera's by a translation at most.
        """
        columns = self.columns
        points: list[DoubleArray | None] = []
        for name in _WITH_CONFIDENCE:
            points.append(columns[name][index] if name in columns else None)
        flat, solid = points
        half = self.scale[index] / 2
        center = columns['center'][index]
        mano = None
        if 'hand_pose' in columns or 'betas' in columns:
            mano = single_mano(
                columns['hand_pose'][index] if 'hand_pose' in columns else np.zeros(48),
                columns['betas'][index] if 'betas' in columns else np.zeros(10),
                has_pose=self._has('has_hand_pose', index),
                has_betas=self._has('has_betas', index),
            )
        return single_truth(
            joints_2d=None if flat is None else flat[:, :2],
            confidence_2d=None if flat is None else flat[:, 2],
            joints_3d=None if solid is None else solid[:, :3],
            confidence_3d=None if solid is None else solid[:, 3],
            box=np.concatenate((center - half, center + half)),
            mano=mano,
        )

    def _has(self, flag: str, index: int) -> bool:
        return flag in self.columns and bool(self.columns[flag][index] > 0)


def open_split(
    root: str | Path, split: str = 'test', *, images: str | Path = ''
) -> HamerEvalTable:  # fmt: skip
    """Read an evaluation file of HaMeR; arguments are those of ``hands.open_hands``.

    Raises:
        DatasetError: the file is missing or damaged, or its columns do not fit together.
    """
    if split not in SPLITS:
        no_such_split('an evaluation file of HaMeR', split, SPLITS)
    path = Path(root).expanduser()
    table = NpzTable.open(path, source=SOURCE)
    names = table.texts('imgname')
    count = len(names)
    scale = table.numbers('scale')
    scale = scale.reshape(count, -1) if scale.size in (count, 2 * count) else scale
    columns = {
        name: table.numbers(name)
        for name in _SHAPES
        if name in table.columns or name == 'center'
    }  # fmt: skip
    for name, values in columns.items():
        if _SHAPES[name] == () and values.size == count:  # (M,) or (M, 1)
            columns[name] = values.reshape(count)
    wanted = {name: (count, *_SHAPES[name]) for name in columns}
    for name, shape in wanted.items():
        if columns[name].shape != shape:
            raise DatasetError(
                f'{path}: {name} has the shape {columns[name].shape}, expected {shape}: one row '
                f'for each of the {count} image names'
            )
    if scale.shape not in ((count, 1), (count, 2)):
        raise DatasetError(f'{path}: scale has the shape {scale.shape}, expected {(count, 2)}')
    for name, values in {**columns, 'scale': scale}.items():
        _refuse_bad(path, name, values)
    return HamerEvalTable(
        root=Path(images).expanduser() if images else path.parent,
        path=path,
        images=names,
        scale=np.broadcast_to(scale, (count, 2)),
        columns=columns,
    )


def _refuse_bad(path: Path, name: str, values: DoubleArray) -> None:
    checked = values
    if name in _WITH_CONFIDENCE:
        checked = np.where(values[..., -1:] == 0, 0, values)
    is_bad = ~np.isfinite(checked)
    if name == 'scale':
        is_bad |= checked <= 0
    bad = np.flatnonzero(is_bad.reshape(len(values), -1).any(axis=1))
    if len(bad):
        raise DatasetError(
            f'{path}: {name} of {len(bad)} of {len(values)} rows is not finite'
            f'{" or not above 0" if name == "scale" else ""}, first {bad[0]} (counted from 0); '
            'download it again'
        )
