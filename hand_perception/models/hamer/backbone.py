"""The image backbone of HaMeR: the Vision Transformer ViT-H of ViTPose, in plain torch.

Sources: Dosovitskiy et al., "An Image is Worth 16x16 Words" (2021); Xu et al., "ViTPose" (2022);
Pavlakos et al., "Reconstructing Hands in 3D with Transformers" (HaMeR, CVPR 2024). Parameters
carry the names of the published checkpoint.

Small networks that learn from nothing may see the image through convolutions instead of through
patches (Xiao et al., "Early Convolutions Help Transformers See Better", 2021): ``stem`` and
``timm_stem``.
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from hand_perception.models.hamer.sizes import BackboneSizes
from hand_perception.models.hamer.stem import ConvolutionalStem
from hand_perception.models.hamer.timm_stem import TimmStem

PATCH_PX: Final = 16
#: Zeros around the image before it is cut into patches, in normalised values.
PATCH_PADDING_PX: Final = 2
#: The network sees columns 32 to 223 of the square crop: 256 rows by 192 columns.
SIDE_MARGIN_PX: Final = 32
GRID: Final = (16, 12)  # patches: rows, columns
NUM_TOKENS: Final = GRID[0] * GRID[1]
NORM_EPS: Final = 1e-6


class PatchEmbedding(nn.Module):
    """Cut the image into patches of 16 x 16 pixels and project each to a token."""

    def __init__(self, width: int) -> None:
        """Make the projection."""
        super().__init__()
        self.proj = nn.Conv2d(
            3, width, PATCH_PX, stride=PATCH_PX, padding=PATCH_PADDING_PX
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 3, 256, 192) to (B, 192, C), row by row."""
        return self.proj(x).flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """Multi-head self-attention with one projection to queries, keys and values."""

    def __init__(self, width: int, num_heads: int) -> None:
        """Make the two projections; heads divide the width."""
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def mix(self, x: Tensor) -> Tensor:
        """Let the tokens (B, L, C) attend to each other, without the output projection."""
        batch, length, width = x.shape
        qkv = self.qkv(x).view(batch, length, 3, self.num_heads, width // self.num_heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # (B, H, L, C / H)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return mixed.transpose(1, 2).reshape(batch, length, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, L, C) to (B, L, C)."""
        return self.proj(self.mix(x))


class Mlp(nn.Module):
    """Two linear layers with the exact GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        """Make the layers."""
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., C) to (..., C)."""
        return self.fc2(functional.gelu(self.fc1(x)))


class Block(nn.Module):
    """A transformer block that normalises before attention and before the MLP."""

    def __init__(self, width: int, num_heads: int, hidden: int) -> None:
        """Make the block."""
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=NORM_EPS)
        self.attn = Attention(width, num_heads)
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPS)
        self.mlp = Mlp(width, hidden)

    def forward(self, x: Tensor, factors: Tensor | None = None) -> Tensor:
        """Map (B, L, C) to (B, L, C).

        Args:
            x: tokens.
            factors: (2, B) of what attention and MLP add, in training with stochastic depth.
        """
        if factors is None:
            x = x + self.attn(self.norm1(x))
            return x + self.mlp(self.norm2(x))
        attention, mlp = factors.to(x.dtype)[..., None, None].unbind(0)  # (B, 1, 1)
        x = x + attention * self.attn(self.norm1(x))
        return x + mlp * self.mlp(self.norm2(x))


def _embedding(sizes: BackboneSizes) -> nn.Module:
    if sizes.timm:
        return TimmStem(sizes.timm, sizes.width)
    if sizes.stem:
        return ConvolutionalStem(sizes.stem, sizes.width)
    return PatchEmbedding(sizes.width)


class VisionTransformer(nn.Module):
    """Crops to one feature vector per patch.

    The stream of tokens has the precision of the blocks; the last norm has its own, so that the
    features are float32 also where the blocks are not.
    """

    def __init__(self, sizes: BackboneSizes) -> None:
        """Make the layers, on the current default device."""
        super().__init__()
        self.patch_embed = _embedding(sizes)
        # The first row is the place of a class token that the published model does not have.
        self.pos_embed = nn.Parameter(torch.zeros(1, NUM_TOKENS + 1, sizes.width))
        self.blocks = nn.ModuleList(
            Block(sizes.width, sizes.num_heads, sizes.mlp_hidden) for _ in range(sizes.depth)
        )
        self.last_norm = nn.LayerNorm(sizes.width, eps=NORM_EPS)

    def embed(self, images: Tensor) -> Tensor:
        """Map (B, 3, 256, 256) float32 normalised RGB to (B, 192, C) tokens with their places."""
        x = images[..., SIDE_MARGIN_PX:-SIDE_MARGIN_PX].to(self.pos_embed.dtype)
        return self.patch_embed(x) + (self.pos_embed[:, 1:] + self.pos_embed[:, :1])

    def forward(self, images: Tensor, factors: Tensor | None = None) -> Tensor:
        """Map (B, 3, 256, 256) float32 normalised RGB to (B, 192, C) features, row by row.

        Args:
            images: crops.
            factors: (blocks, 2, B) of what each block adds to each crop, which training with
                stochastic depth draws (``training.stochastic_depth``); None adds all, once.
        """
        x = self.embed(images)  # (B, L, C)
        for number, block in enumerate(self.blocks):
            x = block(x) if factors is None else block(x, factors[number])
        return self.last_norm(x.to(self.last_norm.weight.dtype))
