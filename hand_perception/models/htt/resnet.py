"""The image backbone of HTT: ResNet-18 up to the mean over space, in plain torch.

Source: He et al., "Deep Residual Learning for Image Recognition" (2016). Parameters carry the
names of the published weights. Batch normalisation always uses the stored statistics, training
included, as HTT is trained; for training without ImageNet's weights they can be learned.
"""

from typing import Final

from torch import Tensor, nn
from torch.nn import functional

from hand_perception.models.htt.constants import BATCH_NORM_EPS

_BLOCKS_PER_STAGE: Final = 2
_NUM_CLASSES: Final = 1000  # of ImageNet: the layer is part of every checkpoint and never used


class StoredBatchNorm(nn.BatchNorm2d):
    """Batch normalisation with the stored statistics in every mode; its scale is learned.

    Attributes:
        learns: in training mode it uses and gathers the statistics of the batch, as usual.
    """

    learns = False

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        if self.learns and self.training:
            return super().forward(x)
        return functional.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
        )


def _norm(channels: int) -> StoredBatchNorm:
    return StoredBatchNorm(channels, eps=BATCH_NORM_EPS)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        """Make the layers; the shortcut has its own convolution where the shape changes."""
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.bn1 = _norm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = _norm(channels)
        self.downsample = (
            nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), _norm(channels)
            )
            if stride != 1 or channels_in != channels
            else None
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C_in, H, W) to (N, C, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(x)) + shortcut)


class ResNet18(nn.Module):
    """Images to one feature vector each."""

    def __init__(self, width: int) -> None:
        """Make the layers; ``width`` is that of the last stage, 512 as published."""
        super().__init__()
        channels = (width // 8, width // 4, width // 2, width)
        self.conv1 = nn.Conv2d(3, channels[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = _norm(channels[0])
        self.layer1 = _stage(channels[0], channels[0], stride=1)
        self.layer2 = _stage(channels[0], channels[1], stride=2)
        self.layer3 = _stage(channels[1], channels[2], stride=2)
        self.layer4 = _stage(channels[2], channels[3], stride=2)
        self.fc = nn.Linear(width, _NUM_CLASSES)

    def learn_statistics(self) -> None:
        """Gather the statistics of batches in training mode: for weights that start anew."""
        for module in self.modules():
            if isinstance(module, StoredBatchNorm):
                module.learns = True

    @property
    def stages(self) -> tuple[nn.Module, ...]:
        """The four stages in order."""
        return self.layer1, self.layer2, self.layer3, self.layer4

    def cells(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) images to (N, C, H / 32, W / 32) features of places."""
        x = functional.relu(self.bn1(self.conv1(images)))  # (N, C / 8, H / 2, W / 2)
        x = functional.max_pool2d(x, 3, stride=2, padding=1)  # (N, C / 8, H / 4, W / 4)
        for stage in self.stages:
            x = stage(x)
        return x

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) images to (N, C) features."""
        return self.cells(images).mean((2, 3))


def _stage(channels_in: int, channels: int, *, stride: int) -> nn.Sequential:
    first = BasicBlock(channels_in, channels, stride)
    rest = (BasicBlock(channels, channels, 1) for _ in range(_BLOCKS_PER_STAGE - 1))
    return nn.Sequential(first, *rest)
