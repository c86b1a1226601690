"""HaMeR as a task: steps of network and discriminator, held-out samples, files.

Source of the step: Pavlakos et al. (CVPR 2024) and the training program published with it. The
network steps with what the discriminator says of its hands, the discriminator with hands that the
network made before that step; both gradients are computed first here, which changes neither.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from hand_perception.datatypes import ImageArray
from hand_perception.errors import ConfigError
from hand_perception.models.hamer.head import ManoParameters
from hand_perception.models.hamer.network import HamerOutput
from hand_perception.models.hand_model import HandModel
from hand_perception.models.rotations import rotation_from_axis_angle
from hand_perception.models.skinning import LinearBlendSkinning
from hand_perception.training.hamer_data import HamerData, open_data
from hand_perception.training.hamer_discriminator import HamerDiscriminator
from hand_perception.training.hamer_files import export_official, save_export
from hand_perception.training.hamer_losses import (
    HamerLossWeights,
    discriminator_loss,
    generator_loss,
    hamer_losses,
)
from hand_perception.training.hamer_network import TrainableHamer
from hand_perception.training.hamer_picture import draw_hands
from hand_perception.training.hamer_samples import HamerTrainingBatch, collate_samples
from hand_perception.training.hamer_settings import HamerSections
from hand_perception.training.hamer_validation import Reconstruct, validate_hands
from hand_perception.training.hamer_weights import TrainableWeights, load_weights, make_weights
from hand_perception.training.learning_rate import make_optimizer
from hand_perception.training.networks import Network
from hand_perception.training.settings import OptimizerSettings
from hand_perception.training.stochastic_depth import depth_factors
from hand_perception.training.task import Collate, DrawDataset, Validation

_NETWORK, _DISCRIMINATOR = 'network', 'discriminator'


@dataclass(frozen=True, slots=True, kw_only=True)
class HamerRecipe:
    """What a step does.

    Attributes:
        losses: factors; without ``adversarial`` there is no discriminator.
        stochastic_depth: share of the samples that the last block is left out for.
        betas_prior: hands of unknown shape are asked for the mean shape.
        optimizer: of network and discriminator alike.
    """

    losses: HamerLossWeights = HamerLossWeights()
    stochastic_depth: float = 0.0
    betas_prior: bool = True
    optimizer: OptimizerSettings = OptimizerSettings()


class HamerTask:
    """A ``TrainingTask``.

    Attributes:
        modules: ``network`` (``HamerParts``) and, where it is wanted, ``discriminator``.
        optimizers: of both.
        data: training samples.
    """

    network_name = 'hamer'
    collate: Collate = staticmethod(collate_samples)

    def __init__(self, weights: TrainableWeights, data: HamerData, recipe: HamerRecipe) -> None:
        """Put the task together.

        Args:
            weights: network and hand.
            data: what is learned from and measured on.
            recipe: what a step does.
        """
        self._weights, self._held_out, self._recipe = weights, data, recipe
        self.data: DrawDataset = data.samples(
            depth=len(weights.parts.backbone.blocks), is_adversarial=recipe.losses.adversarial > 0
        )
        self.modules: dict[str, nn.Module] = {_NETWORK: weights.parts}
        if recipe.losses.adversarial > 0:
            discriminator = HamerDiscriminator()
            if weights.discriminator:
                discriminator.load_state_dict(weights.discriminator)
            self.modules[_DISCRIMINATOR] = discriminator
        # The head first, as in published checkpoints.
        parts = weights.parts
        trained = [*parts.mano_head.parameters(), *parts.backbone.parameters()]
        self.optimizers = {_NETWORK: make_optimizer(recipe.optimizer, trained)}
        if _DISCRIMINATOR in self.modules:
            judging = self.modules[_DISCRIMINATOR].parameters()
            self.optimizers[_DISCRIMINATOR] = make_optimizer(recipe.optimizer, judging)
        self._posed: TrainableHamer | None = None

    def backward(
        self, fabric: Any, modules: Mapping[str, Any], batch: HamerTrainingBatch, *, share: float
    ) -> dict[str, Tensor]:
        """See ``TrainingTask``."""
        recipe, factors = self._recipe, None
        if recipe.stochastic_depth:
            factors = depth_factors(batch.uniforms, rate=recipe.stochastic_depth)
        output = self._pose(*modules[_NETWORK](batch.crops.images, factors))
        targets = batch.crops.targets
        if recipe.betas_prior:  # betas of unknown shape are 0
            targets = replace(targets, has_betas=torch.ones_like(targets.has_betas))
        losses = hamer_losses(output, targets, weights=recipe.losses)
        total = losses.total
        found = {
            'keypoints_2d': losses.keypoints_2d, 'keypoints_3d': losses.keypoints_3d,
            'global_orient': losses.global_orient, 'hand_pose': losses.hand_pose,
            'betas': losses.betas,
        }  # fmt: skip
        weight = recipe.losses.adversarial
        made = (output.rotations[:, 1:], output.betas)
        if _DISCRIMINATOR in modules:
            found['generator'] = generator_loss(_judged(modules[_DISCRIMINATOR].module, made))
            total = total + weight * found['generator']
        fabric.backward(total * share)
        if _DISCRIMINATOR in modules:
            real = rotation_from_axis_angle(batch.real_pose.view(-1, 15, 3))
            # One pass for both, as processes that train together count passes.
            judged = modules[_DISCRIMINATOR](
                torch.cat((made[0].detach(), real)),
                torch.cat((made[1].detach(), batch.real_betas)),
            )
            found['discriminator'] = discriminator_loss(*judged.tensor_split((len(made[0]),)))
            fabric.backward(weight * found['discriminator'] * share)
        return {'total': total.detach()} | {name: loss.detach() for name, loss in found.items()}

    def validate(self, modules: Mapping[str, Any], device: torch.device) -> Validation | None:
        """See ``TrainingTask``."""
        held_out = self._held_out.held_out
        if held_out is None:
            return None
        return validate_hands(
            self._reconstruct(modules), held_out, device=device,
            mean_joints=self._held_out.mean_joints,
        )  # fmt: skip

    def picture(self, modules: Mapping[str, Any], batch: HamerTrainingBatch) -> ImageArray:
        """See ``TrainingTask``."""
        output = self._reconstruct(modules)(batch.crops.images)
        return draw_hands(batch.crops, output.pred_keypoints_2d)

    def save(self, path: Path, *, step: int) -> None:
        """See ``TrainingTask``."""
        save_export(
            self._weights, path,
            notes={'trained_step': str(step), 'trained_on': self._held_out.words},
        )  # fmt: skip

    def check_export(self) -> None:
        """See ``TrainingTask``: every network can be written."""

    def export_official(self, folder: Path, *, step: int, epoch: int) -> list[Path]:
        """See ``TrainingTask``."""
        return export_official(
            self._weights, folder, discriminator=self.modules.get(_DISCRIMINATOR),
            optimizers=[optimizer.state_dict() for optimizer in self.optimizers.values()],
            losses=self._recipe.losses, step=step, epoch=epoch,
        )  # fmt: skip

    def _reconstruct(self, modules: Mapping[str, Any]) -> Reconstruct:
        network = modules[_NETWORK]
        return lambda images: self._pose(*network(images))

    def _pose(self, rotations: Tensor, betas: Tensor, pred_cam: Tensor) -> HamerOutput:
        """Pose the hand model in float32, whatever the precision of the networks."""
        device = pred_cam.device
        if self._posed is None or self._posed.hand.device != device:
            hand = self._weights.hand
            skinning = LinearBlendSkinning(hand.arrays, device=device)
            hand = HandModel(
                name=hand.name, arrays=hand.arrays, skinning=skinning, device=device
            )  # fmt: skip
            parts, focal = self._weights.parts, self._weights.focal_px
            self._posed = TrainableHamer(parts, hand, focal_px=focal)
        with torch.autocast(device.type, enabled=False):
            return self._posed.hands_from_parameters(
                ManoParameters(rotations=rotations, betas=betas, pred_cam=pred_cam)
            )


def _judged(discriminator: nn.Module, made: tuple[Tensor, Tensor]) -> Tensor:
    """Judge hands without gradients for the discriminator, which learns from its own loss only."""
    fixed = {name: parameter.detach() for name, parameter in discriminator.named_parameters()}
    judged: Tensor = functional_call(discriminator, fixed, made)
    return judged


def make_task(sections: HamerSections) -> HamerTask:
    """Make the task that the settings describe.

    Raises:
        ConfigError: settings do not fit each other.
        DatasetError: data cannot be read.
        WeightsError: weights cannot be read.
        MissingPackageError: a package is not installed.
    """
    model, losses = sections.model, sections.losses.weights
    loaded = load_weights(model) if model.weights else None
    data = open_data(
        sections.data, sections.augmentation, seed=sections.run.seed, mano_dir=model.mano_dir,
        hand_model=model.hand_model if loaded is None else loaded.hand.name,
    )  # fmt: skip
    if losses.adversarial and not len(data.poses):
        named = sections.data.real_poses or data.words
        raise ConfigError(
            f'the discriminator needs real poses, and {named} has none: {data.advice}'
        )
    weights = loaded or make_weights(model, data.poses, orientation=data.mean_orientation)
    recipe = HamerRecipe(
        losses=losses, stochastic_depth=model.stochastic_depth,
        betas_prior=sections.data.betas_prior, optimizer=sections.optimizer,
    )  # fmt: skip
    return HamerTask(weights, data, recipe)


NETWORK = Network(sections=HamerSections, make_task=make_task)
