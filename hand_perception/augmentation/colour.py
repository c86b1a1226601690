"""Blur and colours of images, as the published HTT changes them with Pillow.

Source: the operations ``ImageFilter.GaussianBlur`` and ``ImageEnhance.{Brightness, Contrast,
Color}`` of Pillow, and a hue that is added to in Pillow's HSV of 8 bits.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hand_perception import optional
from hand_perception.datatypes import ImageArray

#: The four operations; orders are told by their numbers.
OPERATIONS: Final = ('brightness', 'contrast', 'saturation', 'hue')


@dataclass(frozen=True, slots=True, kw_only=True)
class ColourFactors:
    """How colours change; 1 and 0 leave them.

    Attributes:
        brightness: factor.
        contrast: factor.
        saturation: factor.
        hue: shift, turns of the colour circle.
    """

    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0


def change_colours(
    image: ImageArray,
    factors: ColourFactors,
    *,
    order: NDArray[np.int64],
    blur_px: float = 0.0,
) -> ImageArray:
    """Blur, then change the colours one after the other.

    Args:
        image: (H, W, 3) uint8 RGB.
        factors: how.
        order: (4,) numbers of ``OPERATIONS``.
        blur_px: radius of the blur.

    Raises:
        MissingPackageError: Pillow is not installed.
    """
    pillow = optional.require('PIL.Image', purpose='the augmentation of clips',
                              install='install it with: pip install pillow')  # fmt: skip
    enhance = optional.require('PIL.ImageEnhance', purpose='the augmentation of clips')
    filters = optional.require('PIL.ImageFilter', purpose='the augmentation of clips')
    changed: Any = pillow.fromarray(image)
    if blur_px > 0:
        changed = changed.filter(filters.GaussianBlur(blur_px))
    for number in order:
        name = OPERATIONS[number]
        if name == 'hue':
            if factors.hue:
                h, s, v = changed.convert('HSV').split()
                h = pillow.fromarray(np.asarray(h) + np.uint8(int(255 * factors.hue) % 256))
                changed = pillow.merge('HSV', (h, s, v)).convert('RGB')
        elif getattr(factors, name) != 1:
            kind = {'brightness': 'Brightness', 'contrast': 'Contrast', 'saturation': 'Color'}
            changed = getattr(enhance, kind[name])(changed).enhance(getattr(factors, name))
    return np.asarray(changed, np.uint8)
