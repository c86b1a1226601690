"""FreiHAND on disk (Zimmermann et al., ICCV 2019): right hands, 224 x 224 pixels.

The layout is the published one, FreiHAND_pub_v2: a folder of JPEG files for each split and one
JSON list for each kind of annotation. Joints are metres in the camera frame, in our order already.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from hand_perception.datasets.hand_files import box_around, project, single_mano, single_truth
from hand_perception.datasets.json_numbers import read_numbers, refuse_not_finite_entries
from hand_perception.datasets.sample import HandTruth
from hand_perception.datasets.tables import no_such_split
from hand_perception.datatypes import NUM_JOINTS, DoubleArray
from hand_perception.errors import ConfigError, DatasetError
from hand_perception.models.mano_file import read_mano_file

NAME: Final = 'freihand'
SPLITS: Final = ('train', 'test')
SOURCE: Final = 'https://lmb.informatik.uni-freiburg.de/resources/datasets/FreihandDataset.en.html'
#: How each image of the training split is there, in the order of the file numbers: green screen,
#: and three ways to put something else behind the hand.
VERSIONS: Final = ('gs', 'hom', 'sample', 'auto')
#: Begin of the names of the tables, and folder of the images.
FOLDERS: Final = {'train': 'training', 'test': 'evaluation'}

#: Pixels of the square images.
IMAGE_SIZE: Final = 224
_MIDDLE: Final = IMAGE_SIZE * np.array([0.25, 0.25, 0.75, 0.75])
_NUM_VERTICES: Final = 778
#: 48 numbers of pose, 10 of shape, 2 for the place of the root and 1 for the scale.
_MANO_NUMBERS: Final = 61
_POSE: Final = slice(0, 48)
_BETAS: Final = slice(48, 58)


@dataclass(frozen=True, slots=True, kw_only=True)
class FreihandTable:
    """Hands of one split; see ``hand_files.HandTable``.

    Attributes:
        split: train or test.
        root: folder of the data set.
        versions: numbers of ``VERSIONS`` that are taken, one after the other.
        intrinsics: (M, 3, 3) of each hand, whatever the version.
        joints: (M, 21, 3) metres; None for a test split without its answers.
        mano: (M, 61); None where there is no file.
        vertices: (M, 778, 3) metres, or None.
        mean_pose: (45,) what MANO's file adds to each pose; None without that file.
    """

    split: str
    root: Path
    versions: tuple[int, ...]
    intrinsics: DoubleArray
    joints: DoubleArray | None
    mano: DoubleArray | None
    vertices: DoubleArray | None
    mean_pose: DoubleArray | None
    dataset: str = NAME

    def __len__(self) -> int:
        """How many images there are, all versions counted."""
        return len(self.versions) * len(self.intrinsics)

    def name(self, index: int) -> str:
        """Name of the image file without its ending."""
        version, number = divmod(index, len(self.intrinsics))
        return f'{self.versions[version] * len(self.intrinsics) + number:08d}'

    def image_path(self, index: int) -> Path:
        """File of an image."""
        return self.root / FOLDERS[self.split] / 'rgb' / f'{self.name(index)}.jpg'

    def is_right(self, index: int) -> bool:
        """All hands are right ones."""
        return True

    def K(self, index: int) -> DoubleArray:  # noqa: N802 - the field's symbol
        """(3, 3) intrinsics of an image."""
        matrix: DoubleArray = self.intrinsics[index % len(self.intrinsics)]
        return matrix

    def truth(self, index: int) -> HandTruth:
        """Give the annotation of an image.

        FreiHAND has no boxes; they are the tight ones around the joints. Without answers it is
        the middle half of the image, since FreiHAND's images are crops around the hand: grown to
        twice its size, as boxes are before hands are cut out, it is the whole image.
        """
        number = index % len(self.intrinsics)
        joints = None if self.joints is None else self.joints[number]
        pixels = None if joints is None else project(joints, self.intrinsics[number])
        box = _MIDDLE if pixels is None else box_around(pixels)
        mano = None
        if self.mano is not None:
            pose = self.mano[number, _POSE].copy()
            if self.mean_pose is not None:
                pose[3:] += self.mean_pose
            mano = single_mano(
                pose, self.mano[number, _BETAS],
                has_pose=self.mean_pose is not None, has_betas=True,
            )  # fmt: skip
        vertices = None if self.vertices is None else self.vertices[number].astype(np.float32)
        return single_truth(
            joints_3d=joints, joints_2d=pixels, box=box, mano=mano, vertices=vertices
        )


def open_split(
    root: str | Path, split: str, *, version: str = 'all', mano_dir: str = '',
    with_vertices: bool | None = None,
) -> FreihandTable:  # fmt: skip
    """Read the tables of FreiHAND.

    The answers of the test split were published later; without them its joints are unknown.
    Arguments are those of ``hands.open_hands``.

    Raises:
        DatasetError: a table is missing, damaged, not finite, or of another length.
        ConfigError: there is no such version.
        WeightsError: ``mano_dir`` is given and has no whole MANO_RIGHT.pkl.
    """
    if split not in SPLITS:
        no_such_split('FreiHAND', split, SPLITS)
    if version not in (*VERSIONS, 'all') or (split == 'test' and version not in ('gs', 'all')):
        raise ConfigError(
            f'FreiHAND has the versions {", ".join(VERSIONS)} and all, the test split only gs, '
            f'got {version!r} for {split}'
        )
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise DatasetError(f'{folder} is not a folder; FreiHAND comes from {SOURCE}')
    has_answers = split == 'train' or table_path(folder, split, 'xyz').exists()
    wants_mesh = with_vertices
    if wants_mesh is None:
        wants_mesh = split == 'test' and table_path(folder, split, 'verts').exists()
    shapes: dict[str, tuple[int, ...]] = {'K': (3, 3)}
    if has_answers:
        shapes['xyz'] = (NUM_JOINTS, 3)
    if split == 'train' or table_path(folder, split, 'mano').exists():
        shapes['mano'] = (1, _MANO_NUMBERS)
    if wants_mesh:
        shapes['verts'] = (_NUM_VERTICES, 3)
    tables = {}
    for name, shape in shapes.items():
        path = table_path(folder, split, name)
        tables[name] = read_numbers(path, shape, source=SOURCE)
        refuse_not_finite_entries(path, tables[name])
        if len(tables[name]) != len(tables['K']):
            raise DatasetError(
                f'{path} has {len(tables[name])} entries, {table_path(folder, split, "K").name} '
                f'has {len(tables["K"])}: they are of different splits or not whole; copy both '
                'again'
            )
    chosen = range(len(VERSIONS)) if version == 'all' else [VERSIONS.index(version)]
    mano = tables.get('mano')
    return FreihandTable(
        split=split,
        root=folder,
        versions=tuple(chosen) if split == 'train' else (0,),
        intrinsics=tables['K'],
        joints=tables.get('xyz'),
        mano=None if mano is None else mano[:, 0],
        vertices=tables.get('verts'),
        mean_pose=read_mano_file(mano_dir)['hands_mean'] if mano_dir else None,
    )


def table_path(root: Path, split: str, name: str) -> Path:
    """File of a table: K, xyz, mano or verts."""
    return root / f'{FOLDERS[split]}_{name}.json'
