"""What a network brings along to be trained: the loop knows nothing else of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from hand_perception.datatypes import ImageArray


class Draw(NamedTuple):
    """One sample of one epoch; what is random about it follows from these and the run's seed.

    So a run that goes on where it stopped, with any number of loading processes, sees the same.

    Attributes:
        epoch: from 0.
        number: of the sample in the data set, from 0.
    """

    epoch: int
    number: int


class DrawDataset(Protocol):
    """Training samples with their augmentation; may be sent to other processes."""

    def __len__(self) -> int:
        """How many samples an epoch has."""

    def __getitem__(self, draw: Draw, /) -> Any:
        """Read and augment a sample, from nothing but the draw and the seed given before."""


class Batch(Protocol):
    """Samples put together, on the CPU until they are sent on."""

    def to(self, device: torch.device) -> 'Batch':
        """Send all tensors to a device."""


class Collate(Protocol):
    """Puts samples together."""

    def __call__(self, samples: Sequence[Any], /) -> Batch:
        """Stack what the data set gave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What was measured on held-out samples.

    Attributes:
        figures: by name with unit, such as ``mepe_mm``.
        watched: name of the figure that tells which weights are best; lower is better.
    """

    figures: Mapping[str, float]
    watched: str


class TrainingTask(Protocol):
    """A network with its losses, data and files."""

    @property
    def network_name(self) -> str:
        """``htt`` or ``hamer``."""

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """What is trained, by name; the first one is the network.

        They are in the mode (training or evaluation) in which they are to be trained; the loop
        restores it after each look at held-out samples.
        """

    @property
    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Of the modules, by the same names; they hold the learning rates before any schedule."""

    @property
    def data(self) -> DrawDataset:
        """Training samples."""

    @property
    def collate(self) -> Collate:
        """Puts them together."""

    def backward(
        self, fabric: Any, modules: Mapping[str, Any], batch: Any, *, share: float
    ) -> dict[str, Tensor]:
        """Run one (part of a) batch forward and ``fabric.backward``.

        Args:
            fabric: of lightning-fabric.
            modules: the same in the precision of the run and together with other processes
                (``processes.Trained``); for forward passes that are trained on.
            batch: of ``collate``, on the device.
            share: factor of the losses, 1 / parts when gradients of several parts are added up.

        Returns:
            Losses without gradient, not multiplied by the share, by name; ``total`` among them.
        """

    def validate(self, modules: Mapping[str, Any], device: torch.device) -> Validation | None:
        """Measure the network on held-out samples; None when the run has none.

        Only the first process does. The modules are the plain ones, in evaluation mode, without
        gradients, under autocast in the precision of the run.
        """

    def picture(self, modules: Mapping[str, Any], batch: Any) -> ImageArray | None:
        """Draw predictions and truth of a batch for the log, (H, W, 3) uint8 RGB.

        Under the same conditions as ``validate``; the batch is one of the first process.
        """

    def save(self, path: Path, *, step: int) -> None:
        """Write the weights as one safe file that the node loads, labels and sizes in it."""

    def check_export(self) -> None:
        """See that ``export_official`` will be able to write this network; before training.

        Raises:
            WeightsError: the official program has no such network.
        """

    def export_official(self, folder: Path, *, step: int, epoch: int) -> list[Path]:
        """Write the weights as the official program reads them; return the files."""
