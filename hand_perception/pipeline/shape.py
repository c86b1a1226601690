"""The shape of a hand does not change: average it over a track, then hold it.

HaMeR guesses betas anew in every image, so a hand's size and distance jitter together. The mean
of the first confident images is steadier; once held, the size stays and all motion is motion.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from hand_perception.datatypes import DoubleArray
from hand_perception.pipeline.pose_memory import PoseMemory


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeEstimate:
    """Shape of one hand so far.

    Attributes:
        betas: (10,) mean over the confident images.
        count: how many they were.
    """

    betas: DoubleArray
    count: int

    def updated(self, betas: DoubleArray) -> 'ShapeEstimate':
        """Take the betas of one more confident image into the mean."""
        count = self.count + 1
        return ShapeEstimate(betas=self.betas + (betas - self.betas) / count, count=count)


class ShapeMemory:
    """Shapes of the tracks of one stream; forgets tracks that are gone, so it stays small.

    Attributes:
        poses: what the pose fit remembers of the same tracks.
    """

    def __init__(self) -> None:
        """Start with no shapes."""
        self.poses = PoseMemory()
        self._shapes: dict[int, ShapeEstimate] = {}

    def __len__(self) -> int:
        """Return the number of tracks remembered."""
        return len(self._shapes)

    def reset(self) -> None:
        """Forget all shapes: another person's hands, or a wrong start."""
        self._shapes.clear()
        self.poses.reset()

    def forget_all_but(self, track_ids: Iterable[int]) -> None:
        """Forget the shapes of tracks that are not among these."""
        kept = set(track_ids)
        self._shapes = {key: shape for key, shape in self._shapes.items() if key in kept}

    def is_held(self, track_id: int, *, hold_after: int) -> bool:
        """Tell whether the shape of a track no longer changes."""
        shape = self._shapes.get(track_id)
        return hold_after > 0 and shape is not None and shape.count >= hold_after

    def step(
        self,
        track_ids: Sequence[int],
        betas: DoubleArray,
        is_confident: Sequence[bool],
        *,
        hold_after: int,
    ) -> DoubleArray:
        """Take in the shapes of one image and say which to use; other tracks are forgotten.

        Args:
            track_ids: of the N hands in the image.
            betas: (N, 10) as predicted for this image.
            is_confident: for each hand, whether its image may count.
            hold_after: confident images after which the mean is held; 0 for no memory.

        Returns:
            (N, 10): the held or running mean; as predicted before the first confident image.
        """
        used = np.array(betas, np.float64)
        if hold_after <= 0:
            self.reset()
            return used
        self.forget_all_but(track_ids)
        for i, (track_id, confident) in enumerate(zip(track_ids, is_confident, strict=True)):
            shape = self._shapes.get(track_id)
            is_open = shape is None or shape.count < hold_after
            if confident and is_open and np.isfinite(used[i]).all():
                start = shape or ShapeEstimate(betas=np.zeros(used.shape[1]), count=0)
                shape = self._shapes[track_id] = start.updated(used[i].copy())
            if shape is not None:
                used[i] = shape.betas
        return used
