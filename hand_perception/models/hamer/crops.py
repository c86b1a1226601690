"""Cut what HaMeR sees out of an image: official pixels, from the region of the hand only.

Small squares go through ``cv2.warpAffine`` on 8 bits, as officially, with the coordinates of the
whole image: the result is the official one bit for bit under the same OpenCV. Squares that are
reduced by more than 2.2 are blurred and not rounded (:mod:`.smoothed_crop`): the result is within
4e-5 grey levels of the official one under any OpenCV.
"""

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from hand_perception.datatypes import FloatArray, ImageArray
from hand_perception.models.hamer.crop_geometry import (
    CROP_PX,
    POSITION_STEPS,
    RESCALE_FACTOR,
    Square,
    crop_from_view,
    is_smoothed,
    square_boxes,
    square_in_view,
    view_positions,
)
from hand_perception.models.hamer.smoothed_crop import smoothed_crop

#: Pixels around the sampled ones that interpolation may touch.
_MARGIN_PX: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class HamerCrops:
    """The hands of one image as HaMeR sees them.

    Attributes:
        images_rgb: (B, 256, 256, 3) grey levels 0-255, left hands mirrored; uint8, or float32
            when a square of the batch is so large that it is not rounded.
        centers: (B, 2) float32 centres of the squares, pixels of the image, not mirrored.
        sizes: (B,) float32 sides of the squares, pixels.
        is_right: (B,) bool; False: the crop is mirrored.
        image_size: (width, height) of the image, pixels.
    """

    images_rgb: ImageArray | FloatArray
    centers: FloatArray
    sizes: FloatArray
    is_right: NDArray[np.bool_]
    image_size: tuple[int, int]


def cut_crops(
    image: ImageArray,
    boxes_xyxy: ArrayLike,
    is_right: ArrayLike,
    *,
    is_rgb: bool,
    rescale_factor: float = RESCALE_FACTOR,
    is_double: bool = False,
) -> HamerCrops:
    """Cut all hands of an image; the image is read in place, whatever its row step.

    Args:
        image: (H, W, 3).
        boxes_xyxy: (B, 4) tight boxes of the hands, pixels; any part may lie outside.
        is_right: (B,) right hands.
        is_rgb: channel order of the image; the crops are RGB in any case.
        rescale_factor: growth of the boxes; 2.0 is the demo's.
        is_double: compute large squares in float64, for comparison; takes twice the time.
    """
    centers, sizes = square_boxes(boxes_xyxy, rescale_factor=rescale_factor)
    right = np.asarray(is_right, np.bool_).reshape(len(sizes))
    height, width = image.shape[:2]
    smoothed = [is_smoothed(size) for size in sizes.tolist()]
    shape = (len(sizes), CROP_PX, CROP_PX, 3)
    crops: NDArray[Any] = np.empty(shape, np.float32 if any(smoothed) else np.uint8)
    for i, size in enumerate(sizes.tolist()):
        mirrored = not right[i]
        square = square_in_view(centers[i], size, is_right=not mirrored, image_width=width)
        if smoothed[i]:
            crop: NDArray[Any] = smoothed_crop(
                image, square, is_right=not mirrored, is_double=is_double
            )
        else:
            crop = _plain_crop(_mirrored_canvas(image, square) if mirrored else image, square)
        crops[i] = crop if is_rgb else crop[..., ::-1]
    return HamerCrops(
        images_rgb=crops, centers=centers, sizes=sizes, is_right=right,
        image_size=(width, height),
    )  # fmt: skip


def _plain_crop(view: ImageArray, square: Square) -> ImageArray:
    """Sample with 8 bits: (256, 256, 3) uint8, the channel order of the view."""
    crop: ImageArray = cv2.warpAffine(
        view, crop_from_view(square), (CROP_PX, CROP_PX),
        flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0,
    )  # fmt: skip
    return crop


def _mirrored_canvas(image: ImageArray, square: Square) -> ImageArray:
    """Mirror the region of a hand to where it is in the mirrored image; the rest stays unset.

    OpenCV rounds coordinates (in float32, or to 1/1024 pixel), so moving the region to the corner
    or mirroring the coordinates instead of the pixels changes some pixels by a grey level or
    more. On a canvas of the full size nothing changes, and only the region is written.
    """
    height, width = image.shape[:2]
    columns, rows = view_positions(square)
    x_min, x_max = _touched(columns, width)
    y_min, y_max = _touched(rows, height)
    if x_min >= x_max or y_min >= y_max:
        return np.zeros((1, 1, 3), np.uint8)  # no pixel of the hand is in the image
    canvas = np.empty((y_max, width, 3), np.uint8)
    canvas[y_min:y_max, x_min:x_max] = cv2.flip(
        image[y_min:y_max, width - x_max : width - x_min], 1
    )
    return canvas


def _touched(positions: NDArray[np.int64], length: int) -> tuple[int, int]:
    """Return first and last + 1 pixel that sampling at these positions may read."""
    low, high = int(positions.min()) // POSITION_STEPS, int(positions.max()) // POSITION_STEPS
    return max(low - _MARGIN_PX, 0), min(high + 1 + _MARGIN_PX, length)
