"""The files of a synthetic data set: one table, and one shard for each recording.

``synthetic.json`` lists labels, camera, subjects and recordings; ``train/s001_r000.tar`` and its
like hold for each image ``000000.jpg`` and ``000000.json``. ``hand_perception data
make-synthetic`` writes them (``synthetic/data_set.py``); docs/synthetic_data.md says what is what.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from hand_perception.actions import LabelMap
from hand_perception.datasets.image_files import decode_rgb
from hand_perception.datasets.sample import HandTruth, ManoTruth
from hand_perception.datasets.shards import Shard
from hand_perception.datatypes import NUM_JOINTS, DoubleArray, FloatArray, ImageArray
from hand_perception.errors import DatasetError
from hand_perception.labels import label_map_from

NAME: Final = 'synthetic'
SPLITS: Final = ('train', 'val', 'test')
SOURCE: Final = '`hand_perception data make-synthetic`'
#: File that is written last, when all recordings are there.
TABLE: Final = 'synthetic.json'
FORMAT: Final = 1
#: The hands of each image, as in H2O.
IS_RIGHT: Final = (False, True)
#: A hand of which less than this share is seen is not annotated in clips.
MIN_VISIBLE: Final = 0.1
_SHAPES: Final = {
    'joints_3d': (NUM_JOINTS, 3), 'joints_2d': (NUM_JOINTS, 2), 'global_orient': (3,),
    'hand_pose': (45,), 'betas': (10,), 'transl': (3,),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Successive images of one person who does one thing.

    Attributes:
        name: such as ``s001_r000``.
        subject: number of the person.
        action: class.
        num_frames: how many images it has.
        visible: (F, 2) share that is seen of left and right hand.
    """

    name: str
    subject: int
    action: int
    num_frames: int
    visible: FloatArray


@dataclass(frozen=True, kw_only=True)
class SyntheticTable:
    """What ``synthetic.json`` tells.

    Attributes:
        root: folder of the data set.
        labels: names of the classes.
        K: (3, 3) intrinsics of all images, pixels.
        size: width and height of all images, pixels.
        rate_hz: images a second.
        splits: recordings of each split.
    """

    root: Path
    labels: LabelMap
    K: DoubleArray
    size: tuple[int, int]
    rate_hz: float
    splits: Mapping[str, tuple[Recording, ...]]

    @cached_property
    def _shards(self) -> dict[tuple[str, str], Shard]:
        return {}

    def shard(self, split: str, recording: str) -> Shard:
        """Give the shard of a recording; its headers are kept once read."""
        key = (split, recording)
        if key not in self._shards:
            self._shards[key] = Shard(shard_path(self.root, split, recording))
        return self._shards[key]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTruth:
    """What is true of left and right hand of one image, all float32.

    Attributes:
        joints_3d: (2, 21, 3) metres, camera optical frame.
        joints_2d: (2, 21, 2) pixels.
        visible: (2,) share of the hand that is seen.
        primitives: what each hand shows; empty between primitives.
        global_orient: (2, 3) as in ``sample.ManoTruth``.
        hand_pose: (2, 45).
        betas: (2, 10).
        transl: (2, 3) metres, camera optical frame.
    """

    joints_3d: FloatArray
    joints_2d: FloatArray
    visible: FloatArray
    primitives: tuple[str, str]
    global_orient: FloatArray
    hand_pose: FloatArray
    betas: FloatArray
    transl: FloatArray


def shard_path(root: Path, split: str, recording: str) -> Path:
    """File of a recording."""
    return root / split / f'{recording}.tar'


def open_table(root: str | Path) -> SyntheticTable:
    """Read the table of a synthetic data set.

    Raises:
        DatasetError: it is missing or damaged, or recordings are still to be made.
    """
    folder = Path(root).expanduser()
    path = folder / TABLE
    if not folder.is_dir():
        raise DatasetError(f'{folder} is not a folder; {SOURCE} makes one')
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError as error:
        raise DatasetError(
            f'{path} is missing: it is written when all recordings are made; run {SOURCE} with '
            'the same arguments again, which goes on where it stopped'
        ) from error
    except (OSError, ValueError) as error:
        raise DatasetError(f'{path} cannot be read ({error}); copy or make it again') from error
    try:
        return _table(folder, content)
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(
            f'{path} is not the table of a synthetic data set ({error!r}); copy it again, or make '
            f'the data with {SOURCE}'
        ) from error


def _table(folder: Path, content: dict[str, Any]) -> SyntheticTable:
    if content['format'] != FORMAT:
        raise ValueError(f'its format is {content["format"]!r}, expected {FORMAT}')
    labels = label_map_from(content['labels'], source=str(folder / TABLE))
    splits = {
        name: tuple(_recording(entry, len(labels.actions)) for entry in content['splits'][name])
        for name in SPLITS
    }
    refuse_shared_subjects(folder, splits)
    width, height = (int(value) for value in content['size'])
    return SyntheticTable(
        root=folder, labels=labels, K=np.array(content['K'], np.float64).reshape(3, 3),
        size=(width, height), rate_hz=float(content['rate_hz']), splits=splits,
    )  # fmt: skip


def refuse_shared_subjects(folder: Path, splits: Mapping[str, tuple[Recording, ...]]) -> None:
    """Refuse splits that have a person in common.

    Raises:
        DatasetError: naming the person and both splits.
    """
    owner: dict[int, str] = {}
    for name, recordings in splits.items():
        for recording in recordings:
            first = owner.setdefault(recording.subject, name)
            if first != name:
                raise DatasetError(
                    f'{folder / TABLE}: subject {recording.subject} is in {first} and in {name}; '
                    f'the splits are mixed up, make the data again with {SOURCE}'
                )


def _recording(entry: dict[str, Any], num_actions: int) -> Recording:
    frames, action = int(entry['num_frames']), int(entry['action'])
    visible = np.array(entry['visible'], np.float32).reshape(frames, 2)
    if not 0 <= action < num_actions or frames < 1:
        raise ValueError(f'{entry["name"]} has action {action} and {frames} images')
    return Recording(
        name=str(entry['name']), subject=int(entry['subject']), action=action, num_frames=frames,
        visible=visible,
    )  # fmt: skip


def frame_name(frame: int) -> str:
    """Name of an image in its shard, without the ending."""
    return f'{frame:06d}'


def read_image(shard: Shard, frame: int) -> ImageArray:
    """Read an image, (H, W, 3) uint8 RGB.

    Raises:
        DatasetError: it is missing or damaged; the message names it.
    """
    return decode_image(shard, f'{frame_name(frame)}.jpg')


def decode_image(shard: Shard, name: str) -> ImageArray:
    """Read an image by the name of its member; see ``read_image``."""
    return decode_jpeg(shard.read(name), f'{name} in {shard.path}')


def decode_jpeg(content: bytes, where: str) -> ImageArray:
    """Read a JPEG file, (H, W, 3) uint8 RGB; ``where`` it is from is for the message."""
    image = decode_rgb(content)
    if image is None or not content.rstrip(b'\0').endswith(b'\xff\xd9'):
        raise DatasetError(f'{where} is not a whole JPEG; make or copy it again')
    return image


def read_truths(shard: Shard, frames: list[int]) -> list[ImageTruth]:
    """Read what is true of images.

    Raises:
        DatasetError: one is missing, damaged or not finite; the message names it.
    """
    names = [f'{frame_name(frame)}.json' for frame in frames]
    truths = []
    for name, content in zip(names, shard.read_all(names), strict=True):
        try:
            truths.append(image_truth(json.loads(content)))
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(
                f'{name} in {shard.path} is not the truth of an image ({error}); make it again'
            ) from error
    return truths


def image_truth(content: dict[str, Any]) -> ImageTruth:
    """Read what the JSON file of an image says; KeyError, TypeError, ValueError when not that."""
    hands = content['hands']
    if tuple(bool(hand['is_right']) for hand in hands) != IS_RIGHT:
        raise ValueError('its hands are not a left and a right one')
    arrays = {
        name: np.array([hand[name] for hand in hands], np.float32).reshape(2, *shape)
        for name, shape in _SHAPES.items()
    }
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f'{name} is not finite')
    left, right = (str(hand['primitive']) for hand in hands)
    return ImageTruth(
        visible=np.array([hand['visible_share'] for hand in hands], np.float32),
        primitives=(left, right),
        **arrays,
    )


def hand_truth(truths: list[ImageTruth], *, min_visible: float = MIN_VISIBLE) -> HandTruth:
    """Put the truths of T images together: both hands, the hidden ones masked."""
    valid = np.stack([truth.visible for truth in truths]) >= min_visible
    mask = valid[..., None, None].astype(np.float32)
    joints_2d = np.stack([truth.joints_2d for truth in truths])
    return HandTruth(
        joints_3d=np.stack([truth.joints_3d for truth in truths]) * mask,
        joints_2d=joints_2d * mask,
        hand_valid=valid,
        boxes=np.concatenate([joints_2d.min(2), joints_2d.max(2)], -1),
        mano=ManoTruth(
            global_orient=np.stack([truth.global_orient for truth in truths]),
            hand_pose=np.stack([truth.hand_pose for truth in truths]),
            betas=np.stack([truth.betas for truth in truths]),
            has_pose=valid, has_betas=valid,
        ),
    )  # fmt: skip


def single_hand(truth: ImageTruth, hand: int, *, min_visible: float) -> HandTruth:
    """Take one hand (0 left, 1 right) of an image: T = N = 1.

    One of which less than ``min_visible`` is seen is not valid and has confidences of 0.
    """
    is_valid = bool(truth.visible[hand] >= min_visible)
    joints_2d = truth.joints_2d[None, None, hand]
    flag = np.full((1, 1), is_valid)
    confidence = np.full((1, 1, NUM_JOINTS), float(is_valid), np.float32)
    return HandTruth(
        joints_3d=truth.joints_3d[None, None, hand],
        joints_2d=joints_2d,
        hand_valid=flag,
        boxes=np.concatenate([joints_2d.min(2), joints_2d.max(2)], -1),
        confidence_2d=confidence,
        confidence_3d=confidence,
        mano=ManoTruth(
            global_orient=truth.global_orient[None, None, hand],
            hand_pose=truth.hand_pose[None, None, hand],
            betas=truth.betas[None, None, hand],
            has_pose=flag,
            has_betas=flag,
        ),
    )
