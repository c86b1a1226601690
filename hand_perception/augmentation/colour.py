"""Blur and colours of images, as the published HTT changes them with Pillow, only faster.

Source: the operations ``ImageFilter.GaussianBlur`` and ``ImageEnhance.{Brightness, Contrast,
Color}`` of Pillow, and a hue that is added to in Pillow's HSV of 8 bits (:mod:`.hue`). Blur and
blends are done with OpenCV and give Pillow's grey levels; Pillow itself turns colours to grey.
"""

import math
from dataclasses import dataclass
from types import ModuleType
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from hand_perception import optional
from hand_perception.augmentation.hue import INSTALL, turn_hue
from hand_perception.datatypes import ImageArray

#: The four operations; orders are told by their numbers.
OPERATIONS: Final = ('brightness', 'contrast', 'saturation', 'hue')

#: Pillow's Gaussian is this many box filters along each axis, in fixed point of 24 bits.
_BOX_PASSES: Final = 3
_FIXED: Final = 1 << 24
#: Rounds down where OpenCV rounds to the nearest; a little less than a half, for whole numbers.
_DOWN: Final = -0.49993


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

    Returns:
        (H, W, 3) uint8 RGB; the image itself where nothing changes.

    Raises:
        MissingPackageError: Pillow is not installed.
    """
    changed = blurred(image, blur_px)
    for number in order:
        operation = OPERATIONS[number]
        if operation == 'brightness' and factors.brightness != 1:
            changed = _cast(cv2.LUT(changed, _blend_levels(0, factors.brightness)))
        elif operation == 'contrast' and factors.contrast != 1:
            mean = int(float(_grey(changed).mean()) + 0.5)
            changed = _cast(cv2.LUT(changed, _blend_levels(mean, factors.contrast)))
        elif operation == 'saturation' and factors.saturation != 1:
            grey = cv2.cvtColor(_grey(changed), cv2.COLOR_GRAY2RGB)
            share = factors.saturation
            changed = _cast(cv2.addWeighted(grey, 1 - share, changed, share, _DOWN))
        elif operation == 'hue' and factors.hue != 0:
            changed = turn_hue(changed, int(255 * factors.hue) % 256)
    return changed


def blurred(image: ImageArray, radius: float) -> ImageArray:
    """Blur as ``GaussianBlur`` of Pillow does, which is six box filters, each of them rounded."""
    if radius <= 0:
        return image
    # Gwosdek et al., "Theoretical foundations of Gaussian convolution by extended box filtering"
    # (2012): the box reaches ``whole`` pixels to each side, and a part of the next ones.
    variance = radius * radius / _BOX_PASSES
    whole = math.floor((math.sqrt(12 * variance + 1) - 1) / 2)
    if whole:
        filters = _pillow('ImageFilter')
        return _cast(_pillow('Image').fromarray(image).filter(filters.GaussianBlur(radius)))
    reach = float(np.float32(variance / (2 * (1 - variance))))
    middle = int(_FIXED / (2 * reach + 1))
    beside = (_FIXED - middle) // 2
    if 2 * 255 * beside < _FIXED // 2:
        return image  # no grey level changes, however large the differences are
    kernel = np.array([[beside, middle, beside]], np.float32) / np.float32(_FIXED)
    for axis_kernel in [kernel] * _BOX_PASSES + [kernel.T] * _BOX_PASSES:
        image = _cast(cv2.filter2D(image, -1, axis_kernel, borderType=cv2.BORDER_REPLICATE))
    return image


def _blend_levels(other: int, share: float) -> ImageArray:
    """(256,) what becomes of grey levels that are blended with another one, as in Pillow."""
    levels = np.arange(256, dtype=np.float32) - np.float32(other)
    return np.clip(np.float32(other) + np.float32(share) * levels, 0, 255).astype(np.uint8)


def _grey(image: ImageArray) -> ImageArray:
    """(H, W) Pillow's weights of the colours; OpenCV's differ in the last bits."""
    return _cast(_pillow('Image').fromarray(image).convert('L'))


def _cast(image: object) -> ImageArray:
    return np.asarray(image, np.uint8)


def _pillow(module: str) -> ModuleType:
    return optional.require(f'PIL.{module}', purpose='the augmentation of clips', install=INSTALL)
