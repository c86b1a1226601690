"""Hands with the boxes of one data set and the truth of another."""

from dataclasses import dataclass, replace

from hand_perception.datasets.hands import HandImages
from hand_perception.datasets.sample import HandTruth, Sample
from hand_perception.errors import DatasetError


@dataclass(frozen=True, slots=True)
class HandsWithAnswers:
    """HaMeR's evaluation files with the answers that FreiHAND and HO-3D publish themselves.

    The published figures were made with the boxes of these files, which do not hold the truth.
    Their rows stand in the order of the benchmark, whose server takes what is found row by row.

    Attributes:
        hands: images, sides and boxes.
        answers: truth, in the same order.
    """

    hands: HandImages
    answers: HandImages

    def __post_init__(self) -> None:
        """Refuse answers to other hands.

        Raises:
            DatasetError: there are more or fewer of them, or sides differ.
        """
        count, wanted = len(self.answers), len(self.hands)
        if count != wanted:
            raise DatasetError(
                f'{self.answers.dataset} {self.answers.split} has {count} hands, the evaluation '
                f'file {wanted}: they are of different splits or versions'
            )
        differing = [
            number
            for number in range(wanted)
            if self.hands.is_right(number) != self.answers.is_right(number)
        ]
        if differing:
            raise DatasetError(
                f'row {differing[0]} of the evaluation file ({self.hands.name(differing[0])}) is '
                'of the other side than that of the answers: they are not in the same order'
            )

    @property
    def dataset(self) -> str:
        """Kind of the boxes' data set."""
        return self.hands.dataset

    @property
    def split(self) -> str:
        """Split of the boxes' data set."""
        return self.hands.split

    def __len__(self) -> int:
        """How many hands there are."""
        return len(self.hands)

    def __getitem__(self, index: int, /) -> Sample:
        """Read a hand with its image; errors are those of both data sets."""
        sample = self.hands[index]
        return replace(sample, truth=self._put(sample.truth, index))

    def name(self, index: int) -> str:
        """Name of a hand in the boxes' data set."""
        return self.hands.name(index)

    def is_right(self, index: int) -> bool:
        """Whether it is a right hand."""
        return self.hands.is_right(index)

    def truth(self, index: int) -> HandTruth:
        """What is known of a hand."""
        return self._put(self.hands.truth(index), index)

    def _put(self, boxes: HandTruth, index: int) -> HandTruth:
        return replace(self.answers.truth(index), boxes=boxes.boxes)
