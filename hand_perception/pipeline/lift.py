"""Between pixels and metres: lens distortion, projection, and distances from a depth image."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import ArrayLike

from hand_perception.datatypes import Camera, DepthSource, DoubleArray, FloatArray

#: Adult hand length varies by 6 % about its mean (ANSUR II, men and women pooled): what is not
#: known of a hand that nobody measured.
SIZE_RATIO: Final = 0.06
#: The fit of the distance adds about 5 % (median 22-36 mm at 0.38-0.60 m on rendered hands).
_FIT_RATIO: Final = 0.05
#: Webcams and phones have focal lengths of about 0.6 to 1.2 long image sides.
_ASSUMED_FOCAL_RATIO: Final = 0.25
#: Noise floor of a close-range depth camera, metres.
_SENSOR_NOISE_M: Final = 0.005
#: A depth image may correct the size of a hand by this much; beyond it shows something else.
_MAX_DEPTH_CORRECTION: Final = 1.5
_MIN_DEPTH_SAMPLES: Final = 30

_UNDISTORT_STEPS: Final = 20


def project(camera: Camera, points_m: ArrayLike) -> DoubleArray:
    """Project points to pixels, lens distortion included.

    Args:
        camera: intrinsics and distortion.
        points_m: (..., 3) metres, camera optical frame.

    Returns:
        (..., 2) pixels; NaN for points less than 1 mm in front of the camera or behind it.
    """
    points = np.asarray(points_m, np.float64)
    visible = points[..., 2:] > 1e-3
    safe = np.where(visible, points, (0.0, 0.0, 1.0))
    if not camera.is_distorted:
        focal, centre = (camera.fx, camera.fy), (camera.cx, camera.cy)
        pixels = safe[..., :2] / safe[..., 2:] * focal + centre
    else:
        distortion = np.asarray(camera.distortion, np.float64)
        zero = np.zeros(3)
        flat = safe.reshape(-1, 1, 3)
        if camera.distortion_model == 'equidistant':
            pixels, _ = cv2.fisheye.projectPoints(flat, zero, zero, camera.K, distortion)
        else:
            pixels, _ = cv2.projectPoints(flat, zero, zero, camera.K, distortion)
        pixels = pixels.reshape(*safe.shape[:-1], 2)
    return np.where(visible, pixels, np.nan)


def normalised_from_pixels(camera: Camera, pixels: ArrayLike) -> DoubleArray:
    """Turn (..., 2) pixels into (..., 2) undistorted viewing rays x/z, y/z."""
    points = np.asarray(pixels, np.float64)
    if not camera.is_distorted:
        return (points - (camera.cx, camera.cy)) / (camera.fx, camera.fy)
    distortion = np.asarray(camera.distortion, np.float64)
    undistort = (
        cv2.fisheye.undistortPoints
        if camera.distortion_model == 'equidistant'
        else cv2.undistortPoints
    )
    rays = undistort(points.reshape(-1, 1, 2), camera.K, distortion).reshape(points.shape)
    rays = rays.astype(np.float64)
    # OpenCV stops after five fixed-point steps, and the way to ask for more changed between its
    # versions; more steps of the same kind make the round trip exact. Pixels far outside the
    # field of view that the distortion model was fitted for have no ray: they keep OpenCV's.
    first, error = rays.copy(), _ray_error(camera, rays, points)
    first_error = error
    for _ in range(_UNDISTORT_STEPS):
        if np.abs(error).max() < 1e-9:
            break
        rays += error
        error = _ray_error(camera, rays, points)
    return np.where(np.abs(error) <= np.abs(first_error), rays, first)


def _ray_error(camera: Camera, rays: DoubleArray, pixels: DoubleArray) -> DoubleArray:
    """Give (..., 2) by how much rays miss the pixels they should project to, in units of rays."""
    seen = project(camera, np.concatenate([rays, np.ones_like(rays[..., :1])], -1))
    return (pixels - seen) / (camera.fx, camera.fy)


def monocular_depth(
    camera: Camera, depth_m: float, *, size_ratio: float = SIZE_RATIO
) -> tuple[DepthSource, float]:
    """Say how well a distance is known that rests on the size of the hand.

    Args:
        camera: the camera, measured or assumed.
        depth_m: distance of the wrist, metres.
        size_ratio: standard deviation of the hand's size, as a share of it; less than that of
            people's hands once a hand was measured.

    Returns:
        The source, and the standard deviation in metres.
    """
    ratio = float(np.hypot(size_ratio, _FIT_RATIO))
    if camera.is_assumed:
        return DepthSource.ASSUMED_CAMERA, float(np.hypot(ratio, _ASSUMED_FOCAL_RATIO)) * depth_m
    return DepthSource.MONO, ratio * depth_m


def scale_from_depth(
    camera: Camera, depth_m: FloatArray, vertices_m: DoubleArray
) -> tuple[float, float] | None:
    """Compare a hand's surface with an aligned depth image.

    The half of the surface that is nearer to the camera is compared, pixel by pixel; the median
    ratio is robust against fingers that stick out and objects in front of less than half of it.

    Args:
        camera: camera of both images.
        depth_m: (H, W) metres, NaN where unknown.
        vertices_m: (V, 3) metres, the surface of the hand as it is believed to be.

    Returns:
        By how much the hand is farther (and larger) than believed, and the standard deviation of
        its distance in metres. None when too little depth was seen or it shows something else.
    """
    z = vertices_m[:, 2]
    front = vertices_m[z <= np.median(z)]
    pixels = project(camera, front)
    with np.errstate(invalid='ignore'):
        column, row = np.rint(np.nan_to_num(pixels, nan=-1)).astype(np.int64).T
    height, width = depth_m.shape
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    ratio = depth_m[row[inside], column[inside]] / front[inside, 2]
    ratio = ratio[np.isfinite(ratio)]
    if len(ratio) < _MIN_DEPTH_SAMPLES:
        return None
    scale = float(np.median(ratio))
    if not 1 / _MAX_DEPTH_CORRECTION < scale < _MAX_DEPTH_CORRECTION:
        return None
    spread = 1.4826 * float(np.median(np.abs(ratio - scale)))  # normal noise: MAD to sigma
    return scale, float(np.hypot(_SENSOR_NOISE_M, spread * float(np.median(front[:, 2]))))
