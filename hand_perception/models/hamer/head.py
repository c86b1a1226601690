"""The head of HaMeR: a transformer decoder with one query token, and MANO's parameters from it.

Source: Pavlakos et al., "Reconstructing Hands in 3D with Transformers" (CVPR 2024), section 3.2.
This is the network as published; ``folded_head`` computes the same in a third of the operations.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from hand_perception.models.hamer.backbone import Mlp
from hand_perception.models.hamer.sizes import DecoderSizes
from hand_perception.models.rotations import rotation_from_6d

NUM_ROTATIONS: Final = 16
NUM_BETAS: Final = 10
NUM_CAM: Final = 3
#: Numbers of the readouts, in the order in which ``folded_head`` joins them.
READOUT_SIZES: Final = (6 * NUM_ROTATIONS, NUM_BETAS, NUM_CAM)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManoParameters:
    """What the head reads out of the features of B crops.

    Attributes:
        rotations: (B, 16, 3, 3) local rotations, MANO order, relative to the flat right hand; the
            first is the global orientation in the crop camera.
        betas: (B, 10) shape.
        pred_cam: (B, 3) weak-perspective camera of the crop: scale, tx, ty.
    """

    rotations: Tensor
    betas: Tensor
    pred_cam: Tensor


class SelfAttention(nn.Module):
    """Multi-head self-attention over the query tokens."""

    def __init__(self, sizes: DecoderSizes) -> None:
        """Make the projections."""
        super().__init__()
        inner = sizes.num_heads * sizes.head_width
        self.num_heads = sizes.num_heads
        self.to_qkv = nn.Linear(sizes.width, 3 * inner, bias=False)
        self.to_out = nn.Linear(inner, sizes.width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, D) to (B, T, D)."""
        query, key, value = self.to_qkv(x).chunk(3, -1)
        return self.to_out(attend(query, key, value, self.num_heads))


class CrossAttention(nn.Module):
    """Multi-head attention of the query tokens to the features."""

    def __init__(self, sizes: DecoderSizes) -> None:
        """Make the projections."""
        super().__init__()
        inner = sizes.num_heads * sizes.head_width
        self.num_heads = sizes.num_heads
        # In the published order, by which states of optimizers count.
        self.to_kv = nn.Linear(sizes.context_width, 2 * inner, bias=False)
        self.to_q = nn.Linear(sizes.width, inner, bias=False)
        self.to_out = nn.Linear(inner, sizes.width)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Map (B, T, D) with features (B, L, C) to (B, T, D)."""
        key, value = self.to_kv(context).chunk(2, -1)
        return self.to_out(attend(self.to_q(x), key, value, self.num_heads))


def attend(query: Tensor, key: Tensor, value: Tensor, num_heads: int) -> Tensor:
    """Scaled dot-product attention of (B, T, H E) to (B, L, H E): (B, T, H E)."""
    query, key, value = (
        x.unflatten(-1, (num_heads, -1)).transpose(1, 2) for x in (query, key, value)
    )  # (B, H, T or L, E)
    mixed = functional.scaled_dot_product_attention(query, key, value)
    return mixed.transpose(1, 2).flatten(2)


class DecoderLayer(nn.Module):
    """Self-attention, cross-attention and MLP, each after a norm and beside a shortcut."""

    def __init__(self, sizes: DecoderSizes) -> None:
        """Make the layer."""
        super().__init__()
        self.self_attn_norm = nn.LayerNorm(sizes.width)
        self.self_attn = SelfAttention(sizes)
        self.cross_attn_norm = nn.LayerNorm(sizes.width)
        self.cross_attn = CrossAttention(sizes)
        self.mlp_norm = nn.LayerNorm(sizes.width)
        self.mlp = Mlp(sizes.width, sizes.mlp_hidden)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Map (B, T, D) with features (B, L, C) to (B, T, D)."""
        x = x + self.self_attn(self.self_attn_norm(x))
        x = x + self.cross_attn(self.cross_attn_norm(x), context)
        return x + self.mlp(self.mlp_norm(x))


class TransformerDecoder(nn.Module):
    """One query token that gathers what the features say about the hand."""

    def __init__(self, sizes: DecoderSizes) -> None:
        """Make the layers."""
        super().__init__()
        self.to_token_embedding = nn.Linear(1, sizes.width)
        self.pos_embedding = nn.Parameter(torch.zeros(1, 1, sizes.width))
        self.layers = nn.ModuleList(DecoderLayer(sizes) for _ in range(sizes.depth))

    def forward(self, context: Tensor) -> Tensor:
        """Map features (B, L, C) to the token (B, D)."""
        x = self.to_token_embedding(context.new_zeros(len(context), 1, 1)) + self.pos_embedding
        for layer in self.layers:
            x = layer(x, context)  # (B, 1, D)
        return x[:, 0]


class ManoHead(nn.Module):
    """Features to MANO's parameters: readouts of the token, added to a mean (one IEF step)."""

    init_hand_pose: Tensor
    init_betas: Tensor
    init_cam: Tensor

    def __init__(self, sizes: DecoderSizes) -> None:
        """Make the layers, on the current default device."""
        super().__init__()
        self.decoder = TransformerDecoder(sizes)
        pose, betas, cam = READOUT_SIZES
        self.decpose = nn.Linear(sizes.width, pose)
        self.decshape = nn.Linear(sizes.width, betas)
        self.deccam = nn.Linear(sizes.width, cam)
        self.register_buffer('init_hand_pose', torch.zeros(1, pose))
        self.register_buffer('init_betas', torch.zeros(1, betas))
        self.register_buffer('init_cam', torch.zeros(1, cam))

    def forward(self, features: Tensor) -> ManoParameters:
        """Map features (B, L, C) to parameters of B hands."""
        token = self.decoder(features)
        return ManoParameters(
            rotations=rotations_from_readout(self.decpose(token) + self.init_hand_pose),
            betas=self.decshape(token) + self.init_betas,
            pred_cam=self.deccam(token) + self.init_cam,
        )


def rotations_from_readout(pose_6d: Tensor) -> Tensor:
    """Turn (B, 96) numbers, six per joint, into (B, 16, 3, 3) matrices."""
    return rotation_from_6d(pose_6d.view(-1, NUM_ROTATIONS, 6))
