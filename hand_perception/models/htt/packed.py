"""Layers whose weights lie in memory as the processor reads them, with what follows fused in.

On a CPU torch lays the weights out anew at every call and goes over the result once more for each
addition or ReLU. oneDNN, which torch comes with, does without: the operators are those that
torch.compile calls, and no public ones. They are tried once; where this torch lacks them, or they
say something else than the plain layers, the plain layers run.
"""

import functools
import logging
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

_logger = logging.getLogger(__name__)
_ONES: Final = [1, 1]
#: Relative difference between packed and plain layers that is rounding.
_TOLERANCES: Final = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


class Linear:
    """A linear layer."""

    def __init__(self, weight: Tensor, bias: Tensor, device: torch.device) -> None:
        """Copy (out, in) weights and (out,) bias to the device, as float32."""
        self._weight = weight.detach().to(device=device, dtype=torch.float32, copy=True)
        self._bias = bias.detach().to(device=device, dtype=torch.float32, copy=True)
        self._is_packed = can_pack(device, torch.float32)
        if self._is_packed:
            self._weight = _packed_linear(self._weight)

    def __call__(self, x: Tensor, *, relu: bool = False) -> Tensor:
        """Map (..., in) to (..., out)."""
        if self._is_packed:
            return _run_packed_linear(x, self._weight, self._bias, relu=relu)
        x = functional.linear(x, self._weight, self._bias)
        return x.relu_() if relu else x


class Conv:
    """A square convolution, channels last."""

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        *,
        stride: int,
        padding: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        """Copy (C, C_in, k, k) weights and (C,) bias to the device."""
        self._stride, self._padding = stride, padding
        weight = weight.detach().to(device=device, dtype=dtype)
        self._weight = weight.contiguous(memory_format=torch.channels_last)
        self._bias = bias.detach().to(device=device, dtype=dtype)
        self._is_packed = can_pack(device, dtype)
        if self._is_packed:
            self._weight = _packed_conv(self._weight, stride, padding)

    def __call__(self, x: Tensor, *, relu: bool = False) -> Tensor:
        """Map (N, C_in, H, W) to (N, C, H / stride, W / stride)."""
        if self._is_packed:
            return _run_packed_conv(
                x, self._weight, self._bias, self._stride, self._padding, relu=relu
            )
        x = functional.conv2d(x, self._weight, self._bias, self._stride, self._padding)
        return x.relu_() if relu else x

    def added_to(self, shortcut: Tensor, x: Tensor) -> Tensor:
        """Return ReLU of ``shortcut`` plus the convolution of x; ``shortcut`` is used up."""
        if not self._is_packed:
            return shortcut.add_(self(x)).relu_()
        return torch.ops.mkldnn._convolution_pointwise_(
            shortcut, x, self._weight, self._bias, [self._padding] * 2, [self._stride] * 2, _ONES,
            1, 'add', 1.0, 'relu', [], '',
        )  # fmt: skip


def can_pack(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether the packed layers are there on a device, and right."""
    return device.type == 'cpu' and _is_packing_right(dtype)


@functools.cache
def _is_packing_right(dtype: torch.dtype) -> bool:
    """Hold the packed layers against the plain ones on a few numbers."""
    random = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random).to(dtype)

    x, shortcut = draw(1, 16, 6, 5), draw(1, 16, 6, 5)
    x, shortcut = (t.contiguous(memory_format=torch.channels_last) for t in (x, shortcut))
    weight, bias = draw(16, 16, 3, 3).contiguous(memory_format=torch.channels_last), draw(16)
    rows, matrix = draw(2, 5, 16), draw(24, 16)
    linear_bias = draw(24)
    with torch.inference_mode():
        try:
            packed = _packed_conv(weight, 1, 1)
            got = [
                _run_packed_conv(x, packed, bias, 1, 1, relu=True),
                torch.ops.mkldnn._convolution_pointwise_(
                    shortcut.clone(), x, packed, bias, _ONES, _ONES, _ONES, 1, 'add', 1.0, 'relu',
                    [], '',
                ),
                _run_packed_linear(rows, _packed_linear(matrix), linear_bias, relu=True),
            ]  # fmt: skip
        except (AttributeError, NotImplementedError, RuntimeError, TypeError) as error:
            _logger.debug(
                'no packed layers in torch %s: %s', torch.__version__, str(error).splitlines()[:1]
            )
            return False
        conv = functional.conv2d(x.float(), weight.float(), bias.float(), 1, 1)
        linear = functional.linear(rows.float(), matrix.float(), linear_bias.float())
        expected = [conv.relu(), (conv + shortcut.float()).relu(), linear.relu()]
        is_right = all(
            bool((a.float() - b).abs().max() <= _TOLERANCES[dtype] * b.abs().max())
            for a, b in zip(got, expected, strict=True)
        )
    if not is_right:
        _logger.warning('packed layers of torch %s are wrong; going without', torch.__version__)
    return is_right


def _packed_linear(weight: Tensor) -> Tensor:
    return torch.ops.mkldnn._reorder_linear_weight(weight, None)


def _run_packed_linear(x: Tensor, packed: Tensor, bias: Tensor, *, relu: bool) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(
        x, packed, bias, 'relu' if relu else 'none', [], ''
    )  # fmt: skip


def _packed_conv(weight: Tensor, stride: int, padding: int) -> Tensor:
    return torch._C._nn.mkldnn_reorder_conv2d_weight(
        weight.to_mkldnn(), [padding] * 2, [stride] * 2, _ONES, 1
    )


def _run_packed_conv(
    x: Tensor, packed: Tensor, bias: Tensor, stride: int, padding: int, *, relu: bool
) -> Tensor:
    return torch.ops.mkldnn._convolution_pointwise(
        x, packed, bias, [padding] * 2, [stride] * 2, _ONES, 1, 'relu' if relu else 'none', [], ''
    )
