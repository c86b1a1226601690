"""Vectors and rotations in settings, which are typed as text."""

from typing import Final

import numpy as np

from hand_perception.datatypes import DoubleArray
from hand_perception.errors import ConfigError

#: Entries of a typed rotation may be off by this, as in 0.707 for half the square root of 2.
_ROTATION_TOLERANCE: Final = 2e-3


def read_numbers(name: str, text: str, count: int) -> DoubleArray:
    """Read numbers that are written with spaces or commas between them.

    Raises:
        ConfigError: too few, too many, or not finite.
    """
    parts = text.replace(',', ' ').split()
    try:
        values = np.array([float(part) for part in parts])
    except ValueError:
        values = np.array([np.nan])
    if len(parts) != count or not np.isfinite(values).all():
        raise ConfigError(
            f'{name} must be {count} finite numbers with spaces between them, got {text!r}'
        )
    return values


def read_rotation(name: str, text: str) -> DoubleArray:
    """Read a (3, 3) rotation, row by row; the rotation nearest to the typed digits is given.

    Raises:
        ConfigError: it is no rotation: scaled, skewed, or a mirror.
    """
    matrix = read_numbers(name, text, 9).reshape(3, 3)
    error = float(np.abs(matrix @ matrix.T - np.eye(3)).max())
    if error > _ROTATION_TOLERANCE:
        raise ConfigError(
            f'{name} must be a rotation: rows of length 1 at right angles to each other; '
            f'{text!r} misses that by {error:.3g}. Use scale for a scale'
        )
    if np.linalg.det(matrix) < 0:
        raise ConfigError(
            f'{name} must be a rotation, {text!r} is a mirror (determinant -1): it would turn '
            'left into right. Change the sign of one row'
        )
    u, _, vt = np.linalg.svd(matrix)
    rotation: DoubleArray = u @ vt  # the rotation that was meant by the typed digits
    return rotation


def read_pose(name: str, text: str) -> DoubleArray:
    """Read x y z and a unit quaternion x y z w: (7,).

    Raises:
        ConfigError: not seven finite numbers, or the quaternion has another length than 1.
    """
    pose = read_numbers(name, text, 7)
    length = float(np.linalg.norm(pose[3:]))
    if abs(length - 1) > _ROTATION_TOLERANCE:
        raise ConfigError(
            f'{name} must end in a unit quaternion x y z w, its length is {length:.3g}: {text!r}'
        )
    return np.concatenate([pose[:3], pose[3:] / length])
