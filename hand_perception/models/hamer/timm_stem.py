"""Networks of timm in the place of patches, for who has the optional package timm.

timm imports torchvision, whose wheels do not go with every torch; nothing else here needs either.
"""

from typing import Any, Final

import torch
from torch import Tensor, nn

from hand_perception.errors import ConfigError
from hand_perception.optional import require

_GRID: Final = (16, 12)
_STRIDE: Final = 16
_INSTALL: Final = (
    'install timm and a torchvision that goes with your torch (pip install timm torchvision), or '
    'take another network.stem'
)


class TimmStem(nn.Module):
    """The features of a network of timm at 16 x 12 places, brought to the width of the tokens."""

    def __init__(self, name: str, width: int, *, pretrained: bool = False) -> None:
        """Make the network.

        Args:
            name: of a network of timm that gives features of stride 16, such as ``resnet18``.
            width: of the tokens.
            pretrained: let timm load its own weights, which it fetches once.

        Raises:
            MissingPackageError: timm is not installed.
            ConfigError: timm does not know the name, or it gives no features of stride 16.
        """
        super().__init__()
        timm: Any = require('timm', purpose=f'the backbone {name}', install=_INSTALL)
        try:
            body = timm.create_model(name, pretrained=pretrained, features_only=True)
        except (RuntimeError, ValueError, AttributeError, OSError) as error:
            raise ConfigError(f'timm cannot make {name!r} with features: {error}') from error
        strides = list(body.feature_info.reduction())
        if _STRIDE not in strides:
            raise ConfigError(
                f'{name} of timm gives features of strides {strides}, expected {_STRIDE} among '
                'them; take another one, such as resnet18'
            )
        self.body = body
        self._index = strides.index(_STRIDE)
        self.proj = nn.Conv2d(body.feature_info.channels()[self._index], width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 3, 256, 192) to (B, 192, C), row by row."""
        features = self.proj(self.body(x)[self._index])
        assert features.shape[-2:] == torch.Size(_GRID), features.shape
        return features.flatten(2).transpose(1, 2)
