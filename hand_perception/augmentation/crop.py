"""Crops for HaMeR: which square, how it is turned and coloured, and its truth in crop units.

Source: Pavlakos et al., "Reconstructing Hands in 3D with Transformers" (CVPR 2024), and the
data loader published with it. Nothing is blurred here, in training as in evaluation. Left hands
become right ones: the image is mirrored, x of joints and y and z of axis-angles are negated.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from hand_perception.augmentation.settings import CropAugmentation
from hand_perception.datatypes import DoubleArray, FloatArray, ImageArray
from hand_perception.models.hamer.crop_geometry import CROP_PX

#: How squares are made of boxes: HaMeR's training and its evaluation on HInt take the longer
#: side, its evaluations on FreiHAND and HO-3D grow the box to 3 : 4 before.
SQUARE_RULES: Final = ('longer_side', 'three_by_four')
_MIRROR: Final = np.array([1, -1, -1], np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class CropChange:
    """What was drawn for a crop.

    Attributes:
        scale: factor of the square's side.
        rotation_deg: turn of what is seen.
        shift: (2,) of the square, in its sides.
        colour: (3,) factors of red, green and blue.
    """

    scale: float
    rotation_deg: float
    shift: tuple[float, float]
    colour: tuple[float, float, float]


NO_CHANGE: Final = CropChange(
    scale=1.0, rotation_deg=0.0, shift=(0.0, 0.0), colour=(1.0, 1.0, 1.0)
)


def draw_crop_change(augmentation: CropAugmentation, rng: np.random.Generator) -> CropChange:
    """Draw how a crop is changed; always as many numbers, whatever is switched off."""
    *normal, turn = rng.standard_normal(4).tolist()
    shift_x, shift_y, scale = (min(max(value, -1.0), 1.0) for value in normal)
    turn = min(max(turn, -2.0), 2.0)
    chance, *colours = rng.random(4).tolist()
    is_turned = chance <= augmentation.rotation_share
    red, green, blue = (1 + augmentation.colour * (2 * value - 1) for value in colours)
    return CropChange(
        scale=1 + augmentation.scale * scale,
        rotation_deg=augmentation.rotation_deg * turn if is_turned else 0.0,
        shift=(augmentation.shift * shift_x, augmentation.shift * shift_y),
        colour=(red, green, blue),
    )


def square_side(box_size: FloatArray, *, rule: str, growth: float = 1.0) -> tuple[float, float]:
    """Return the side of the square of a box, and how much larger it is than its longer side.

    Args:
        box_size: (2,) width and height, pixels.
        rule: one of ``SQUARE_RULES``.
        growth: factor of the box.
    """
    # Official code stores sizes in units of 200 pixels: one rounding each way.
    width, height = np.asarray(box_size, np.float32) / np.float32(200) * np.float32(200)
    longer = max(width, height)
    if rule == 'three_by_four':
        side = max(height, width * np.float32(4 / 3)) * np.float32(growth)
    else:
        side = longer * np.float32(growth)
    return float(side), float(side / longer)


def crop_affine(
    center: FloatArray, side: float, change: CropChange, *, is_right: bool, image_width: int
) -> DoubleArray:
    """Return the (2, 3) map from pixels of the (for left hands mirrored) image to the crop."""
    x = float(center[0]) + side * change.shift[0]
    y = float(center[1]) + side * change.shift[1]
    if not is_right:
        x = image_width - x - 1
    half = side * change.scale / 2
    turn = np.deg2rad(change.rotation_deg)
    sine, cosine = np.sin(turn), np.cos(turn)
    down = np.array([-half * sine, half * cosine], np.float32)
    right = np.array([half * cosine, half * sine], np.float32)
    middle = np.array([x, y], np.float32)
    source = np.stack([middle, middle + down, middle + right]).astype(np.float32)
    center_px, end = CROP_PX / 2, CROP_PX
    target = np.array([(center_px, center_px), (center_px, end), (end, center_px)], np.float32)
    return cv2.getAffineTransform(source, target)


def cut_crop(image: ImageArray, affine: DoubleArray, *, is_right: bool) -> ImageArray:
    """Cut the (256, 256, 3) crop out of an image, mirrored for a left hand; black outside."""
    view = image if is_right else cv2.flip(image, 1)
    crop = cv2.warpAffine(
        view, affine, (CROP_PX, CROP_PX), flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT, borderValue=0,
    )  # fmt: skip
    return np.asarray(crop, np.uint8)


def crop_points(
    points_px: FloatArray, affine: DoubleArray, *, is_right: bool, image_width: int
) -> FloatArray:
    """Map (..., 2) pixels of the image to crop units: 0 the centre, +-0.5 the edges."""
    points = np.array(points_px, np.float64)
    if not is_right:
        points[..., 0] = image_width - points[..., 0] - 1
    return ((points @ affine[:, :2].T + affine[:, 2]) / CROP_PX - 0.5).astype(np.float32)


def turn_points(points: FloatArray, rotation_deg: float, *, is_right: bool) -> FloatArray:
    """Mirror (for left hands), then turn (..., 3) points about the viewing axis as the crop is."""
    mirrored = np.array(points, np.float64)
    if not is_right:
        mirrored[..., 0] *= -1
    return (mirrored @ _roll(rotation_deg).T).astype(np.float32)


def turn_orientation(orient: FloatArray, rotation_deg: float, *, is_right: bool) -> FloatArray:
    """Mirror (for left hands), then turn a (3,) axis-angle as the crop is."""
    mirrored = np.asarray(orient if is_right else orient * _MIRROR, np.float64)
    turned, _ = cv2.Rodrigues(_roll(rotation_deg) @ cv2.Rodrigues(mirrored)[0])
    return np.asarray(turned[:, 0], np.float32)


def mirror_pose(pose: FloatArray, *, is_right: bool) -> FloatArray:
    """Mirror a (45,) pose of a left hand to that of a right one."""
    if is_right:
        return pose
    return np.asarray((pose.reshape(-1, 3) * _MIRROR).reshape(pose.shape), np.float32)


def _roll(rotation_deg: float) -> DoubleArray:
    """(3, 3) rotation of the hand that is seen when the square is turned by the angle."""
    turn = np.deg2rad(-rotation_deg)
    sine, cosine = np.sin(turn), np.cos(turn)
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
