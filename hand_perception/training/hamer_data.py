"""Data sets of hands by their settings: what HaMeR learns from and is measured on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from hand_perception.augmentation.settings import CropAugmentation
from hand_perception.datasets import hamer_eval, shard_hands
from hand_perception.datasets.hands import KINDS, HandImages, open_hands
from hand_perception.datasets.sample import Sample
from hand_perception.datatypes import FloatArray
from hand_perception.errors import ConfigError
from hand_perception.training.hamer_batches import BOX_GROWTH, HandCrops
from hand_perception.training.hamer_samples import HamerSamples
from hand_perception.training.hamer_settings import HamerDataSettings
from hand_perception.training.hand_statistics import (
    HandPoses,
    HandStatistics,
    evenly,
    hand_statistics,
    read_pose_file,
)
from hand_perception.training.mixtures import Mixture
from hand_perception.training.task import DrawDataset

#: Kinds whose boxes are those of crops already; of shards those that HaMeR published.
_GROWN: Final = (hamer_eval.NAME, shard_hands.NAME)


class Source(NamedTuple):
    """A data set by its name.

    Attributes:
        kind: one of ``datasets.hands.KINDS``.
        root: its folder.
        weight: how often a sample comes from it, in any unit.
    """

    kind: str
    root: str
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HamerData:
    """What is learned from and measured on.

    Attributes:
        crops: training crops.
        poses: of real hands; may be none.
        mean_joints: (21, 3) metres, mean of the training hands relative to the wrist; None
            where no joints are known.
        mean_orientation: (3, 3) of them, as in ``HandStatistics``.
        held_out: crops to measure on, without augmentation; None for none.
        words: what it is, for people and files.
        seed: of the run.
    """

    crops: DrawDataset
    poses: HandPoses
    mean_joints: FloatArray | None
    mean_orientation: FloatArray
    held_out: HandCrops | None
    words: str
    seed: int

    def samples(self, *, depth: int, is_adversarial: bool) -> HamerSamples:
        """Give the training samples of a network with so many blocks."""
        poses = self.poses if is_adversarial else None
        return HamerSamples(self.crops, depth=depth, poses=poses, seed=self.seed)


class SomeHands:
    """Some of the hands of a data set."""

    def __init__(self, hands: HandImages, numbers: Sequence[int]) -> None:
        """Choose them by their numbers."""
        self._hands, self._numbers = hands, list(numbers)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._numbers)

    def __getitem__(self, index: int) -> Sample:
        """Read one."""
        return self._hands[self._numbers[index]]


def open_data(
    data: HamerDataSettings, augmentation: CropAugmentation, *, seed: int, mano_dir: str = ''
) -> HamerData:
    """Open what the settings name.

    Raises:
        ConfigError: a name or a choice is not known.
        DatasetError: a data set is missing or damaged.
    """
    sources = parse_sources(data.train, setting='data.train')
    opened = [_open(source, data.train_split, mano_dir) for source in sources]
    crops: list[DrawDataset] = [
        HandCrops(
            hands,
            augmentation=augmentation,
            seed=seed,
            box_growth=_growth(source, data.train_split),
        )
        for source, hands in zip(sources, opened, strict=True)
    ]  # fmt: skip
    whole: DrawDataset = crops[0]
    if len(crops) > 1 or data.epoch_length:
        whole = Mixture(
            crops, [source.weight for source in sources], length=data.epoch_length or None,
            seed=seed,
        )  # fmt: skip
    statistics = hand_statistics(opened[0], limit=data.max_real_poses)
    words = ', '.join(f'{source.kind} {data.train_split}' for source in sources)
    return HamerData(
        crops=whole,
        poses=_real_poses(data, statistics, mano_dir),
        mean_joints=statistics.mean_joints,
        mean_orientation=statistics.mean_orientation,
        held_out=_held_out(data, mano_dir),
        words=words,
        seed=seed,
    )


def parse_sources(text: str, *, setting: str) -> list[Source]:
    """Read ``KIND:FOLDER=WEIGHT, KIND:FOLDER=WEIGHT``.

    Raises:
        ConfigError: it is none, or a kind is not known.
    """
    sources = []
    for word in filter(None, (word.strip() for word in text.split(','))):
        place, equals, weight = word.rpartition('=')
        try:
            number = float(weight) if equals else 1.0
        except ValueError:
            place, number = word, 1.0
        kind, colon, root = (place or word).partition(':')
        if not colon or not root or kind not in KINDS or number <= 0:
            raise ConfigError(
                f'{setting} must be KIND:FOLDER with a kind out of {", ".join(KINDS)}, or several '
                f'as KIND:FOLDER=WEIGHT with commas between, got {word!r}'
            )
        sources.append(Source(kind, root, number))
    if not sources:
        raise ConfigError(
            f'{setting} is empty; name data as KIND:FOLDER, such as synthetic:data/synthetic'
        )
    return sources


def _open(source: Source, split: str, mano_dir: str) -> HandImages:
    if source.kind == 'freihand' and mano_dir:
        return open_hands(source.kind, source.root, split, mano_dir=mano_dir)
    return open_hands(source.kind, source.root, split)


def _growth(source: Source, split: str) -> float:
    """Factor of the boxes of a data set."""
    has_table = source.kind == shard_hands.NAME and any(
        (Path(source.root).expanduser() / place / shard_hands.TABLE).is_file()
        for place in ('', split)
    )
    return 1.0 if source.kind in _GROWN and not has_table else BOX_GROWTH


def _held_out(data: HamerDataSettings, mano_dir: str) -> HandCrops | None:
    if not data.validation:
        return None
    (source,) = parse_sources(data.validation, setting='data.validation')[:1]
    hands = _open(source, data.validation_split, mano_dir)
    chosen = SomeHands(hands, evenly(len(hands), data.validation_hands))
    return HandCrops(chosen, box_growth=_growth(source, data.validation_split))


def _real_poses(data: HamerDataSettings, first: HandStatistics, mano_dir: str) -> HandPoses:
    named = data.real_poses
    if not named:
        return first.poses
    if named.endswith('.npz'):
        return read_pose_file(Path(named).expanduser())
    (source,) = parse_sources(named, setting='data.real_poses')[:1]
    hands = _open(source, data.train_split, mano_dir)
    return hand_statistics(hands, limit=data.max_real_poses).poses
