"""Where the weights of a HaMeR that is to be trained come from: a file, or nothing."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from hand_perception.datatypes import FloatArray
from hand_perception.errors import ConfigError, WeightsError
from hand_perception.models.checkpoint_file import read_checkpoint_file, tensors_in
from hand_perception.models.hamer.backbone import GRID, VisionTransformer
from hand_perception.models.hamer.checkpoint import CONFIG_HAND_MODEL_KEY, DEFAULT, read_checkpoint
from hand_perception.models.hamer.config_file import IMAGE_SIZE_PX, parse_config
from hand_perception.models.hamer.files import WHERE_MANO, find_files
from hand_perception.models.hamer.hand_files import load_hand, read_right_hand
from hand_perception.models.hamer.head import READOUT_SIZES, ManoHead
from hand_perception.models.hamer.sizes import BackboneSizes, DecoderSizes, HamerSizes
from hand_perception.models.hamer.timm_stem import TimmStem
from hand_perception.models.hamer.weight_files import HamerParts, build_parts, with_means
from hand_perception.models.hand_model import HandModel, load_hand_model
from hand_perception.models.rotations import rotation_from_axis_angle
from hand_perception.models.skinning import LinearBlendSkinning
from hand_perception.training.hamer_discriminator import HamerDiscriminator
from hand_perception.training.hamer_settings import HamerModelSettings
from hand_perception.training.hand_statistics import HandPoses

_DISCRIMINATOR: Final = 'discriminator.'
_BACKBONE: Final = 'backbone.'
#: Parts of ViTPose's own checkpoints that HaMeR has no use for.
_VITPOSE_HEADS: Final = ('keypoint_head.', 'associate_keypoint_heads.')
#: Standard deviation of fresh linear layers and places, as in ViT.
_INITIAL_STD: Final = 0.02
_READOUT_GAIN: Final = 0.01
#: From one wave over the picture to eight.
_OCTAVES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainableWeights:
    """A network that is ready to be trained.

    Attributes:
        parts: with gradients, on the CPU, in training mode.
        hand: that its parameters are of.
        config: in the layout of model_config.yaml; goes into all files that are written.
        discriminator: tensors of one, where the file had it; empty for a fresh one.
        focal_px: of the crop camera.
    """

    parts: HamerParts
    hand: HandModel
    config: dict[str, Any]
    discriminator: Mapping[str, Tensor]
    focal_px: float


def load_weights(model: HamerModelSettings) -> TrainableWeights:
    """Read the weights that training goes on from.

    Raises:
        WeightsError: files are missing, damaged, unsafe, or do not belong together.
    """
    files = find_files(model.weights)
    checkpoint = read_checkpoint(files)
    config = parse_config(checkpoint.config, source=checkpoint.config_source)
    loaded = build_parts(checkpoint, config, mean_params=files.mean_params)
    found = {
        name.removeprefix(_DISCRIMINATOR): tensor.float()
        for name, tensor in checkpoint.tensors.items()
        if name.startswith(_DISCRIMINATOR)
    }
    wanted = HamerDiscriminator().state_dict()
    is_whole = {name: tensor.shape for name, tensor in found.items()} == {
        name: tensor.shape for name, tensor in wanted.items()
    }
    # What was loaded are views of a file that must not be written to.
    loaded.load_state_dict(
        {name: tensor.clone() for name, tensor in loaded.state_dict().items()}, assign=True
    )
    return TrainableWeights(
        parts=loaded.requires_grad_(True).train(),
        hand=load_hand(checkpoint, files, mano_dir=model.mano_dir, device='cpu'),
        config=checkpoint.config,
        discriminator=found if is_whole else {},
        focal_px=config.focal_length,
    )


def make_weights(
    model: HamerModelSettings, poses: HandPoses, *, orientation: FloatArray | None = None
) -> TrainableWeights:
    """Make a new network of the sizes that the settings tell; weights come from torch's seed.

    Args:
        model: sizes.
        poses: of real hands, whose mean the network starts from; may be none.
        orientation: (3, 3) mean of the matrices of the orientation, which it starts from, too.

    Raises:
        ConfigError: the sizes do not fit each other.
        WeightsError: a file that the settings name is missing, damaged, or of another network.
        MissingPackageError: the stem is of timm, which is not installed.
    """
    if model.width % model.heads:
        raise ConfigError(
            f'model.heads must divide model.width, got {model.heads} and {model.width}'
        )
    sizes = HamerSizes(
        backbone=BackboneSizes(
            width=model.width, depth=model.depth, num_heads=model.heads,
            mlp_hidden=model.mlp_hidden, stem=model.stem_widths, timm=model.timm_name,
        ),
        decoder=DecoderSizes(
            width=model.decoder_width, depth=model.decoder_depth, num_heads=model.decoder_heads,
            head_width=model.decoder_head_width, mlp_hidden=model.decoder_mlp,
            context_width=model.width,
        ),
    )  # fmt: skip
    parts = HamerParts(sizes)
    _initialise(parts.backbone)
    _initialise_head(parts.mano_head)
    if model.timm_pretrained and model.timm_name:
        parts.backbone.patch_embed = TimmStem(model.timm_name, model.width, pretrained=True)
    if model.backbone_weights:
        load_backbone(parts.backbone, Path(model.backbone_weights).expanduser())
    set_means(parts, model, poses, orientation=orientation)
    config = config_of(sizes, hand_model=model.hand_model)
    return TrainableWeights(
        parts=parts.train(), hand=_hand(model), config=config, discriminator={},
        focal_px=float(config['EXTRA']['FOCAL_LENGTH']),
    )  # fmt: skip


def load_backbone(backbone: VisionTransformer, path: Path) -> None:
    """Take the weights of ViTPose's backbone, as HaMeR's training starts from.

    Args:
        backbone: of ViTPose's sizes.
        path: ``vitpose_backbone.pth``, or ViTPose's whole checkpoint.

    Raises:
        WeightsError: the file is missing, damaged, unsafe, or of another network.
    """
    content, _ = read_checkpoint_file(path)
    state = content.get('state_dict', content) if isinstance(content, Mapping) else {}
    tensors = tensors_in(state if isinstance(state, Mapping) else {})
    kept = {
        name.removeprefix(_BACKBONE): tensor
        for name, tensor in tensors.items()
        if not name.startswith(_VITPOSE_HEADS)
    }
    wanted = backbone.state_dict()
    missing, unknown = sorted(set(wanted) - set(kept)), sorted(set(kept) - set(wanted))
    wrong = [n for n in wanted if n in kept and kept[n].shape != wanted[n].shape]
    if missing or unknown or wrong:
        parts = [
            f'{word} {", ".join(names[:3])}{", ..." if len(names) > 3 else ""}'
            for word, names in (
                ('lacks', missing),
                ('has unknown', unknown),
                ('differs in', wrong),
            )
            if names
        ]
        raise WeightsError(
            f'{path} is not the backbone of ViTPose with {len(backbone.blocks)} blocks of width '
            f'{backbone.pos_embed.shape[-1]}: it {"; ".join(parts)}; use vitpose_backbone.pth of '
            "HaMeR's training data, or set model.width, depth, heads and stem to those of the file"
        )
    backbone.load_state_dict({name: kept[name].float() for name in wanted})


def set_means(
    parts: HamerParts,
    model: HamerModelSettings,
    poses: HandPoses,
    *,
    orientation: FloatArray | None = None,
) -> None:
    """Give the head the means that it adds to."""
    if model.mean_params:
        path = Path(model.mean_params).expanduser()
        means = with_means({}, path, source='a new network')
        head = parts.mano_head
        for name, tensor in means.items():
            getattr(head, name.removeprefix('mano_head.')).copy_(tensor)
        return
    rotations = torch.eye(3).repeat(16, 1, 1)
    if orientation is not None:
        rotations[0] = torch.from_numpy(orientation)
    if len(poses):
        each = rotation_from_axis_angle(torch.from_numpy(poses.hand_pose).view(-1, 15, 3))
        rotations[1:] = each.mean(0)
        parts.mano_head.init_betas.copy_(torch.from_numpy(poses.betas.mean(0))[None])
    six = rotations[:, :, :2].transpose(1, 2).reshape(1, READOUT_SIZES[0])  # two columns of each
    parts.mano_head.init_hand_pose.copy_(six)
    parts.mano_head.init_cam.copy_(torch.tensor([[model.start_scale, 0.0, 0.0]]))


def config_of(sizes: HamerSizes, *, hand_model: str) -> dict[str, Any]:
    """Describe a network in the layout of model_config.yaml."""
    backbone, decoder = sizes.backbone, sizes.decoder
    timm = {'TIMM': backbone.timm} if backbone.timm else {}
    named = {CONFIG_HAND_MODEL_KEY: DEFAULT} if hand_model == DEFAULT else {}
    return {
        'MODEL': {
            'IMAGE_SIZE': IMAGE_SIZE_PX,
            'IMAGE_MEAN': [0.485, 0.456, 0.406],
            'IMAGE_STD': [0.229, 0.224, 0.225],
            **named,
            'BACKBONE': {
                'TYPE': 'vit', 'EMBED_DIM': backbone.width, 'DEPTH': backbone.depth,
                'NUM_HEADS': backbone.num_heads, **timm,
            },
            'MANO_HEAD': {
                'TYPE': 'transformer_decoder', 'IN_CHANNELS': 2048,
                'TRANSFORMER_DECODER': {
                    'depth': decoder.depth, 'heads': decoder.num_heads,
                    'mlp_dim': decoder.mlp_hidden, 'dim_head': decoder.head_width,
                    'dropout': 0.0, 'emb_dropout': 0.0, 'norm': 'layer',
                    'context_dim': decoder.context_width, 'dim': decoder.width,
                },
            },
        },
        'MANO': {
            'DATA_DIR': '_DATA/data/', 'MODEL_PATH': 'data/mano', 'GENDER': 'neutral',
            'NUM_HAND_JOINTS': 15, 'MEAN_PARAMS': 'data/mano_mean_params.npz',
            'CREATE_BODY_POSE': False,
        },
        'EXTRA': {'FOCAL_LENGTH': 5000},
    }  # fmt: skip


def _initialise(backbone: VisionTransformer) -> None:
    """Fresh weights of a transformer, as ViT and ViTPose draw them, that knows places at once."""
    with torch.no_grad():
        backbone.pos_embed[:, :1] = 0
        backbone.pos_embed[:, 1:] = _places(backbone.pos_embed.shape[-1])
    for module in backbone.blocks.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=_INITIAL_STD)
            nn.init.zeros_(module.bias)


def _places(width: int) -> Tensor:
    """(192, C) waves of rows and columns: what the head finds first is where something is.

    Learned places that start from noise of 0.02, as published for backbones that were trained
    before, leave a head that sees the mean of all tokens only; it takes long to see more.
    """
    rows, columns = GRID
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing='ij')
    places = torch.stack((row - (rows - 1) / 2, column - (columns - 1) / 2), -1) / rows
    frequencies = math.pi * 2 ** torch.linspace(0, _OCTAVES, -(-width // 4))  # (F,)
    angles = places.view(-1, 2, 1) * frequencies  # (192, 2, F)
    return torch.cat((angles.sin(), angles.cos()), -1).flatten(1)[:, :width]


def _initialise_head(head: ManoHead) -> None:
    """Fresh weights of the head, which start from the mean (an option of the published one)."""
    nn.init.normal_(head.decoder.pos_embedding)
    for readout in (head.decpose, head.decshape, head.deccam):
        nn.init.xavier_uniform_(readout.weight, gain=_READOUT_GAIN)
        nn.init.zeros_(readout.bias)


def _hand(model: HamerModelSettings) -> HandModel:
    if model.hand_model == DEFAULT:
        return load_hand_model(DEFAULT)
    if not model.mano_dir:
        raise ConfigError(
            f'model.hand_model mano needs model.mano_dir: {WHERE_MANO}; synthetic data goes with '
            'model.hand_model=default'
        )
    arrays = read_right_hand(model.mano_dir)
    skinning = LinearBlendSkinning(arrays, device='cpu')
    return HandModel(name='mano', arrays=arrays, skinning=skinning, device='cpu')
