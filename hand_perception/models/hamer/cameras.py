"""Where the hands of the crops are: official cameras for comparison, and true metres.

HaMeR gives every crop a weak-perspective camera (s, tx, ty): the crop shows the hand from a long
way off, s x b / 2 pixels per metre for a square of b pixels, shifted by (tx, ty) metres. All
functions take hands after :func:`.mirroring.mirror_left`: x to the right in the image as it is.

How metres come about (:func:`place_hands`). The network sees the crop's pixels and nothing else,
so the same crop in the middle and at the border of a wide image gives the same orientation: it is
relative to the ray the hand is seen along, not to the camera's axis. So the hand is first turned
from the axis onto its mean viewing ray. Then the translation is sought with which the 21
keypoints, projected by the true camera, meet their places in the crop best. Each keypoint X with
ray (x, y) asks (X + t)_x = x (X + t)_z and the same for y: linear in t, three unknowns and 42
equations, solved once and once more with the equations divided by the depths found, which turns
their errors into those of the image.

On synthetic truth (hand poses of the built-in clip in 120 places, 0.3 to 0.6 m, f = 600 px on
1280 x 720, boxes shifted by up to 12 %, a network that fits the crop to 1 % of its size;
tools/measure_hamer_placement.py) the mean error of the joints in place is, median over hands
within 5, 25 (fx and fy 3 % apart) and 45 degrees of the axis: 6.1, 6.0 and 7.4 mm with this
method; 7.0, 26 and 50 mm when the hand is not turned; 7.8, 21 and 41 mm with the official formula
and the true focal length, which matches place and scale of the model's origin only. On the axis,
points of one plane square to it are placed exactly. What remains in use is the size of the hand,
which one image does not show: about 8 % of the distance (users of HaMeR report 4 to 10 cm).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from hand_perception.datatypes import DoubleArray, FloatArray
from hand_perception.geometry import swing_rotation
from hand_perception.models.hamer.crop_geometry import CROP_PX

#: Focal length of the crop's camera, pixels of the crop: EXTRA.FOCAL_LENGTH of the release.
CROP_FOCAL_PX: Final = 5000.0
#: Keeps official divisions by the scale finite.
_SCALE_FLOOR: Final = 1e-9
#: Once with equal weights, once with those of the depths found.
_SOLVE_ROUNDS: Final = 2
#: Nearest believable keypoint of a hand, metres; and least spread of the viewing rays, which
#: a hand of a tenth of a pixel has.
_MIN_DEPTH_M: Final = 1e-2
_MIN_RAY_SPREAD: Final = 1e-4

#: Turns (..., 2) pixels of the image into (..., 2) undistorted viewing rays x/z, y/z.
RaysFromPixels = Callable[[DoubleArray], DoubleArray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """How B hands of crops come into the camera: turned about the model's origin, then moved.

    Attributes:
        rotation: (B, 3, 3) camera optical frame from the axes of the crop.
        translation: (B, 3) metres; NaN where a hand fits nowhere in front of the camera.
    """

    rotation: DoubleArray
    translation: DoubleArray

    def place(self, points: ArrayLike) -> DoubleArray:
        """Move (B, N, 3) points, metres, into the camera optical frame."""
        moved = np.asarray(points, np.float64) @ np.swapaxes(self.rotation, -1, -2)
        return moved + self.translation[:, None]

    def turn(self, global_orient: ArrayLike) -> DoubleArray:
        """Turn (B, 3, 3) global orientations of the crop into the camera optical frame."""
        return self.rotation @ np.asarray(global_orient, np.float64)

    def transl(self, root: ArrayLike) -> DoubleArray:
        """Give the MANO translation that goes with the turned global orientation.

        MANO turns about the wrist, not about its origin.

        Args:
            root: (B, 3) wrist about the model's origin (x negated for left hands), metres; posing
                does not move it.

        Returns:
            (B, 3) metres.
        """
        wrist = np.asarray(root, np.float64)
        turned = (self.rotation @ wrist[..., None])[..., 0]
        return self.translation + turned - wrist


def official_camera(
    pred_cam: FloatArray,
    centers: FloatArray,
    sizes: FloatArray,
    image_size: ArrayLike,
    *,
    crop_focal_px: float = CROP_FOCAL_PX,
    is_per_image: bool = False,
) -> tuple[FloatArray, FloatArray]:
    """Give the camera of the official demo: a guessed, very long focal length for the whole image.

    Args:
        pred_cam: (B, 3) s, tx, ty after mirroring.
        centers: (B, 2) centres of the squares, pixels of the image.
        sizes: (B,) sides of the squares, pixels.
        image_size: (2,) or (B, 2) width and height, pixels.
        crop_focal_px: focal length of the crop's camera.
        is_per_image: True: each hand's own image gives its focal length. False: the largest side
            in the batch gives it for all, as in the demo.

    Returns:
        (B, 3) translations and (B,) focal lengths in pixels; the principal point is the middle
        (W/2, H/2) of the image. Depths are hundreds of times too large.
    """
    image = np.broadcast_to(np.asarray(image_size, np.float32), centers.shape)
    longest = image.max(1) if is_per_image else np.full(len(image), image.max(initial=0))
    focal = (np.float32(crop_focal_px / CROP_PX) * longest).astype(np.float32)
    scale = sizes * pred_cam[:, 0] + np.float32(_SCALE_FLOOR)
    shift = np.float32(2) * (centers - image / np.float32(2)) / scale[:, None]
    depth = np.float32(2) * focal / scale
    return np.concatenate([shift + pred_cam[:, 1:], depth[:, None]], 1), focal


def keypoints_in_image(
    keypoints_2d: ArrayLike, centers: ArrayLike, sizes: ArrayLike
) -> DoubleArray:
    """Turn (B, J, 2) crop units, after mirroring, into pixels of the image."""
    side = np.asarray(sizes, np.float64)[:, None, None]
    return np.asarray(keypoints_2d, np.float64) * side + np.asarray(centers, np.float64)[:, None]


def place_hands(
    keypoints_3d: ArrayLike, keypoints_px: DoubleArray, rays_from_pixels: RaysFromPixels
) -> Placement:
    """Find where hands are in the true camera; the method stands at the top of this module.

    Args:
        keypoints_3d: (B, J, 3) metres, axes of the crop, after mirroring.
        keypoints_px: (B, J, 2) where the network sees them, pixels of the image as it is.
        rays_from_pixels: the true camera, lens distortion undone.
    """
    points = np.asarray(keypoints_3d, np.float64)
    batch, count = points.shape[:2]
    if batch == 0:
        return Placement(rotation=np.zeros((0, 3, 3)), translation=np.zeros((0, 3)))
    numbers = np.concatenate([points, keypoints_px], 2).reshape(batch, -1)
    finite = np.asarray(np.isfinite(numbers).all(1), np.bool_)
    points = np.where(finite[:, None, None], points, 0.0)
    rays = rays_from_pixels(np.where(finite[:, None, None], keypoints_px, 0.0))
    is_seen = finite & (np.ptp(rays, axis=1).max(1) > _MIN_RAY_SPREAD)
    ahead = np.array([0.0, 0.0, 1.0])
    middle = np.concatenate([rays.mean(1), np.ones((batch, 1))], 1)
    rotation = swing_rotation(np.broadcast_to(ahead, (batch, 3)), middle)
    turned = points @ np.swapaxes(rotation, -1, -2)

    equations = np.zeros((batch, 2 * count, 3))
    equations[:, :count, 0] = equations[:, count:, 1] = 1
    equations[:, :count, 2], equations[:, count:, 2] = -rays[..., 0], -rays[..., 1]
    wanted = np.concatenate(
        [rays[..., i] * turned[..., 2] - turned[..., i] for i in (0, 1)], 1
    )  # (B, 2J)
    weight = np.ones((batch, 2 * count))
    translation = np.zeros((batch, 3))
    for _ in range(_SOLVE_ROUNDS):
        weighted = np.swapaxes(equations * weight[..., None], 1, 2)  # (B, 3, 2J)
        normal = np.where(is_seen[:, None, None], weighted @ equations, np.eye(3))
        translation = np.linalg.solve(normal, weighted @ wanted[..., None])[..., 0]
        depth = turned[..., 2] + translation[:, 2:]
        is_seen &= depth.min(1) > _MIN_DEPTH_M
        inverse = 1 / np.maximum(depth, _MIN_DEPTH_M)
        weight = np.tile(inverse * inverse, 2)
    translation[~is_seen] = np.nan
    return Placement(rotation=rotation, translation=translation)
