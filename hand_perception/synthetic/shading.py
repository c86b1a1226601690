"""Light on skin and cloth: sky and key light, cast shadows, a little light inside the skin."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from hand_perception.datatypes import DoubleArray, FloatArray
from hand_perception.rendering.rasterizer import rasterize

#: Size of a shadow map's pixel, metres.
_SHADOW_PIXEL: Final = 0.0015
#: A surface this far behind another one (metres, towards the light) lies in its shadow, and
#: places are lifted off their surface by as much: both keep a surface from shading itself.
_SHADOW_BIAS: Final = 0.003
_MAX_SHADOW_MAP: Final = 800


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """A lamp far away and the light of the room.

    Attributes:
        to_lamp: (3,) unit vector, camera axes.
        lamp: (3,) red, green, blue.
        sky: (3,) light from above.
        bounce: (3,) light from the table.
        up: (3,) unit vector out of the table, camera axes.
    """

    to_lamp: DoubleArray
    lamp: DoubleArray
    sky: DoubleArray
    bounce: DoubleArray
    up: DoubleArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """The visible surface, P places in all.

    Attributes:
        position: (P, 3) metres, camera axes.
        normal: (P, 3) unit vectors.
        colour: (P, 3) light it gives back, 0-1.
        gloss: (P,) strength of highlights, 0-1.
        is_skin: (P,) skin, which light enters, or cloth.
    """

    position: FloatArray
    normal: FloatArray
    colour: FloatArray
    gloss: FloatArray
    is_skin: NDArray[np.bool_]


def shade(surface: Surface, light: Light, lit: FloatArray, open_sky: FloatArray) -> FloatArray:
    """Give the light (P, 3) that each place sends to the camera.

    Args:
        surface: the places.
        light: where light comes from.
        lit: (P,) 1 where the lamp is seen, 0 in its shadow.
        open_sky: (P,) 1 in the open, less in creases.
    """
    to_eye = -surface.position / np.linalg.norm(surface.position, axis=1, keepdims=True)
    normal = surface.normal
    toward = normal @ light.to_lamp.astype(np.float32)
    # Light that enters skin comes out a little around the corner, and red travels furthest
    # (wrap lighting, Green, GPU Gems 2004).
    wrap = np.where(surface.is_skin[:, None], (0.34, 0.22, 0.18), 0.1).astype(np.float32)
    direct = np.clip((toward[:, None] + wrap) / (1 + wrap), 0, 1) ** 1.3
    shadow = np.clip(lit[:, None] + wrap * 0.35 * (1 - lit[:, None]), 0, 1)
    above = (0.5 + 0.5 * (normal @ light.up.astype(np.float32)))[:, None]
    ambient = (light.sky * above + light.bounce * (1 - above)) * open_sky[:, None]
    half_way = to_eye + light.to_lamp
    half_way /= np.linalg.norm(half_way, axis=1, keepdims=True)
    facing = np.clip((normal * to_eye).sum(1), 0, 1)
    # Two lobes: broad sheen and a narrow highlight (after d'Eon et al. 2007, much simplified).
    aligned = np.clip((normal * half_way).sum(1), 0, 1)
    sheen = 0.6 * aligned**14 + 0.8 * aligned**55
    edge = 0.04 + 0.96 * (1 - facing) ** 5
    highlight = surface.gloss * (
        sheen * lit * np.clip(toward * 4, 0, 1) + 0.9 * edge * above[:, 0]
    )
    return (
        surface.colour * (light.lamp * direct * shadow + ambient)
        + highlight[:, None] * light.lamp * 0.55
    ).astype(np.float32)


def lamp_visibility(
    surface: Surface, vertices: DoubleArray, faces: NDArray[np.integer], light: Light
) -> FloatArray:
    """Find which places see the lamp, with a shadow map (Williams 1978; Reeves et al. 1987).

    Args:
        surface: the places, P in all.
        vertices: (V, 3) of everything that throws shadows, same axes.
        faces: (F, 3) its triangles.
        light: the lamp.

    Returns:
        (P,) 0 in full shadow to 1 in full light.
    """
    axes = _axes_around(light.to_lamp)
    seen = vertices @ axes.T
    low, high = seen.min(0), seen.max(0)
    pixel = max(_SHADOW_PIXEL, float((high - low)[:2].max()) / _MAX_SHADOW_MAP)
    width, height = (np.ceil((high - low)[:2] / pixel).astype(int) + 3).tolist()
    distance = 1.0 + high[2] - seen[:, 2]
    drawn = rasterize(
        (seen[:, :2] - low[:2]) / pixel + 1,
        distance,
        faces,
        width=width,
        height=height,
        perspective=False,
    )
    nearest = np.full((height, width), np.inf, np.float32)
    nearest[drawn.rows, drawn.columns] = drawn.depth
    lifted = surface.position + np.float32(_SHADOW_BIAS) * surface.normal
    rotated = lifted @ axes.T.astype(np.float32)
    at = (rotated[:, :2] - low[:2]) / pixel + 1
    limit = 1.0 + high[2] - rotated[:, 2] - _SHADOW_BIAS
    steps = np.array([-1.6, 0.0, 1.6])
    total = np.zeros(len(rotated), np.float32)
    for dx in steps:
        for dy in steps:
            column = np.clip(np.rint(at[:, 0] + dx), 0, width - 1).astype(np.int64)
            row = np.clip(np.rint(at[:, 1] + dy), 0, height - 1).astype(np.int64)
            total += nearest[row, column] >= limit
    return (total / 9).astype(np.float32)


def openness(depth: FloatArray, reach_px: float) -> FloatArray:
    """Estimate how open each visible place is, from the depth around it.

    A place that lies behind the average of its surroundings is in a crease (depth buffer
    unsharp masking, Luft et al. 2006).

    Args:
        depth: (H, W) metres, infinite where there is nothing.
        reach_px: how far creases reach, pixels.

    Returns:
        (H, W) 1 in the open, down to 0.45.
    """
    is_there = np.isfinite(depth)
    if not is_there.any():
        return np.ones_like(depth)
    filled = np.where(is_there, depth, depth[is_there].max() + 0.02).astype(np.float32)
    behind = filled - cv2.GaussianBlur(filled, (0, 0), reach_px)
    return (1 - 0.55 * np.clip(behind / 0.012, 0, 1)).astype(np.float32)


def _axes_around(direction: DoubleArray) -> DoubleArray:
    """Make (3, 3) rows of a frame whose third axis is ``direction``."""
    helper = np.array([1.0, 0.0, 0.0]) if abs(direction[0]) < 0.8 else np.array([0.0, 1.0, 0.0])
    first = np.cross(helper, direction)
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(direction, first), direction])
