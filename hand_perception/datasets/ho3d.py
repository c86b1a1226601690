"""HO-3D v2 and v3 on disk (Hampali et al., CVPR 2020): right hands with objects, 640 x 480 pixels.

The layout is the published one: a list of images for each split, and for each image a pickled
dictionary. HO-3D counts y up and z backward, as OpenGL does, and joints as MANO does; both are
turned here into our camera frame and order.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from hand_perception.datasets.hand_files import box_around, project, single_mano, single_truth
from hand_perception.datasets.ho3d_meta import Ho3dMeta
from hand_perception.datasets.json_numbers import read_numbers, refuse_not_finite_entries
from hand_perception.datasets.sample import HandTruth
from hand_perception.datasets.tables import no_such_split, read_lines
from hand_perception.datatypes import NUM_JOINTS, DoubleArray
from hand_perception.errors import ConfigError, DatasetError
from hand_perception.models.hand_arrays import KEYPOINT_SOURCES

NAME: Final = 'ho3d'
SPLITS: Final = ('train', 'test')
SOURCE: Final = 'https://github.com/shreyashampali/ho3d (download links and terms are there)'
#: Begin of the names of lists and tables, and folder of the sequences.
FOLDERS: Final = {'train': 'train', 'test': 'evaluation'}
#: How images end in each version.
VERSIONS: Final = {'v2': '.png', 'v3': '.jpg'}

_NUM_VERTICES: Final = 778
#: Middle half of an image of 640 x 480 pixels.
_MIDDLE: Final = np.array([160.0, 120.0, 480.0, 360.0])
_FROM_OPENGL: Final = np.array([1.0, -1.0, -1.0])
_ORDER: Final = list(KEYPOINT_SOURCES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ho3dTable:
    """Hands of one split; see ``hand_files.HandTable``.

    Attributes:
        split: train or test.
        root: folder of the data set.
        version: v2 or v3.
        rows: sequence and number of each image, such as ``ABF10/0000``.
        joints: (M, 21, 3) published answers of the test split as they are stored, or None.
        vertices: (M, 778, 3) the same of the meshes.
    """

    split: str
    root: Path
    version: str
    rows: tuple[str, ...]
    joints: DoubleArray | None = None
    vertices: DoubleArray | None = None
    dataset: str = NAME

    def __len__(self) -> int:
        """How many images the list has."""
        return len(self.rows)

    def name(self, index: int) -> str:
        """Sequence and number."""
        return self.rows[index]

    def image_path(self, index: int) -> Path:
        """File of an image."""
        return self._path(index, 'rgb', VERSIONS[self.version])

    def meta_path(self, index: int) -> Path:
        """File of an annotation."""
        return self._path(index, 'meta', '.pkl')

    def is_right(self, index: int) -> bool:
        """All hands are right ones."""
        return True

    def K(self, index: int) -> DoubleArray:  # noqa: N802 - the field's symbol
        """(3, 3) intrinsics of an image."""
        return Ho3dMeta.read(self.meta_path(index)).array('camMat', (3, 3))

    def truth(self, index: int) -> HandTruth:
        """Read the annotation of an image.

        An image of the training split whose annotation is empty has confidence 0 and the middle
        half of the image for a box, so that nothing is learned from it and nothing fails. In the
        test split only the wrist is known unless the answers are there. The box is the published
        one there, and the tight one around the joints in training.
        """
        meta = Ho3dMeta.read(self.meta_path(index))
        if self.split == 'test':
            return self._test_truth(index, meta)
        if meta.entries.get('handJoints3D') is None:
            return single_truth(joints_3d=None, joints_2d=None, box=_MIDDLE)
        joints = meta.array('handJoints3D', (NUM_JOINTS, 3))[_ORDER] * _FROM_OPENGL
        pixels = _pixels(joints, meta)
        pose = meta.array('handPose', (48,))
        pose[:3] = _turned(pose[:3])
        betas = meta.array('handBeta', (10,))
        return single_truth(
            joints_3d=joints, joints_2d=pixels, box=box_around(pixels),
            mano=single_mano(pose, betas, has_pose=True, has_betas=True),
        )  # fmt: skip

    def _test_truth(self, index: int, meta: Ho3dMeta) -> HandTruth:
        confidence = np.ones(NUM_JOINTS)
        if self.joints is None:
            joints = np.full((NUM_JOINTS, 3), np.nan)
            joints[0] = meta.array('handJoints3D', (3,)) * _FROM_OPENGL
            confidence[1:] = 0
        else:
            joints = self.joints[index][_ORDER] * _FROM_OPENGL
        vertices = None
        if self.vertices is not None:
            vertices = (self.vertices[index] * _FROM_OPENGL).astype(np.float32)
        return single_truth(
            joints_3d=joints, joints_2d=_pixels(joints, meta),
            box=meta.array('handBoundingBox', (4,)),
            confidence_2d=confidence, confidence_3d=confidence, vertices=vertices,
        )  # fmt: skip

    def _path(self, index: int, folder: str, ending: str) -> Path:
        sequence, number = self.rows[index].split('/')
        return self.root / FOLDERS[self.split] / sequence / folder / f'{number}{ending}'


def open_split(
    root: str | Path, split: str, *, version: str = '', with_vertices: bool | None = None
) -> Ho3dTable:
    """Read the list of a split of HO-3D, and the answers of the test split where they are there.

    Arguments are those of ``hands.open_hands``.

    Raises:
        DatasetError: a list or table is missing, damaged, or shares a sequence with that of the
            other split.
        ConfigError: there is no such version.
    """
    if split not in SPLITS:
        no_such_split('HO-3D', split, SPLITS)
    if version not in ('', *VERSIONS):
        raise ConfigError(f'HO-3D has the versions {", ".join(VERSIONS)}, got {version!r}')
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise DatasetError(f'{folder} is not a folder; HO-3D comes from {SOURCE}')
    rows = {
        name: read_list(folder, name)
        for name in SPLITS
        if name == split or list_path(folder, name).exists()
    }
    _refuse_shared_sequences(folder, rows)
    answers: dict[str, DoubleArray | None] = {'xyz': None, 'verts': None}
    shapes = {'xyz': (NUM_JOINTS, 3), 'verts': (_NUM_VERTICES, 3)}
    for name in answers if split == 'test' else ():
        path = table_path(folder, name)
        is_wanted = bool(with_vertices) if name == 'verts' else False
        if is_wanted or (path.exists() and (name == 'xyz' or with_vertices is None)):
            answers[name] = _read_answers(path, shapes[name], len(rows[split]))
    return Ho3dTable(
        split=split,
        root=folder,
        version=version or _version(folder, split, rows[split][0]),
        rows=rows[split],
        joints=answers['xyz'],
        vertices=answers['verts'],
    )


def list_path(root: Path, split: str) -> Path:
    """File that lists the images of a split."""
    return root / f'{FOLDERS[split]}.txt'


def table_path(root: Path, name: str) -> Path:
    """File of answers of the test split: xyz or verts."""
    return root / f'{FOLDERS["test"]}_{name}.json'


def read_list(root: Path, split: str) -> tuple[str, ...]:
    """Read the list of a split.

    Raises:
        DatasetError: it is missing or empty, names an image twice, or has something else in it.
    """
    path = list_path(root, split)
    lines = read_lines(path, what=f'the list of {split} images; HO-3D comes from {SOURCE}')
    rows = tuple(line.strip() for line in lines if line.strip())
    for line, row in enumerate(rows, 1):
        sequence, _, number = row.partition('/')
        if not sequence or sequence.startswith('.') or not (number.isascii() and number.isdigit()):
            raise DatasetError(
                f'{path}, line {line}: expected a sequence and a number, such as ABF10/0000, '
                f'got {row!r}'
            )
    if not rows or len(set(rows)) != len(rows):
        raise DatasetError(f'{path} is empty or names an image twice; copy it again')
    return rows


def _pixels(joints: DoubleArray, meta: Ho3dMeta) -> DoubleArray:
    if (joints[:, 2] <= 0).any():  # NaN, which is unknown, is not
        raise DatasetError(
            f'{meta.path}: joints lie behind the camera; HO-3D counts z backward, so they must be '
            'below 0 there'
        )
    return project(joints, meta.array('camMat', (3, 3)))


def _turned(axis_angle: DoubleArray) -> DoubleArray:
    """Turn an orientation from OpenGL's axes into ours."""
    matrix = cv2.Rodrigues(axis_angle)[0]
    turned: DoubleArray = cv2.Rodrigues(np.diag(_FROM_OPENGL) @ matrix)[0].ravel()
    return turned


def _read_answers(path: Path, shape: tuple[int, ...], count: int) -> DoubleArray:
    numbers = read_numbers(path, shape, source=SOURCE)
    refuse_not_finite_entries(path, numbers)
    if len(numbers) != count:
        raise DatasetError(
            f'{path} has {len(numbers)} entries, the list of the test split {count}: they are of '
            'different versions of HO-3D'
        )
    return numbers


def _refuse_shared_sequences(root: Path, rows: Mapping[str, tuple[str, ...]]) -> None:
    sequences = [{row.split('/')[0] for row in names} for names in rows.values()]
    shared = sorted(set.intersection(*sequences)) if len(sequences) > 1 else []
    if shared:
        raise DatasetError(
            f'{list_path(root, "train")} and {list_path(root, "test").name} both have '
            f'{", ".join(shared[:5])}: the splits are mixed up; copy both again'
        )


def _version(root: Path, split: str, row: str) -> str:
    """Tell the version by how the first image ends; v3 when it is not there."""
    sequence, number = row.split('/')
    folder = root / FOLDERS[split] / sequence / 'rgb'
    for version, ending in VERSIONS.items():
        if (folder / f'{number}{ending}').is_file():
            return version
    return 'v3'
