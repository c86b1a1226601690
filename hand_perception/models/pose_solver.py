"""Levenberg-Marquardt on the pose of N hands at once.

Fingers touch only through the palm: the normal equations are an arrow of one 6 x 6 and five 9 x 9
blocks, solved by the Schur complement.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hand_perception import geometry
from hand_perception.datatypes import DoubleArray
from hand_perception.models.pose_residuals import (
    CROSS,
    NUM_COLUMNS,
    NUM_SHARED,
    Pose,
    PoseResiduals,
    Target,
)
from hand_perception.models.skeleton import NUM_FINGERS, NUM_FRAMES

_START_DAMPING, _MIN_DAMPING = 1e-3, 1e-7
#: A refused step means that the valley bends: damping comes back in one step, not in six.
_DAMPING_DOWN, _DAMPING_UP, _REFUSED_DAMPING = 0.1, 10.0, 0.03
_MAX_DAMPING: Final = 1e4
_RIDGE: Final = 1e-6
#: A step that lowers the cost by less than this share, or this much, ends the search.
_CONVERGED, _EXACT = 1e-4, 1e-9
_EYE: Final = np.eye(3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """Orientations that N palms are drawn to, beside their target.

    Attributes:
        rotation: (N, 3, 3) camera from flat hand.
        weight: added cost per squared radian.
    """

    rotation: DoubleArray
    weight: float

    def turn(self, frames: DoubleArray) -> DoubleArray:
        """Give the (N, 3) rotation vectors, camera axes, by which palms are turned away."""
        return geometry.axis_angle_from_rotation(frames[:, 0, 0] @ self.rotation.swapaxes(-1, -2))


def solve_poses(
    residuals: PoseResiduals,
    start: Pose,
    target: Target,
    *,
    max_steps: int,
    pull: Pull | None = None,
) -> tuple[Pose, NDArray[np.int64]]:
    """Improve N poses until each has converged.

    Args:
        residuals: of the skeleton.
        start: poses as evaluated for the target; overwritten.
        target: what to fit.
        max_steps: most steps, refused ones included.
        pull: orientations to stay near; the costs of the poses do not contain it.

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
        move, turn = _step(residuals, pose, target, damping, pull)
        candidate = residuals.evaluate(turn @ pose.frames, pose.wrist + move, target)
        num_steps += active
        gain = pose.cost - candidate.cost
        if pull is not None:
            before, after = pull.turn(pose.frames), pull.turn(candidate.frames)
            gain += pull.weight * ((before * before).sum(1) - (after * after).sum(1))
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
    residuals: PoseResiduals,
    pose: Pose,
    target: Target,
    damping: DoubleArray,
    pull: Pull | None,
) -> tuple[DoubleArray, DoubleArray]:
    """Solve for one step: move of the wrist (N, 3), turns of the frames (N, 5, 4, 3, 3)."""
    jacobian, wrist_jacobian = residuals.jacobian(pose, target)
    normal = jacobian.swapaxes(-1, -2) @ jacobian  # (N, 5, 16, 16)
    diagonal = np.einsum('nfii->nfi', normal)
    own = normal[:, :, NUM_SHARED:NUM_COLUMNS]  # (N, 5, 9, 16)
    shared = normal[:, :, :NUM_SHARED].sum(1)  # (N, 6, 16)
    shared_matrix, shared_gradient = shared[:, :, :NUM_SHARED], shared[:, :, NUM_COLUMNS:]
    wrist_transposed = wrist_jacobian.swapaxes(-1, -2)
    shared_matrix += wrist_transposed @ wrist_jacobian
    shared_gradient += wrist_transposed @ pose.wrist_residual[..., None]
    if pull is not None:  # small turns add to the rotation vector, to first order
        shared_matrix[:, 3:, 3:] += pull.weight * _EYE
        shared_gradient[:, 3:, 0] += pull.weight * pull.turn(pose.frames)
    shared_diagonal = np.einsum('nii->ni', shared_matrix)
    shared_diagonal += damping[:, None] * (shared_diagonal + _RIDGE)
    coupling = normal[:, :, :NUM_SHARED, NUM_SHARED:NUM_COLUMNS]
    right = np.concatenate([own[..., :NUM_SHARED], own[..., NUM_COLUMNS:]], -1)
    diagonal += damping[:, None, None] * (diagonal + _RIDGE)

    inner = np.linalg.solve(own[..., NUM_SHARED:NUM_COLUMNS], right)  # (N, 5, 9, 7)
    folded = (coupling @ inner).sum(1)  # (N, 6, 7)
    common = np.linalg.solve(
        shared_matrix - folded[..., :NUM_SHARED], folded[..., NUM_SHARED:] - shared_gradient
    )  # (N, 6, 1)
    fingers = -inner[..., NUM_SHARED] - (inner[..., :NUM_SHARED] @ common[:, None])[..., 0]

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


def _small_rotation(turns: DoubleArray) -> DoubleArray:
    """Turn (..., 3) vectors into rotations that equal exp(skew) to second order (Cayley)."""
    half = 0.5 * turns
    skew = (half @ CROSS).reshape(*turns.shape, 3)
    factor = 2 / (1 + np.einsum('...c,...c->...', half, half))[..., None, None]
    rotation: DoubleArray = _EYE + factor * (skew + skew @ skew)
    return rotation
