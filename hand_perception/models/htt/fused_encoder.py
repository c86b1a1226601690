"""HTT's encoder blocks as they run: one projection per layer, positions projected in advance.

Queries and keys are projections of token plus position. A projection is linear, so that of the
positions is computed once and added; tokens then need one product per layer instead of two. Where
only the first token's result is used, the last layer computes no other.
"""

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from hand_perception.models.htt.encoder import Encoder, EncoderLayer, split_heads

#: Positions projected in advance; more are added when a longer sequence comes.
_FIRST_POSITIONS: Final = 256


class FusedLayer:
    """One encoder layer; its weights are copies of the module's."""

    def __init__(self, layer: EncoderLayer, table: Tensor, device: torch.device) -> None:
        """Copy the weights.

        Args:
            layer: with its weights; it is left as it is.
            table: (P, C) positions, on the device.
            device: where to run.
        """

        def copied(x: Tensor) -> Tensor:
            return x.detach().to(device=device, dtype=torch.float32, copy=True)

        attention = layer.self_attn
        self._weight = copied(attention.in_proj_weight)  # (3 C, C)
        self._bias = copied(attention.in_proj_bias)
        self._out = copied(attention.out_proj.weight), copied(attention.out_proj.bias)
        self._linear1 = copied(layer.linear1.weight), copied(layer.linear1.bias)
        self._linear2 = copied(layer.linear2.weight), copied(layer.linear2.bias)
        self._norm1 = copied(layer.norm1.weight), copied(layer.norm1.bias), layer.norm1.eps
        self._norm2 = copied(layer.norm2.weight), copied(layer.norm2.bias), layer.norm2.eps
        self._table = table
        self._offsets = self._project_positions(_FIRST_POSITIONS)

    def __call__(self, x: Tensor, is_seen: Tensor | None, *, first_only: bool) -> Tensor:
        """Map (B, L, C) tokens to the same shape, or to (B, 1, C), the first of each sequence.

        Args:
            x: tokens; they may be written to.
            is_seen: (B, 1, 1, L) False for tokens that nobody attends to; None: all are seen.
            first_only: compute the first token alone.
        """
        length, width = x.shape[1:]
        if length > len(self._offsets):
            self._offsets = self._project_positions(max(length, 2 * len(self._offsets)))
        offsets = self._offsets[:length]
        y = _normalize(x, self._norm1)
        if first_only:
            query = functional.linear(y[:, :1], self._weight[:width]) + offsets[:1, :width]
            rest = functional.linear(y, self._weight[width:]).add_(offsets[:, width:])
            key, value = rest.chunk(2, dim=-1)
            x = x[:, :1]
        else:
            query, key, value = functional.linear(y, self._weight).add_(offsets).chunk(3, dim=-1)
        mixed = functional.scaled_dot_product_attention(
            split_heads(query), split_heads(key), split_heads(value), attn_mask=is_seen
        )
        x = x + functional.linear(mixed.transpose(1, 2).flatten(2), *self._out)
        inner = functional.linear(_normalize(x, self._norm2), *self._linear1).relu_()
        return x.add_(functional.linear(inner, *self._linear2))

    def _project_positions(self, count: int) -> Tensor:
        """Project the first positions for queries and keys and add the bias: (count, 3 C)."""
        table = self._table[:count]
        width = table.shape[1]
        offsets = self._bias.repeat(len(table), 1)
        offsets[:, : 2 * width] += functional.linear(table, self._weight[: 2 * width])
        return offsets


class FusedEncoder:
    """Layers, then one normalisation."""

    def __init__(self, encoder: Encoder, table: Tensor, device: torch.device) -> None:
        """Copy the weights; arguments as of FusedLayer."""
        table = table.detach().to(device=device, dtype=torch.float32, copy=True)
        self._layers = tuple(
            FusedLayer(layer, table, device)
            for layer in encoder.layers
            if isinstance(layer, EncoderLayer)
        )
        norm = encoder.norm
        self._norm = norm.weight.detach().to(device), norm.bias.detach().to(device), norm.eps

    def __call__(
        self, x: Tensor, is_padding: Tensor | None, *, first_only: bool = False
    ) -> Tensor:
        """Encode sequences.

        Args:
            x: (B, L, C) tokens.
            is_padding: (B, L) bool, tokens that nobody attends to; None: there are none.
            first_only: compute the first token of each sequence alone: (B, 1, C).
        """
        is_seen = None if is_padding is None else ~is_padding[:, None, None]
        last = len(self._layers) - 1
        for i, layer in enumerate(self._layers):
            x = layer(x, is_seen, first_only=first_only and i == last)
        return _normalize(x, self._norm)


def _normalize(x: Tensor, norm: tuple[Tensor, Tensor, float]) -> Tensor:
    return functional.layer_norm(x, x.shape[-1:], *norm)
