"""The transformer encoder of HTT's pose and action blocks, in plain torch.

Normalisation comes before attention and before the two linear layers; positions are added to
queries and keys in every layer, never to values (as in Carion et al., DETR, 2020). Parameters
carry the names of the published weights. Relative positions, for research, are a learned number
per head and distance, added to what attention weighs by (Raffel et al., T5, 2020).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from hand_perception.models.htt.constants import LAYER_NORM_EPS, NUM_HEADS


class SelfAttention(nn.Module):
    """Multi-head attention among the tokens of a sequence, projections packed in one matrix.

    Attributes:
        relative_bias: (heads, 2 reach + 1), of distances from -reach to reach and beyond; None as
            published.
    """

    relative_bias: nn.Parameter | None

    def __init__(self, width: int, reach: int = 0) -> None:
        """Make the projections; the heads divide the width. ``reach`` 0: as published."""
        super().__init__()
        bias = nn.Parameter(torch.zeros(NUM_HEADS, 2 * reach + 1)) if reach else None
        self.register_parameter('relative_bias', bias)
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, placed: Tensor, values: Tensor, is_seen: Tensor | None) -> Tensor:
        """Let tokens attend to each other.

        Args:
            placed: (B, L, C) tokens with positions, for queries and keys.
            values: (B, L, C) tokens.
            is_seen: (B, 1, 1, L) False for tokens that nobody attends to; None: all are seen.
        """
        width = values.shape[-1]
        split = (2 * width, width)
        weight_qk, weight_v = self.in_proj_weight.split(split)
        bias_qk, bias_v = self.in_proj_bias.split(split)
        query, key = functional.linear(placed, weight_qk, bias_qk).chunk(2, dim=-1)
        value = functional.linear(values, weight_v, bias_v)
        mask = is_seen
        if self.relative_bias is not None:
            mask = relative_mask(self.relative_bias, values.shape[1], is_seen)
        mixed = functional.scaled_dot_product_attention(
            split_heads(query), split_heads(key), split_heads(value), attn_mask=mask
        )
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


class EncoderLayer(nn.Module):
    """Attention, then two linear layers, each beside a shortcut."""

    def __init__(self, width: int, hidden: int, reach: int = 0) -> None:
        """Make the layers."""
        super().__init__()
        self.self_attn = SelfAttention(width, reach)
        self.linear1 = nn.Linear(width, hidden)
        self.linear2 = nn.Linear(hidden, width)
        self.norm1 = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.norm2 = nn.LayerNorm(width, eps=LAYER_NORM_EPS)

    def forward(self, x: Tensor, positions: Tensor, is_seen: Tensor | None) -> Tensor:
        """Map (B, L, C) tokens to the same shape; positions are (L, C)."""
        y = self.norm1(x)
        x = x + self.self_attn(y + positions, y, is_seen)
        return x + self.linear2(functional.relu(self.linear1(self.norm2(x))))


class Encoder(nn.Module):
    """Layers, then one normalisation."""

    def __init__(self, width: int, hidden: int, num_layers: int, reach: int = 0) -> None:
        """Make the layers."""
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(width, hidden, reach) for _ in range(num_layers))
        self.norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)

    def forward(self, x: Tensor, positions: Tensor, is_padding: Tensor | None) -> Tensor:
        """Encode sequences.

        Args:
            x: (B, L, C) tokens.
            positions: (L, C), of the tokens.
            is_padding: (B, L) bool, tokens that nobody attends to; None: there are none. At least
                one token of each sequence must be seen.
        """
        is_seen = None if is_padding is None else ~is_padding[:, None, None]
        for layer in self.layers:
            x = layer(x, positions, is_seen)
        return self.norm(x)


class Transformer(nn.Module):
    """An encoder under the name that the published weights have it by."""

    def __init__(self, width: int, hidden: int, num_layers: int, reach: int = 0) -> None:
        """Make the encoder, its matrices drawn from Xavier's uniform distribution."""
        super().__init__()
        self.encoder = Encoder(width, hidden, num_layers, reach)
        for name, parameter in self.encoder.named_parameters():
            if parameter.ndim > 1 and not name.endswith('relative_bias'):
                nn.init.xavier_uniform_(parameter)


class PositionTable(nn.Module):
    """Sines and cosines of positions (Vaswani et al., 2017, section 3.5).

    The table is part of every checkpoint, which may have rounded it differently.
    """

    pe: Tensor

    def __init__(self, width: int, num_positions: int) -> None:
        """Compute the table."""
        super().__init__()
        position = torch.arange(num_positions, dtype=torch.float32)[:, None]
        rate = torch.exp(torch.arange(0, width, 2).float() * (-math.log(10000.0) / width))
        table = torch.stack(((position * rate).sin(), (position * rate).cos()), dim=-1)
        self.register_buffer('pe', table.flatten(1)[None])  # (1, P, C)

    def learn(self) -> None:
        """Let training change the table, under the name that it has in checkpoints."""
        table = self.pe.detach().clone()
        del self.pe
        self.pe = nn.Parameter(table)

    def forward(self, length: int) -> Tensor:
        """Return the first rows: (L, C)."""
        return self.pe[0, :length]


def relative_mask(bias: Tensor, length: int, is_seen: Tensor | None) -> Tensor:
    """Say what attention adds for each pair of tokens.

    Args:
        bias: (heads, 2 reach + 1).
        length: L, of the sequences.
        is_seen: (B, 1, 1, L) False for tokens that nobody attends to; None: all are seen.

    Returns:
        (heads, L, L), or (B, heads, L, L) with ``is_seen``: of queries (rows) and keys.
    """
    reach = bias.shape[1] // 2
    places = torch.arange(length, device=bias.device)
    apart = (places[None] - places[:, None]).clamp(-reach, reach) + reach  # (L, L)
    mask = bias[:, apart]
    return mask if is_seen is None else torch.where(is_seen, mask, -torch.inf)


def split_heads(x: Tensor) -> Tensor:
    """View (B, L, C) as (B, heads, L, C / heads)."""
    return x.unflatten(-1, (NUM_HEADS, -1)).transpose(1, 2)


def with_first_seen(is_padding: Tensor) -> Tensor:
    """Return a copy of (B, L) bool where the first token of each sequence is not padding.

    A sequence of padding alone would give NaN, and NaN times zero is NaN in what follows.
    """
    is_padding = is_padding.clone()
    is_padding[:, 0] = False
    return is_padding
