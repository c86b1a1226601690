"""The head of HaMeR with everything taken out that is constant or can be one product.

With one query token whose input is zero:

- self-attention is its value, so projection to the value and output projection are one matrix;
- what comes before the first cross-attention is a constant, its query too;
- keys and values of all layers are one product with the features, which no layer changes;
- a bias after a norm needs no addition: the normalised vector has mean zero, so adding one to each
  of its D entries is seen by no matrix whose rows sum to zero, and the column sums of a matrix can
  be moved to make that addition give the bias;
- other biases of the residual stream are added once for the two places that read it.

Equal to ``head.ManoHead`` but for the rounding of float32 (test_hamer_network.py).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from hand_perception.models.hamer.head import (
    READOUT_SIZES,
    DecoderLayer,
    ManoHead,
    ManoParameters,
    rotations_from_readout,
)

_Put = Callable[[Tensor], Tensor]


class _Layer(NamedTuple):
    """One decoder layer; matrices are transposed for ``x @ W``."""

    self_attn: Tensor  # (D, D), after a norm without weights and with 1 added
    query_norm: tuple[Tensor, Tensor]
    query: Tensor  # (D, H E)
    out: Tensor  # (H E, D)
    biases: Tensor  # (2, 1, D): of cross-attention; of cross-attention and MLP
    mlp_norm: tuple[Tensor, Tensor]
    fc1: Tensor  # (D, F)
    fc1_bias: Tensor
    fc2: Tensor  # (F, D)


class FoldedManoHead:
    """Features to MANO's parameters, as :class:`ManoHead`, for inference."""

    def __init__(self, head: ManoHead, device: torch.device | str) -> None:
        """Derive the constants from the published weights, in float64, and keep float32.

        Args:
            head: with its weights, on any device; not kept.
            device: where the constants go.
        """

        def put(tensor: Tensor) -> Tensor:
            return tensor.to(device, torch.float32).contiguous()

        layers: list[DecoderLayer] = list(head.decoder.layers)  # type: ignore[arg-type]
        attention = layers[0].cross_attn
        self._num_layers = len(layers)
        self._num_heads = attention.num_heads
        self._width = attention.to_out.out_features
        self._eps = layers[0].mlp_norm.eps
        with torch.inference_mode():
            self._ones = torch.ones(self._width, device=device)
            self._key_value = put(torch.cat([layer.cross_attn.to_kv.weight for layer in layers]).T)
            self._layers = [_fold(layer, put) for layer in layers]
            self._fold_start(head, layers[0], put)
            readouts = (head.decpose, head.decshape, head.deccam)
            means = (head.init_hand_pose, head.init_betas, head.init_cam)
            self._readout = put(torch.cat([r.weight for r in readouts]).T)
            self._readout_bias = put(
                torch.cat([r.bias + m[0] for r, m in zip(readouts, means, strict=True)])
            )

    def _fold_start(self, head: ManoHead, layer: DecoderLayer, put: _Put) -> None:
        """Compute what the first layer does before it meets the features."""
        decoder = head.decoder
        start = decoder.to_token_embedding.bias + decoder.pos_embedding  # (1, 1, D)
        start = start + layer.self_attn(layer.self_attn_norm(start))
        query = layer.cross_attn.to_q(layer.cross_attn_norm(start))  # (1, 1, H E)
        self._first_query = put(self._heads(query))
        self._first_biases = put(start + self._layers[0].biases.to(start.device))  # (2, 1, D)

    def _heads(self, x: Tensor) -> Tensor:
        """View (B, L, H E) as (B, H, L, E)."""
        return x.unflatten(-1, (self._num_heads, -1)).transpose(1, 2)

    def token(self, features: Tensor) -> Tensor:
        """Map features (B, L, C) to the token (B, D), as ``TransformerDecoder`` does."""
        batch = len(features)
        key_value = features.flatten(0, 1) @ self._key_value
        key_value = key_value.view(batch, -1, self._num_layers, 2, self._layers[0].query.shape[1])
        shape = (self._width,)
        x = features  # replaced in the first layer, which starts from a constant
        for i, layer in enumerate(self._layers):
            if i == 0:
                query = self._first_query.expand(batch, -1, -1, -1)
            else:
                normed = functional.layer_norm(x, shape, self._ones, self._ones, self._eps)
                x.addmm_(normed, layer.self_attn)
                normed = functional.layer_norm(x, shape, *layer.query_norm, self._eps)
                query = self._heads((normed @ layer.query)[:, None])
            key, value = (self._heads(key_value[:, :, i, j]) for j in range(2))
            mixed = functional.scaled_dot_product_attention(query, key, value)
            mixed = mixed.transpose(1, 2).flatten(1)  # (B, H E)
            if i == 0:
                x, biases = mixed @ layer.out, self._first_biases
            else:
                x, biases = x.addmm_(mixed, layer.out), layer.biases
            seen, shortcut = (x + biases).unbind(0)
            normed = functional.layer_norm(seen, shape, *layer.mlp_norm, self._eps)
            hidden = functional.gelu(torch.addmm(layer.fc1_bias, normed, layer.fc1))
            x = shortcut.addmm_(hidden, layer.fc2)
        return x

    def __call__(self, features: Tensor) -> ManoParameters:
        """Map features (B, L, C) float32 to parameters of B hands."""
        readout = torch.addmm(self._readout_bias, self.token(features), self._readout)
        pose_6d, betas, pred_cam = readout.split(READOUT_SIZES, 1)
        return ManoParameters(
            rotations=rotations_from_readout(pose_6d), betas=betas, pred_cam=pred_cam
        )


def _fold(layer: DecoderLayer, put: _Put) -> _Layer:
    inner = layer.cross_attn.to_q.out_features
    norm, attention = layer.self_attn_norm, layer.self_attn
    value = attention.to_qkv.weight[2 * inner :].double()
    both = attention.to_out.weight.double() @ value  # (D, D)
    bias = both @ norm.bias.double() + attention.to_out.bias.double()
    both = both * norm.weight.double()
    # Rows are shifted so that each sums to its bias: what is normalised sums to zero and does not
    # notice, and the 1 that is added to all its entries becomes the bias.
    both = both + ((bias - both.sum(1)) / both.shape[1])[:, None]
    cross_bias = layer.cross_attn.to_out.bias
    return _Layer(
        self_attn=put(both.T),
        query_norm=(put(layer.cross_attn_norm.weight), put(layer.cross_attn_norm.bias)),
        query=put(layer.cross_attn.to_q.weight.T),
        out=put(layer.cross_attn.to_out.weight.T),
        biases=put(torch.stack([cross_bias, cross_bias + layer.mlp.fc2.bias])[:, None]),
        mlp_norm=(put(layer.mlp_norm.weight), put(layer.mlp_norm.bias)),
        fc1=put(layer.mlp.fc1.weight.T),
        fc1_bias=put(layer.mlp.fc1.bias),
        fc2=put(layer.mlp.fc2.weight.T),
    )
