"""Named hand poses, written as bending angles of fingers and directions of the thumb's bones.

All numbers are for the flat right hand in model axes (fingers -x, thumb +z, palm -y); a left hand
is the mirror image. They were set by eye on rendered hands.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from hand_perception.datatypes import DoubleArray
from hand_perception.geometry import (
    axis_angle_from_rotation,
    rotation_from_axis_angle,
    swing_rotation,
)

#: First of the three joints of each finger in MANO order (0 is the index finger's base).
_FIRST_JOINT: Final = {'index': 0, 'middle': 3, 'little': 6, 'ring': 9, 'thumb': 12}
_FINGERS: Final = ('index', 'middle', 'ring', 'little')
#: How far a finger's base turns sideways at spread 1, radians, towards the thumb.
_FAN: Final = {'index': 0.22, 'middle': 0.04, 'ring': -0.12, 'little': -0.3}
#: Sideways angle of the resting fingers, radians, towards the thumb: the plane they bend in.
_REST_ANGLE: Final = {'index': -0.06, 'middle': -0.12, 'ring': -0.24, 'little': -0.28}
#: Resting directions of the default hand's thumb: metacarpal, proximal, distal bone.
_THUMB_REST: Final = np.array(
    [(-0.738, -0.501, 0.452), (-0.728, -0.331, 0.601), (-0.606, -0.420, 0.676)]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseShape:
    """A pose in words a person can change.

    Attributes:
        index: bend of base, middle and end joint, radians.
        middle: the same.
        ring: the same.
        little: the same.
        thumb: directions of its three bones, base to tip.
        thumb_twist: turn of the thumb about its first bone, radians; brings its pad round.
        spread: 0 fingers at rest, 1 fanned out, -1 pressed together.
    """

    index: tuple[float, float, float]
    middle: tuple[float, float, float]
    ring: tuple[float, float, float]
    little: tuple[float, float, float]
    thumb: tuple[tuple[float, float, float], ...]
    thumb_twist: float = 0.0
    spread: float = 0.0


_REST_THUMB: Final = tuple(tuple(row) for row in _THUMB_REST.tolist())
POSE_SHAPES: Final[Mapping[str, PoseShape]] = MappingProxyType(
    {
        'open': PoseShape(
            index=(-0.02, 0.06, 0.04), middle=(0.0, 0.06, 0.04), ring=(0.0, 0.08, 0.05),
            little=(0.0, 0.1, 0.06),
            thumb=((-0.62, -0.36, 0.70), (-0.70, -0.22, 0.68), (-0.72, -0.18, 0.67)),
            spread=0.9,
        ),
        'relaxed': PoseShape(
            index=(0.30, 0.42, 0.22), middle=(0.38, 0.52, 0.28), ring=(0.44, 0.58, 0.30),
            little=(0.46, 0.55, 0.30),
            thumb=((-0.70, -0.55, 0.46), (-0.84, -0.36, 0.40), (-0.93, -0.28, 0.24)),
            thumb_twist=0.15, spread=0.45,
        ),
        'pinch': PoseShape(
            index=(0.68, 1.08, 0.63), middle=(0.40, 0.42, 0.24), ring=(0.32, 0.36, 0.20),
            little=(0.24, 0.32, 0.18),
            thumb=((-0.57, -0.78, 0.14), (-0.61, -0.75, -0.06), (-0.83, -0.51, -0.12)),
            thumb_twist=0.5, spread=0.5,
        ),
        'grasp': PoseShape(
            index=(0.62, 0.72, 0.40), middle=(0.66, 0.78, 0.44), ring=(0.70, 0.82, 0.46),
            little=(0.72, 0.84, 0.46),
            thumb=((-0.58, -0.74, 0.34), (-0.72, -0.66, 0.20), (-0.92, -0.38, 0.06)),
            thumb_twist=0.5, spread=0.55,
        ),
        'fist': PoseShape(
            index=(1.40, 1.72, 0.95), middle=(1.48, 1.75, 0.95), ring=(1.50, 1.75, 0.95),
            little=(1.48, 1.72, 0.95),
            thumb=((-0.70, -0.56, 0.44), (-0.72, -0.50, -0.48), (-0.10, -0.12, -0.98)),
            thumb_twist=0.6, spread=-0.8,
        ),
        'point': PoseShape(
            index=(0.05, 0.10, 0.06), middle=(1.35, 1.70, 0.90), ring=(1.48, 1.74, 0.92),
            little=(1.48, 1.72, 0.92),
            thumb=((-0.70, -0.58, 0.42), (-0.74, -0.52, -0.42), (-0.20, -0.18, -0.96)),
            thumb_twist=0.6, spread=-0.2,
        ),
    }
)  # fmt: skip


def hand_pose(shape: PoseShape) -> DoubleArray:
    """Turn a pose into (15, 3) axis-angle rotations in MANO's joint order."""
    rotations = np.tile(np.eye(3), (15, 1, 1))
    for name in _FINGERS:
        bends = getattr(shape, name)
        first = _FIRST_JOINT[name]
        turn = rotation_from_axis_angle(np.array([0.0, _FAN[name] * shape.spread, 0.0]))
        rest = _REST_ANGLE[name]
        axis = np.array([np.sin(rest), 0.0, np.cos(rest)])  # square to the finger
        for joint, bend in enumerate(bends):
            rotations[first + joint] = rotation_from_axis_angle(bend * axis)
        rotations[first] = turn @ rotations[first]
    rotations[_FIRST_JOINT['thumb'] :] = _thumb_rotations(shape)
    return axis_angle_from_rotation(rotations)


def _thumb_rotations(shape: PoseShape) -> DoubleArray:
    """Turn the thumb's bones into their directions: (3, 3, 3) rotations, each in its parent."""
    targets = np.array(shape.thumb, np.float64)
    targets /= np.linalg.norm(targets, axis=1, keepdims=True)
    rotations, model_from_parent = [], np.eye(3)
    for bone, (rest, target) in enumerate(zip(_THUMB_REST, targets, strict=True)):
        local = swing_rotation(rest, model_from_parent.T @ target)
        if bone == 0:
            local = rotation_from_axis_angle(shape.thumb_twist * target) @ local
        rotations.append(local)
        model_from_parent = model_from_parent @ local
    return np.stack(rotations)
