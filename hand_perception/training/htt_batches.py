"""Clips as HTT learns from them: augmented, put together, truth in the form of its losses."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from hand_perception.augmentation.clip import change_clip, draw_clip_change
from hand_perception.augmentation.settings import ClipAugmentation
from hand_perception.datasets.sample import Sample
from hand_perception.models.htt.constants import IMAGE_OFFSET
from hand_perception.training.batches import pinned, sent_to
from hand_perception.training.htt_losses import HttTargets
from hand_perception.training.task import Draw


class Samples(Protocol):
    """Samples by number; ``ClipDataset`` is one. May be sent to other processes."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, index: int, /) -> Sample:
        """Read one."""


class HttClips:
    """Training clips: a ``DrawDataset`` of samples for ``collate_clips``."""

    def __init__(
        self, clips: Samples, *, augmentation: ClipAugmentation | None = None, seed: int = 0
    ) -> None:
        """Choose the clips.

        Args:
            clips: as they are on disk.
            augmentation: how they are changed; None: not at all.
            seed: of the run.
        """
        self.clips = clips
        self.augmentation = augmentation
        self.seed = seed

    def __len__(self) -> int:
        """How many clips an epoch has."""
        return len(self.clips)

    def __getitem__(self, draw: Draw) -> Sample:
        """Read and change a clip."""
        sample = self.clips[draw.number]
        if self.augmentation is None:
            return sample
        count, height, width = sample.images.shape[:3]
        rng = np.random.default_rng((self.seed, *draw))
        change = draw_clip_change(
            self.augmentation, num_images=count, size=(width, height), rng=rng
        )
        return change_clip(sample, change)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttBatch:
    """B clips of T images, N = B * T.

    Attributes:
        images: (N, 270, 480, 3) uint8 RGB, clip after clip.
        targets: the truth; its ``not_padding`` (N,) tells which images count.
        window: T.
        segments: names of the B segments.
    """

    images: Tensor
    targets: HttTargets
    window: int
    segments: tuple[str, ...]

    @property
    def not_padding(self) -> Tensor:
        """(N,) bool."""
        return self.targets.not_padding

    def to(self, device: torch.device) -> 'HttBatch':
        """Send all tensors to a device."""
        return sent_to(self, device)

    def pin_memory(self) -> 'HttBatch':
        """Copy to memory from which a GPU fetches by itself."""
        return pinned(self)

    def network_images(self) -> Tensor:
        """(N, 3, 270, 480) float32 from -0.5 to 0.5, as ``HttModule`` takes them."""
        planes = self.images.permute(0, 3, 1, 2).contiguous()
        return planes.float().div_(255).sub_(IMAGE_OFFSET)


def collate_clips(samples: Sequence[Sample]) -> HttBatch:
    """Put clips of the same length and hands together."""
    joints_2d = _joined([sample.truth.joints_2d for sample in samples])
    joints_3d = _joined([sample.truth.joints_3d for sample in samples])
    windows = [len(sample.images) for sample in samples]
    return HttBatch(
        images=_joined([sample.images for sample in samples]),
        targets=HttTargets(
            K=_joined([sample.K for sample in samples]),
            joints_2d=joints_2d.flatten(1, 2),
            joints_3d=joints_3d.flatten(1, 2),
            objects=torch.tensor([sample.object for sample in samples]).repeat_interleave(
                torch.tensor(windows)
            ),
            actions=torch.tensor([sample.action for sample in samples]),
            not_padding=_joined([sample.not_padding for sample in samples]),
            is_hand_valid=_joined([sample.truth.hand_valid for sample in samples]),
        ),
        window=windows[0],
        segments=tuple(sample.segment for sample in samples),
    )


def _joined(arrays: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.concatenate(arrays))
