"""How large a HaMeR is, read from the shapes of its weights.

The published configuration does not hold the sizes of the backbone; the weights do. Only the
number of attention heads leaves no trace in them: it comes from the configuration where it is
given there, else from the head width of the published ViT-H, 80.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hand_perception.errors import WeightsError
from hand_perception.models.hamer.config_file import HamerConfig
from hand_perception.models.hamer.stem import NUM_STEPS

_BACKBONE_HEAD_WIDTH: Final = 80
_STEM: Final = 'backbone.patch_embed.steps.'
_BLOCK: Final = re.compile(r'backbone\.blocks\.(\d+)\.')
_LAYER: Final = re.compile(r'mano_head\.transformer\.transformer\.layers\.(\d+)\.')
_DECODER: Final = 'mano_head.transformer.'
_FIRST_LAYER: Final = f'{_DECODER}transformer.layers.0.'
_NOT_HAMER: Final = (
    'this is not a HaMeR checkpoint; use hamer.ckpt of the official release, or what '
    '`hand_perception weights convert` made from it'
)

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneSizes:
    """Sizes of the Vision Transformer; the published one has 1280, 32, 16 and 5120.

    ``stem`` are the channels of four steps of convolution in the place of patches; empty for
    patches, as published; ``timm`` is the name of a network of timm in their place.
    """

    width: int
    depth: int
    num_heads: int
    mlp_hidden: int
    stem: tuple[int, ...] = ()
    timm: str = ''


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderSizes:
    """Sizes of the transformer decoder; the published one has 1024, 6, 8, 64, 1024 and 1280."""

    width: int
    depth: int
    num_heads: int
    head_width: int
    mlp_hidden: int
    context_width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HamerSizes:
    """Sizes of both parts."""

    backbone: BackboneSizes
    decoder: DecoderSizes


def read_sizes(shapes: Shapes, config: HamerConfig, *, source: str) -> HamerSizes:
    """Read the sizes from shapes under their published names, and hold them against the config.

    Args:
        shapes: of the tensors of the checkpoint.
        config: of the same model.
        source: the checkpoint's name, for messages.

    Raises:
        WeightsError: names from which a size is read are missing or have another rank, or the
            configuration is of a model of other sizes.
    """
    width = _size(shapes, 'backbone.pos_embed', 3, -1, source)
    backbone = BackboneSizes(
        width=width,
        depth=_count(_BLOCK, shapes),
        num_heads=config.backbone_heads or max(width // _BACKBONE_HEAD_WIDTH, 1),
        mlp_hidden=_size(shapes, 'backbone.blocks.0.mlp.fc1.weight', 2, 0, source),
        stem=tuple(
            _size(shapes, f'{_STEM}{number}.down.weight', 4, 0, source)
            for number in range(NUM_STEPS if f'{_STEM}0.down.weight' in shapes else 0)
        ),
        timm=config.backbone_timm,
    )
    inner = _size(shapes, f'{_FIRST_LAYER}1.fn.to_q.weight', 2, 0, source)
    decoder = DecoderSizes(
        width=_size(shapes, f'{_DECODER}pos_embedding', 3, -1, source),
        depth=_count(_LAYER, shapes),
        num_heads=config.decoder_heads,
        head_width=inner // config.decoder_heads,
        mlp_hidden=_size(shapes, f'{_FIRST_LAYER}2.fn.net.0.weight', 2, 0, source),
        context_width=_size(shapes, f'{_FIRST_LAYER}1.fn.to_kv.weight', 2, 1, source),
    )
    _compare(
        {
            'MODEL.BACKBONE.EMBED_DIM': (config.backbone_width, backbone.width),
            'MODEL.BACKBONE.DEPTH': (config.backbone_depth, backbone.depth),
            'TRANSFORMER_DECODER.depth': (config.decoder_depth, decoder.depth),
            'TRANSFORMER_DECODER.mlp_dim': (config.decoder_mlp, decoder.mlp_hidden),
            'TRANSFORMER_DECODER.context_dim': (config.decoder_context, decoder.context_width),
            'TRANSFORMER_DECODER.dim': (config.decoder_width, decoder.width),
            'TRANSFORMER_DECODER.heads x dim_head': (
                config.decoder_heads * config.decoder_head_width, inner,
            ),
            'width of the features': (decoder.context_width, backbone.width),
        },
        config.source,
        source,
    )  # fmt: skip
    if backbone.width % backbone.num_heads:
        raise WeightsError(
            f'{config.source}: {backbone.num_heads} attention heads do not divide the width '
            f'{backbone.width} of the backbone in {source}; use the model_config.yaml that came '
            'with the checkpoint'
        )
    return HamerSizes(backbone=backbone, decoder=decoder)


def _size(shapes: Shapes, name: str, rank: int, axis: int, source: str) -> int:
    shape = shapes.get(name)
    if shape is None:
        raise WeightsError(f'{source} lacks {name}; {_NOT_HAMER}')
    if len(shape) != rank or 0 in shape:
        raise WeightsError(
            f'{source}: {name} has shape {tuple(shape)}, expected {rank} axes; {_NOT_HAMER}'
        )
    return shape[axis]


def _count(pattern: re.Pattern[str], shapes: Shapes) -> int:
    """Count layers: one more than the highest number, so that a gap shows up as missing names."""
    return 1 + max((int(m[1]) for name in shapes if (m := pattern.match(name))), default=0)


def _compare(pairs: Mapping[str, tuple[int | None, int]], config_source: str, source: str) -> None:
    wrong = [
        f'{name} is {said}, the weights have {found}'
        for name, (said, found) in pairs.items()
        if said is not None and said != found
    ]
    if wrong:
        raise WeightsError(
            f'{config_source} is not of the model in {source}: {"; ".join(wrong)}; use the '
            'model_config.yaml that came with the checkpoint'
        )
