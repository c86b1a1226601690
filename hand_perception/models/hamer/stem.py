"""Convolutions in the place of patches, for small networks that learn from nothing.

Source: Xiao et al., "Early Convolutions Help Transformers See Better" (2021). Groups are
normalised, not batches, so that a network does the same in training, in use and on several
devices.
"""

from collections.abc import Sequence
from typing import Final

from torch import Tensor, nn

#: Each step halves rows and columns; patches of 16 pixels are four.
NUM_STEPS: Final = 4
_GROUP_WIDTH: Final = 8


class ConvolutionalStem(nn.Module):
    """Four steps of convolution from 256 x 192 pixels to 16 x 12 tokens."""

    def __init__(self, widths: Sequence[int], width: int) -> None:
        """Make the layers.

        Args:
            widths: channels after each of the four steps, multiples of 8.
            width: of the tokens.
        """
        super().__init__()
        before = (3, *widths[:-1])
        # The first step has most pixels and only looks for edges; the others think once more.
        self.steps = nn.ModuleList(
            _Step(old, new, with_residual=number > 0)
            for number, (old, new) in enumerate(zip(before, widths, strict=True))
        )
        self.proj = nn.Conv2d(widths[-1], width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 3, 256, 192) to (B, 192, C), row by row."""
        for step in self.steps:
            x = step(x)
        return self.proj(x).flatten(2).transpose(1, 2)


class _Step(nn.Module):
    """Half as many rows and columns, more channels."""

    def __init__(self, old: int, new: int, *, with_residual: bool) -> None:
        super().__init__()
        self.down = nn.Conv2d(old, new, 3, stride=2, padding=1, bias=False)
        self.norm = _norm(new)
        self.residual = _Residual(new) if with_residual else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.down(x)).relu()
        return x if self.residual is None else self.residual(x)


class _Residual(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm1 = _norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = _norm(width)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.norm1(self.conv1(x)).relu()
        return (x + self.norm2(self.conv2(inner))).relu()


def _norm(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(width // _GROUP_WIDTH, width)
