"""Cut what the networks see out of an image: letterboxed windows and upright square crops.

Only the small results are converted to RGB; the image is read in place, whatever its row step.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from hand_perception.datatypes import DoubleArray, ImageArray, Region
from hand_perception.models.landmarks.regions import image_from_crop

#: Size of a search tile against half the image, and the most its neighbour is moved on, in tile
#: sizes: a hand on the border of one tile lies whole in the next.
TILE_SCALE, TILE_STEP = 1.25, 0.7


class Window(NamedTuple):
    """A part of an image, pixels; the end is not included."""

    x_min: int
    y_min: int
    x_max: int
    y_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterbox:
    """How a window was fitted into a square: image = square * ``scale`` + ``offset_px``."""

    scale: DoubleArray  # (2,) x, y
    offset_px: DoubleArray  # (2,)


def whole_window(image: ImageArray) -> Window:
    """Return the window that is the whole (H, W, 3) image."""
    height, width = image.shape[:2]
    return Window(0, 0, width, height)


def tile_windows(image: ImageArray) -> list[Window]:
    """Return overlapping windows, about half the image, that together cover it."""
    height, width = image.shape[:2]
    size = max(1, min(int(max(width, height) / 2 * TILE_SCALE), max(width, height)))
    return [
        Window(x, y, min(x + size, width), min(y + size, height))
        for x in _tile_starts(width, size)
        for y in _tile_starts(height, size)
    ]


def _tile_starts(length: int, size: int) -> list[int]:
    if length <= size:
        return [0]
    count = math.ceil((length - size) / (TILE_STEP * size)) + 1
    return [round(i * (length - size) / (count - 1)) for i in range(count)]


def letterbox(image: ImageArray, window: Window, out: ImageArray, *, is_rgb: bool) -> Letterbox:
    """Fit a window of an image into a black square, in RGB.

    Args:
        image: (H, W, 3).
        window: the part to take.
        out: (S, S, 3) to write to.
        is_rgb: channel order of the image; ``out`` is RGB in any case.
    """
    side = out.shape[0]
    view = image[window.y_min : window.y_max, window.x_min : window.x_max]
    height, width = view.shape[:2]
    ratio = side / max(width, height)
    new_width, new_height = max(1, round(width * ratio)), max(1, round(height * ratio))
    left, top = (side - new_width) // 2, (side - new_height) // 2
    interpolation = cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR
    small = cv2.resize(view, (new_width, new_height), interpolation=interpolation)
    out[:] = 0
    out[top : top + new_height, left : left + new_width] = small if is_rgb else small[..., ::-1]
    scale = np.array([width / new_width, height / new_height])
    # Pixel centres are whole numbers: the outer corner of a picture is at -0.5.
    corner = np.array([left, top]) - 0.5
    offset = np.array([window.x_min, window.y_min]) - 0.5 - corner * scale
    return Letterbox(scale=scale, offset_px=offset)


def crop_region(image: ImageArray, region: Region, out: ImageArray, *, is_rgb: bool) -> None:
    """Cut a region out of an image, turned upright, in RGB; black outside the image.

    Args:
        image: (H, W, 3).
        region: where; any part of it may lie outside.
        out: (S, S, 3) to write to.
        is_rgb: channel order of the image; ``out`` is RGB in any case.
    """
    side = out.shape[0]
    affine = image_from_crop(region, side)
    affine[:, 2] += affine[:, :2] @ (0.5, 0.5)  # whole numbers are pixel centres for OpenCV
    crop = cv2.warpAffine(
        image, affine, (side, side),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_CONSTANT,
    )  # fmt: skip
    out[:] = crop if is_rgb else crop[..., ::-1]
