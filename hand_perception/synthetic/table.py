"""The table under the hands: a textured plane, its depth, and the shadows on it."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from hand_perception.datatypes import Camera, DoubleArray, FloatArray
from hand_perception.rendering.rasterizer import rasterize
from hand_perception.synthetic.backgrounds import TABLE_WIDTH

#: The camera is worn on the head of a person who sits at the table: height over the table in
#: metres, and how far it looks down.
CAMERA_HEIGHT: Final = 0.62
CAMERA_PITCH: Final = np.deg2rad(52.0)
#: Out of the table, camera axes (x right, y down, z forward).
TABLE_UP: Final = np.array([0.0, -np.cos(CAMERA_PITCH), -np.sin(CAMERA_PITCH)])
#: Shadows are soft; they are drawn at a quarter of the image's resolution.
_SHADOW_SHRINK: Final = 4


def draw_table(texture: FloatArray, camera: Camera) -> FloatArray:
    """Draw the table as the camera sees it.

    Args:
        texture: (TABLE_DEPTH, TABLE_WIDTH, 3) light, row 0 under the camera.
        camera: without distortion.

    Returns:
        (H, W, 3) float32 light.
    """
    sine, cosine = np.sin(CAMERA_PITCH), np.cos(CAMERA_PITCH)
    camera_from_table = np.array(  # metres right and ahead of the camera's foot
        [[1, 0, 0], [0, -sine, CAMERA_HEIGHT * cosine], [0, cosine, CAMERA_HEIGHT * sine]]
    )
    table_from_texture = np.array([[0.001, 0, -0.0005 * TABLE_WIDTH], [0, 0.001, 0], [0, 0, 1]])
    image_from_texture = camera.K @ camera_from_table @ table_from_texture
    size = (camera.width, camera.height)
    return cv2.warpPerspective(
        texture, image_from_texture, size, flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip


def table_depth(camera: Camera) -> FloatArray:
    """Give the (H, W) distance of the table along the viewing axis, metres; NaN above it."""
    y = (np.arange(camera.height) - camera.cy) / camera.fy
    slope = -(TABLE_UP[1] * y + TABLE_UP[2])
    with np.errstate(divide='ignore'):
        depth = np.where(slope > 1e-6, CAMERA_HEIGHT / slope, np.nan)
    return np.tile(depth[:, None].astype(np.float32), (1, camera.width))


def table_shadow(
    vertices: DoubleArray, faces: NDArray[np.integer], to_lamp: DoubleArray, camera: Camera
) -> FloatArray:
    """Find where a mesh keeps the lamp's light from the table: (H, W) 0 lit to 1 dark."""
    height_over = CAMERA_HEIGHT + vertices @ TABLE_UP
    feet = vertices - (height_over / (to_lamp @ TABLE_UP))[:, None] * to_lamp
    small = (camera.width // _SHADOW_SHRINK, camera.height // _SHADOW_SHRINK)
    focal, centre = np.array([camera.fx, camera.fy]), np.array([camera.cx, camera.cy])
    depth = np.maximum(feet[:, 2], 1e-6)
    pixels = (feet[:, :2] / depth[:, None] * focal + centre + 0.5) / _SHADOW_SHRINK - 0.5
    dark = np.zeros((small[1], small[0]), np.float32)
    drawn = rasterize(pixels, feet[:, 2], faces, width=small[0], height=small[1])
    dark[drawn.rows, drawn.columns] = 1
    # A lamp about 12 cm wide at 1.5 m blurs the shadow of a hand 25 cm away by 2 cm.
    blur = 0.010 * camera.fx / 0.7 / _SHADOW_SHRINK
    dark = cv2.GaussianBlur(dark, (0, 0), max(blur, 0.5))
    return cv2.resize(dark, (camera.width, camera.height), interpolation=cv2.INTER_LINEAR)
