"""HTT's encoder blocks as they run: one projection per layer, positions projected in advance.

Queries and keys are projections of token plus position. A projection is linear, so that of the
positions is computed once and added; tokens then need one product per layer instead of two. Where
only the first token's result is used, the last layer computes no other.
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from hand_perception.errors import ConfigError
from hand_perception.models.htt.encoder import Encoder, EncoderLayer, relative_mask, split_heads
from hand_perception.models.htt.packed import Linear

#: Positions projected in advance; more are added when a longer sequence comes.
_FIRST_POSITIONS: Final = 256


class PlacedProjection:
    """A linear layer that sees positions in its first outputs and none in the others."""

    def __init__(
        self, weight: Tensor, bias: Tensor, *, num_placed: int, table: Tensor, device: torch.device
    ) -> None:
        """Copy the weights.

        Args:
            weight: (out, C).
            bias: (out,).
            num_placed: outputs that see positions.
            table: (P, C) positions, on the device.
            device: where to run.
        """
        self._linear = Linear(weight, torch.zeros_like(bias), device)
        self._bias = bias.detach().to(device, torch.float32, copy=True)
        self._num_placed = num_placed
        self._table = table
        self._offsets = self._project_positions(_FIRST_POSITIONS)

    def __call__(self, x: Tensor) -> Tensor:
        """Map (B, L, C) tokens at positions 0 to L - 1 to (B, L, out)."""
        length = x.shape[1]
        if length > len(self._offsets):
            self._offsets = self._project_positions(max(length, 2 * len(self._offsets)))
        return self._linear(x).add_(self._offsets[:length])

    def _project_positions(self, count: int) -> Tensor:
        """Compute what tokens at the first positions get on top: (count, out)."""
        offsets = self._linear(self._table[:count])
        offsets[:, self._num_placed :] = 0
        return offsets.add_(self._bias)


class FusedLayer:
    """One encoder layer; its weights are copies of the module's."""

    def __init__(
        self, layer: EncoderLayer, table: Tensor, device: torch.device, *, first_only: bool
    ) -> None:
        """Copy the weights.

        Args:
            layer: with its weights; it is left as it is.
            table: (P, C) positions, on the device.
            device: where to run.
            first_only: compute the first token of each sequence and no other.
        """
        attention = layer.self_attn
        weight, bias = attention.in_proj_weight, attention.in_proj_bias
        width = table.shape[1]
        self._query = None
        start = 0
        if first_only:
            start = width  # queries apart, since only one token has one
            self._query = PlacedProjection(
                weight[:start], bias[:start], num_placed=width, table=table[:1], device=device
            )
        self._project = PlacedProjection(
            weight[start:], bias[start:], num_placed=2 * width - start, table=table, device=device
        )
        self._out = Linear(attention.out_proj.weight, attention.out_proj.bias, device)
        bias = attention.relative_bias
        self._relative_bias = (
            None if bias is None else bias.detach().to(device, torch.float32, copy=True)
        )
        self._linear1 = Linear(layer.linear1.weight, layer.linear1.bias, device)
        self._linear2 = Linear(layer.linear2.weight, layer.linear2.bias, device)
        self._norm1, self._norm2 = _copied(layer.norm1, device), _copied(layer.norm2, device)

    def __call__(self, x: Tensor, is_seen: Tensor | None) -> Tensor:
        """Map (B, L, C) tokens to the same shape, or to (B, 1, C), the first of each sequence.

        Args:
            x: tokens.
            is_seen: (B, 1, 1, L) False for tokens that nobody attends to; None: all are seen.
        """
        mask = is_seen
        if self._relative_bias is not None:
            mask = relative_mask(self._relative_bias, x.shape[1], is_seen)
            if self._query is not None:
                mask = mask[..., :1, :]  # of the first token
        y = _normalize(x, self._norm1)
        if self._query is None:
            query, key, value = self._project(y).chunk(3, dim=-1)
        else:
            query = self._query(y[:, :1])
            key, value = self._project(y).chunk(2, dim=-1)
            x = x[:, :1]
        mixed = functional.scaled_dot_product_attention(
            split_heads(query), split_heads(key), split_heads(value), attn_mask=mask
        )
        x = self._out(mixed.transpose(1, 2).flatten(2)).add_(x)
        return x.add_(self._linear2(self._linear1(_normalize(x, self._norm2), relu=True)))


class FusedEncoder:
    """Layers, then one normalisation."""

    def __init__(
        self, encoder: Encoder, table: Tensor, device: torch.device, *, first_only: bool = False
    ) -> None:
        """Copy the weights.

        Args:
            encoder: with its weights; it is left as it is.
            table: (P, C) positions.
            device: where to run.
            first_only: tell of the first token of each sequence and no other.
        """
        table = table.detach().to(device=device, dtype=torch.float32, copy=True)
        last = len(encoder.layers) - 1
        self._num_positions = len(table)
        self._layers = tuple(
            FusedLayer(layer, table, device, first_only=first_only and i == last)
            for i, layer in enumerate(encoder.layers)
            if isinstance(layer, EncoderLayer)
        )
        self._norm = _copied(encoder.norm, device)

    def __call__(self, x: Tensor, is_padding: Tensor | None) -> Tensor:
        """Encode sequences.

        Args:
            x: (B, L, C) tokens.
            is_padding: (B, L) bool, tokens that nobody attends to; None: there are none.

        Returns:
            (B, L, C), or (B, 1, C) where only the first token is told of.

        Raises:
            ConfigError: the sequences are longer than the weights have positions for.
        """
        if x.shape[1] > self._num_positions:
            raise ConfigError(
                f'{x.shape[1]} tokens in a sequence, the weights have {self._num_positions} '
                'positions; make the window smaller'
            )
        is_seen = None if is_padding is None else ~is_padding[:, None, None]
        for layer in self._layers:
            x = layer(x, is_seen)
        return _normalize(x, self._norm)


def _copied(norm: nn.LayerNorm, device: torch.device) -> tuple[Tensor, Tensor, float]:
    return (
        norm.weight.detach().to(device, torch.float32, copy=True),
        norm.bias.detach().to(device, torch.float32, copy=True),
        norm.eps,
    )


def _normalize(x: Tensor, norm: tuple[Tensor, Tensor, float]) -> Tensor:
    return functional.layer_norm(x, x.shape[-1:], *norm)
