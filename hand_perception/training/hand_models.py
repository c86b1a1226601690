"""Which hand model the parameters of a data set are of; those of another one teach nothing."""

from dataclasses import replace
from typing import Final

from hand_perception.datasets import freihand, ho3d, shard_hands, synthetic_files
from hand_perception.datasets.hands import HandImages
from hand_perception.datasets.sample import HandTruth, Sample
from hand_perception.models.hamer.checkpoint import DEFAULT, MANO

#: Kinds that tell parameters.
_WITH_PARAMETERS: Final = (
    freihand.NAME, ho3d.NAME, synthetic_files.NAME, shard_hands.NAME,
)  # fmt: skip


def hand_model_of(kind: str, root: str, split: str) -> str:
    """Tell whose poses and shapes a data set has: ``default``, ``mano``, or nobody's (empty).

    Shards have those of what they were made of, and HaMeR's own those of MANO.

    Raises:
        DatasetError: the table of the shards cannot be read.
    """
    if kind not in _WITH_PARAMETERS:
        return ''
    made_of = [kind]
    if kind == shard_hands.NAME:
        made_of = shard_hands.source_of(root, split).split()
    return DEFAULT if synthetic_files.NAME in made_of else MANO


class WithoutParameters:
    """Hands of which keypoints are known, and no pose, orientation and shape; see HandImages."""

    def __init__(self, hands: HandImages) -> None:
        """Take the hands."""
        self._hands = hands
        self.dataset, self.split = hands.dataset, hands.split

    def __len__(self) -> int:
        """How many hands there are."""
        return len(self._hands)

    def __getitem__(self, index: int) -> Sample:
        """Read a hand with its image."""
        sample = self._hands[index]
        return replace(sample, truth=replace(sample.truth, mano=None))

    def name(self, index: int) -> str:
        """Name of a hand; nothing is read."""
        return self._hands.name(index)

    def is_right(self, index: int) -> bool:
        """Side of a hand; no image is read."""
        return self._hands.is_right(index)

    def truth(self, index: int) -> HandTruth:
        """What is known of a hand; its image is not read."""
        return replace(self._hands.truth(index), mano=None)
