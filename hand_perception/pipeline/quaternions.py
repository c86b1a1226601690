"""Unit quaternions x y z w in plain numpy, for filters: (..., 4) arrays, right-handed.

A quaternion and its negative are the same rotation; :func:`turn_between` goes the short way.
"""

import numpy as np

from hand_perception.datatypes import DoubleArray

#: Squared angles below this take the first terms of the series, radians squared.
_SMALL = 1e-12
_MIRRORED = np.array([1.0, -1.0, -1.0, 1.0])


def from_axis_angle(axis_angle: DoubleArray) -> DoubleArray:
    """Turn (..., 3) axis-angle vectors, radians, into quaternions."""
    square = np.einsum('...i,...i->...', axis_angle, axis_angle)[..., None]
    half = 0.5 * np.sqrt(square)
    is_small = square < _SMALL
    ratio = np.where(is_small, 0.5, 0.5 * np.sin(half) / np.where(is_small, 1.0, half))
    return np.concatenate([ratio * axis_angle, np.cos(half)], -1)


def to_axis_angle(quaternion: DoubleArray) -> DoubleArray:
    """Turn quaternions into (..., 3) axis-angle vectors of 0 to pi radians: the short way."""
    sign = np.where(quaternion[..., 3:] < 0, -1.0, 1.0)
    vector, w = sign * quaternion[..., :3], sign * quaternion[..., 3:]
    length = np.sqrt(np.einsum('...i,...i->...', vector, vector))[..., None]
    is_small = length < 1e-9
    angle = 2 * np.arctan2(length, w)
    return vector * np.where(is_small, 2.0, angle / np.where(is_small, 1.0, length))


def multiply(first: DoubleArray, second: DoubleArray) -> DoubleArray:
    """Give the rotation that does ``second``, then ``first``: matrices in the same order."""
    ax, ay, az, aw = (first[..., i] for i in range(4))
    bx, by, bz, bw = (second[..., i] for i in range(4))
    return np.stack(
        [
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
            aw * bw - ax * bx - ay * by - az * bz,
        ],
        -1,
    )


def turn_between(before: DoubleArray, after: DoubleArray) -> DoubleArray:
    """Give the (..., 3) shortest turn from one rotation to another, radians, in its own axes."""
    return to_axis_angle(multiply(before * (-1.0, -1.0, -1.0, 1.0), after))


def turned(quaternion: DoubleArray, turn: DoubleArray) -> DoubleArray:
    """Turn on by (..., 3) axis-angle vectors in the rotation's own axes; of length 1 again."""
    product = multiply(quaternion, from_axis_angle(turn))
    return product / np.sqrt(np.einsum('...i,...i->...', product, product))[..., None]


def mirrored(quaternion: DoubleArray) -> DoubleArray:
    """Mirror at the plane x = 0: rotations of a left hand to those of a right one, and back."""
    return quaternion * _MIRRORED


def to_rotation(quaternion: DoubleArray) -> DoubleArray:
    """Turn quaternions into (..., 3, 3) matrices."""
    x, y, z, w = (quaternion[..., i] for i in range(4))
    xx, yy, zz = 2 * x * x, 2 * y * y, 2 * z * z
    xy, xz, yz = 2 * x * y, 2 * x * z, 2 * y * z
    xw, yw, zw = 2 * x * w, 2 * y * w, 2 * z * w
    elements = [
        1 - yy - zz, xy - zw, xz + yw, xy + zw, 1 - xx - zz, yz - xw, xz - yw, yz + xw,
        1 - xx - yy,
    ]  # fmt: skip
    return np.stack(elements, -1).reshape(*quaternion.shape[:-1], 3, 3)
