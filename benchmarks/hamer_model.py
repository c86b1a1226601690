"""HaMeRs with random weights for the benchmarks: the published size, a tiny one, and any other.

Speed and memory do not depend on the weights. Errors of the speed modes do: random weights amplify
rounding, so measure those again with ``--hamer-dir`` and real ones.
"""

import math
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import yaml
from torch import Tensor

from hand_perception.models.hamer.sizes import BackboneSizes, DecoderSizes, HamerSizes
from hand_perception.models.hamer.weight_files import HamerParts, published_name
from hand_perception.models.hand_arrays import MANO_PARENTS, load_default_arrays

#: ViT-H and the decoder as published.
FULL: Final = HamerSizes(
    backbone=BackboneSizes(width=1280, depth=32, num_heads=16, mlp_hidden=5120),
    decoder=DecoderSizes(
        width=1024, depth=6, num_heads=8, head_width=64, mlp_hidden=1024, context_width=1280
    ),
)
#: As many layers as published, so that operations are counted alike, but narrow.
NARROW: Final = HamerSizes(
    backbone=BackboneSizes(width=128, depth=32, num_heads=4, mlp_hidden=256),
    decoder=DecoderSizes(
        width=64, depth=6, num_heads=2, head_width=32, mlp_hidden=64, context_width=128
    ),
)
SIZES: Final = {'full': FULL, 'narrow': NARROW}
_NUM_VERTICES: Final = 778
_READOUT_SPREADS: Final = {'decpose': 0.5, 'decshape': 1.0, 'deccam': 0.1}


def write_random_release(folder: Path, sizes: HamerSizes, *, seed: int = 0) -> Path:
    """Write a checkpoint with configuration in the official layout, hand model included.

    Args:
        folder: gets ``_DATA``; the published size takes 2.7 GB there and as much memory here.
        sizes: of the networks.
        seed: of all numbers.

    Returns:
        ``_DATA``, for ``HamerNetwork.load``.
    """
    checkpoints = folder / '_DATA' / 'hamer_ckpts' / 'checkpoints'
    checkpoints.mkdir(parents=True, exist_ok=True)
    state = random_state(sizes, seed=seed) | _hand_buffers(seed)
    content = {'epoch': 0, 'state_dict': state, 'hyper_parameters': {}}
    torch.save(content, checkpoints / 'hamer.ckpt')
    (checkpoints.parent / 'model_config.yaml').write_text(yaml.safe_dump(model_config(sizes)))
    return folder / '_DATA'


def model_config(sizes: HamerSizes) -> dict[str, Any]:
    """Make what of model_config.yaml inference reads."""
    decoder, backbone = sizes.decoder, sizes.backbone
    return {
        'MODEL': {
            'IMAGE_SIZE': 256,
            'IMAGE_MEAN': [0.485, 0.456, 0.406],
            'IMAGE_STD': [0.229, 0.224, 0.225],
            'BACKBONE': {'TYPE': 'vit', 'NUM_HEADS': backbone.num_heads},
            'MANO_HEAD': {
                'TYPE': 'transformer_decoder',
                'TRANSFORMER_DECODER': {
                    'depth': decoder.depth, 'heads': decoder.num_heads,
                    'dim_head': decoder.head_width, 'mlp_dim': decoder.mlp_hidden,
                    'context_dim': decoder.context_width, 'norm': 'layer',
                },
            },
        },
        'MANO': {'MEAN_PARAMS': 'data/mano_mean_params.npz'},
        'EXTRA': {'FOCAL_LENGTH': 5000},
    }  # fmt: skip


def random_state(sizes: HamerSizes, *, seed: int = 0) -> dict[str, Tensor]:
    """Draw weights under their published names, so large that signals keep their size.

    The readouts are smaller: poses, shapes and cameras spread as those of real hands do.
    """
    with torch.device('meta'):
        shapes = {name: tensor.shape for name, tensor in HamerParts(sizes).state_dict().items()}
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes.items():
        is_gain = 'norm' in name and name.endswith('weight')
        spread = 0.05 if len(shape) < 2 else 1 / math.sqrt(math.prod(shape[1:]))
        spread *= next((s for part, s in _READOUT_SPREADS.items() if part in name), 1.0)
        drawn = torch.empty(shape).uniform_(-1, 1, generator=generator).mul_(spread)
        state[published_name(name)] = drawn.add_(1) if is_gain else drawn
    # The mean pose is about the flat hand and the mean camera about the whole crop, as published.
    state['mano_head.init_hand_pose'] += torch.tensor([1.0, 0, 0, 0, 1, 0]).repeat(16)
    state['mano_head.init_cam'] += torch.tensor([4.0, 0, 0])
    return state


def random_crops(count: int, *, seed: int = 0) -> np.ndarray:
    """Draw (count, 256, 256, 3) uint8 crops: blobs of several sizes, as images have."""
    rng = np.random.default_rng(seed)
    crops = np.zeros((count, 256, 256, 3))
    for cells in (4, 16, 64):
        coarse = rng.normal(size=(count, cells, cells, 3)) * 40 / math.log2(cells)
        crops += coarse.repeat(256 // cells, 1).repeat(256 // cells, 2)
    return np.clip(crops + 128, 0, 255).astype(np.uint8)


def _hand_buffers(seed: int) -> dict[str, Tensor]:
    """Make a hand in MANO's layout from the default hand: same sizes, none of MANO's numbers."""
    rng = np.random.default_rng(seed)
    hand = load_default_arrays()
    template = hand.v_template[:_NUM_VERTICES].copy()
    regressor = np.zeros((16, _NUM_VERTICES))
    for joint, point in enumerate(hand.joint_template):
        near = np.argsort(np.linalg.norm(template - point, axis=1))[:12]
        regressor[joint, near] = rng.dirichlet(np.ones(12))
    numbers = {
        'v_template': template,
        'shapedirs': hand.shapedirs[:_NUM_VERTICES],
        'posedirs': rng.normal(0, 5e-4, (135, 3 * _NUM_VERTICES)),
        'J_regressor': regressor,
        'lbs_weights': hand.weights[:_NUM_VERTICES],
    }
    whole = {
        'faces_tensor': rng.integers(0, _NUM_VERTICES, (1538, 3)),
        'parents': np.array(MANO_PARENTS),
    }
    buffers = {
        k: torch.from_numpy(np.ascontiguousarray(v, np.float32)) for k, v in numbers.items()
    }
    buffers |= {name: torch.from_numpy(array) for name, array in whole.items()}
    return {f'mano.{name}': tensor for name, tensor in buffers.items()}
