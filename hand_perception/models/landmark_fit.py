"""From the 21 landmarks of a network to the metric pose of a hand model.

The network gives points in the image, which are accurate, and points in space, whose directions
are useful and whose size is not. The start is the closed form on the points in space, or the
previous image's pose; Levenberg-Marquardt then fits the points in the image and keeps bone
directions and finger hinges as soft knowledge. The size of the hand is given, so its distance
follows from its size in the image.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hand_perception import geometry
from hand_perception.datatypes import DoubleArray
from hand_perception.models.closed_form import closed_form_frames
from hand_perception.models.hand_model import HandModel
from hand_perception.models.pose_solver import Pose, PoseSolver, Target
from hand_perception.models.skeleton import (
    Skeleton,
    frames_from_rotations,
    rotations_from_frames,
)

_MAX_STEPS_COLD, _MAX_STEPS_WARM = 15, 8
#: A warm start that ends above this cost is checked against a cold one.
_DOUBTFUL_COST: Final = 4.0
_MIN_DEPTH_M, _MAX_DEPTH_M = 0.05, 20.0
#: Smallest size of a hand, normalised image units: 1/1000 of the distance.
_MIN_SIZE: Final = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class HandFit:
    """The pose of one right hand in one image.

    Attributes:
        rotations: (16, 3, 3) local rotations, MANO order, relative to the flat hand; the first
            leads from the hand model frame to the camera optical frame.
        transl: (3,) metres, added after posing, as in MANO.
        reprojection: RMS distance of the projected keypoints from the landmarks over the size of
            the hand in the image.
        num_steps: steps of the iteration.
    """

    rotations: DoubleArray
    transl: DoubleArray
    reprojection: float
    num_steps: int


class LandmarkFitter:
    """Fits a right hand model of fixed size to landmarks.

    Attributes:
        betas: (10,) shape of the hand model at the size.
    """

    def __init__(self, model: HandModel, *, hand_scale: float = 1.0) -> None:
        """Take the bones of a model, ``hand_scale`` times its mean hand."""
        self.betas = model.betas_for_scale(hand_scale)
        self._skeleton = Skeleton.from_rest(model.rest(self.betas))
        self._solver = PoseSolver(self._skeleton)

    def fit(
        self,
        points: DoubleArray,
        world: DoubleArray,
        *,
        previous: Sequence[HandFit | None],
    ) -> list[HandFit]:
        """Fit N right hands at once.

        Args:
            points: (N, 21, 2) landmarks as normalised image coordinates x/z, y/z, undistorted;
                mirrored (x negated) for a left hand.
            world: (N, 21, 3) the same landmarks in space, in any unit about any origin, axes of
                the view straight at the hand; mirrored likewise.
            previous: per hand its fit in the image before, None for a new hand.

        Returns:
            One fit per hand. Hands lie in front of the camera whatever the landmarks are, as long
            as they are finite.

        Raises:
            ValueError: a landmark is not finite.
        """
        if not len(points):
            return []
        if not (np.isfinite(points).all() and np.isfinite(world).all()):
            raise ValueError('landmarks must be finite; drop hands with others before the fit')
        extent = np.ptp(points, axis=1)
        size = np.maximum(extent.max(1), _MIN_SIZE)
        seen = turn_to_view(world, points.mean(1))
        target = _target(points, seen, size)

        is_cold = np.array([fit is None for fit in previous])
        frames = np.empty((len(points), 5, 4, 3, 3))
        if is_cold.any():
            frames[is_cold] = closed_form_frames(self._skeleton, seen[is_cold])
        if not is_cold.all():
            rotations = np.stack([fit.rotations for fit in previous if fit is not None])
            frames[~is_cold] = frames_from_rotations(rotations)
        start = self._place(frames, points, target)
        max_steps = _MAX_STEPS_COLD if is_cold.any() else _MAX_STEPS_WARM
        pose, num_steps = self._solver.solve(start, target, max_steps=max_steps)

        doubtful = ~is_cold & (pose.cost > _DOUBTFUL_COST)
        if doubtful.any():
            again = _target(points[doubtful], seen[doubtful], size[doubtful])
            frames = closed_form_frames(self._skeleton, seen[doubtful])
            start = self._place(frames, points[doubtful], again)
            cold, steps = self._solver.solve(start, again, max_steps=_MAX_STEPS_COLD)
            num_steps[doubtful] += steps
            rows = np.flatnonzero(doubtful)
            better = cold.cost < pose.cost[rows]
            for name in ('frames', 'wrist', 'points'):
                getattr(pose, name)[rows[better]] = getattr(cold, name)[better]
        return self._fits(pose, points, size, num_steps)

    def _place(self, frames: DoubleArray, points: DoubleArray, target: Target) -> Pose:
        """Put posed hands where they project best onto the landmarks.

        u = (x + tx) / (z + tz) is linear in the translation: tx - u tz = u z - x.
        """
        relative = self._skeleton.points(frames, np.zeros((len(frames), 3)))  # (N, 21, 3)
        u, v = points[..., 0], points[..., 1]
        x, y, z = relative[..., 0], relative[..., 1], relative[..., 2]
        a, b = u * z - x, v * z - y
        mean_u, mean_v = u.mean(1), v.mean(1)
        mean_a, mean_b = a.mean(1), b.mean(1)
        # Eliminating tx and ty leaves tz by centred sums.
        du, dv = u - mean_u[:, None], v - mean_v[:, None]
        spread = (du * du + dv * dv).sum(1)
        depth = -(du * a + dv * b).sum(1) / np.maximum(spread, _MIN_SIZE**2)
        nearest = _MIN_DEPTH_M - z.min(1)
        depth = np.clip(depth, nearest, np.maximum(nearest, _MAX_DEPTH_M))
        wrist = np.stack([mean_a + mean_u * depth, mean_b + mean_v * depth, depth], 1)
        return self._solver.evaluate(frames, wrist, target)

    def _fits(
        self, pose: Pose, points: DoubleArray, size: DoubleArray, num_steps: Sequence[int]
    ) -> list[HandFit]:
        keypoints = np.concatenate(
            [pose.wrist[:, None], pose.points.reshape(len(points), 20, 3)], 1
        )
        error = keypoints[..., :2] / keypoints[..., 2:] - points
        rms = np.sqrt(np.einsum('nkc,nkc->n', error, error) / points.shape[1]) / size
        rotations = rotations_from_frames(pose.frames)
        transl = pose.wrist - self._skeleton.wrist
        return [
            HandFit(
                rotations=rotations[i],
                transl=transl[i],
                reprojection=float(rms[i]),
                num_steps=int(num_steps[i]),
            )
            for i in range(len(points))
        ]


def _target(points: DoubleArray, seen: DoubleArray, size: DoubleArray) -> Target:
    num_hands = len(points)
    starts = np.zeros((num_hands, 5, 4, 3))
    ends = seen[:, 1:].reshape(num_hands, 5, 4, 3)
    starts[:, :, 0] = seen[:, None, 0]
    starts[:, :, 1:] = ends[:, :, :3]
    bones = ends - starts
    length = np.linalg.norm(bones, axis=-1, keepdims=True)
    return Target(
        wrist=points[:, 0],
        points=points[:, 1:].reshape(num_hands, 5, 4, 2),
        directions=bones / np.maximum(length, 1e-9),
        size=size,
    )


def turn_to_view(world: DoubleArray, centre: DoubleArray) -> DoubleArray:
    """Turn landmarks in space from the axes of the crop to those of the camera.

    The network sees a hand as if the camera looked straight at it: its axes are the camera's,
    turned by the smallest rotation from the optical axis to the ray to the hand.

    Args:
        world: (N, 21, 3).
        centre: (N, 2) of the hand, normalised image coordinates.
    """
    axis = np.broadcast_to((0.0, 0.0, 1.0), (len(world), 3))
    ray = np.concatenate([centre, np.ones((len(world), 1))], 1)
    turn = geometry.swing_rotation(axis, ray)
    return world @ turn.swapaxes(1, 2)
