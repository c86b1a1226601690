"""What the hands move over: table tops seen from above, one millimetre per pixel."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import cv2
import numpy as np

from hand_perception.datatypes import ImageArray
from hand_perception.synthetic.textures import noise_2d

#: Size of a table top, millimetres: width, depth. Its front edge is under the camera.
TABLE_WIDTH: Final = 1800
TABLE_DEPTH: Final = 1500

_Rgb = tuple[float, float, float]


def _plain(rng: np.random.Generator) -> ImageArray:
    colour = rng.uniform(110, 215, 3) * 0.3 + rng.uniform(110, 215) * 0.7
    return np.tile(colour.astype(np.uint8), (TABLE_DEPTH, TABLE_WIDTH, 1))


def _noise(rng: np.random.Generator) -> ImageArray:
    image = np.full((TABLE_DEPTH, TABLE_WIDTH, 3), 125.0, np.float32)
    for cell, strength in ((160, 24.0), (55, 16.0), (18, 10.0)):
        layers = [noise_2d(TABLE_DEPTH, TABLE_WIDTH, cell, rng) for _ in range(3)]
        image += strength * np.stack(layers, -1)
    return np.clip(image, 0, 255).astype(np.uint8)


def _boards(rng: np.random.Generator, dark: _Rgb, light: _Rgb, board_mm: int) -> ImageArray:
    """Wooden boards running left to right."""
    shape = (TABLE_DEPTH, TABLE_WIDTH)
    rows = np.arange(TABLE_DEPTH, dtype=np.float32)[:, None]
    # Noise drawn on a narrow strip and stretched gives fibres.
    stretch = [
        cv2.resize(noise_2d(TABLE_DEPTH, 60, cell, rng), shape[::-1]) for cell in (40.0, 9.0, 3.0)
    ]
    rings = np.sin((rows + 28 * stretch[0]) / 11)
    grain = 0.5 + 0.16 * rings + 0.14 * stretch[1] + 0.10 * stretch[2]
    board = (rows[:, 0] // board_mm).astype(np.int64)
    grain += rng.uniform(-0.12, 0.12, board.max() + 1).astype(np.float32)[board][:, None]
    seam = np.minimum(rows % board_mm, board_mm - rows % board_mm) < 1.2
    grain = np.where(seam, grain - 0.35, grain)
    share = np.clip(grain, 0, 1).astype(np.float64)
    image = np.empty((*shape, 3), np.uint8)
    for channel, (low, high) in enumerate(zip(dark, light, strict=True)):
        image[..., channel] = low + (high - low) * share
    return image


def _wood(rng: np.random.Generator) -> ImageArray:
    return _boards(rng, (62.0, 40.0, 24.0), (150.0, 104.0, 62.0), 140)


def _desk(rng: np.random.Generator) -> ImageArray:
    """A pale desk with sheets of paper, a keyboard, a pen and a mug, none where hands hide it."""
    image = _boards(rng, (168.0, 150.0, 128.0), (216.0, 202.0, 182.0), 420)
    _draw_keyboard(image, (900, 1060))
    _draw_sheet(image, (560.0, 640.0), float(rng.uniform(-14, -6)), rng)
    _draw_sheet(image, (1235.0, 560.0), float(rng.uniform(5, 12)), rng)
    _draw_mug(image, (1400, 930))
    cv2.line(image, (820, 560), (930, 700), (40, 62, 110), 9, cv2.LINE_AA)
    cv2.line(image, (930, 700), (938, 710), (190, 190, 190), 6, cv2.LINE_AA)
    return image


def _draw_sheet(
    image: ImageArray, centre: tuple[float, float], angle_deg: float, rng: np.random.Generator
) -> None:
    corners = cv2.boxPoints((centre, (210.0, 297.0), angle_deg))
    shade = np.zeros(image.shape[:2], np.uint8)
    cv2.fillConvexPoly(shade, (corners + (4, -3)).astype(np.int32), 60, cv2.LINE_AA)
    shade = cv2.GaussianBlur(shade, (0, 0), 5)
    image[:] = (image * (1 - shade[..., None] / 255.0 * 0.9)).astype(np.uint8)
    cv2.fillConvexPoly(image, corners.astype(np.int32), (228, 228, 222), cv2.LINE_AA)
    turn = cv2.getRotationMatrix2D((0, 0), -angle_deg, 1.0)[:, :2]
    for line in range(20):
        y = -125 + 12.5 * line
        end = -85 + 170 * (0.55 if line % 6 == 5 else float(rng.uniform(0.86, 1.0)))
        a, b = (turn @ np.array([x, y]) + centre for x in (-85.0, end))
        cv2.line(image, a.astype(int).tolist(), b.astype(int).tolist(), (150, 150, 152), 3,
                 cv2.LINE_AA)  # fmt: skip


def _draw_keyboard(image: ImageArray, centre: tuple[int, int]) -> None:
    x0, y0 = centre[0] - 220, centre[1] - 70
    cv2.rectangle(image, (x0, y0), (x0 + 440, y0 + 140), (52, 54, 58), cv2.FILLED)
    for row in range(6):
        for key in range(22):
            x, y = x0 + 10 + key * 19, y0 + 10 + row * 20
            cv2.rectangle(image, (x, y), (x + 15, y + 15), (84, 86, 92), cv2.FILLED)


def _draw_mug(image: ImageArray, centre: tuple[int, int]) -> None:
    cv2.circle(image, (centre[0] + 6, centre[1] - 6), 52, (120, 108, 92), -1, cv2.LINE_AA)
    cv2.circle(image, centre, 46, (64, 104, 112), -1, cv2.LINE_AA)
    cv2.circle(image, centre, 39, (44, 28, 18), -1, cv2.LINE_AA)


#: Makers of (TABLE_DEPTH, TABLE_WIDTH, 3) red-green-blue table tops; row 0 is the front edge.
BACKGROUNDS: Final[Mapping[str, Callable[[np.random.Generator], ImageArray]]] = MappingProxyType(
    {'desk': _desk, 'wood': _wood, 'plain': _plain, 'noise': _noise}
)
