"""What the pose of a hand should do, as residuals with an analytic Jacobian, for N hands at once.

Unknowns of a hand: the wrist's position and 16 small rotations, all in camera axes. Turning a
joint by w moves a point p beyond it by w x (p - joint) and a direction d by w x d, so every
derivative is a cross product.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hand_perception.datatypes import DoubleArray
from hand_perception.models.skeleton import (
    BONE,
    HINGE,
    NEXT_HINGE,
    NEXT_PALMAR,
    NUM_FINGERS,
    NUM_FRAMES,
    Skeleton,
)

#: Weight of a reprojection error as large as the hand, against one of 1 rad in a direction.
IMAGE_WEIGHT: Final = 10.0
#: Wrist and tips are the least certain landmarks.
_POINT_WEIGHTS: Final = IMAGE_WEIGHT * np.array([0.5] + [1.0, 1.0, 1.0, 0.7] * NUM_FINGERS)
#: Weight of the network's bone directions in space.
DIRECTION_WEIGHT: Final = 0.3
#: Weight of twist and sideways motion: base, middle and end joint; thumb, then the others.
_HINGE_WEIGHTS: Final = np.array([[0.05, 0.15, 0.3]] + [[0.1, 0.3, 0.3]] * 4)
#: Sine of the angle a joint bends backwards freely, and the weight of what is beyond.
_BACKWARD: Final = np.array([[0.9, 0.5, 0.5]] + [[0.5, 0.1, 0.2]] * 4)
_BACKWARD_WEIGHT: Final = 1.0
_MIN_DEPTH_M: Final = 0.02

# Rows of a finger's residual: image 8, directions 12, hinges 9, backward 3.
_IMAGE, _DIRECTIONS = slice(0, 8), slice(8, 20)
_HINGES, _LIMITS = slice(20, 29), slice(29, 32)
_NUM_ROWS: Final = 32
# Columns: wrist position 3, palm rotation 3 (shared by the fingers), then the finger's joints 9.
NUM_SHARED: Final = 6
NUM_COLUMNS: Final = 15

#: Row i of (v @ CROSS).reshape(3, 3) is unit vector i cross v; as a matrix it is skew(v).
CROSS: Final = np.zeros((3, 9))
CROSS[[1, 2, 0, 2, 0, 1], [2, 3, 7, 1, 5, 6]] = [1, 1, 1, -1, -1, -1]
#: Whether turning frame a moves bone j and its end: [j, a].
_MOVES: Final = np.tril(np.ones((NUM_FRAMES, NUM_FRAMES)))
_DIRECTION_MOVES: Final = DIRECTION_WEIGHT * _MOVES


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What N hands are fitted to.

    Attributes:
        points: (N, 21, 2) landmarks, normalised image coordinates x/z, y/z.
        world: (N, 21, 3) landmarks in space, camera axes, any unit.
        directions: (N, 5, 4, 3) unit directions from landmark to landmark, camera axes.
        size: (N,) size of the hand in the image, normalised image units.
    """

    points: DoubleArray
    world: DoubleArray
    directions: DoubleArray
    size: DoubleArray

    def row(self, hand: int) -> 'Target':
        """Give the target of one hand alone."""
        only = slice(hand, hand + 1)
        return Target(
            points=self.points[only],
            world=self.world[only],
            directions=self.directions[only],
            size=self.size[only],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """N hands and how well they fit; arrays are replaced row by row while solving.

    Attributes:
        frames: (N, 5, 4, 3, 3) global rotations.
        wrist: (N, 3) metres.
        points: (N, 5, 4, 3) metres, ends of the bones.
        landmarks: (N, 21, 3) metres.
        carried: (N, 5, 4, 4, 3) what the frames carry, camera axes.
        residual: (N, 5, 32).
        wrist_residual: (N, 2).
        cost: (N,) sum of squares; infinite for a hand that is not in front of the camera.
    """

    frames: DoubleArray
    wrist: DoubleArray
    points: DoubleArray
    landmarks: DoubleArray
    carried: DoubleArray
    residual: DoubleArray
    wrist_residual: DoubleArray
    cost: DoubleArray

    def replace_rows(self, rows: NDArray[np.bool_], other: 'Pose') -> None:
        """Take the chosen hands from another pose."""
        for name in self.__slots__:
            getattr(self, name)[rows] = getattr(other, name)[rows]

    def set_row(self, hand: int, other: 'Pose') -> None:
        """Take one hand from a pose of one hand."""
        for name in self.__slots__:
            getattr(self, name)[hand] = getattr(other, name)[0]


class PoseResiduals:
    """Residuals of a skeleton of fixed size and their derivatives."""

    def __init__(self, skeleton: Skeleton) -> None:
        """Prepare the constants of a skeleton."""
        self.skeleton = skeleton
        self._attached = np.concatenate(
            [skeleton.bones[:, :, None], skeleton.offsets[:, :, None], skeleton.carried], 2
        )  # (5, 4, 6, 3)

    def evaluate(self, frames: DoubleArray, wrist: DoubleArray, target: Target) -> Pose:
        """Compute the residuals of N poses."""
        num_hands = len(frames)
        attached = self._attached @ frames.swapaxes(-1, -2)  # (N, 5, 4, 6, 3)
        carried = attached[:, :, :, 2:]
        points = np.cumsum(attached[:, :, :, 0], 2) + wrist[:, None, None]
        landmarks = np.empty((num_hands, 21, 3))
        landmarks[:, 0] = wrist + frames[:, 0, 0] @ self.skeleton.wrist_offset
        landmarks[:, 1:] = (points + attached[:, :, :, 1]).reshape(num_hands, 20, 3)
        residual = np.empty((num_hands, NUM_FINGERS, _NUM_ROWS))

        depth = np.maximum(landmarks[..., 2:], _MIN_DEPTH_M)
        image = landmarks[..., :2] / depth - target.points
        image *= (_POINT_WEIGHTS / target.size[:, None])[..., None]
        residual[:, :, _IMAGE] = image[:, 1:].reshape(num_hands, NUM_FINGERS, 8)
        wrist_residual = image[:, 0]

        directions = DIRECTION_WEIGHT * (carried[:, :, :, BONE] - target.directions)
        residual[:, :, _DIRECTIONS] = directions.reshape(num_hands, NUM_FINGERS, 12)
        hinges = carried[:, :, 1:, HINGE] - carried[:, :, :3, NEXT_HINGE]
        hinges *= _HINGE_WEIGHTS[..., None]
        residual[:, :, _HINGES] = hinges.reshape(num_hands, NUM_FINGERS, 9)
        forward = np.einsum(
            'nfjc,nfjc->nfj', carried[:, :, 1:, BONE], carried[:, :, :3, NEXT_PALMAR]
        )
        residual[:, :, _LIMITS] = _BACKWARD_WEIGHT * np.minimum(forward + _BACKWARD, 0)

        cost = np.einsum('nfr,nfr->n', residual, residual)
        cost += np.einsum('nr,nr->n', wrist_residual, wrist_residual)
        nearest = np.minimum(points[..., 2].min((1, 2)), landmarks[..., 2].min(1))
        nearest = np.minimum(nearest, wrist[:, 2])
        return Pose(
            frames=frames,
            wrist=wrist,
            points=points,
            landmarks=landmarks,
            carried=carried,
            residual=residual,
            wrist_residual=wrist_residual,
            cost=np.where(nearest > _MIN_DEPTH_M, cost, np.inf),
        )

    def jacobian(self, pose: Pose, target: Target) -> tuple[DoubleArray, DoubleArray]:
        """Differentiate the residuals.

        The hinge rows leave out that their vectors turn with the rest of the hand: that changes
        neither their length nor the gradient of the cost.

        Returns:
            (N, 5, 32, 16): derivatives of the fingers' residuals by wrist position, palm rotation
            and the finger's three joint rotations, and in the last column the residuals; and
            (N, 2, 6) of the wrist's residual by the first two.
        """
        shape = pose.frames.shape[:2]
        jacobian = np.zeros((*shape, _NUM_ROWS, NUM_COLUMNS + 1))
        jacobian[..., NUM_COLUMNS] = pose.residual

        # Image: d(x/z, y/z) = project @ dp, and dp = w x lever.
        project = _projection(pose.landmarks, _POINT_WEIGHTS / target.size[:, None])
        turn = (CROSS.reshape(9, 3) @ project.swapaxes(-1, -2)).reshape(-1, 21, 3, 6)
        wrist_jacobian = np.empty((shape[0], 2, NUM_SHARED))
        wrist_jacobian[:, :, :3] = project[:, 0]
        lever = (pose.landmarks[:, 0] - pose.wrist)[:, None]
        wrist_jacobian[:, :, 3:] = (lever @ turn[:, 0]).reshape(-1, 3, 2).swapaxes(1, 2)
        jacobian[:, :, _IMAGE, :3] = project[:, 1:].reshape(*shape, 8, 3)
        pivots = np.empty((*shape, 1, 4, 3))
        pivots[:, :, 0, 0] = pose.wrist[:, None]
        pivots[:, :, 0, 1:] = pose.points[:, :, :3]
        lever = pose.landmarks[:, 1:].reshape(*shape, 4, 1, 3) - pivots
        lever *= _MOVES[..., None]  # (N, 5, end, frame, 3)
        turned = (lever @ turn[:, 1:].reshape(*shape, 4, 3, 6)).reshape(*shape, 4, 4, 3, 2)
        rows = jacobian[:, :, _IMAGE, 3:NUM_COLUMNS].reshape(*shape, 4, 2, 4, 3)
        rows[:] = turned.transpose(0, 1, 2, 5, 3, 4)

        # Directions: dn = w x n.
        bones = pose.carried[:, :, :, BONE]
        spun = (bones @ CROSS).reshape(*shape, 4, 3, 3).swapaxes(-1, -2)  # (N, 5, bone, c, w)
        rows = jacobian[:, :, _DIRECTIONS, 3:NUM_COLUMNS].reshape(*shape, 4, 3, 4, 3)
        np.multiply(spun[..., None, :], _DIRECTION_MOVES[:, None, :, None], out=rows)

        # Hinges and limits: by their own joint only.
        own = pose.carried[:, :, 1:, HINGE] @ CROSS
        rows = jacobian[:, :, _HINGES, NUM_SHARED:NUM_COLUMNS].reshape(*shape, 3, 3, 3, 3)
        np.multiply(
            own.reshape(*shape, 3, 3, 3).swapaxes(-1, -2),
            _HINGE_WEIGHTS[..., None, None],
            out=np.einsum('nfmcmw->nfmcw', rows),
        )
        beyond = pose.residual[:, :, _LIMITS] < 0
        if beyond.any():
            palmar = pose.carried[:, :, :3, None, NEXT_PALMAR]  # (N, 5, 3, 1, c)
            pull = (palmar @ spun[:, :, 1:])[:, :, :, 0] * _BACKWARD_WEIGHT
            rows = jacobian[:, :, _LIMITS, NUM_SHARED:NUM_COLUMNS].reshape(*shape, 3, 3, 3)
            np.multiply(pull, beyond[..., None], out=np.einsum('nfmmw->nfmw', rows))
        return jacobian, wrist_jacobian


def _projection(points: DoubleArray, weights: DoubleArray) -> DoubleArray:
    """Differentiate weighted x/z, y/z of (..., 3) points: (..., 2, 3)."""
    inverse = weights / points[..., 2]
    project = np.zeros((*points.shape[:-1], 2, 3))
    project[..., 0, 0] = inverse
    project[..., 1, 1] = inverse
    project[..., 2] = points[..., :2] * (-inverse / points[..., 2])[..., None]
    return project
