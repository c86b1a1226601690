"""Linear layers with 8-bit weights and inputs, for the CPU.

Weights have one scale per output, fixed at load; inputs one scale per token, taken from the token
itself ("dynamic"). Products are summed in 32 bits and scaled back to float32.
"""

from typing import Final

import torch
from torch import Tensor, nn

from hand_perception.errors import ConfigError

_LARGEST: Final = 127
_TINY: Final = 1e-12


class Int8Linear(nn.Module):
    """A linear layer in 8 bits that takes and gives float32."""

    def __init__(self, linear: nn.Linear) -> None:
        """Quantise the weights of a float32 layer."""
        super().__init__()
        weight = linear.weight.detach()
        scale = weight.abs().amax(1, keepdim=True).clamp_min(_TINY) / _LARGEST  # (O, 1)
        self.register_buffer('weight_int8', (weight / scale).round().to(torch.int8))
        self.register_buffer('scale', scale.T.contiguous())  # (1, O)
        self.bias = linear.bias
        self.out_features = linear.out_features

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., I) to (..., O)."""
        flat = x.reshape(-1, x.shape[-1])
        low, high = torch.aminmax(flat, dim=1, keepdim=True)
        scale = torch.maximum(high, -low).clamp_min(_TINY) / _LARGEST  # (N, 1)
        # The extremes are +-127 by construction, so nothing has to be clamped.
        tokens = (flat / scale).round_().to(torch.int8)
        summed = torch._int_mm(tokens, self.weight_int8.T).float()  # type: ignore[operator]
        summed.mul_(scale).mul_(self.scale)
        if self.bias is not None:
            summed += self.bias
        return summed.view(*x.shape[:-1], self.out_features)


def quantize_linears(network: nn.Module) -> None:
    """Replace every linear layer of a network on the CPU, in place.

    Raises:
        ConfigError: this build of torch has no integer product for the CPU.
    """
    try:
        torch._int_mm(torch.ones(32, 32, dtype=torch.int8), torch.ones(32, 32, dtype=torch.int8))
    except (AttributeError, RuntimeError) as error:
        raise ConfigError(
            f'precision int8 needs integer matrix products, which torch {torch.__version__} does '
            f'not have on this CPU ({error}); set precision to bf16 or fp32'
        ) from error
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear):
                setattr(module, name, Int8Linear(child))
