"""HTT with its losses, data and files, as the training loop takes it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from hand_perception.actions import LabelMap
from hand_perception.datasets.windows import spacing_at
from hand_perception.datatypes import NUM_JOINTS, DoubleArray, ImageArray
from hand_perception.errors import ConfigError, DatasetError
from hand_perception.models.htt.export import write_module
from hand_perception.models.htt.options_file import HttOptions
from hand_perception.models.htt.weight_files import VIDEO_HZ
from hand_perception.training.htt_batches import HttBatch, HttClips, Samples, collate_clips
from hand_perception.training.htt_data import mean_pose_of, open_training, open_validation
from hand_perception.training.htt_losses import HttLossWeights, PoseNorm, htt_losses, lift_joints
from hand_perception.training.htt_network import (
    TrainableHtt,
    as_output,
    begin_with_pose,
    start_module,
)
from hand_perception.training.htt_official import check_official, write_official
from hand_perception.training.htt_picture import draw_joints
from hand_perception.training.htt_places import places_loss
from hand_perception.training.htt_settings import HttSections
from hand_perception.training.htt_validation import mean_pose_figures, validate_htt
from hand_perception.training.learning_rate import make_optimizer
from hand_perception.training.networks import Network
from hand_perception.training.task import Collate, DrawDataset, Validation

#: The only module that is trained.
MODULE: Final = 'network'
_NUM_DRAWN: Final = 4


class HttTask:
    """A ``TrainingTask``.

    Attributes:
        sections: settings of the run.
        labels: of the classes.
        modules: ``network``.
        optimizers: of it.
        data: training clips.
        held_out: clips to look at from time to time.
    """

    network_name = 'htt'
    collate: Collate = staticmethod(collate_clips)

    def __init__(
        self, sections: HttSections, network: TrainableHtt, clips: Samples, *, labels: LabelMap,
        held_out: Samples | None = None, mean: DoubleArray | None = None,
        rate_hz: float = VIDEO_HZ,
    ) -> None:  # fmt: skip
        """Put the parts together; ``make_task`` makes them.

        Args:
            sections: of the run.
            network: in the mode in which it is trained.
            clips: to learn from, as they are on disk.
            labels: of the classes.
            held_out: clips to look at from time to time.
            mean: (21 S, 3) metres, the mean pose of the clips, to compare with; NaN of hands
                that are annotated nowhere.
            rate_hz: images a second of the recordings.
        """
        data, model, losses = sections.data, sections.model, sections.losses
        self.sections = sections
        self.labels = labels
        self.data: DrawDataset = HttClips(
            clips, augmentation=sections.augmentation, seed=sections.run.seed
        )
        self.modules: Mapping[str, nn.Module] = {MODULE: network}
        self.optimizers: Mapping[str, torch.optim.Optimizer] = {
            MODULE: make_optimizer(sections.optimizer, network.parameters())
        }
        self._network = network
        self._options = HttOptions(
            window=data.window, pose_window=data.pose_window,
            spacing=spacing_at(data.spacing, from_hz=rate_hz, to_hz=VIDEO_HZ),
            engine='' if network.lookahead is None else 'sliding', lookahead=model.lookahead,
        )  # fmt: skip
        self._weights = HttLossWeights(
            joints_2d=losses.joints_2d, depth=losses.depth, joints_3d=losses.joints_3d,
            labels=losses.labels,
        )  # fmt: skip
        self._norm: PoseNorm = 'l2' if losses.norm == 'l2' else 'l1'
        self.held_out, self._mean = held_out, mean
        self._mean_figures: Mapping[str, float] | None = None

    def backward(
        self, fabric: Any, modules: Mapping[str, Any], batch: HttBatch, *, share: float
    ) -> dict[str, Tensor]:
        """Run a batch forward and backward; see TrainingTask."""
        answers = modules[MODULE](batch.images, batch.not_padding)
        losses = htt_losses(
            as_output(answers), batch.targets, weights=self._weights, norm=self._norm
        )
        total, extra = losses.total, {}
        asks_heads = bool(self._network.num_batches >= self.sections.losses.places_first)
        if self._network.places is not None:
            found = places_loss(
                answers[3], batch.targets, joints=self.sections.losses.places_joints
            )
            # Multiplied by 0, as several processes wait for all gradients.
            total = float(asks_heads) * total + self.sections.losses.places * found
            extra = {'places': found.detach()}
        fabric.backward(total * share)
        if not asks_heads:
            self._network.forget_gradients_of_heads()
        self._network.num_batches += 1
        return {
            'total': total.detach(), **extra, 'joints_2d': losses.joints_2d.detach(),
            'depth': losses.depth.detach(), 'joints_3d': losses.joints_3d.detach(),
            'objects': losses.objects.detach(), 'actions': losses.actions.detach(),
        }  # fmt: skip

    def validate(self, modules: Mapping[str, Any], device: torch.device) -> Validation | None:
        """Measure held-out clips, beside what the mean pose would score."""
        if self.held_out is None:
            return None
        found = validate_htt(self._network, self.held_out, self.labels, device)
        if self._mean_figures is None:
            self._mean_figures = self._measure_mean(self.held_out)
        return Validation(figures={**found.figures, **self._mean_figures}, watched=found.watched)

    def picture(self, modules: Mapping[str, Any], batch: HttBatch) -> ImageArray | None:
        """Draw images of the first clip, evenly spread over what counts of it."""
        clip = slice(0, batch.window)
        images, not_padding = batch.images[clip], batch.not_padding[clip]
        with torch.no_grad():
            raw, _, _, _ = self._network(images, not_padding)
            found, _, _ = lift_joints(raw.float(), batch.targets.K[clip])
        count = int(not_padding.sum())
        drawn = np.unique(np.linspace(0, count - 1, _NUM_DRAWN).round().astype(np.int64))
        targets = batch.targets
        known = targets.is_hand_valid
        if known is None:
            known = torch.ones(
                len(batch.images), self._network.module.sizes.num_hands, dtype=torch.bool
            )
        return draw_joints(
            images.cpu().numpy()[drawn], targets.joints_2d[clip].cpu().numpy()[drawn],
            found.cpu().numpy()[drawn], known[clip].cpu().numpy()[drawn],
        )  # fmt: skip

    def save(self, path: Path, *, step: int) -> None:
        """Write the weights as ``predict --backend htt`` and the node load them."""
        model = self.sections.model
        notes = {
            'network': 'HTT', 'step': str(step), 'trained_on': self.sections.data.kind,
            'positions': model.positions,
        }  # fmt: skip
        write_module(
            path, self._network.module, options=self._options, labels=self.labels, notes=notes
        )

    def check_export(self) -> None:
        """See TrainingTask."""
        check_official(self._network.module)

    def export_official(self, folder: Path, *, step: int, epoch: int) -> list[Path]:
        """Write a checkpoint and its arguments as the official program does."""
        return write_official(
            folder,
            self._network.module,
            self.optimizers[MODULE],
            sections=self.sections,
            epoch=epoch,
        )

    def _measure_mean(self, held_out: Samples) -> Mapping[str, float]:
        if self._mean is None:
            return {}
        figures = mean_pose_figures(np.nan_to_num(self._mean), held_out)
        return {
            'mean_pose_mepe_mm': figures.camera_mm, 'mean_pose_mepe_ra_mm': figures.relative_mm,
        }  # fmt: skip


def make_task(sections: HttSections) -> HttTask:
    """Open the data and make the network.

    Raises:
        ConfigError: settings contradict each other or name what is not there.
        DatasetError: a data set is missing or damaged.
        WeightsError: weights to start from are missing, damaged, or of something else.
    """
    data, model, losses = sections.data, sections.model, sections.losses
    if losses.places_first and not losses.places:
        raise ConfigError(
            f'losses.places_first is {losses.places_first}, but losses.places is 0: there would '
            'be nothing to learn from'
        )
    clips = open_training(data)
    labels = clips.split.labels
    module = start_module(
        model, num_joints=NUM_JOINTS * len(clips.split.is_right),
        num_objects=len(labels.objects), num_actions=len(labels.actions),
        window=data.window, pose_window=data.pose_window,
    )  # fmt: skip
    # Reads all annotations, one file for each image of H2O.
    mean = None
    if model.mean_pose or data.validation_split:
        mean = mean_pose_of(clips)
    if model.mean_pose and mean is not None:
        if np.isnan(mean).any():
            raise DatasetError(
                f'{data.kind} in {data.root} has a hand that is annotated nowhere, and so no mean '
                'pose; set model.mean_pose=false'
            )
        begin_with_pose(module, mean, clips.split.K)
    network = TrainableHtt(
        module, window=data.window, pose_window=data.pose_window,
        lookahead=model.lookahead if model.pose_windows == 'sliding' else None,
        images_at_once=model.images_at_once, has_places=losses.places > 0,
    )  # fmt: skip
    return HttTask(
        sections, network, clips, labels=labels, held_out=open_validation(data),
        mean=mean, rate_hz=clips.split.rate_hz,
    )  # fmt: skip


NETWORK: Final = Network(sections=HttSections, make_task=make_task)
