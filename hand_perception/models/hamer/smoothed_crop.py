"""Blur and sample a large square of an image in one go, only what the crop needs of it.

The blur of the official demo acts on every pixel of the image; a crop of a large square reads few
of them. Here each output row is one weighted sum of image rows (blur, bilinear step and border in
the weights), and only these rows are blurred and sampled along x. Strips of rows keep the memory
small enough to stay in the cache.
"""

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from hand_perception.datatypes import FloatArray, ImageArray
from hand_perception.models.hamer.crop_geometry import (
    CROP_PX,
    POSITION_STEPS,
    Band,
    Square,
    blur_kernel,
    image_positions,
    sampling_band,
)

#: Grey level that is taken off before the sums and added after: halves their rounding.
_MIDDLE_GREY: Final = 128.0
#: Output rows that one matrix product sums up (more is more arithmetic on zeros), and that are
#: blurred along x at once.
_ROWS_AT_ONCE, _STRIP_ROWS = 4, 32
#: Multiplications below which OpenBLAS keeps a product in the calling thread: 4 x 65536. Threads
#: for products this small cost more than they save, much more while other threads work.
_ONE_THREAD_PRODUCT: Final = 262144


def smoothed_crop(
    image: ImageArray, square: Square, *, is_right: bool, is_double: bool = False
) -> FloatArray:
    """Blur and sample without rounding.

    Args:
        image: (H, W, 3) uint8.
        square: of the view that the network has, mirrored for a left hand.
        is_right: False mirrors.
        is_double: sum in float64; float32 stays within 4e-5 grey levels of it.

    Returns:
        (256, 256, 3) float32 grey levels in the channel order of the image; black outside.
    """
    height, width = image.shape[:2]
    columns, rows = image_positions(square, is_right=is_right, image_width=width)
    kernel = blur_kernel(square.size)
    down = sampling_band(rows, height, kernel)
    across = sampling_band(columns, width, kernel)
    dtype = np.dtype(np.float64 if is_double else np.float32)
    crop = np.zeros((CROP_PX, CROP_PX, 3), dtype)
    seen = np.flatnonzero(down.weight.any(1))
    if not len(seen) or not across.weight.any():
        return crop.astype(np.float32, copy=False)
    x_min, x_max = int(across.index.min()), int(across.index.max()) + 1
    row_sums = _RowSums(image[:, x_min:x_max], down, int(seen[0]), int(seen[-1]) + 1, dtype)
    column_map = _column_map(columns - POSITION_STEPS * x_min, x_max - x_min)
    blurred = np.empty_like(row_sums.strip)
    for start in range(int(seen[0]), int(seen[-1]) + 1, _STRIP_ROWS):
        strip = row_sums.sum_strip(start)
        count = len(strip)
        if len(kernel) > 1:
            strip = cv2.sepFilter2D(
                strip, -1, kernel, np.ones(1), dst=blurred[:count],
                borderType=cv2.BORDER_REPLICATE,
            )  # fmt: skip
        crop[start : start + count] = cv2.remap(
            strip, column_map[0][:count], column_map[1][:count], cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT, borderValue=0,
        )  # fmt: skip
    # What lies outside is black, also where the middle grey was taken off.
    crop += (_MIDDLE_GREY * np.outer(down.weight.sum(1), across.weight.sum(1)))[..., None].astype(
        dtype
    )
    return crop.astype(np.float32, copy=False)


class _RowSums:
    """Weighted sums of image rows, a strip of output rows at a time, in memory that is reused."""

    def __init__(
        self, image: ImageArray, band: Band, first: int, last: int, dtype: np.dtype[Any]
    ) -> None:
        """Prepare the sums for output rows ``first`` up to ``last`` of a (H, w, 3) image part."""
        self._image, self._first, self._last = image, first, last
        starts = np.arange(first, last, _ROWS_AT_ONCE)
        stops = np.minimum(starts + _ROWS_AT_ONCE, last)
        tops, bottoms = band.index[starts, 0], band.index[stops - 1, -1] + 1
        self._blocks = list(
            zip(*(a.tolist() for a in (starts, stops, tops, bottoms)), strict=True)
        )
        height, width = int((bottoms - tops).max()), image.shape[1]
        rows = np.arange(first, last)
        offset = band.index[first:last] - tops[(rows - first) // _ROWS_AT_ONCE][:, None]
        self._weight: NDArray[Any] = np.zeros((CROP_PX, height), dtype)
        np.add.at(self._weight, (rows[:, None], offset), band.weight[first:last])
        self._tile = max(1, _ONE_THREAD_PRODUCT // (_ROWS_AT_ONCE * height))
        self._pixels: NDArray[Any] = np.empty((height, width, 3), dtype)
        self.strip: NDArray[Any] = np.empty((_STRIP_ROWS, width, 3), dtype)

    def sum_strip(self, start: int) -> NDArray[Any]:
        """Sum up to 32 output rows from ``start`` on: (rows, w, 3), valid until the next call."""
        end = min(start + _STRIP_ROWS, self._last)
        pixels = self._pixels.reshape(len(self._pixels), -1)
        sums = self.strip.reshape(len(self.strip), -1)
        middle = self.strip.dtype.type(_MIDDLE_GREY)
        low, high = ((row - self._first) // _ROWS_AT_ONCE for row in (start, end - 1))
        for first, last, top, bottom in self._blocks[low : high + 1]:
            count = bottom - top
            np.subtract(
                self._image[top:bottom], middle, out=self._pixels[:count], dtype=middle.dtype
            )
            for left in range(0, pixels.shape[1], self._tile):
                tile = slice(left, left + self._tile)
                np.matmul(
                    self._weight[first:last, :count],
                    pixels[:count, tile],
                    out=sums[first - start : last - start, tile],
                )
        return self.strip[: end - start]


def _column_map(
    columns: NDArray[np.int64], width: int
) -> tuple[NDArray[np.int16], NDArray[np.uint16]]:
    """Make OpenCV's fixed-point map that samples the rows of a strip at 256 positions.

    It holds whole pixels, and an index into OpenCV's 32 x 32 bilinear weights.
    """
    whole = np.empty((_STRIP_ROWS, CROP_PX, 2), np.int16)
    whole[..., 0] = np.clip(columns // POSITION_STEPS, -2, width + 1)
    whole[..., 1] = np.arange(_STRIP_ROWS)[:, None]
    part = np.empty((_STRIP_ROWS, CROP_PX), np.uint16)
    part[:] = columns % POSITION_STEPS
    return whole, part
