"""A tiny HaMeR with random weights, and files of it as users have them.

The weights and what the official code computes with them are in test/data/hamer_tiny/ (made by
tools/make_hamer_excerpt.py). The containers are written here, with look-alikes of the classes that
a training run leaves in them.
"""

import functools
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hand_perception.models.hand_arrays import MANO_PARENTS

EXCERPT = Path(__file__).resolve().parents[1] / 'data' / 'hamer_tiny'


@functools.cache
def reference() -> dict[str, np.ndarray]:
    """What the official code says of three crops."""
    with np.load(EXCERPT / 'reference.npz') as archive:
        return {name: archive[name] for name in archive.files}


@functools.cache
def drawn_hand() -> dict[str, np.ndarray]:
    """The hand model of the reference, in MANO's layout, float64."""
    with np.load(EXCERPT / 'hand.npz') as archive:
        parts = {name: archive[name] for name in archive.files}
    near = 0.05 + np.repeat(parts['weights'][:, 1:], 9, 1)
    posedirs = (parts['waves'] @ parts['amounts']).reshape(len(near), 3, 135) * near[:, None]
    regressor = np.zeros((16, len(near)))
    regressor[tuple(parts['regressor_at'].astype(int))] = parts['regressor']
    return {
        'v_template': parts['v_template'], 'shapedirs': parts['shapedirs'].astype(np.float64),
        'posedirs': posedirs, 'J_regressor': regressor, 'weights': parts['weights'],
        'f': parts['faces'].astype(np.uint32),
    }  # fmt: skip


@functools.cache
def _network_tensors() -> dict[str, Tensor]:
    with np.load(EXCERPT / 'weights.npz') as archive:
        return {name: torch.from_numpy(archive[name]) for name in archive.files}


def network_tensors() -> dict[str, Tensor]:
    """Backbone and head under their published names."""
    return dict(_network_tensors())


def hand_tensors() -> dict[str, Tensor]:
    """The buffers mano.* as smplx registers them, those that nobody reads included."""
    hand = drawn_hand()
    floats = {
        'v_template': hand['v_template'],
        'shapedirs': hand['shapedirs'],
        'posedirs': hand['posedirs'].reshape(-1, 135).T,
        'J_regressor': hand['J_regressor'],
        'lbs_weights': hand['weights'],
        'hand_mean': np.zeros(45),
    }
    whole = {
        'faces_tensor': hand['f'].astype(np.int64),
        'parents': np.array(MANO_PARENTS),
        'joint_map': np.arange(21),
    }
    tensors = {k: torch.from_numpy(np.ascontiguousarray(v, np.float32)) for k, v in floats.items()}
    tensors |= {k: torch.from_numpy(v) for k, v in whole.items()}
    return {f'mano.{name}': tensor for name, tensor in tensors.items()}


def state_dict() -> dict[str, Tensor]:
    """Everything that an official checkpoint has: networks, hand, discriminator, marker."""
    extra = {'initialized': torch.tensor(True), 'discriminator.D_conv1.bias': torch.zeros(32)}
    return extra | network_tensors() | hand_tensors()


def lightning(state: dict[str, Tensor], hyper_parameters: object) -> dict[str, Any]:
    """The container that PyTorch Lightning writes around a state_dict."""
    return {
        'epoch': 3, 'global_step': 1000, 'pytorch-lightning_version': '2.1.0',
        'state_dict': state, 'loops': {'fit_loop': {'state_dict': {}}}, 'callbacks': {},
        'optimizer_states': [], 'lr_schedulers': [], 'hparams_name': 'kwargs',
        'hyper_parameters': hyper_parameters,
    }  # fmt: skip


def write_official(
    root: Path, content: object | None = None, *, with_hand_file: bool = False
) -> Path:
    """Write the tree of the official release; returns its _DATA."""
    folder = root / '_DATA'
    checkpoints = folder / 'hamer_ckpts' / 'checkpoints'
    checkpoints.mkdir(parents=True)
    content = lightning(state_dict(), {}) if content is None else content
    torch.save(content, checkpoints / 'hamer.ckpt')
    shutil.copy(EXCERPT / 'model_config.yaml', folder / 'hamer_ckpts')
    write_mean_params(folder / 'data')
    if with_hand_file:
        write_mano(folder / 'data' / 'mano')
    return folder


def write_flat(root: Path, content: object | None = None, *, with_hand_file: bool = False) -> Path:
    """Write the files side by side into a folder."""
    root.mkdir(parents=True, exist_ok=True)
    torch.save(lightning(state_dict(), {}) if content is None else content, root / 'hamer.ckpt')
    shutil.copy(EXCERPT / 'model_config.yaml', root)
    write_mean_params(root)
    if with_hand_file:
        write_mano(root)
    return root


def write_mean_params(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tensors = network_tensors()
    means = {
        'pose': 'mano_head.init_hand_pose', 'shape': 'mano_head.init_betas',
        'cam': 'mano_head.init_cam',
    }  # fmt: skip
    np.savez(
        folder / 'mano_mean_params.npz',
        **{key: tensors[name][0].numpy() for key, name in means.items()},
    )


def write_mano(folder: Path, change: Callable[[dict[str, Any]], None] | None = None) -> None:
    """Write MANO_RIGHT.pkl from the drawn hand."""
    folder.mkdir(parents=True, exist_ok=True)
    entries: dict[str, Any] = {
        **drawn_hand(),
        'kintree_table': np.array([[2**32 - 1, *MANO_PARENTS[1:]], range(16)], np.int64),
        'hands_components': np.eye(45),
        'hands_mean': np.zeros(45),
    }
    if change is not None:
        change(entries)
    (folder / 'MANO_RIGHT.pkl').write_bytes(pickle.dumps(entries, protocol=2))


class Leftovers:
    """Objects that pickle as those which omegaconf and yacs leave in checkpoints."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        for name in ('omegaconf', 'omegaconf.base', 'omegaconf.dictconfig', 'omegaconf.nodes'):
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
        for name in ('yacs', 'yacs.config'):
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
        self._dict_config = self._class('omegaconf.dictconfig', 'DictConfig')
        self._metadata = self._class('omegaconf.base', 'ContainerMetadata')
        self._any_node = self._class('omegaconf.nodes', 'AnyNode')
        self._cfg_node = self._class('yacs.config', 'CfgNode', dict)

    def _class(self, module: str, name: str, *bases: type) -> Any:
        made = type(name, bases, {'__module__': module})
        self._monkeypatch.setattr(sys.modules[module], name, made, raising=False)
        return made

    def omegaconf(self) -> object:
        """A DictConfig: metadata with classes in it, a parent, nodes as values."""
        config, metadata, node = self._dict_config(), self._metadata(), self._any_node()
        metadata.__dict__ = {
            'ref_type': dict, 'object_type': dict, 'key_type': Any, 'element_type': Any,
            'resolver_cache': {},
        }  # fmt: skip
        node.__dict__ = {'_metadata': metadata, '_val': 'vit', '_parent': config}
        config.__dict__ = {'_metadata': metadata, '_content': {'TYPE': node}, '_parent': None}
        return {'cfg': config}

    def yacs(self) -> object:
        """A CfgNode: a dict with attributes."""
        config = self._cfg_node(TYPE='vit')
        config.__dict__ = {'__immutable__': True, '__deprecated_keys__': set()}
        return {'cfg': config}
