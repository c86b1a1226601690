"""HTT's backbone as it runs: batch normalisation folded into the convolutions, channels last.

Folding is exact up to rounding: with stored statistics batch normalisation is one product and
one sum per channel. Channels last is how images lie in memory anyway, and what the convolutions
of CPUs and of tensor cores work in.
"""

from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from hand_perception.models.htt.constants import IMAGE_OFFSET
from hand_perception.models.htt.packed import Conv
from hand_perception.models.htt.resnet import BasicBlock, ResNet18

DTYPES: Final = {'fp32': torch.float32, 'bf16': torch.bfloat16}


class FoldedBlock(NamedTuple):
    """A residual block; no ``downsample``: the shortcut is the input."""

    conv1: Conv
    conv2: Conv
    downsample: Conv | None

    def __call__(self, x: Tensor) -> Tensor:
        """Map (N, C_in, H, W), which is used up, to (N, C, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.conv2.added_to(shortcut, self.conv1(x, relu=True))


class FoldedBackbone:
    """Grey levels to features; its weights are copies of the module's."""

    def __init__(self, backbone: ResNet18, *, device: torch.device, precision: str) -> None:
        """Fold and copy.

        Args:
            backbone: with its weights, float32; it is left as it is.
            device: where to run.
            precision: ``fp32`` or ``bf16``.
        """
        self._dtype = DTYPES[precision]
        self._is_exact_cuda = device.type == 'cuda' and precision == 'fp32'
        self._stem = _fold(backbone.conv1, backbone.bn1, device, self._dtype)
        self._blocks = tuple(
            _fold_block(block, device, self._dtype)
            for stage in backbone.stages
            for block in stage.children()
            if isinstance(block, BasicBlock)
        )

    def __call__(self, images_u8: Tensor) -> Tensor:
        """Map (N, H, W, 3) uint8 RGB to (N, C) float32."""
        if self._is_exact_cuda:
            # cuDNN multiplies float32 in TF32, 10 bits, unless told otherwise.
            with torch.backends.cudnn.flags(
                enabled=torch.backends.cudnn.enabled,
                benchmark=torch.backends.cudnn.benchmark,
                deterministic=torch.backends.cudnn.deterministic,
                allow_tf32=False,
            ):
                return self._run(images_u8)
        return self._run(images_u8)

    def _run(self, images_u8: Tensor) -> Tensor:
        x = images_u8.to(torch.float32).div_(255).sub_(IMAGE_OFFSET)
        x = x.to(self._dtype).permute(0, 3, 1, 2)  # (N, 3, H, W), channels last in memory
        x = self._stem(x, relu=True)  # (N, C / 8, H / 2, W / 2)
        x = functional.max_pool2d(x, 3, stride=2, padding=1)  # (N, C / 8, H / 4, W / 4)
        for block in self._blocks:
            x = block(x)
        return x.mean((2, 3), dtype=torch.float32)  # (N, C)


def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d, device: torch.device, dtype: torch.dtype) -> Conv:
    """Take the normalisation into the convolution, in float64."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    return Conv(
        conv.weight.double() * scale[:, None, None, None],
        norm.bias.double() - norm.running_mean.double() * scale,
        stride=conv.stride[0],
        padding=int(conv.padding[0]),
        device=device,
        dtype=dtype,
    )


def _fold_block(block: BasicBlock, device: torch.device, dtype: torch.dtype) -> FoldedBlock:
    shortcut = None
    if block.downsample is not None:
        conv, norm = block.downsample
        assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        shortcut = _fold(conv, norm, device, dtype)
    return FoldedBlock(
        _fold(block.conv1, block.bn1, device, dtype),
        _fold(block.conv2, block.bn2, device, dtype),
        shortcut,
    )
