"""Single hands of a synthetic data set: each hand of each image of which enough is seen."""

from pathlib import Path

import numpy as np

from hand_perception.datasets.sample import HandTruth, Sample
from hand_perception.datasets.synthetic_files import (
    IS_RIGHT,
    NAME,
    SPLITS,
    frame_name,
    open_table,
    read_image,
    read_truths,
    single_hand,
)
from hand_perception.datasets.tables import no_such_split
from hand_perception.errors import ConfigError

#: Hands of which less than this share is seen are left out.
VISIBLE: float = 0.4


class SyntheticHands:
    """Hands of one split: T = 1 and N = 1 in each sample.

    Attributes:
        dataset: ``synthetic``.
        table: of the data set.
        split: train, val or test.
        places: (M, 3) recording, image and hand (0 left, 1 right) of each.
    """

    def __init__(
        self, root: str | Path, split: str, *, min_visible: float = VISIBLE, every: int = 1
    ) -> None:
        """List the hands.

        Args:
            root: folder of the data set.
            split: train, val or test.
            min_visible: least share of a hand that has to be seen.
            every: takes every so many images of a recording.

        Raises:
            DatasetError: the table is missing or damaged.
            ConfigError: a choice cannot be.
        """
        if split not in SPLITS:
            no_such_split('the synthetic data set', split, SPLITS)
        if every < 1 or not 0 <= min_visible <= 1:
            raise ConfigError(
                'every must be 1 or more and min_visible lie between 0 and 1, got '
                f'{every} and {min_visible}'
            )
        self.dataset = NAME
        self.table = open_table(root)
        self.split = split
        parts = [np.empty((0, 3), np.int64)]
        for number, recording in enumerate(self.table.splits[split]):
            frames, hands = np.nonzero(recording.visible[::every] >= min_visible)
            parts.append(np.stack([np.full_like(frames, number), frames * every, hands], 1))
        self.places = np.concatenate(parts)

    def __len__(self) -> int:
        """How many hands there are."""
        return len(self.places)

    def __getitem__(self, index: int) -> Sample:
        """Read a hand and its image.

        Raises:
            DatasetError: the image or its truth is missing or damaged; the message names it.
            IndexError: there is no such hand.
        """
        number, frame, hand = self._place(index)
        recording = self.table.splits[self.split][number]
        image = read_image(self.table.shard(self.split, recording.name), frame)
        return Sample(
            dataset=NAME,
            segment=self.name(index),
            images=image[None],
            truth=self.truth(index),
            is_right=(IS_RIGHT[hand],),
            K=self.table.K[None].astype(np.float32),
            action=recording.action,
            object=0,
            not_padding=np.ones(1, np.bool_),
            frames=np.array([frame], np.int64),
        )

    def name(self, index: int) -> str:
        """Name of a hand: split, recording, image, side."""
        number, frame, hand = self._place(index)
        recording = self.table.splits[self.split][number].name
        side = 'right' if IS_RIGHT[hand] else 'left'
        return f'{self.split}/{recording}/{frame_name(frame)}_{side}'

    def is_right(self, index: int) -> bool:
        """Side of a hand."""
        return IS_RIGHT[int(self.places[index][2])]

    def truth(self, index: int) -> HandTruth:
        """Read what is true of a hand, without its image."""
        number, frame, hand = self._place(index)
        recording = self.table.splits[self.split][number].name
        (truth,) = read_truths(self.table.shard(self.split, recording), [frame])
        return single_hand(truth, hand, min_visible=0.0)

    def _place(self, index: int) -> tuple[int, int, int]:
        number, frame, hand = self.places[index].tolist()
        return number, frame, hand
