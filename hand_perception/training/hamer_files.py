"""Files of a HaMeR that was trained: our safe export, and the layout of the official program.

Neither holds MANO, whose licence does not allow passing it on; both say which hand they are for.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import yaml
from torch import Tensor, nn

from hand_perception.errors import WeightsError
from hand_perception.models.hamer.checkpoint import HAND_MODEL_KEY
from hand_perception.models.hamer.export import write_trained
from hand_perception.models.hamer.files import CHECKPOINT, CONFIG, MEAN_PARAMS
from hand_perception.models.hamer.weight_files import HamerParts, published_name
from hand_perception.training.hamer_losses import HamerLossWeights
from hand_perception.training.hamer_weights import TrainableWeights
from hand_perception.whole_files import whole_file, whole_path, write_whole_text

#: Version of the layout, as its writer would name it.
_LIGHTNING: Final = '2.1.0'
_MEANS: Final = {'pose': 'init_hand_pose', 'shape': 'init_betas', 'cam': 'init_cam'}


def save_export(weights: TrainableWeights, path: Path, *, notes: Mapping[str, str]) -> None:
    """Write our export, which ``predict --backend hamer`` and the node load.

    Args:
        weights: network, hand and configuration.
        path: the file; it is complete, or as it was before.
        notes: metadata for people.

    Raises:
        WeightsError: the file cannot be written.
        MissingPackageError: safetensors is not installed.
    """
    write_trained(
        published_tensors(weights.parts), path, config=weights.config,
        notes={**notes, HAND_MODEL_KEY: weights.hand.name},
    )  # fmt: skip


def published_tensors(parts: HamerParts) -> dict[str, Tensor]:
    """Give the tensors of a network under their published names, on the CPU."""
    return {
        published_name(name): tensor.detach().cpu() for name, tensor in parts.state_dict().items()
    }


def export_official(
    weights: TrainableWeights,
    folder: Path,
    *,
    discriminator: nn.Module | None,
    optimizers: Sequence[Mapping[str, Any]],
    losses: HamerLossWeights,
    step: int,
    epoch: int,
) -> list[Path]:
    """Write checkpoint, configuration and means as the official program and ours read them.

    Args:
        weights: network, hand and configuration.
        folder: as ``hamer_ckpts`` and ``data`` of the release, side by side in it.
        discriminator: goes into the checkpoint where there is one.
        optimizers: states of the optimizers of network and discriminator.
        losses: go into the configuration.
        step: steps done.
        epoch: begun, from 0.

    Returns:
        The files.

    Raises:
        WeightsError: a file cannot be written.
    """
    checkpoint = folder / 'hamer_ckpts' / 'checkpoints' / CHECKPOINT
    config = folder / 'hamer_ckpts' / CONFIG
    means = folder / 'data' / MEAN_PARAMS
    described = {
        **weights.config,
        'LOSS_WEIGHTS': {
            'KEYPOINTS_3D': losses.keypoints_3d, 'KEYPOINTS_2D': losses.keypoints_2d,
            'GLOBAL_ORIENT': losses.global_orient, 'HAND_POSE': losses.hand_pose,
            'BETAS': losses.betas, 'ADVERSARIAL': losses.adversarial,
        },
    }  # fmt: skip
    state = {'initialized': torch.tensor(False)} | published_tensors(weights.parts)
    if discriminator is not None:
        state |= {
            f'discriminator.{name}': tensor.detach().cpu()
            for name, tensor in discriminator.state_dict().items()
        }
    content = {
        'epoch': epoch, 'global_step': step, 'pytorch-lightning_version': _LIGHTNING,
        'state_dict': state, 'loops': {}, 'callbacks': {},
        'optimizer_states': [_on_cpu(one) for one in optimizers], 'lr_schedulers': [],
        'hparams_name': 'kwargs', 'hyper_parameters': {'cfg': described},
    }  # fmt: skip
    head = weights.parts.mano_head
    arrays = {key: getattr(head, name)[0].cpu().numpy() for key, name in _MEANS.items()}
    with whole_path(checkpoint, WeightsError, also=(RuntimeError,)) as path:  # of torch.save
        torch.save(content, path)
    write_whole_text(config, yaml.safe_dump(described), WeightsError)
    with whole_file(means, WeightsError) as stream:
        np.savez(stream, **arrays)
    return [checkpoint, config, means]


def _on_cpu(value: Any) -> Any:
    """Copy a nest of plain containers with its tensors on the CPU."""
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if isinstance(value, Mapping):
        return {key: _on_cpu(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_on_cpu(one) for one in value)
    return value
