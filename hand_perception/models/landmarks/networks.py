"""The palm detector and the hand landmark network of MediaPipe (full versions) in plain torch.

Layers are registered in the order in which the published graphs run them; the converter pairs
them by that order and a parity test compares the outputs with LiteRT.

Sources: BlazePalm (Bazarevsky and Zhang 2019), "MediaPipe Hands" (Zhang et al. 2020,
arXiv:2006.10214); the layer tables were read out of the .tflite files of mediapipe 0.10.21.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from hand_perception.models.landmarks.layout import (
    ANCHORS_STRIDE_8,
    ANCHORS_STRIDE_16,
    PALM_BOX_SIZE,
)


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow's SAME: the odd pixel goes to the right and bottom.

    Sizes must be multiples of the stride, as they all are in these networks.
    """

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int, *, stride: int = 1,
        groups: int = 1, bias: bool = True,
    ) -> None:  # fmt: skip
        """Make the convolution; padding follows from kernel and stride."""
        total = max(kernel - stride, 0)
        super().__init__(
            channels_in, channels_out, kernel, stride=stride, groups=groups, bias=bias,
            padding=total - total // 2,
        )  # fmt: skip
        self.is_lopsided = total % 2 == 1

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (B, C, H, W)."""
        weight = self.weight
        if self.is_lopsided:
            # Padding left and top once too often and putting zeros before the kernel there gives
            # the same sums as padding the map unevenly, without copying the map.
            weight = functional.pad(weight, (1, 0, 1, 0))
        return self._conv_forward(x, weight, self.bias)


def _relu6(x: Tensor) -> Tensor:
    return functional.relu6(x, inplace=True)


class PalmBlock(nn.Module):
    """Depthwise 5 x 5 and pointwise convolution beside a shortcut (BlazeBlock)."""

    def __init__(self, channels_in: int, channels_out: int, *, stride: int = 1) -> None:
        """Make a block; a stride of 2 halves the map, new channels start as zero."""
        super().__init__()
        self.depthwise = SameConv2d(
            channels_in, channels_in, 5, stride=stride, groups=channels_in, bias=False
        )
        self.pointwise = nn.Conv2d(channels_in, channels_out, 1)
        self.activation = nn.PReLU(channels_out)
        self.stride = stride
        self.new_channels = channels_out - channels_in

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels_in, H, W) to (B, channels_out, H / stride, W / stride)."""
        shortcut = x
        if self.stride > 1:
            shortcut = functional.max_pool2d(shortcut, self.stride)
        if self.new_channels:
            shortcut = functional.pad(shortcut, (0, 0, 0, 0, 0, self.new_channels))
        return self.activation(self.pointwise(self.depthwise(x)).add_(shortcut))


class PalmLateral(nn.Module):
    """Bring a coarse map to the size of a finer one and add it (feature pyramid)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        """Make the pointwise convolution between the two maps."""
        super().__init__()
        self.pointwise = nn.Conv2d(channels_in, channels_out, 1)
        self.activation = nn.PReLU(channels_out)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Add (B, C, H / 2, W / 2) to (B, D, H, W)."""
        coarse = functional.interpolate(
            coarse, scale_factor=2.0, mode='bilinear', align_corners=False
        )
        return self.activation(self.pointwise(coarse)).add_(fine)


class PalmHead(nn.Module):
    """Scores and boxes of the anchors of one map."""

    def __init__(self, channels: int, anchors: int) -> None:
        """Make the two pointwise convolutions."""
        super().__init__()
        self.score = nn.Conv2d(channels, anchors, 1)
        self.box = nn.Conv2d(channels, anchors * PALM_BOX_SIZE, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, H W anchors, 19), as :class:`PalmDetector` gives them."""
        batch = x.shape[0]
        score = self.score(x).permute(0, 2, 3, 1).reshape(batch, -1, 1)
        box = self.box(x).permute(0, 2, 3, 1).reshape(batch, -1, PALM_BOX_SIZE)
        return torch.cat([box, score], 2)


def _palm_stage(channels: int) -> list[PalmBlock]:
    return [PalmBlock(channels, channels) for _ in range(4)]


class PalmDetector(nn.Module):
    """Find palms in a letterboxed image; 1.1 M weights."""

    def __init__(self) -> None:
        """Make the network with random weights."""
        super().__init__()
        self.stem = SameConv2d(3, 32, 5, stride=2)
        self.stem_activation = nn.PReLU(32)
        self.stage_8 = nn.Sequential(
            *_palm_stage(32), PalmBlock(32, 64, stride=2),
            *_palm_stage(64), PalmBlock(64, 128, stride=2),
            *_palm_stage(128),
        )  # fmt: skip
        self.stage_16 = nn.Sequential(PalmBlock(128, 256, stride=2), *_palm_stage(256))
        self.stage_32 = nn.Sequential(PalmBlock(256, 256, stride=2), *_palm_stage(256))
        self.lateral_16 = PalmLateral(256, 256)
        self.merge_16 = nn.Sequential(PalmBlock(256, 256), PalmBlock(256, 256))
        self.head_16 = PalmHead(256, ANCHORS_STRIDE_16)
        self.lateral_8 = PalmLateral(256, 128)
        self.merge_8 = nn.Sequential(PalmBlock(128, 128), PalmBlock(128, 128))
        self.head_8 = PalmHead(128, ANCHORS_STRIDE_8)

    def forward(self, image: Tensor) -> Tensor:
        """Look at all anchors.

        Args:
            image: (B, 3, 192, 192) RGB, 0-1, channels-last in memory.

        Returns:
            (B, 2016, 19): box centre, box size and 7 keypoints in input pixels relative to the
            anchor centre (18 values), score logit. One tensor, so that one copy brings it to the
            host.
        """
        x = self.stem_activation(self.stem(image))  # (B, 32, 96, 96)
        fine = self.stage_8(x)  # (B, 128, 24, 24)
        middle = self.stage_16(fine)  # (B, 256, 12, 12)
        coarse = self.stage_32(middle)  # (B, 256, 6, 6)
        middle = self.merge_16(self.lateral_16(coarse, middle))
        fine = self.merge_8(self.lateral_8(middle, fine))
        # 1152 anchors of the fine map, then 864 of the coarser one
        return torch.cat([self.head_8(fine), self.head_16(middle)], 1)


class InvertedResidual(nn.Module):
    """Expand, filter per channel, project (MobileNetV2), with a shortcut where shapes agree."""

    def __init__(
        self, channels_in: int, expanded: int, channels_out: int, kernel: int, stride: int
    ) -> None:
        """Make a block; without expansion the first convolution is left out."""
        super().__init__()
        self.expand = nn.Conv2d(channels_in, expanded, 1) if expanded != channels_in else None
        self.depthwise = SameConv2d(expanded, expanded, kernel, stride=stride, groups=expanded)
        self.project = nn.Conv2d(expanded, channels_out, 1)
        self.has_shortcut = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels_in, H, W) to (B, channels_out, H / stride, W / stride)."""
        y = x if self.expand is None else _relu6(self.expand(x))
        y = self.project(_relu6(self.depthwise(y)))
        return y.add_(x) if self.has_shortcut else y


#: Blocks of the landmark network: expanded channels, channels out, kernel, stride.
#: EfficientNet-Lite0 with a narrower stem.
LANDMARK_BLOCKS = (
    (24, 16, 3, 1),
    (64, 24, 3, 2), (144, 24, 3, 1),
    (144, 40, 5, 2), (240, 40, 5, 1),
    (240, 80, 3, 2), (480, 80, 3, 1), (480, 80, 3, 1),
    (480, 112, 5, 1), (672, 112, 5, 1), (672, 112, 5, 1),
    (672, 192, 5, 2), (1152, 192, 5, 1), (1152, 192, 5, 1), (1152, 192, 5, 1),
)  # fmt: skip


class HandLandmarkNetwork(nn.Module):
    """Place 21 landmarks in an upright crop of one hand; 2.7 M weights."""

    def __init__(self) -> None:
        """Make the network with random weights."""
        super().__init__()
        self.stem = SameConv2d(3, 24, 3, stride=2)
        blocks, channels = [], 24
        for expanded, channels_out, kernel, stride in LANDMARK_BLOCKS:
            blocks.append(InvertedResidual(channels, expanded, channels_out, kernel, stride))
            channels = channels_out
        self.blocks = nn.Sequential(*blocks)
        self.last_expand = nn.Conv2d(channels, 1152, 1)
        self.last_depthwise = SameConv2d(1152, 1152, 3, groups=1152)
        self.handedness = nn.Linear(1152, 1)
        self.presence = nn.Linear(1152, 1)
        self.landmarks = nn.Linear(1152, 63)
        self.world_landmarks = nn.Linear(1152, 63)

    def forward(self, crop: Tensor) -> Tensor:
        """Read hands from crops.

        Args:
            crop: (B, 3, 224, 224) RGB, 0-1, fingers up, channels-last in memory.

        Returns:
            (B, 128): 21 landmarks x y z in crop pixels (63), 21 world landmarks x y z in metres
            about the hand's centre, crop axes (63), presence 0-1, right hand 0-1. One tensor, so
            that one copy brings it to the host.
        """
        x = _relu6(self.stem(crop))  # (B, 24, 112, 112)
        x = self.blocks(x)  # (B, 192, 7, 7)
        x = _relu6(self.last_expand(x))
        x = _relu6(self.last_depthwise(x))  # (B, 1152, 7, 7)
        x = x.mean((2, 3))  # (B, 1152)
        return torch.cat(
            [
                self.landmarks(x),
                self.world_landmarks(x),
                torch.sigmoid(self.presence(x)),
                torch.sigmoid(self.handedness(x)),
            ],
            1,
        )
