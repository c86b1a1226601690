"""Crops for HaMeR from an image that lies on the device, all hands at once, in plain torch.

The host works out which pixels make which crop (:func:`plan_crops`: some kilobytes); the device
sums them up. The arithmetic is that of the official code under OpenCV 4: positions in 1/32 pixel
and rounded grey levels for small squares (equal bit for bit), blurred and not rounded for large
ones (within 1e-4 grey levels of float64).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from hand_perception.models.hamer.crop_geometry import (
    CROP_PX,
    RESCALE_FACTOR,
    Band,
    blur_kernel,
    image_positions,
    is_smoothed,
    sampling_band,
    square_boxes,
    square_in_view,
)


class PixelWindow(NamedTuple):
    """The part of an image that all crops of a plan together read; the end is not included."""

    x_min: int
    y_min: int
    x_max: int
    y_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CropPlan:
    """Which pixels of an image make B crops.

    Attributes:
        window: the part of the image that the indices count in.
        row_index: (B, 256, T) int64 rows of the window, per row of the crop.
        row_weight: (B, 256, T) float32.
        column_index: (B, 256, T) int64 columns of the window, per column of the crop.
        column_weight: (B, 256, T) float32.
        is_rounded: (B,) bool, grey levels are whole numbers.
    """

    window: PixelWindow
    row_index: torch.Tensor
    row_weight: torch.Tensor
    column_index: torch.Tensor
    column_weight: torch.Tensor
    is_rounded: torch.Tensor

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> 'CropPlan':
        """Return the plan with its tensors on a device."""
        tensors = (
            self.row_index, self.row_weight, self.column_index, self.column_weight,
            self.is_rounded,
        )  # fmt: skip
        moved = [tensor.to(device, non_blocking=non_blocking) for tensor in tensors]
        return CropPlan(
            window=self.window, row_index=moved[0], row_weight=moved[1],
            column_index=moved[2], column_weight=moved[3], is_rounded=moved[4],
        )  # fmt: skip


def plan_crops(
    boxes_xyxy: ArrayLike,
    is_right: ArrayLike,
    *,
    image_size: tuple[int, int],
    rescale_factor: float = RESCALE_FACTOR,
    min_taps: int = 2,
) -> CropPlan:
    """Work out the crops of the hands of an image.

    Args:
        boxes_xyxy: (B, 4) tight boxes of the hands, pixels; any part may lie outside.
        is_right: (B,) right hands.
        image_size: width and height of the image, pixels.
        rescale_factor: growth of the boxes; 2.0 is the demo's.
        min_taps: least T; a fixed one lets the shapes of a stream stay the same.
    """
    width, height = image_size
    centers, sizes = square_boxes(boxes_xyxy, rescale_factor=rescale_factor)
    rows, columns = [], []
    for center, size, right in zip(
        centers, sizes.tolist(), np.asarray(is_right, np.bool_).tolist(), strict=True
    ):
        square = square_in_view(center, size, is_right=right, image_width=width)
        across, down = image_positions(square, is_right=right, image_width=width)
        kernel = blur_kernel(size)
        rows.append(sampling_band(down, height, kernel))
        columns.append(sampling_band(across, width, kernel))
    y_min, y_max, row_index, row_weight = _stacked(rows, min_taps)
    x_min, x_max, column_index, column_weight = _stacked(columns, min_taps)
    return CropPlan(
        window=PixelWindow(x_min, y_min, x_max, y_max),
        row_index=torch.from_numpy(row_index),
        row_weight=torch.from_numpy(row_weight),
        column_index=torch.from_numpy(column_index),
        column_weight=torch.from_numpy(column_weight),
        is_rounded=torch.tensor([not is_smoothed(s) for s in sizes.tolist()], dtype=torch.bool),
    )


def sample_crops(pixels: torch.Tensor, plan: CropPlan) -> torch.Tensor:
    """Cut all crops of a plan.

    Args:
        pixels: (h, w, 3) uint8 or float, the image cut to ``plan.window``, on the plan's device.
        plan: of :func:`plan_crops`.

    Returns:
        (B, 256, 256, 3) float32 grey levels, the channel order of ``pixels``; black outside.
    """
    batch, _, taps = plan.row_index.shape
    shape = (batch, CROP_PX, pixels.shape[1], 3)
    rows = torch.zeros(shape, dtype=torch.float32, device=pixels.device)  # (B, 256, w, 3)
    for tap in range(taps):
        weight = plan.row_weight[:, :, tap, None, None]
        rows.addcmul_(pixels[plan.row_index[:, :, tap]].float(), weight)
    crops = torch.zeros(
        (batch, CROP_PX, CROP_PX, 3), dtype=torch.float32, device=pixels.device
    )  # (B, 256, 256, 3)
    hand = torch.arange(batch, device=pixels.device)[:, None, None]
    line = torch.arange(CROP_PX, device=pixels.device)[None, :, None]
    for tap in range(taps):
        weight = plan.column_weight[:, None, :, tap, None]
        crops.addcmul_(rows[hand, line, plan.column_index[:, None, :, tap]], weight)
    # Weights of small squares are multiples of 1/1024: their sums are exact, halves go up.
    return torch.where(plan.is_rounded[:, None, None, None], (crops + 0.5).floor(), crops)


def _stacked(
    bands: list[Band], min_taps: int
) -> tuple[int, int, NDArray[np.int64], NDArray[np.float32]]:
    """Put bands of different lengths together: first and last + 1 pixel, indices, weights."""
    taps = max([band.index.shape[1] for band in bands] + [min_taps])
    index = np.zeros((len(bands), CROP_PX, taps), np.int64)
    weight = np.zeros((len(bands), CROP_PX, taps), np.float32)
    low = min((int(band.index.min()) for band in bands), default=0)
    high = max((int(band.index.max()) + 1 for band in bands), default=0)
    for i, band in enumerate(bands):
        count = band.index.shape[1]
        index[i, :, :count] = band.index - low
        weight[i, :, :count] = band.weight
    return low, high, index, weight
