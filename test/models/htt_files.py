"""Files of HTT as users have them, around networks with random but known weights.

Most tests do with a network of an eighth of the published width, which has all of its names and
loads in milliseconds; a full-size one comes from ``network('fpha', is_full_size=True)``.
"""

import copy
import dataclasses
import functools
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hand_perception.models.htt.module import HttModule
from hand_perception.models.htt.sizes import HttSizes
from tools.make_htt_checkpoint import (
    SIZES,
    official_arguments,
    official_content,
    random_module,
    write_official,
)

#: Tokens of the action window and of a pose window that opt.pkl tells of here.
WINDOW, POSE_WINDOW = 32, 8


def small_sizes(dataset: str = 'fpha') -> HttSizes:
    """Classes and joints as published; all else small."""
    return dataclasses.replace(SIZES[dataset], width=64, hidden=128, num_positions=200)


@functools.cache
def _network(sizes: HttSizes, seed: int) -> HttModule:
    return random_module(sizes, seed=seed)


def network(dataset: str = 'fpha', *, is_full_size: bool = False, seed: int = 0) -> HttModule:
    """A network of its own."""
    sizes = SIZES[dataset] if is_full_size else small_sizes(dataset)
    return copy.deepcopy(_network(sizes, seed))


def state_dict(dataset: str = 'fpha', *, is_full_size: bool = False) -> dict[str, Tensor]:
    """All tensors under their published names."""
    return network(dataset, is_full_size=is_full_size).state_dict()


def content(dataset: str = 'fpha', **changes: object) -> dict[str, Any]:
    """What the official training saves, with entries changed."""
    return official_content(network(dataset)) | changes


def write(
    folder: Path,
    dataset: str = 'fpha',
    *,
    is_full_size: bool = False,
    seed: int = 0,
    window: int = WINDOW,
    pose_window: int = POSE_WINDOW,
) -> Path:
    """Write checkpoint_45.pth and opt.pkl as the official training does; returns the former."""
    return write_official(
        folder, network(dataset, is_full_size=is_full_size, seed=seed),
        arguments=official_arguments(dataset, window=window, pose_window=pose_window),
    )  # fmt: skip


def save(path: Path, saved: object) -> Path:
    """Write anything with torch.save."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(saved, path)
    return path


def expect_same(module: HttModule, state: dict[str, Tensor]) -> None:
    """Compare every tensor, bit for bit."""
    found = module.state_dict()
    assert set(found) == set(state)
    for name, tensor in found.items():
        assert tensor.dtype == state[name].dtype, name
        assert torch.equal(tensor, state[name]), name
