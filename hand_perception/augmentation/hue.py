"""Turn hues as Pillow's HSV of 8 bits does, by tables that Pillow fills once.

A colour has a largest, a middle and a smallest grey level. Which channel has which, and where the
middle lies between the others, gives the hue; the largest and the range give the rest. When the
hue is turned, the largest stays, the smallest changes by rounding alone, and only the middle one
is new. So three small tables hold all that Pillow computes for each pixel.
"""

from functools import cache
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from hand_perception import optional
from hand_perception.datatypes import ImageArray

#: How to get Pillow.
INSTALL: Final = "install it with: pip install 'hand_perception[train]'"

#: Channels from the largest to the smallest, for each sixth of the colour circle, from red on.
_SIXTHS: Final = ((0, 1, 2), (1, 0, 2), (1, 2, 0), (2, 1, 0), (2, 0, 1), (0, 2, 1))
_LEVELS: Final = 256
#: Pixels at a time, so that what is between stays in the cache: twice as fast as all at once.
_STRIP_PIXELS: Final = 1 << 15
#: Bits that tell of a pixel which channel is the largest, and which of two others is larger.
_IS_RED, _IS_GREEN, _GREEN_BLUE, _RED_BLUE, _GREEN_RED = 1, 2, 4, 8, 16


class _Tables(NamedTuple):
    """What Pillow makes of colours; L = 256 levels.

    Attributes:
        sixth: (L,) number of ``_SIXTHS`` for the bits of a pixel, uint8.
        hue: (6 L L,) by sixth, largest - middle, range.
        middle: (L L L,) new middle level by hue, largest, range.
        smallest: (L L,) new smallest level by largest, range.
        source: (3, 3, L) 255 where a channel (first axis) of a colour of this hue (last) is the
            largest, middle or smallest (second).
    """

    sixth: ImageArray
    hue: ImageArray
    middle: ImageArray
    smallest: ImageArray
    source: ImageArray


def turn_hue(image: ImageArray, steps: int) -> ImageArray:
    """Add to the hue of each pixel.

    Args:
        image: (H, W, 3) uint8 RGB.
        steps: in 1/256 turns, 0 to 255; 0 is Pillow's way to HSV and back, which is not quite the
            same as nothing.

    Raises:
        MissingPackageError: Pillow is not installed.
    """
    tables = _tables()
    turned = np.empty_like(image)
    rows = max(1, _STRIP_PIXELS // image.shape[1])
    for first in range(0, len(image), rows):
        turned[first : first + rows] = _turned(image[first : first + rows], steps, tables)
    return turned


def _turned(image: ImageArray, steps: int, tables: '_Tables') -> ImageArray:
    red, green, blue = cv2.split(image)
    largest = cv2.max(cv2.max(red, green), blue)
    smallest = cv2.min(cv2.min(red, green), blue)
    middle = red + green + blue - largest - smallest  # modulo 256, and right
    bits = (
        (cv2.compare(red, largest, cv2.CMP_EQ) & _IS_RED)
        | (cv2.compare(green, largest, cv2.CMP_EQ) & _IS_GREEN)
        | (cv2.compare(green, blue, cv2.CMP_GE) & _GREEN_BLUE)
        | (cv2.compare(red, blue, cv2.CMP_GE) & _RED_BLUE)
        | (cv2.compare(green, red, cv2.CMP_GE) & _GREEN_RED)
    )
    span = (largest - smallest).astype(np.int32)
    hue = tables.hue.take(_index(cv2.LUT(bits, tables.sixth), largest - middle, span))
    hue += np.uint8(steps)  # modulo 256
    by_largest = _index(0, largest, span)
    levels = (
        largest,
        tables.middle.take(by_largest + (hue.astype(np.int32) << 16)),
        tables.smallest.take(by_largest),
    )
    channels = []
    for sources in tables.source:
        channel = np.empty_like(largest)
        for level, source in zip(levels, sources, strict=True):
            cv2.copyTo(level, cv2.LUT(hue, source), channel)
        channels.append(channel)
    return np.asarray(cv2.merge(channels), np.uint8)


def _index(
    first: ImageArray | int, second: ImageArray, third: NDArray[np.int32]
) -> NDArray[np.int32]:
    index = (second.astype(np.int32) << 8) + third
    return index if isinstance(first, int) else index + (first.astype(np.int32) << 16)


@cache
def _tables() -> _Tables:
    """Fill the tables; takes half a second and 17 MB."""
    pillow = optional.require('PIL.Image', purpose='the augmentation of clips', install=INSTALL)
    first, second = np.mgrid[:_LEVELS, :_LEVELS].astype(np.uint8)

    def hsv_of(rgb: ImageArray) -> ImageArray:
        return np.asarray(pillow.fromarray(rgb).convert('HSV'))

    hue = np.zeros((len(_SIXTHS), _LEVELS, _LEVELS), np.uint8)
    for number, order in enumerate(_SIXTHS):
        rgb = np.empty((_LEVELS, _LEVELS, 3), np.uint8)
        # Largest 255; where the middle would lie below the smallest there is no such colour.
        for channel, level in zip(order, (255, 255 - first, 255 - second), strict=True):
            rgb[..., channel] = level
        hue[number] = hsv_of(rgb)[..., 0]
    largest, span = first, second
    grey = np.repeat(largest[..., None], 3, 2)
    grey[..., 2] = np.where(span <= largest, largest - span, 0)
    saturation = hsv_of(grey)[..., 1]
    middle = np.empty((_LEVELS, _LEVELS, _LEVELS), np.uint8)
    smallest = np.empty((_LEVELS, _LEVELS), np.uint8)
    source = np.zeros((3, 3, _LEVELS), np.uint8)
    for level in range(_LEVELS):
        order = _SIXTHS[level * 6 // 255 % 6]
        hsv = np.stack((np.full_like(largest, level), saturation, largest), -1)
        rgb = np.asarray(pillow.frombytes('HSV', (_LEVELS, _LEVELS), hsv.tobytes()).convert('RGB'))
        middle[level], smallest = rgb[..., order[1]], rgb[..., order[2]]
        for place, channel in enumerate(order):
            source[channel, place, level] = 255
    return _Tables(
        sixth=np.array([_sixth(bits) for bits in range(_LEVELS)], np.uint8),
        hue=hue.ravel(), middle=middle.ravel(), smallest=smallest.ravel(), source=source,
    )  # fmt: skip


def _sixth(bits: int) -> int:
    """Number of ``_SIXTHS``, red first where two channels are equal, as in Pillow."""
    if bits & _IS_RED:
        return 0 if bits & _GREEN_BLUE else 5
    if bits & _IS_GREEN:
        return 1 if bits & _RED_BLUE else 2
    return 3 if bits & _GREEN_RED else 4
