"""HaMeR's preprocessing as published: hand by hand, each time on the whole image.

Own code after the description of the official ViTDetDataset: copy the image, blur all of it in
float64 for a large hand, copy it again to mirror it, warp, change the order of channels, and
normalise. The tests and ``benchmarks.hamer_preprocess`` compare with it.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from hand_perception.datatypes import FloatArray, ImageArray

_CROP_PX = 256
_MEAN = 255 * np.array([0.485, 0.456, 0.406])
_STD = 255 * np.array([0.229, 0.224, 0.225])


def published_crops(
    image_bgr: ImageArray, boxes_xyxy: NDArray[np.float32], is_right: NDArray[np.bool_]
) -> FloatArray:
    """Cut and normalise all hands: (B, 3, 256, 256) float32 RGB."""
    crops = [
        normalised(published_crop(image_bgr, box, is_right=bool(right)))
        for box, right in zip(boxes_xyxy, is_right, strict=True)
    ]
    return np.stack(crops)


def published_crop(
    image_bgr: ImageArray, box_xyxy: NDArray[np.float32], *, is_right: bool
) -> NDArray[np.uint8] | NDArray[np.float64]:
    """Cut one hand: (256, 256, 3) BGR grey levels, uint8 or float64."""
    center = (box_xyxy[2:] + box_xyxy[:2]) / 2.0
    width, height = 2.0 * (box_xyxy[2:] - box_xyxy[:2]) / 200.0 * 200.0
    size = max(height, width * 256 / 192)
    image = image_bgr.copy()
    reduction = size / _CROP_PX / 2
    if reduction > 1.1:
        image = blurred(image, sigma=float(reduction - 1) / 2)
    x, y = center
    if not is_right:
        image = image[:, ::-1].copy()
        x = image.shape[1] - x - 1
    source = np.array([(x, y), (x, y + size * 0.5), (x + size * 0.5, y)], np.float32)
    target = np.array([(128, 128), (128, 256), (256, 128)], np.float32)
    return cv2.warpAffine(
        image, cv2.getAffineTransform(source, target), (_CROP_PX, _CROP_PX),
        flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT,
    )  # fmt: skip


def blurred(image: ImageArray, *, sigma: float) -> NDArray[np.float64]:
    """Blur every channel of the whole image in float64, as scikit-image does: with scipy."""
    from scipy import ndimage  # what scikit-image calls

    channels = [
        ndimage.gaussian_filter(image[..., i].astype(np.float64), sigma, mode='nearest')
        for i in range(3)
    ]
    return np.clip(np.stack(channels, -1), 0, 255)


def normalised(crop_bgr: NDArray[np.uint8] | NDArray[np.float64]) -> FloatArray:
    """Turn a (256, 256, 3) BGR crop into (3, 256, 256) float32 RGB input."""
    channels = crop_bgr[:, :, ::-1].transpose(2, 0, 1).astype(np.float32)
    for i in range(3):
        channels[i] = (channels[i] - _MEAN[i]) / _STD[i]
    return channels
