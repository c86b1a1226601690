"""Training samples of HaMeR: a crop, real poses beside it, and numbers for stochastic depth.

All of it follows from the draw and the seed, so that neither the number of loading processes nor
an interruption changes a run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from hand_perception.datatypes import FloatArray
from hand_perception.training.batches import pinned, sent_to
from hand_perception.training.hamer_batches import HamerBatch, HandCrop, collate_crops
from hand_perception.training.hand_statistics import HandPoses
from hand_perception.training.task import Draw, DrawDataset

#: Real hands for each that is made up, as published; they weigh as much more.
REAL_PER_MADE: Final = 2
#: Keeps these numbers apart from those of augmentation and of the order.
_STREAM: Final = 15485863


@dataclass(frozen=True, slots=True, kw_only=True)
class HamerSample:
    """One crop with what goes beside it; fields are those of ``HamerTrainingBatch``."""

    crop: HandCrop
    uniforms: FloatArray
    real_pose: FloatArray
    real_betas: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class HamerTrainingBatch:
    """B crops with what goes beside them.

    Attributes:
        crops: the crops and their truth.
        uniforms: (blocks, 2, B) numbers in [0, 1) for stochastic depth.
        real_pose: (R, 45) poses of real hands, axis-angle, radians; R is 2 B, or 0 without a
            discriminator.
        real_betas: (R, 10) their shapes.
    """

    crops: HamerBatch
    uniforms: Tensor
    real_pose: Tensor
    real_betas: Tensor

    def to(self, device: torch.device) -> 'HamerTrainingBatch':
        """Send all tensors to a device."""
        return sent_to(self, device)

    def pin_memory(self) -> 'HamerTrainingBatch':
        """Copy to memory from which a GPU fetches by itself."""
        return pinned(self)


class HamerSamples:
    """A ``DrawDataset`` of crops with what goes beside them."""

    def __init__(
        self, crops: DrawDataset, *, depth: int, poses: HandPoses | None, seed: int
    ) -> None:
        """Put crops and poses together.

        Args:
            crops: ``HandCrops``, or a mixture of them.
            depth: blocks of the backbone.
            poses: of real hands; None without a discriminator.
            seed: of the run.
        """
        self.crops = crops
        self._depth = depth
        self._poses = poses
        self._seed = seed

    def __len__(self) -> int:
        """How many crops an epoch has."""
        return len(self.crops)

    def __getitem__(self, draw: Draw) -> HamerSample:
        """Read a crop and draw what goes beside it."""
        rng = np.random.default_rng((self._seed, *draw, _STREAM))
        uniforms = rng.random((self._depth, 2), np.float32)
        poses = self._poses
        if poses is None:
            real_pose, real_betas = np.empty((0, 45), np.float32), np.empty((0, 10), np.float32)
        else:
            chosen = rng.integers(len(poses), size=REAL_PER_MADE)
            real_pose, real_betas = poses.hand_pose[chosen], poses.betas[chosen]
        return HamerSample(
            crop=self.crops[draw], uniforms=uniforms, real_pose=real_pose, real_betas=real_betas
        )


def collate_samples(samples: Sequence[HamerSample]) -> HamerTrainingBatch:
    """Put samples together."""
    return HamerTrainingBatch(
        crops=collate_crops([sample.crop for sample in samples]),
        uniforms=torch.from_numpy(np.stack([sample.uniforms for sample in samples], -1)),
        real_pose=torch.from_numpy(np.concatenate([sample.real_pose for sample in samples])),
        real_betas=torch.from_numpy(np.concatenate([sample.real_betas for sample in samples])),
    )
