"""Camera images to the one image that HTT looks at, 480 x 270, and positions there and back.

The two published sets of weights were trained on images made smaller in two ways: those of FPHA
averaged over the pixels that fall together (Pillow's BILINEAR), those of H2O picked between four
neighbours (OpenCV's INTER_LINEAR). At a quarter of the size the two differ visibly.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from hand_perception.datatypes import Camera, DoubleArray, FloatArray, ImageArray
from hand_perception.errors import ConfigError, ImageError
from hand_perception.models.htt.constants import IMAGE_HEIGHT, IMAGE_WIDTH

#: How images are made smaller.
KERNELS: Final = ('antialias', 'linear')


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkView:
    """Where an image lies in the network image; what it does not cover is black.

    Positions are scaled as they were for training, pixel 0 to pixel 0: the principal point and
    the 2D joints alike, so that joints in metres do not depend on it.

    Attributes:
        scale_x: pixels of the network image per pixel of the image.
        scale_y: the same downwards; differs from ``scale_x`` by rounding to whole pixels only.
        pad_x: black columns on the left.
        pad_y: black rows on top.
    """

    scale_x: float
    scale_y: float
    pad_x: int
    pad_y: int

    def K_of(self, camera: Camera) -> FloatArray:  # noqa: N802 - the field's symbol
        """Return the (3, 3) intrinsics of the network image; distortion is left out."""
        return np.array(
            [
                [camera.fx * self.scale_x, 0, camera.cx * self.scale_x + self.pad_x],
                [0, camera.fy * self.scale_y, camera.cy * self.scale_y + self.pad_y],
                [0, 0, 1],
            ],
            np.float32,
        )

    def to_network(self, points_px: NDArray[np.floating]) -> DoubleArray:
        """Map (..., 2) pixels of the image to pixels of the network image."""
        return np.asarray(points_px, np.float64) * self._scale + self._pad

    def to_source(self, points_px: NDArray[np.floating]) -> DoubleArray:
        """Map (..., 2) pixels of the network image to pixels of the image."""
        return (np.asarray(points_px, np.float64) - self._pad) / self._scale

    @property
    def _scale(self) -> DoubleArray:
        return np.array([self.scale_x, self.scale_y])

    @property
    def _pad(self) -> DoubleArray:
        return np.array([self.pad_x, self.pad_y], np.float64)


def network_image(
    image: ImageArray, *, is_rgb: bool, kernel: str
) -> tuple[NetworkView, ImageArray]:
    """Fit a whole image into 480 x 270 pixels, its aspect ratio kept.

    Args:
        image: (H, W, 3) uint8, any strides; it is not written to.
        is_rgb: True for red-green-blue, False for blue-green-red channel order.
        kernel: one of ``KERNELS``: ``antialias`` for weights of FPHA, ``linear`` for H2O's.

    Returns:
        Where the image lies, and (270, 480, 3) uint8 RGB, contiguous and writeable. An RGB image
        of this size is returned as it is, without a copy where its memory allows.

    Raises:
        ImageError: the image is grey, empty, or not of bytes.
        ConfigError: the kernel is not known.
    """
    if kernel not in KERNELS:
        raise ConfigError(f'kernel must be {" or ".join(KERNELS)}, got {kernel!r}')
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ImageError(
            'HTT needs a colour image, uint8 of shape (height, width, 3) with both above 0, got '
            f'{image.dtype} of shape {image.shape}; convert it before'
        )
    view, (width, height) = fit(image.shape[1], image.shape[0])
    resized = _resize(image, width, height, kernel)
    if not is_rgb:
        resized = cv2.cvtColor(resized, cv2.COLOR_BGR2RGB)
    if (width, height) == (IMAGE_WIDTH, IMAGE_HEIGHT):
        return view, np.require(resized, requirements=('C', 'W'))
    canvas = np.zeros((IMAGE_HEIGHT, IMAGE_WIDTH, 3), np.uint8)
    canvas[view.pad_y : view.pad_y + height, view.pad_x : view.pad_x + width] = resized
    return view, canvas


def fit(width: int, height: int) -> tuple[NetworkView, tuple[int, int]]:
    """Place an image of this size in the middle of the network image, as large as it can be.

    Returns:
        Where it lies, and its width and height there, whole pixels.
    """
    scale = min(IMAGE_WIDTH / width, IMAGE_HEIGHT / height)
    fitted_width, fitted_height = max(round(width * scale), 1), max(round(height * scale), 1)
    view = NetworkView(
        scale_x=fitted_width / width,
        scale_y=fitted_height / height,
        pad_x=(IMAGE_WIDTH - fitted_width) // 2,
        pad_y=(IMAGE_HEIGHT - fitted_height) // 2,
    )
    return view, (fitted_width, fitted_height)


def _resize(image: ImageArray, width: int, height: int, kernel: str) -> ImageArray:
    if image.shape[:2] == (height, width):
        return image
    if kernel == 'linear':
        return np.asarray(cv2.resize(image, (width, height)), np.uint8)
    if not image.flags.writeable or min(image.strides) < 0:
        image = image.copy()  # torch takes neither
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None]  # (1, 3, H, W)
    resized = functional.interpolate(
        pixels, (height, width), mode='bilinear', antialias=True
    )  # fmt: skip
    return resized[0].permute(1, 2, 0).contiguous().numpy()
