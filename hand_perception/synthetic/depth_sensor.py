"""What a depth camera makes of true distances: noise, holes, flying pixels, millimetres.

The errors are those of an active stereo camera whose depth image was aligned to the colour image
(Keselman et al., Intel RealSense Stereoscopic Depth Cameras, CVPRW 2017): disparities are known
to a part of a pixel, so noise grows with the square of the distance; what only one of its two
imagers sees has no depth; at edges both surfaces fall into one matching window.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from hand_perception.datatypes import Camera, DoubleArray, FloatArray
from hand_perception.errors import ConfigError
from hand_perception.synthetic.textures import noise_2d

#: A pixel that is this share of its distance off the plane through its neighbours is at an edge.
_EDGE_RATIO: Final = 0.03
#: Millimetres of a 16-bit depth image: 0 says unknown, this is the last one.
_MAX_MILLIMETRES: Final = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthSensor:
    """How good a depth camera is. The defaults are a good one at arm's length.

    Attributes:
        noise_at_1m: standard deviation at a distance of 1 m, metres; grows with its square.
        noise_floor: part of the noise that does not depend on distance, metres.
        noise_grain_px: size of a blob of noise, pixels: neighbours share matching windows.
        baseline_m: between the two imagers; what the second one cannot see has no depth.
        flying_share: share of pixels at edges that lie between the two surfaces.
        edge_hole_share: share of pixels at edges without depth.
        grazing_deg: surfaces seen at a larger angle than this from their normal have no depth.
        speckle_share: share of all pixels in blobs without depth.
        near_m: nothing nearer is measured.
        far_m: nothing farther is measured.
    """

    noise_at_1m: float = 0.006
    noise_floor: float = 0.0005
    noise_grain_px: float = 2.0
    baseline_m: float = 0.05
    flying_share: float = 0.35
    edge_hole_share: float = 0.35
    grazing_deg: float = 75.0
    speckle_share: float = 0.01
    near_m: float = 0.17
    far_m: float = 4.0

    def __post_init__(self) -> None:
        """Refuse sensors that cannot be."""
        shares = (self.flying_share, self.edge_hole_share, self.speckle_share)
        sizes = (self.noise_at_1m, self.noise_floor, self.baseline_m)
        if not all(0 <= share <= 1 for share in shares) or min(sizes) < 0:
            raise ConfigError(
                'a depth sensor needs shares from 0 to 1 and noise and baseline from 0, got '
                f'{self}'
            )
        if not 0 < self.near_m < self.far_m or not 0 < self.grazing_deg <= 90:
            raise ConfigError(
                'a depth sensor needs 0 < near_m < far_m and grazing_deg up to 90, got '
                f'{self.near_m}, {self.far_m}, {self.grazing_deg}'
            )
        if self.noise_grain_px < 1:
            raise ConfigError(f'noise_grain_px must be at least 1, got {self.noise_grain_px}')


def sense_depth(
    depth_m: FloatArray, camera: Camera, sensor: DepthSensor, rng: np.random.Generator
) -> FloatArray:
    """Give what a sensor would tell of true distances.

    Args:
        depth_m: (H, W) true metres along the viewing axis, NaN where endless.
        camera: of the image that the depth is aligned to; without distortion.
        sensor: how good it is.
        rng: where the randomness comes from.

    Returns:
        (H, W) float32 metres, NaN where the sensor knows nothing: a 32FC1 depth image.
    """
    endless = np.float32(1e3)
    true = np.where(np.isfinite(depth_m), depth_m, endless)
    near, far = _neighbourhood(true)
    is_edge = _is_edge(true)
    told = true + _noise(true, sensor, rng)
    chance = rng.random(true.shape, np.float32)
    is_flying = is_edge & (chance < sensor.flying_share)
    between = rng.random(true.shape, np.float32)
    told = np.where(is_flying, near + between * (np.minimum(far, sensor.far_m) - near), told)
    is_hole = is_edge & (chance > 1 - sensor.edge_hole_share)
    is_hole |= _is_grazing(true, camera, sensor) & ~is_edge
    is_hole |= _is_hidden_from_second(true, camera, sensor)
    if sensor.speckle_share > 0:
        blobs = noise_2d(true.shape[0], true.shape[1], 3.0, rng)
        is_hole |= blobs > np.quantile(blobs, 1 - sensor.speckle_share)
    is_hole |= (told < sensor.near_m) | (told > sensor.far_m)
    return np.where(is_hole, np.nan, told).astype(np.float32)


def millimetres(depth_m: FloatArray) -> NDArray[np.uint16]:
    """Turn metres into a 16UC1 depth image: whole millimetres, 0 where nothing is known."""
    rounded = np.rint(np.nan_to_num(depth_m, nan=0.0) * 1e3)
    is_known = (rounded > 0) & (rounded <= _MAX_MILLIMETRES)
    return np.where(is_known, rounded, 0).astype(np.uint16)


def _neighbourhood(depth: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give the nearest and the farthest of 3 x 3 pixels around each one."""
    square = np.ones((3, 3), np.uint8)
    return cv2.erode(depth, square), cv2.dilate(depth, square)


def _is_edge(depth: FloatArray) -> NDArray[np.bool_]:
    """Find (H, W) where one surface ends and another one shows, or a surface folds sharply."""
    inverse = 1 / depth  # runs linearly over the image of a plane, however it is turned
    bend = np.zeros_like(depth)
    bend[:, 1:-1] = np.abs(inverse[:, 2:] + inverse[:, :-2] - 2 * inverse[:, 1:-1])
    down = np.abs(inverse[2:] + inverse[:-2] - 2 * inverse[1:-1])
    bend[1:-1] = np.maximum(bend[1:-1], down)
    is_edge: NDArray[np.bool_] = bend * depth > _EDGE_RATIO
    return is_edge


def _noise(depth: FloatArray, sensor: DepthSensor, rng: np.random.Generator) -> FloatArray:
    """Draw (H, W) errors in metres, alike in neighbours."""
    height, width = depth.shape
    grain = sensor.noise_grain_px
    coarse = (int(np.ceil(height / grain)), int(np.ceil(width / grain)))
    drawn = rng.standard_normal(coarse, np.float32)
    normal = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_NEAREST)
    sigma = np.hypot(sensor.noise_floor, sensor.noise_at_1m * np.minimum(depth, sensor.far_m) ** 2)
    return (sigma * normal).astype(np.float32)


def _is_grazing(depth: FloatArray, camera: Camera, sensor: DepthSensor) -> NDArray[np.bool_]:
    """Find (H, W) where the surface is seen from the side."""
    down, across = np.gradient(depth)
    # Plane z through its slopes in pixels: the normal is (-fx zx, -fy zy, z + u zx + v zy).
    u = np.arange(camera.width, dtype=np.float32) - np.float32(camera.cx)
    v = (np.arange(camera.height, dtype=np.float32) - np.float32(camera.cy))[:, None]
    normal_z = depth + u * across + v * down
    length = np.sqrt((camera.fx * across) ** 2 + (camera.fy * down) ** 2 + normal_z**2)
    ray = np.sqrt(1 + (u / camera.fx) ** 2 + (v / camera.fy) ** 2)
    # The ray (u / fx, v / fy, 1) times that normal leaves the depth alone.
    cosine = depth / (ray * np.maximum(length, 1e-9))
    grazing: NDArray[np.bool_] = cosine < np.cos(np.deg2rad(sensor.grazing_deg))
    return grazing


def _is_hidden_from_second(
    depth: FloatArray, camera: Camera, sensor: DepthSensor
) -> NDArray[np.bool_]:
    """Find (H, W) what something nearer hides from an imager ``baseline_m`` to the right."""
    columns = np.arange(camera.width, dtype=np.float64)
    seen_at: DoubleArray = columns - camera.fx * sensor.baseline_m / depth
    # A pixel is hidden when one to its right is seen at the same place or further left.
    right_of = np.minimum.accumulate(seen_at[:, ::-1], axis=1)[:, ::-1]
    hidden = np.zeros(depth.shape, np.bool_)
    hidden[:, :-1] = right_of[:, 1:] < seen_at[:, :-1]
    return hidden
