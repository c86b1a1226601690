"""Random textures made of smooth noise, the same for the same seed everywhere."""

import cv2
import numpy as np

from hand_perception.datatypes import FloatArray, ImageArray

#: Lattice points per side of 3D noise; it repeats after that many cells.
_LATTICE = 32


def noise_2d(height: int, width: int, cell: float, rng: np.random.Generator) -> FloatArray:
    """Make (height, width) smooth noise about 0, standard deviation about 1/2.

    Args:
        height: rows.
        width: columns.
        cell: size of a blob, pixels.
        rng: where the randomness comes from.
    """
    coarse = rng.normal(size=(int(height / cell) + 3, int(width / cell) + 3)).astype(np.float32)
    rows = (np.arange(height, dtype=np.float32) / cell)[:, None] + np.zeros(width, np.float32)
    columns = (np.arange(width, dtype=np.float32) / cell) + np.zeros((height, 1), np.float32)
    return cv2.remap(coarse, columns + 0.5, rows + 0.5, cv2.INTER_CUBIC)


def noise_3d(points_m: FloatArray, cell_m: float, seed: int) -> FloatArray:
    """Give smooth noise at (P, 3) places: (P,) about 0, between -1 and 1, blobs of ``cell_m``."""
    lattice = np.random.default_rng(seed).uniform(-1, 1, _LATTICE**3).astype(np.float32)
    scaled = points_m / cell_m
    cell = np.floor(scaled)
    share = (scaled - cell).astype(np.float32)
    share = share * share * (3 - 2 * share)
    base = cell.astype(np.int64) % _LATTICE
    following = (base + 1) % _LATTICE
    total = np.zeros(len(points_m), np.float32)
    for corner in range(8):
        picks = [(corner >> axis) & 1 for axis in range(3)]
        index = [(following if pick else base)[:, axis] for axis, pick in enumerate(picks)]
        weight = [
            share[:, axis] if pick else 1 - share[:, axis] for axis, pick in enumerate(picks)
        ]
        flat = (index[0] * _LATTICE + index[1]) * _LATTICE + index[2]
        total += weight[0] * weight[1] * weight[2] * lattice[flat]
    return total


def linear_from_srgb(image: ImageArray) -> FloatArray:
    """Turn 8-bit pixel values into light, 0-1 (gamma 2.2)."""
    table = ((np.arange(256) / 255) ** 2.2).astype(np.float32)
    return table[image]


def srgb_from_linear(light: FloatArray) -> FloatArray:
    """Turn light into pixel values 0-255 (gamma 2.2), not yet rounded; clips to 0-1 first."""
    return 255 * np.power(np.clip(light, 0, 1), 1 / 2.2)
