"""The Vision Transformer with fewer passes over memory: what runs on one device in inference.

Each block is nine operations instead of seventeen: the output projections add to the residual
stream in place, and one addition gives the two biases to the two places that read it (the norm
before the MLP, and the sum after it). Equal to ``backbone.VisionTransformer`` but for rounding.
"""

import torch
from torch import Tensor
from torch.nn import functional

from hand_perception.models.hamer.backbone import (
    GRID,
    NUM_TOKENS,
    PATCH_PADDING_PX,
    PATCH_PX,
    SIDE_MARGIN_PX,
    Block,
    PatchEmbedding,
    VisionTransformer,
)


class FusedBackbone:
    """Crops to features, as :class:`VisionTransformer`, for inference with linear layers."""

    def __init__(self, backbone: VisionTransformer) -> None:
        """Derive the small constants; the large weights are shared with ``backbone``.

        Args:
            backbone: with its weights, where and in the precision in which they are to run.
        """
        self._last_norm = backbone.last_norm
        embedding = backbone.patch_embed
        # Other ways into the transformer are few and small layers, and run as they are.
        self._embed_otherwise = None if isinstance(embedding, PatchEmbedding) else backbone.embed
        with torch.inference_mode():
            if isinstance(embedding, PatchEmbedding):
                self._take_patches(embedding, backbone.pos_embed)
            self._blocks: list[tuple[Block, Tensor]] = []
            for block in backbone.blocks:
                assert isinstance(block, Block)
                before, after = block.attn.proj.bias, block.mlp.fc2.bias
                self._blocks.append((block, torch.stack([before, before + after])[:, None]))

    def _take_patches(self, embedding: PatchEmbedding, pos_embed: Tensor) -> None:
        conv = embedding.proj
        # A product instead of a convolution: CUDA runs float32 convolutions in TF32.
        self._patch_weight = conv.weight.flatten(1).T  # (768, C)
        bias = conv.bias
        assert bias is not None
        self._patch_bias = pos_embed[:, 1:] + pos_embed[:, :1] + bias  # (1, L, C)

    def _embed(self, images: Tensor) -> Tensor:
        """Map (B, 3, 256, 256) to (B, 192, C) tokens, contiguous and nobody else's."""
        if self._embed_otherwise is not None:
            return self._embed_otherwise(images).contiguous()
        batch = len(images)
        patches = _patches(images, self._patch_weight.dtype)
        return torch.baddbmm(
            self._patch_bias.expand(batch, -1, -1),
            patches.view(batch, NUM_TOKENS, -1),
            self._patch_weight.expand(batch, -1, -1),
        )

    def __call__(self, images: Tensor) -> Tensor:
        """Map (B, 3, 256, 256) float32 normalised RGB to (B, 192, C) features, row by row."""
        batch, length = len(images), NUM_TOKENS
        x = self._embed(images)
        width = x.shape[-1]
        x = x.view(-1, width)  # (B L, C)
        for block, biases in self._blocks:
            mixed = block.attn.mix(block.norm1(x).view(batch, length, width))
            x.addmm_(mixed.view(-1, width), block.attn.proj.weight.T)
            seen, shortcut = (x + biases).unbind(0)
            hidden = functional.gelu(block.mlp.fc1(block.norm2(seen)))
            x = shortcut.addmm_(hidden, block.mlp.fc2.weight.T)
        x = x.view(batch, length, width)
        return self._last_norm(x.to(self._last_norm.weight.dtype))


def _patches(images: Tensor, dtype: torch.dtype) -> Tensor:
    """Cut (B, 3, 256, 256) into (B, 192, 3 x 16 x 16) patches, row by row.

    The patches begin in the padding, so the last two rows and columns are not reached.
    """
    rows, columns = (PATCH_PX * n - PATCH_PADDING_PX for n in GRID)
    x = images[:, :, :rows, SIDE_MARGIN_PX : SIDE_MARGIN_PX + columns].to(dtype)
    x = functional.pad(x, (PATCH_PADDING_PX, 0, PATCH_PADDING_PX, 0))  # (B, 3, 256, 192)
    x = x.view(len(x), 3, GRID[0], PATCH_PX, GRID[1], PATCH_PX)
    return x.permute(0, 2, 4, 1, 3, 5).reshape(len(x), NUM_TOKENS, -1)
