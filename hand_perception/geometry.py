"""Rotations, mirroring and hand measures in plain numpy; shapes lead with any batch axes."""

import math

import numpy as np

from hand_perception.datatypes import JOINT_PARENTS, DoubleArray

_MIRROR = np.array([-1.0, 1.0, 1.0])

#: Wrist frame in the axes of the flat right hand model (fingers -x, thumb +z, palm -y):
#: x towards the fingers, z out of the back of the hand, y = z cross x.
_RIGHT_MODEL_FROM_WRIST = np.array([[-1.0, 0, 0], [0, 0, 1], [0, 1, 0]])
#: The same axes in the flat left hand model (fingers +x, thumb +z, palm -y).
_LEFT_MODEL_FROM_WRIST = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])

#: (joint before, joint, joint after) of each flexion angle: 5 fingers x base, middle, end.
_FLEXION_TRIPLES = np.array(
    [(0 if b == 0 else first + b - 1, first + b, first + b + 1)
     for first in (1, 5, 9, 13, 17) for b in range(3)]
)  # fmt: skip

#: Thumb-index distance over palm length at which a pinch counts as closed and as open.
PINCH_CLOSED, PINCH_OPEN = 0.2, 0.9
#: Sum of the three joint angles of a finger (radians) at which it counts as open and as closed.
GRASP_OPEN, GRASP_CLOSED = 0.5, 4.0


def rotation_from_axis_angle(axis_angle: DoubleArray) -> DoubleArray:
    """Turn (..., 3) axis-angle vectors, radians, into (..., 3, 3) matrices (Rodrigues)."""
    vector = np.asarray(axis_angle, np.float64)
    square = np.sum(vector * vector, -1)[..., None, None]
    angle = np.sqrt(square)
    small = square < 1e-12
    safe = np.where(small, 1.0, angle)
    sine = np.where(small, 1 - square / 6, np.sin(safe) / safe)
    cosine = np.where(small, 0.5 - square / 24, (1 - np.cos(safe)) / (safe * safe))
    skew = skew_matrix(vector)
    return np.eye(3) + sine * skew + cosine * (skew @ skew)


def skew_matrix(vector: DoubleArray) -> DoubleArray:
    """Turn (..., 3) vectors v into (..., 3, 3) matrices with ``skew(v) @ x == cross(v, x)``."""
    skew = np.zeros((*vector.shape, 3))
    x, y, z = vector[..., 0], vector[..., 1], vector[..., 2]
    skew[..., 0, 1], skew[..., 0, 2] = -z, y
    skew[..., 1, 0], skew[..., 1, 2] = z, -x
    skew[..., 2, 0], skew[..., 2, 1] = -y, x
    return skew


def quaternion_from_rotation(rotation: DoubleArray) -> DoubleArray:
    """Turn (..., 3, 3) rotation matrices into (..., 4) unit quaternions x y z w, w >= 0.

    The largest of the four components is divided by, so no rotation is ill-conditioned
    (Shepperd 1978).
    """
    m = np.asarray(rotation, np.float64)
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    candidates = np.stack(
        [
            np.stack([1 + xx - yy - zz, m[..., 0, 1] + m[..., 1, 0],
                      m[..., 0, 2] + m[..., 2, 0], m[..., 2, 1] - m[..., 1, 2]], -1),
            np.stack([m[..., 0, 1] + m[..., 1, 0], 1 - xx + yy - zz,
                      m[..., 1, 2] + m[..., 2, 1], m[..., 0, 2] - m[..., 2, 0]], -1),
            np.stack([m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1],
                      1 - xx - yy + zz, m[..., 1, 0] - m[..., 0, 1]], -1),
            np.stack([m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0],
                      m[..., 1, 0] - m[..., 0, 1], 1 + xx + yy + zz], -1),
        ],
        -2,
    )  # fmt: skip
    best = np.argmax(np.stack([xx, yy, zz, xx + yy + zz], -1), -1)
    quaternion = np.take_along_axis(candidates, best[..., None, None], -2)[..., 0, :]
    quaternion /= np.linalg.norm(quaternion, axis=-1, keepdims=True)
    return np.where(quaternion[..., 3:] < 0, -quaternion, quaternion)


def axis_angle_from_rotation(rotation: DoubleArray) -> DoubleArray:
    """Turn (..., 3, 3) rotation matrices into (..., 3) axis-angle vectors, 0 to pi radians."""
    quaternion = quaternion_from_rotation(rotation)
    vector, w = quaternion[..., :3], quaternion[..., 3:]
    length = np.linalg.norm(vector, axis=-1, keepdims=True)
    angle = 2 * np.arctan2(length, w)
    scale = np.where(length > 1e-12, angle / np.maximum(length, 1e-12), 2.0)
    return vector * scale


def angle_between(a: DoubleArray, b: DoubleArray) -> float:
    """Give the angle of the turn between two (3, 3) rotations, radians; exact to 1e-7 or so."""
    return math.acos(min(max((float(np.vdot(a, b)) - 1) / 2, -1.0), 1.0))


def swing_rotation(source: DoubleArray, target: DoubleArray) -> DoubleArray:
    """Make the (..., 3, 3) smallest rotation that turns (..., 3) source directions to targets."""
    a = source / np.linalg.norm(source, axis=-1, keepdims=True)
    b = target / np.linalg.norm(target, axis=-1, keepdims=True)
    cosine = np.sum(a * b, -1)[..., None, None]
    skew_a = skew_matrix(a)  # several times faster on few vectors than np.cross
    skew = skew_matrix((skew_a @ b[..., None])[..., 0])
    rotation: DoubleArray = np.eye(3) + skew + skew @ skew / np.maximum(1 + cosine, 1e-9)
    is_opposite = cosine < -1 + 1e-6
    if is_opposite.any():  # half a turn about any axis square to the source
        helper = np.eye(3)[np.argmin(np.abs(a), -1)]
        axis = (skew_a @ helper[..., None])[..., 0]
        axis /= np.linalg.norm(axis, axis=-1, keepdims=True)
        half_turn = 2 * axis[..., :, None] * axis[..., None, :] - np.eye(3)
        rotation = np.where(is_opposite, half_turn, rotation)
    return rotation


def mirror_points(points: DoubleArray) -> DoubleArray:
    """Mirror (..., 3) points or translations at the plane x = 0: left hand to right, and back."""
    return points * _MIRROR


def mirror_axis_angle(axis_angle: DoubleArray) -> DoubleArray:
    """Mirror (..., 3) axis-angle rotations at the plane x = 0: left hand to right, and back."""
    return axis_angle * -_MIRROR


def wrist_rotation(global_orient: DoubleArray, *, is_right: bool) -> DoubleArray:
    """Give the (3, 3) camera-from-wrist rotation of a true hand from its (3,) global_orient.

    Axes: x towards the fingers, z out of the back of the hand, y completes a right-handed frame
    (towards the thumb of a right hand, towards the little finger of a left one).
    """
    model_from_wrist = _RIGHT_MODEL_FROM_WRIST if is_right else _LEFT_MODEL_FROM_WRIST
    return rotation_from_axis_angle(global_orient) @ model_from_wrist


def flexion_angles(keypoints_3d: DoubleArray) -> DoubleArray:
    """Measure how far each finger joint is bent.

    Args:
        keypoints_3d: (..., 21, 3) in any frame and unit.

    Returns:
        (..., 15) radians, 0 straight to pi: thumb, index, middle, ring, little; base, middle, end.
    """
    before, joint, after = (keypoints_3d[..., _FLEXION_TRIPLES[:, i], :] for i in range(3))
    a, b = joint - before, after - joint
    return np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), np.sum(a * b, -1))


def pinch_and_grasp(keypoints_3d: DoubleArray) -> tuple[float, float, float]:
    """Measure how closed a hand is.

    Args:
        keypoints_3d: (21, 3) metres.

    Returns:
        Thumb tip to index tip in metres; pinch and grasp, each 0 open to 1 closed. The pinch
        compares that distance with the palm length (wrist to middle knuckle); the grasp is the
        mean over the four fingers of their summed joint angles.
    """
    distance = float(np.linalg.norm(keypoints_3d[4] - keypoints_3d[8]))
    palm = float(np.linalg.norm(keypoints_3d[9] - keypoints_3d[0]))
    pinch = (PINCH_OPEN - distance / max(palm, 1e-6)) / (PINCH_OPEN - PINCH_CLOSED)
    curl = flexion_angles(keypoints_3d).reshape(5, 3)[1:].sum(1)
    grasp = np.clip((curl - GRASP_OPEN) / (GRASP_CLOSED - GRASP_OPEN), 0, 1).mean()
    return distance, float(np.clip(pinch, 0, 1)), float(grasp)


def bone_vectors(keypoints: DoubleArray) -> DoubleArray:
    """Give the (..., 20, D) vectors from each keypoint's parent to it, wrist left out."""
    return keypoints[..., 1:, :] - keypoints[..., list(JOINT_PARENTS[1:]), :]
