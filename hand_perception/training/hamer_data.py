"""Data sets of hands by their settings: what HaMeR learns from and is measured on."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from hand_perception.augmentation.settings import CropAugmentation
from hand_perception.datasets import freihand, hamer_eval, shard_hands
from hand_perception.datasets.hands import KINDS, HandImages, open_hands
from hand_perception.datasets.sample import Sample
from hand_perception.datatypes import FloatArray
from hand_perception.errors import ConfigError
from hand_perception.evaluation.ranks import Rank
from hand_perception.models.hamer.checkpoint import MANO
from hand_perception.synthetic.on_the_fly import OnTheFlyHands
from hand_perception.synthetic.spec_file import is_spec_file, read_spec
from hand_perception.training.hamer_batches import BOX_GROWTH, HandCrops
from hand_perception.training.hamer_samples import HamerSamples
from hand_perception.training.hamer_settings import HamerDataSettings
from hand_perception.training.hand_models import WithoutParameters, hand_model_of
from hand_perception.training.hand_statistics import (
    HandPoses,
    HandStatistics,
    evenly,
    hand_statistics,
    read_pose_file,
)
from hand_perception.training.mixtures import Mixture
from hand_perception.training.task import DrawDataset

_logger = logging.getLogger(__name__)

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
        advice: where to get poses from, when there are none.
    """

    crops: DrawDataset
    poses: HandPoses
    mean_joints: FloatArray | None
    mean_orientation: FloatArray
    held_out: HandCrops | None
    words: str
    seed: int
    advice: str = ''

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
    data: HamerDataSettings, augmentation: CropAugmentation, *, seed: int, hand_model: str,
    mano_dir: str = '',
) -> HamerData:  # fmt: skip
    """Open what the settings name.

    Args:
        data: what to open.
        augmentation: of the training crops.
        seed: of the run.
        hand_model: that the network poses; parameters of another one are left out.
        mano_dir: folder of MANO_RIGHT.pkl, for FreiHAND.

    Raises:
        ConfigError: a name or a choice is not known.
        DatasetError: a data set is missing or damaged.
    """
    sources = parse_sources(data.train, setting='data.train')
    own = [_hand_model(source, data.train_split) in (hand_model, '') for source in sources]
    opened = [
        hands if is_own else WithoutParameters(hands)
        for is_own, hands in zip(
            own, (_open(source, data.train_split, mano_dir) for source in sources), strict=True
        )
    ]
    others = [f'{source.kind}:{source.root}' for source, is_own in zip(sources, own, strict=True)
              if not is_own]  # fmt: skip
    if others and Rank.from_environment().is_first:
        _logger.warning(
            'poses and shapes of %s are of another hand than the network poses (%s): only their '
            'keypoints are learned', ', '.join(others), hand_model,
        )  # fmt: skip
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
        poses=_real_poses(data, statistics, hand_model, mano_dir),
        mean_joints=statistics.mean_joints,
        mean_orientation=statistics.mean_orientation,
        held_out=_held_out(data, mano_dir),
        words=words,
        seed=seed,
        advice=_advice(data, sources[0], hand_model, mano_dir),
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
    if is_spec_file(source.kind, source.root):
        return OnTheFlyHands(read_spec(source.root), split)
    if source.kind == 'freihand' and mano_dir:
        return open_hands(source.kind, source.root, split, mano_dir=mano_dir)
    return open_hands(source.kind, source.root, split)


def _single_source(text: str, *, setting: str) -> Source:
    sources = parse_sources(text, setting=setting)
    if len(sources) > 1:
        raise ConfigError(f'{setting} takes one KIND:FOLDER, got {len(sources)}: {text!r}')
    return sources[0]


def _hand_model(source: Source, split: str) -> str:
    return hand_model_of(source.kind, source.root, split)


def _advice(data: HamerDataSettings, first: Source, hand_model: str, mano_dir: str) -> str:
    """Say where poses of real hands come from."""
    source = first
    if data.real_poses and not data.real_poses.endswith('.npz'):
        source = _single_source(data.real_poses, setting='data.real_poses')
    usual = 'set data.real_poses, or losses.adversarial=0'
    found = _hand_model(source, data.train_split)
    if found not in (hand_model, ''):
        return (
            f'its poses are of the hand model {found}, and the network poses {hand_model}; set '
            f'model.hand_model={found} for a new network, or {usual.removeprefix("set ")}'
        )
    if source.kind == freihand.NAME and not mano_dir:
        return (
            'set model.mano_dir to the folder of MANO_RIGHT.pkl, from whose mean pose FreiHAND '
            f'counts; or {usual}'
        )
    return usual


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
    source = _single_source(data.validation, setting='data.validation')
    hands = _open(source, data.validation_split, mano_dir)
    chosen = SomeHands(hands, evenly(len(hands), data.validation_hands))
    return HandCrops(chosen, box_growth=_growth(source, data.validation_split))


def _real_poses(
    data: HamerDataSettings, first: HandStatistics, hand_model: str, mano_dir: str
) -> HandPoses:
    named = data.real_poses
    if not named:
        return first.poses
    if named.endswith('.npz'):
        if hand_model != MANO:
            raise ConfigError(
                f'data.real_poses: {named} has poses of MANO, and the network poses the hand '
                f'model {hand_model}; name synthetic data, or leave data.real_poses empty'
            )
        return read_pose_file(Path(named).expanduser())
    source = _single_source(named, setting='data.real_poses')
    if (found := _hand_model(source, data.train_split)) not in (hand_model, ''):
        raise ConfigError(
            f'data.real_poses: {named} has poses of the hand model {found}, and the network poses '
            f'{hand_model}; name data of the same hand'
        )
    hands = _open(source, data.train_split, mano_dir)
    return hand_statistics(hands, limit=data.max_real_poses).poses
