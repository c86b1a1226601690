"""Several data sets as one: each sample of an epoch is drawn from one of them by its weight."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hand_perception.errors import ConfigError
from hand_perception.training.task import Draw, DrawDataset

#: Keeps these numbers apart from those that samples are augmented with.
_STREAM = 7919


class Mixture:
    """A ``DrawDataset`` of samples of others, drawn with replacement.

    Attributes:
        parts: the data sets.
        shares: of each, adding up to 1.
    """

    def __init__(
        self,
        parts: Sequence[DrawDataset],
        weights: Sequence[float],
        *,
        length: int | None = None,
        seed: int = 0,
    ) -> None:
        """Put data sets together.

        Args:
            parts: the data sets.
            weights: how often a sample comes from each, in any unit.
            length: samples of an epoch; None: as many as the parts have together.
            seed: of the run.

        Raises:
            ConfigError: weights do not fit the parts, or a part is empty.
        """
        if len(parts) != len(weights) or not parts or min(weights) < 0 or sum(weights) <= 0:
            raise ConfigError(
                f'{len(parts)} data sets need as many weights of 0 or more, not all 0, got '
                f'{list(weights)}'
            )
        for place, (part, weight) in enumerate(zip(parts, weights, strict=True)):
            if weight and not len(part):
                raise ConfigError(f'data set {place} of the mixture has no samples')
        self.parts = tuple(parts)
        self.shares = tuple(float(weight) / float(sum(weights)) for weight in weights)
        # The last end is above 1, whatever the sum was rounded to.
        self._ends = np.cumsum((*self.shares[:-1], 2.0))
        self._length = sum(len(part) for part in parts) if length is None else length
        self._seed = seed

    def __len__(self) -> int:
        """How many samples an epoch has."""
        return self._length

    def __getitem__(self, draw: Draw) -> Any:
        """Draw a data set and a sample of it."""
        part, inner = self.choose(draw)
        return self.parts[part][inner]

    def choose(self, draw: Draw) -> tuple[int, Draw]:
        """Tell which data set a draw takes, and which draw of that one.

        The epoch handed on counts draws, so that a sample that comes twice is changed twice.
        """
        rng = np.random.default_rng((self._seed, *draw, _STREAM))
        part = int(np.searchsorted(self._ends, rng.random(), side='right'))
        number = int(rng.integers(len(self.parts[part])))
        return part, Draw(draw.epoch * self._length + draw.number, number)
