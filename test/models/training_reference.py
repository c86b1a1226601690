"""Truth and weights of the official training steps, made again from seeds or test/data."""

import functools
import zlib
from pathlib import Path
from typing import Final

import htt_reference
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hand_perception.training.hamer_losses import HamerTargets
from hand_perception.training.htt_losses import HttTargets

DATA: Final = Path(__file__).resolve().parents[1] / 'data'
#: Official names of HTT's losses and ours.
HTT_TERMS: Final = {
    'total': 'total', 'recov_joints2d': 'joints_2d', 'recov_joints_absz': 'depth',
    'recov_joint3d': 'joints_3d', 'olabel_loss': 'objects', 'action_loss': 'actions',
}  # fmt: skip
HTT_LEARNING_RATE: Final = 3e-5
HAMER_TERMS: Final = ('keypoints_2d', 'keypoints_3d', 'global_orient', 'hand_pose', 'betas')


@functools.cache
def stored(name: str) -> dict[str, NDArray]:
    """Official numbers of ``htt`` or ``hamer``."""
    with np.load(DATA / f'{name}_training.npz') as file:
        return dict(file)


def htt_targets(name: str) -> HttTargets:
    """Truth of the 96 frames."""
    inputs = htt_reference.inputs(name)
    return HttTargets(
        **{
            key: torch.from_numpy(getattr(inputs, key))
            for key in ('K', 'joints_2d', 'joints_3d', 'objects', 'actions', 'not_padding')
        }
    )


def padded(features: Tensor, seen: Tensor) -> Tensor:
    """Put features of the frames that count among zeros: nothing depends on the others."""
    return features.new_zeros(htt_reference.NUM_FRAMES, features.shape[1]).index_copy(
        0, seen, features
    )


def hamer_targets(arrays: dict[str, NDArray]) -> HamerTargets:
    """Truth of three hands, one of them without pose."""
    known = {f'has_{name}': arrays[f'target/has/{name}'] for name in HAMER_TERMS[2:]}
    known |= {name: arrays[f'target/mano/{name}'] for name in HAMER_TERMS[2:]}
    known |= {name: arrays[f'target/{name}'] for name in HAMER_TERMS[:2]}
    return HamerTargets(**{name: torch.from_numpy(array) for name, array in known.items()})


def fill(network: nn.Module) -> None:
    """Give every parameter numbers that follow from its name."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            random = np.random.RandomState(zlib.crc32(name.encode()))
            shape = tuple(parameter.shape)
            scale = np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0.1
            values = random.standard_normal(shape) * scale
            parameter.copy_(torch.from_numpy(values.astype(np.float32)))


def judged_hands() -> tuple[Tensor, Tensor]:
    """(4, 15, 3, 3) rotations, which need not be any, and (4, 10) betas."""
    random = np.random.RandomState(5)
    rotations, betas = random.standard_normal((4, 15, 3, 3)), random.standard_normal((4, 10))
    return torch.from_numpy(rotations).float(), torch.from_numpy(betas).float()
