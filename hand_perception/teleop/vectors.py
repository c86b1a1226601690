"""Points, rotation vectors and unit quaternions (x y z w) as tuples of floats.

One arm needs a few dozen operations on three or four numbers per step; plain floats do them in a
tenth of the time of arrays.
"""

import math
from collections.abc import Sequence

import numpy as np

from hand_perception.datatypes import DoubleArray

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]

ZERO: Vector = (0.0, 0.0, 0.0)


def add(a: Vector, b: Vector) -> Vector:
    """Give a + b."""
    return (a[0] + b[0], a[1] + b[1], a[2] + b[2])


def subtract(a: Vector, b: Vector) -> Vector:
    """Give a - b."""
    return (a[0] - b[0], a[1] - b[1], a[2] - b[2])


def scaled(a: Vector, factor: float) -> Vector:
    """Give a * factor."""
    return (a[0] * factor, a[1] * factor, a[2] * factor)


def dot(a: Vector, b: Vector) -> float:
    """Give the inner product of a and b."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def length(a: Sequence[float]) -> float:
    """Give the length of a."""
    return math.hypot(*a)


def between(a: Vector, b: Vector, share: float) -> Vector:
    """Give the point that lies ``share`` (0 to 1) of the way from a to b."""
    return add(scaled(a, 1 - share), scaled(b, share))


def clamped(a: Vector, low: Vector, high: Vector) -> Vector:
    """Give the point of the box from low to high that is nearest to a."""
    x, y, z = (min(max(v, lo), hi) for v, lo, hi in zip(a, low, high, strict=True))
    return (x, y, z)


def as_vector(values: Sequence[float] | DoubleArray) -> Vector:
    """Make a vector of three numbers."""
    x, y, z = values
    return (float(x), float(y), float(z))


def as_quaternion(values: Sequence[float] | DoubleArray) -> Quaternion:
    """Make a unit quaternion of four numbers x y z w that are not all zero."""
    x, y, z, w = (float(value) for value in values)
    size = math.sqrt(x * x + y * y + z * z + w * w)
    return (x / size, y / size, z / size, w / size)


def multiply(a: Quaternion, b: Quaternion) -> Quaternion:
    """Give the rotation that turns by b first, then by a."""
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


def inverse(a: Quaternion) -> Quaternion:
    """Give the rotation that undoes a."""
    return (-a[0], -a[1], -a[2], a[3])


def rotated(a: Quaternion, point: Vector) -> Vector:
    """Turn a point by a rotation."""
    x, y, z, _ = multiply(multiply(a, (*point, 0.0)), inverse(a))
    return (x, y, z)


def quaternion_from_vector(vector: Vector) -> Quaternion:
    """Turn a rotation vector (axis times radians) into a unit quaternion."""
    angle = length(vector)
    # Below 1e-9 rad the next term of the series is under 1e-19.
    sine = 0.5 if angle < 1e-9 else math.sin(angle / 2) / angle
    return (vector[0] * sine, vector[1] * sine, vector[2] * sine, math.cos(angle / 2))


def vector_from_quaternion(a: Quaternion) -> Vector:
    """Turn a unit quaternion into the shortest rotation vector, at most pi radians long."""
    x, y, z, w = a if a[3] >= 0 else (-a[0], -a[1], -a[2], -a[3])
    sine = math.sqrt(x * x + y * y + z * z)
    factor = 2.0 if sine < 1e-9 else 2 * math.atan2(sine, w) / sine
    return (x * factor, y * factor, z * factor)


def turn_between(start: Quaternion, end: Quaternion) -> Vector:
    """Give the rotation vector that turns start into end, in the axes that both are told in."""
    return vector_from_quaternion(multiply(end, inverse(start)))


def angle_between(a: Quaternion, b: Quaternion) -> float:
    """Give the angle between two orientations, 0 to pi radians."""
    return length(turn_between(a, b))


def mean_quaternion(quaternions: Sequence[Quaternion]) -> Quaternion:
    """Give the orientation nearest to all in the mean, whatever their signs.

    The eigenvector of the greatest eigenvalue of the summed outer products (Markley et al.,
    "Averaging Quaternions", 2007).
    """
    stacked = np.array(quaternions)  # (N, 4)
    return as_quaternion(np.linalg.eigh(stacked.T @ stacked)[1][:, -1])
