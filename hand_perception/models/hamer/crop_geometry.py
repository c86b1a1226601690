"""Which pixels of an image make a crop for HaMeR: squares, mirroring, blur, sampling positions.

The rules and constants are those of the official demo (geopavlakos/hamer, ViTDetDataset), in its
precision. A crop is never turned, so it is a product of two one-dimensional bands: output row p
is a weighted sum of a few image rows, output column p of a few image columns. The band holds the
anti-alias blur, the replicated border, the bilinear step and the black outside of the image.
"""

from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from hand_perception.datatypes import DoubleArray, FloatArray

#: Side of the crop, pixels.
CROP_PX: Final = 256
#: How much the tight box of the hand is grown by the demo.
RESCALE_FACTOR: Final = 2.0
#: Boxes are grown to this width over height before the longer side is taken.
_ASPECT_WIDTH, _ASPECT_HEIGHT = 192.0, 256.0
#: Half the reduction above which the image is blurred (and no longer rounded).
_BLUR_ABOVE: Final = 1.1
#: OpenCV samples at 1/32 pixel; it gets there from 1/1024 pixel.
POSITION_STEPS: Final = 32
_FINE_STEPS: Final = 1024


class Band(NamedTuple):
    """How 256 output rows (or columns) are summed up from image rows (or columns).

    Attributes:
        index: (256, T) int64 image row of each summand, inside the image, never falling.
        weight: (256, T) float64; adds up to 1 inside the image and to 0 outside.
    """

    index: NDArray[np.int64]
    weight: DoubleArray


class Square(NamedTuple):
    """The square of the (for left hands mirrored) image that one crop shows."""

    center_x: float
    center_y: float
    size: float


def square_boxes(
    boxes_xyxy: ArrayLike, *, rescale_factor: float = RESCALE_FACTOR
) -> tuple[FloatArray, FloatArray]:
    """Turn hand boxes into the squares that are cut out.

    Args:
        boxes_xyxy: (B, 4) x_min y_min x_max y_max, pixels.
        rescale_factor: growth of the box.

    Returns:
        (B, 2) centres and (B,) side lengths, float32 pixels of the image as it is.
    """
    boxes = np.asarray(boxes_xyxy, np.float32).reshape(-1, 4)
    centers = (boxes[:, 2:] + boxes[:, :2]) / np.float32(2)
    # Official code stores sizes in units of 200 pixels: one rounding each way.
    scale = np.float32(rescale_factor) * (boxes[:, 2:] - boxes[:, :2]) / np.float32(200)
    width, height = (scale * np.float32(200)).T
    grown = width * np.float32(_ASPECT_HEIGHT) / np.float32(_ASPECT_WIDTH)
    return centers, np.maximum(height, grown)


def square_in_view(center: ArrayLike, size: float, *, is_right: bool, image_width: int) -> Square:
    """Find the square of a hand in the image that the network sees: mirrored for a left hand."""
    x, y = np.asarray(center, np.float32)
    if not is_right:
        x = np.float32(image_width) - x - np.float32(1)
    return Square(float(x), float(y), float(size))


def crop_from_view(square: Square) -> DoubleArray:
    """Return the (2, 3) affine from pixels of the view to pixels of the crop.

    The centre of the square falls on 128, not 127.5; there is no half-pixel term.
    """
    center = np.array([square.center_x, square.center_y], np.float32)
    half = np.float32(square.size) * np.float32(0.5)
    source = np.stack([center, center + np.float32([0, half]), center + np.float32([half, 0])])
    middle, end = CROP_PX / 2, CROP_PX
    target = np.array([(middle, middle), (middle, end), (end, middle)], np.float32)
    return cv2.getAffineTransform(source.astype(np.float32), target)


def view_positions(square: Square) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Say where the columns and rows of a crop are sampled in its view.

    Returns:
        (256,) of columns and (256,) of rows, in 1/32 pixels, rounded as cv2.warpAffine does in
        OpenCV 4 always and in OpenCV 5 for float64 images.
    """
    inverse = cv2.invertAffineTransform(crop_from_view(square))
    pixels = np.arange(CROP_PX)
    half_step = _FINE_STEPS // POSITION_STEPS // 2
    across = _fine(inverse[0, 0] * pixels) + _fine(inverse[0, 2])
    down = _fine(inverse[1, 1] * pixels + inverse[1, 2])
    shift = (_FINE_STEPS // POSITION_STEPS).bit_length() - 1
    return (across + half_step) >> shift, (down + half_step) >> shift


def image_positions(
    square: Square, *, is_right: bool, image_width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Say where the columns and rows of a crop are sampled in the image as it is, 1/32 pixels."""
    columns, rows = view_positions(square)
    if not is_right:
        columns = POSITION_STEPS * (image_width - 1) - columns
    return columns, rows


def is_smoothed(size: float) -> bool:
    """Tell whether the image is treated as floats, and blurred when the radius is above 0."""
    return size / CROP_PX / 2 > _BLUR_ABOVE


def blur_kernel(size: float) -> DoubleArray:
    """Return the (2r + 1,) Gaussian that a square of this side is blurred with; (1,) for none."""
    if not is_smoothed(size):
        return np.ones(1)
    sigma = (size / CROP_PX / 2 - 1) / 2
    radius = int(4 * sigma + 0.5)
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 / (sigma * sigma) * offsets**2)
    return kernel / kernel.sum()


def sampling_band(positions: NDArray[np.int64], length: int, kernel: DoubleArray) -> Band:
    """Combine blur and bilinear step of one axis.

    Args:
        positions: (256,) 1/32 pixels of the image, rising or falling.
        length: width or height of the image, pixels.
        kernel: (2r + 1,) blur of the image, its border replicated.

    Returns:
        The band, with T = 2r + 2.
    """
    radius = len(kernel) // 2
    base, fraction = positions // POSITION_STEPS, (positions % POSITION_STEPS) / POSITION_STEPS
    is_inside = (base >= 0) & (base < length)
    is_next_inside = (base + 1 >= 0) & (base + 1 < length)
    weight = np.zeros((len(positions), 2 * radius + 2))
    weight[:, :-1] += np.where(is_inside, 1 - fraction, 0.0)[:, None] * kernel
    weight[:, 1:] += np.where(is_next_inside, fraction, 0.0)[:, None] * kernel
    index = base[:, None] + np.arange(-radius, radius + 2)
    return Band(np.clip(index, 0, length - 1), weight)


def _fine(values: ArrayLike) -> NDArray[np.int64]:
    return np.rint(np.asarray(values) * _FINE_STEPS).astype(np.int64)
