"""Levenberg-Marquardt on the pose of N hands at once, with an analytic Jacobian.

Unknowns of a hand: the wrist's position and 16 small rotations, all in camera axes. Turning a
joint by w moves a point p beyond it by w x (p - joint) and a direction d by w x d, so every
derivative is a cross product. Fingers touch only through the palm: the normal equations are an
arrow of one 6 x 6 and five 9 x 9 blocks, solved by the Schur complement.
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
_START_DAMPING, _MIN_DAMPING = 1e-3, 1e-7
#: A refused step means that the valley bends: damping comes back in one step, not in six.
_DAMPING_DOWN, _DAMPING_UP, _REFUSED_DAMPING = 0.1, 10.0, 0.03
_MAX_DAMPING: Final = 1e4
_RIDGE: Final = 1e-6
#: A step that lowers the cost by less than this share, or this much, ends the search.
_CONVERGED, _EXACT = 1e-4, 1e-9

# Rows of a finger's residual: image 8, directions 12, hinges 9, backward 3.
_IMAGE, _DIRECTIONS = slice(0, 8), slice(8, 20)
_HINGES, _LIMITS = slice(20, 29), slice(29, 32)
_NUM_ROWS: Final = 32
# Columns: wrist position 3, palm rotation 3 (shared by the fingers), then the finger's joints 9.
_SHARED: Final = 6
_NUM_COLUMNS: Final = 15

#: Row i of (v @ _CROSS).reshape(3, 3) is unit vector i cross v; as a matrix it is skew(v).
_CROSS: Final = np.zeros((3, 9))
_CROSS[[1, 2, 0, 2, 0, 1], [2, 3, 7, 1, 5, 6]] = [1, 1, 1, -1, -1, -1]
#: Whether turning frame a moves bone j and its end: [j, a].
_MOVES: Final = np.tril(np.ones((NUM_FRAMES, NUM_FRAMES)))
_DIRECTION_MOVES: Final = DIRECTION_WEIGHT * _MOVES
_EYE: Final = np.eye(3)


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


class PoseSolver:
    """Fits a skeleton of fixed size to landmarks."""

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
        jacobian = np.zeros((*shape, _NUM_ROWS, _NUM_COLUMNS + 1))
        jacobian[..., _NUM_COLUMNS] = pose.residual

        # Image: d(x/z, y/z) = project @ dp, and dp = w x lever.
        project = _projection(pose.landmarks, _POINT_WEIGHTS / target.size[:, None])
        turn = (_CROSS.reshape(9, 3) @ project.swapaxes(-1, -2)).reshape(-1, 21, 3, 6)
        wrist_jacobian = np.empty((shape[0], 2, _SHARED))
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
        rows = jacobian[:, :, _IMAGE, 3:_NUM_COLUMNS].reshape(*shape, 4, 2, 4, 3)
        rows[:] = turned.transpose(0, 1, 2, 5, 3, 4)

        # Directions: dn = w x n.
        bones = pose.carried[:, :, :, BONE]
        spun = (bones @ _CROSS).reshape(*shape, 4, 3, 3).swapaxes(-1, -2)  # (N, 5, bone, c, w)
        rows = jacobian[:, :, _DIRECTIONS, 3:_NUM_COLUMNS].reshape(*shape, 4, 3, 4, 3)
        np.multiply(spun[..., None, :], _DIRECTION_MOVES[:, None, :, None], out=rows)

        # Hinges and limits: by their own joint only.
        own = pose.carried[:, :, 1:, HINGE] @ _CROSS
        rows = jacobian[:, :, _HINGES, _SHARED:_NUM_COLUMNS].reshape(*shape, 3, 3, 3, 3)
        np.multiply(
            own.reshape(*shape, 3, 3, 3).swapaxes(-1, -2),
            _HINGE_WEIGHTS[..., None, None],
            out=np.einsum('nfmcmw->nfmcw', rows),
        )
        beyond = pose.residual[:, :, _LIMITS] < 0
        if beyond.any():
            palmar = pose.carried[:, :, :3, None, NEXT_PALMAR]  # (N, 5, 3, 1, c)
            pull = (palmar @ spun[:, :, 1:])[:, :, :, 0] * _BACKWARD_WEIGHT
            rows = jacobian[:, :, _LIMITS, _SHARED:_NUM_COLUMNS].reshape(*shape, 3, 3, 3)
            np.multiply(pull, beyond[..., None], out=np.einsum('nfmmw->nfmw', rows))
        return jacobian, wrist_jacobian

    def solve(
        self, start: Pose, target: Target, *, max_steps: int
    ) -> tuple[Pose, NDArray[np.int64]]:
        """Improve N poses until each has converged.

        Args:
            start: poses as evaluated for the target; overwritten.
            target: what to fit.
            max_steps: most steps, refused ones included.

        Returns:
            The best poses, never worse than the start, and the steps (N,) each took.
        """
        pose = start
        num_hands = len(pose.cost)
        damping = np.full(num_hands, _START_DAMPING)
        active = np.isfinite(pose.cost)
        num_steps = np.zeros(num_hands, np.int64)
        for _ in range(max_steps):
            if not active.any():
                break
            move, turn = self._step(pose, target, damping)
            candidate = self.evaluate(turn @ pose.frames, pose.wrist + move, target)
            num_steps += active
            gain = pose.cost - candidate.cost
            is_better = active & (gain > 0)
            active &= ~(is_better & (gain < _CONVERGED * pose.cost + _EXACT)) & (
                damping < _MAX_DAMPING
            )
            if is_better.all():
                pose = candidate
            else:
                pose.replace_rows(is_better, candidate)
            damping = np.where(
                is_better,
                np.maximum(damping * _DAMPING_DOWN, _MIN_DAMPING),
                np.maximum(damping * _DAMPING_UP, _REFUSED_DAMPING),
            )
        return pose, num_steps

    def _step(
        self, pose: Pose, target: Target, damping: DoubleArray
    ) -> tuple[DoubleArray, DoubleArray]:
        """Solve for one step: move of the wrist (N, 3), turns of the frames (N, 5, 4, 3, 3)."""
        jacobian, wrist_jacobian = self.jacobian(pose, target)
        normal = jacobian.swapaxes(-1, -2) @ jacobian  # (N, 5, 16, 16)
        diagonal = np.einsum('nfii->nfi', normal)
        own = normal[:, :, _SHARED:_NUM_COLUMNS]  # (N, 5, 9, 16)
        shared = normal[:, :, :_SHARED].sum(1)  # (N, 6, 16)
        shared_matrix, shared_gradient = shared[:, :, :_SHARED], shared[:, :, _NUM_COLUMNS:]
        wrist_transposed = wrist_jacobian.swapaxes(-1, -2)
        shared_matrix += wrist_transposed @ wrist_jacobian
        shared_gradient += wrist_transposed @ pose.wrist_residual[..., None]
        shared_diagonal = np.einsum('nii->ni', shared_matrix)
        shared_diagonal += damping[:, None] * (shared_diagonal + _RIDGE)
        coupling = normal[:, :, :_SHARED, _SHARED:_NUM_COLUMNS]
        right = np.concatenate([own[..., :_SHARED], own[..., _NUM_COLUMNS:]], -1)
        diagonal += damping[:, None, None] * (diagonal + _RIDGE)

        inner = np.linalg.solve(own[..., _SHARED:_NUM_COLUMNS], right)  # (N, 5, 9, 7)
        folded = (coupling @ inner).sum(1)  # (N, 6, 7)
        common = np.linalg.solve(
            shared_matrix - folded[..., :_SHARED], folded[..., _SHARED:] - shared_gradient
        )  # (N, 6, 1)
        fingers = -inner[..., _SHARED] - (inner[..., :_SHARED] @ common[:, None])[..., 0]

        return common[:, :3, 0], compose_turns(common[:, 3:, 0], fingers)


def compose_turns(palm: DoubleArray, fingers: DoubleArray) -> DoubleArray:
    """Make the turns of all frames, each turned with what lies before it, from small rotations.

    Args:
        palm: (N, 3) rotation vectors, camera axes.
        fingers: (N, 5, 9) three rotation vectors per finger, base to end joint.

    Returns:
        (N, 5, 4, 3, 3) to be applied to global frames from the left.
    """
    turns = np.empty((len(palm), NUM_FINGERS, NUM_FRAMES, 3))
    turns[:, :, 0] = palm[:, None]
    turns[:, :, 1:] = fingers.reshape(-1, NUM_FINGERS, 3, 3)
    turn = _small_rotation(turns)
    for frame in range(1, NUM_FRAMES):
        turn[:, :, frame] = turn[:, :, frame - 1] @ turn[:, :, frame]
    return turn


def _projection(points: DoubleArray, weights: DoubleArray) -> DoubleArray:
    """Differentiate weighted x/z, y/z of (..., 3) points: (..., 2, 3)."""
    inverse = weights / points[..., 2]
    project = np.zeros((*points.shape[:-1], 2, 3))
    project[..., 0, 0] = inverse
    project[..., 1, 1] = inverse
    project[..., 2] = points[..., :2] * (-inverse / points[..., 2])[..., None]
    return project


def _small_rotation(turns: DoubleArray) -> DoubleArray:
    """Turn (..., 3) vectors into rotations that equal exp(skew) to second order (Cayley)."""
    half = 0.5 * turns
    skew = (half @ _CROSS).reshape(*turns.shape, 3)
    factor = 2 / (1 + np.einsum('...c,...c->...', half, half))[..., None, None]
    rotation: DoubleArray = _EYE + factor * (skew + skew @ skew)
    return rotation
