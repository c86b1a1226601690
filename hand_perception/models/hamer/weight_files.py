"""Turn named tensors into the networks of HaMeR: nothing missing, nothing left over."""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from hand_perception.errors import WeightsError
from hand_perception.models.hamer.backbone import VisionTransformer
from hand_perception.models.hamer.checkpoint import Checkpoint
from hand_perception.models.hamer.config_file import HamerConfig
from hand_perception.models.hamer.files import MEAN_PARAMS
from hand_perception.models.hamer.head import READOUT_SIZES, ManoHead
from hand_perception.models.hamer.sizes import HamerSizes, read_sizes
from hand_perception.models.weight_names import check_names

PART_PREFIXES: Final = ('backbone.', 'mano_head.')
#: Parts of a checkpoint that inference does without: what training needs, a marker that nothing
#: reads, and the hand model, which ``hand_files`` takes from here or from MANO_RIGHT.pkl.
_UNUSED_PREFIXES: Final = ('discriminator.', 'mano.', 'initialized')
MANO_NAMES: Final = tuple(
    f'mano.{name}'
    for name in (
        'v_template', 'shapedirs', 'posedirs', 'J_regressor', 'lbs_weights', 'faces_tensor',
        'parents',
    )
)  # fmt: skip

#: Our names on the left become the published ones on the right. The backbone has the same names.
_RENAMES: Final = (
    (r'^mano_head\.decoder\.layers\.(\d+)\.', r'mano_head.transformer.transformer.layers.\1.'),
    (r'^mano_head\.decoder\.', 'mano_head.transformer.'),
    (r'(\.layers\.\d+)\.self_attn_norm\.', r'\1.0.norm.'),
    (r'(\.layers\.\d+)\.self_attn\.', r'\1.0.fn.'),
    (r'(\.layers\.\d+)\.cross_attn_norm\.', r'\1.1.norm.'),
    (r'(\.layers\.\d+)\.cross_attn\.', r'\1.1.fn.'),
    (r'(\.layers\.\d+)\.mlp_norm\.', r'\1.2.norm.'),
    (r'(\.layers\.\d+)\.mlp\.fc1\.', r'\1.2.fn.net.0.'),
    (r'(\.layers\.\d+)\.mlp\.fc2\.', r'\1.2.fn.net.3.'),
    (r'\.to_out\.', '.to_out.0.'),
)
_MEANS: Final = {
    'mano_head.init_hand_pose': 'pose',
    'mano_head.init_betas': 'shape',
    'mano_head.init_cam': 'cam',
}
_ADVICE: Final = (
    'use hamer.ckpt of the official release, or rerun `hand_perception weights convert`'
)
_FLOATS: Final = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


class HamerParts(nn.Module):
    """The two networks of HaMeR, whose names are those of the checkpoint but for the renames."""

    def __init__(self, sizes: HamerSizes) -> None:
        """Make the networks, on the current default device."""
        super().__init__()
        self.backbone = VisionTransformer(sizes.backbone)
        self.mano_head = ManoHead(sizes.decoder)

    def forward(
        self, images: Tensor, factors: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Map crops to MANO's parameters, as wrappers of trainers call it.

        Args:
            images: (B, 3, 256, 256) float32 normalised RGB, left hands mirrored.
            factors: (blocks, 2, B) of stochastic depth, or None.

        Returns:
            rotations (B, 16, 3, 3), betas (B, 10) and pred_cam (B, 3).
        """
        parameters = self.mano_head(self.backbone(images, factors))
        return parameters.rotations, parameters.betas, parameters.pred_cam


def published_name(name: str) -> str:
    """Translate the name of one of our parameters into that of the published checkpoint."""
    for pattern, replacement in _RENAMES:
        name = re.sub(pattern, replacement, name)
    return name


def build_parts(
    checkpoint: Checkpoint, config: HamerConfig, *, mean_params: Path | None
) -> HamerParts:
    """Build the networks around the tensors of a checkpoint, which are not copied.

    Args:
        checkpoint: as read.
        config: of the same file.
        mean_params: the user's mano_mean_params.npz, for a checkpoint without means.

    Returns:
        The networks in evaluation mode, on the CPU; float32 weights are views of the mapped file.

    Raises:
        WeightsError: tensors are missing, unknown or of the wrong shape or type; the message
            names them. Or the configuration is of another model.
    """
    source = str(checkpoint.path)
    tensors = with_means(checkpoint.tensors, mean_params, source=source)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    sizes = read_sizes(shapes, config, source=source)
    # On meta no time is spent on random weights, and no memory; timm's networks cannot be there.
    with torch.device('cpu' if sizes.backbone.timm else 'meta'):
        parts = HamerParts(sizes)
    expected = parts.state_dict()
    published = {published_name(name): name for name in expected}
    found = {name for name in tensors if not name.startswith(_UNUSED_PREFIXES)}
    check_names(source, set(published), found, advice=_ADVICE)
    state = {}
    for public, name in published.items():
        tensor, wanted = tensors[public], tuple(expected[name].shape)
        is_count = not expected[name].is_floating_point()  # of batches, which timm's norms keep
        if tuple(tensor.shape) != wanted or (tensor.dtype not in _FLOATS and not is_count):
            raise WeightsError(
                f'{source}: {public} is {tensor.dtype} of shape {tuple(tensor.shape)}, expected '
                f'numbers of shape {wanted}; use the files of one release together'
            )
        state[name] = tensor if is_count else tensor.float()
    parts.load_state_dict(state, assign=True)
    return parts.eval().requires_grad_(False)


def with_means(
    tensors: Mapping[str, Tensor], mean_params: Path | None, *, source: str
) -> dict[str, Tensor]:
    """Add the mean parameters from their own file where a checkpoint lacks them.

    Raises:
        WeightsError: they are in neither, or the file is damaged.
    """
    missing = [name for name in _MEANS if name not in tensors]
    if not missing:
        return dict(tensors)
    if mean_params is None:
        raise WeightsError(
            f'{source} lacks {", ".join(missing)} and {MEAN_PARAMS} was not found beside it; it '
            'lies in _DATA/data of the official release'
        )
    try:
        with np.load(mean_params, allow_pickle=False) as archive:
            arrays = {key: np.asarray(archive[key], np.float32) for key in _MEANS.values()}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise WeightsError(f'{mean_params} cannot be read ({error})') from error
    sizes = dict(zip(_MEANS, READOUT_SIZES, strict=True))
    for name in missing:
        array = arrays[_MEANS[name]]
        if array.shape != (sizes[name],) or not np.isfinite(array).all():
            raise WeightsError(
                f'{mean_params}: {_MEANS[name]} has shape {array.shape}, expected '
                f'({sizes[name]},) of finite numbers'
            )
    return {**tensors, **{n: torch.from_numpy(arrays[_MEANS[n]])[None] for n in missing}}
