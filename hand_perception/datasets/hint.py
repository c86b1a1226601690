"""HInt on disk (Pavlakos et al., CVPR 2024): 2D keypoints of hands in pictures of everyday life.

The layout is the published one: a folder for each part of each split, in it pairs of a JPEG file
and a JSON file with one hand. Images are those of Hands23 (New Days), EPIC-KITCHENS VISOR and
Ego4D. The last letter of a name tells the side. Nothing is known in 3D, nor of the camera.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from hand_perception.datasets.hand_files import single_truth
from hand_perception.datasets.sample import HandTruth
from hand_perception.datasets.tables import no_such_split
from hand_perception.datatypes import NUM_JOINTS, DoubleArray
from hand_perception.errors import ConfigError, DatasetError

NAME: Final = 'hint'
SPLITS: Final = ('train', 'val', 'test')
SOURCE: Final = (
    'https://github.com/ddshan/hint (HInt_annotation_partial.zip; frames of Ego4D are made with '
    'its programs after accepting the terms of Ego4D)'
)
#: Parts; sequences are of val and test only, and not among those taken by default.
VERSIONS: Final = ('newdays', 'epick', 'ego4d', 'ego4d_seq')
_FOLDERS: Final = {
    'newdays': 'newdays_img', 'epick': 'epick_img', 'ego4d': 'ego4d_img', 'ego4d_seq': 'ego4d_seq',
}  # fmt: skip
_SIDES: Final = {'_r': True, '_l': False}
#: Above this a keypoint counts as hidden; the published numbers are 0 and 1.
_OCCLUDED: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class HintTable:
    """Hands of one split; see ``hand_files.HandTable``.

    Attributes:
        split: train, val or test.
        root: folder of the data set.
        names: folder and file of each hand without its ending, in the order of names.
    """

    split: str
    root: Path
    names: tuple[str, ...]
    dataset: str = NAME

    def __len__(self) -> int:
        """How many hands there are."""
        return len(self.names)

    def name(self, index: int) -> str:
        """Folder and file without its ending."""
        return self.names[index]

    def image_path(self, index: int) -> Path:
        """File of an image."""
        return self.root / f'{self.names[index]}.jpg'

    def json_path(self, index: int) -> Path:
        """File of an annotation."""
        return self.root / f'{self.names[index]}.json'

    def is_right(self, index: int) -> bool:
        """The last letter of the name."""
        return _SIDES[self.names[index][-2:]]

    def K(self, index: int) -> DoubleArray:  # noqa: N802 - the field's symbol
        """Nobody tells."""
        return np.full((3, 3), np.nan)

    def truth(self, index: int) -> HandTruth:
        """Read the annotation of an image."""
        path = self.json_path(index)
        hand = _read_hand(path)
        occlusion = _numbers(hand, 'occlusion', (NUM_JOINTS,), path)
        if not ((occlusion >= 0) & (occlusion <= 1)).all():
            raise DatasetError(f'{path}: occlusion must be 0 to 1, got {occlusion.tolist()}')
        box = hand.get('bbox')
        if isinstance(box, list) and len(box) == 1:  # the published files have a list of one box
            hand = {**hand, 'bbox': box[0]}
        return single_truth(
            joints_3d=None,
            joints_2d=_numbers(hand, 'keypoints', (NUM_JOINTS, 2), path),
            box=_numbers(hand, 'bbox', (4,), path),
            is_occluded=(occlusion > _OCCLUDED).astype(np.float64),
        )


def open_split(root: str | Path, split: str, *, version: str = '') -> HintTable:
    """List the hands of a split of HInt; arguments are those of ``hands.open_hands``.

    Raises:
        DatasetError: a folder is missing or empty, a name tells no side, or a picture is in the
            same part of another split, too.
        ConfigError: there is no such part.
    """
    if split not in SPLITS:
        no_such_split('HInt', split, SPLITS)
    if version not in ('', *VERSIONS):
        raise ConfigError(f'HInt has the versions {", ".join(VERSIONS)}, got {version!r}')
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise DatasetError(f'{folder} is not a folder; HInt comes from {SOURCE}')
    names: list[str] = []
    for part in (version,) if version else VERSIONS[:3]:
        found = list_names(folder, split, part)
        for other in SPLITS:
            if other != split and part_folder(folder, other, part).is_dir():
                _refuse_shared(folder, found, part, (split, other))
        names += [f'{part_folder(folder, split, part).name}/{name}' for name in found]
    return HintTable(split=split, root=folder, names=tuple(names))


def part_folder(root: Path, split: str, part: str) -> Path:
    """Folder of a part of a split."""
    return root / f'{split.upper()}_{_FOLDERS[part]}'


def list_names(root: Path, split: str, part: str) -> list[str]:
    """List the annotations of a part, without ending, in order.

    Raises:
        DatasetError: the folder is missing or has none, or a name does not tell the side.
    """
    folder = part_folder(root, split, part)
    if not folder.is_dir():
        raise DatasetError(
            f'{folder} is missing; HInt comes from {SOURCE}. Choose one of its parts with '
            f'version: {", ".join(VERSIONS)}'
        )
    names = sorted(_stems(folder, '.json'))
    if not names:
        raise DatasetError(f'{folder} has no JSON files; HInt comes from {SOURCE}')
    without = [name for name in names if name[-2:] not in _SIDES]
    if without:
        raise DatasetError(
            f'{len(without)} files in {folder} do not end in _l.json or _r.json, which tells the '
            f'side of the hand; first: {without[0]}.json'
        )
    return names


def _stems(folder: Path, ending: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(ending):
                yield entry.name.removesuffix(ending)


def _refuse_shared(root: Path, found: list[str], part: str, splits: tuple[str, str]) -> None:
    other = part_folder(root, splits[1], part)
    shared = sorted(set(found) & set(_stems(other, '.json')))
    if shared:
        raise DatasetError(
            f'{len(shared)} hands are in {part_folder(root, splits[0], part)} and in {other.name} '
            f'(first: {shared[0]}): the splits are mixed up; unpack HInt again'
        )


def _read_hand(path: Path) -> dict[str, Any]:
    try:
        hands = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise DatasetError(f'{path} is missing; HInt comes from {SOURCE}') from error
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f'{path} is not whole JSON ({error}); copy it again') from error
    if not isinstance(hands, list) or len(hands) != 1 or not isinstance(hands[0], dict):
        what = f'a list of {len(hands)}' if isinstance(hands, list) else type(hands).__name__
        raise DatasetError(f'{path}: expected a list of one hand, got {what}; copy it again')
    return hands[0]


def _numbers(
    hand: dict[str, Any], name: str, shape: tuple[int, ...], path: Path
) -> DoubleArray:  # fmt: skip
    if name not in hand:
        raise DatasetError(f'{path} has no {name}; copy it again')
    try:
        array = np.array(hand[name], np.float64)  # null becomes NaN
    except (ValueError, TypeError) as error:
        raise DatasetError(f'{path}: {name} is not numbers ({error}); copy it again') from error
    if array.shape != shape:
        raise DatasetError(f'{path}: {name} has the shape {array.shape}, expected {shape}')
    if not np.isfinite(array).all():
        raise DatasetError(f'{path}: {name} is not finite; copy it again or take it out')
    return array
