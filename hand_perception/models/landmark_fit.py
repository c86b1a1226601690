"""From the 21 landmarks of a network to the metric pose of a hand model.

The network gives points in the image, which are accurate, and points in space, whose directions
are useful and whose size is not. The closed form on the points in space is the start;
Levenberg-Marquardt then fits the points in the image and keeps bone directions and finger hinges
as soft knowledge. The size of the hand is given, so its distance follows from its size in the
image.

Every image is fitted from its own landmarks first. Always starting from the pose in the image
before saves a third of the steps, but seen from one side a palm tipped towards the camera looks
like one tipped away: on a rendered clip such starts kept to the wrong side for whole seconds (palm
off by 25 degrees instead of 7) and never ended below the closed form's start.

But of the two sides the landmarks of a fist prefer now one, now the other. So where the palm has
turned more than hands do, a second fit starts from the pose before and is drawn to it, and is
taken when it explains the landmarks nearly as well. How much worse it may explain them is bounded:
a wrong side holds until the landmarks clearly say so, and is then left as fast as a hand turns.
On five rendered clips (1500 hands) turns of more than 20 degrees from one image to the next fell
from 18 to 2, palms off by more than 35 degrees from 7.9 to 4.3 %, also when the clips start at any
tenth image; 7 % of the hands need the second fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hand_perception import geometry
from hand_perception.datatypes import DoubleArray
from hand_perception.models.closed_form import closed_form_frames
from hand_perception.models.hand_model import HandModel
from hand_perception.models.pose_residuals import Pose, PoseResiduals, Target
from hand_perception.models.pose_solver import Pull, solve_poses
from hand_perception.models.skeleton import (
    LandmarkOffsets,
    Skeleton,
    frames_from_rotations,
    rotations_from_frames,
)

#: MediaPipe's landmarks against the joints of the default hand. On a rendered clip its wrist lies
#: 20 mm and its knuckles 5 mm farther on than the joints (palm 92 mm), alike for both hands; on a
#: real clip the same values lower the reprojection error from 1.8 to 1.0 % of the hand's size.
NETWORK_LANDMARKS: Final = LandmarkOffsets(wrist=0.2, knuckles=0.06)

_MAX_STEPS: Final = 15
_MIN_DEPTH_M, _MAX_DEPTH_M = 0.05, 20.0
#: Smallest size of a hand, normalised image units: 1/1000 of the distance.
_MIN_SIZE: Final = 1e-3
#: A palm may turn so far, and so fast, before its pose is doubted: radians, radians per second.
_TURN, _TURN_SPEED = float(np.radians(10)), float(np.radians(300))
#: Two fits whose palms differ by less are the same way to see the hand: it did turn.
_SAME: Final = float(np.radians(12))
#: A side that proved wrong is left in steps like these: faster, no hand turns.
_LEAVE, _LEAVE_SPEED = float(np.radians(8)), float(np.radians(450))
#: A fit near the pose before is taken when it costs at most this many times as much as the free
#: one. Of rendered fists the right side costs up to 1.8 times as much as the wrong one, and of
#: hands whose side is clear the wrong one 1.9 to 3.8 times as much as the right one.
_TRUST: Final = 2.0
#: Cost of a turn in the second fit, per squared radian.
_PULL: Final = 5.0
#: The same where the orientation is all but given.
_HOLD: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HandFit:
    """The pose of one right hand in one image.

    Attributes:
        rotations: (16, 3, 3) local rotations, MANO order, relative to the flat hand; the first
            leads from the hand model frame to the camera optical frame.
        transl: (3,) metres, added after posing, as in MANO.
        reprojection: RMS distance of the landmarks as the model has them from those given, over
            the size of the hand in the image.
        num_steps: steps of the iteration.
    """

    rotations: DoubleArray
    transl: DoubleArray
    reprojection: float
    num_steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseBefore:
    """The pose of one right hand in an earlier image.

    Attributes:
        rotations: (16, 3, 3) as of :class:`HandFit`.
        elapsed_s: seconds since.
    """

    rotations: DoubleArray
    elapsed_s: float


class LandmarkFitter:
    """Fits a right hand model of fixed size to landmarks.

    Attributes:
        betas: (10,) shape of the hand model at the size.
    """

    def __init__(
        self,
        model: HandModel,
        *,
        hand_scale: float = 1.0,
        landmarks: LandmarkOffsets = NETWORK_LANDMARKS,
    ) -> None:
        """Take the bones of a model, ``hand_scale`` times its mean hand."""
        self.betas = model.betas_for_scale(hand_scale)
        self._skeleton = Skeleton.from_rest(model.rest(self.betas), landmarks)
        self._residuals = PoseResiduals(self._skeleton)

    def fit(
        self,
        points: DoubleArray,
        world: DoubleArray,
        before: Sequence[PoseBefore | None] | None = None,
        *,
        is_camera_axes: bool = False,
    ) -> list[HandFit]:
        """Fit N right hands at once.

        Args:
            points: (N, 21, 2) landmarks as normalised image coordinates x/z, y/z, undistorted;
                mirrored (x negated) for a left hand.
            world: (N, 21, 3) the same landmarks in space, in any unit about any origin, axes of
                the view straight at the hand; mirrored likewise.
            before: of each hand the pose in an earlier image, where there is one: it decides
                between two ways to see a palm that the landmarks explain nearly alike.
            is_camera_axes: ``world`` has the axes of the camera instead.

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
        seen = world if is_camera_axes else turn_to_view(world, points.mean(1))
        target = target_of(points, seen)
        frames = closed_form_frames(self._skeleton, target.world)
        start = self._place(frames, target)
        pose, num_steps = solve_poses(self._residuals, start, target, max_steps=_MAX_STEPS)
        for i, pose_before in enumerate(before or ()):
            if pose_before is not None and np.isfinite(pose.cost[i]):
                num_steps[i] += self._keep_side(pose, target, i, pose_before)
        return self._fits(pose, target, num_steps)

    def _keep_side(self, pose: Pose, target: Target, hand: int, before: PoseBefore) -> int:
        """Replace one hand's pose by one nearer to the pose before, if it fits nearly as well.

        What is left of the turn is made as fast as hands turn, not faster.

        Returns:
            The steps that took; 0 where the pose is not in doubt.
        """
        rotation = before.rotations[:1]
        row = slice(hand, hand + 1)
        found = pose.frames[row, 0, 0].copy()
        turned = geometry.angle_between(rotation[0], found[0])
        if turned <= _TURN + _TURN_SPEED * before.elapsed_s:
            return 0
        own = target.row(hand)
        frames = frames_from_rotations(before.rotations[None])
        other, num_steps = self._solve_near(frames, own, rotation, _PULL)
        is_another = geometry.angle_between(found[0], other.frames[0, 0, 0]) > _SAME
        if is_another and other.cost[0] <= _TRUST * pose.cost[hand]:
            pose.set_row(hand, other)
        chosen = pose.frames[row, 0, 0]
        turn = geometry.axis_angle_from_rotation(chosen @ rotation.swapaxes(-1, -2))
        angle = float(np.linalg.norm(turn))
        may_leave = _LEAVE + _LEAVE_SPEED * before.elapsed_s
        if angle > may_leave:
            goal = geometry.rotation_from_axis_angle(turn * (may_leave / angle)) @ rotation
            frames = (goal @ chosen.swapaxes(-1, -2)) @ pose.frames[row]
            midway, more_steps = self._solve_near(frames, own, goal, _HOLD)
            pose.set_row(hand, midway)
            num_steps += more_steps
        return num_steps

    def _solve_near(
        self, frames: DoubleArray, target: Target, rotation: DoubleArray, weight: float
    ) -> tuple[Pose, int]:
        """Fit one hand from (1, 5, 4, 3, 3) frames, its palm drawn to a (1, 3, 3) rotation."""
        pose, num_steps = solve_poses(
            self._residuals,
            self._place(frames, target),
            target,
            max_steps=_MAX_STEPS,
            pull=Pull(rotation=rotation, weight=weight),
        )
        return pose, int(num_steps[0])

    def fit_turned(
        self, points: DoubleArray, world: DoubleArray, fit: HandFit, turn: DoubleArray
    ) -> HandFit:
        """Fit one right hand again, its palm turned as somebody knows better.

        Args:
            points: (21, 2) landmarks as in :meth:`fit`.
            world: (21, 3) likewise.
            fit: what :meth:`fit` found for them.
            turn: (3,) rotation vector, radians, camera axes, that the palm should be turned by.
        """
        target = target_of(points[None], turn_to_view(world[None], points[None].mean(1)))
        rotation = geometry.rotation_from_axis_angle(turn)
        frames = rotation @ frames_from_rotations(fit.rotations[None])
        pose, num_steps = self._solve_near(frames, target, frames[:, 0, 0].copy(), _HOLD)
        return self._fits(pose, target, np.array([fit.num_steps + num_steps]))[0]

    def _place(self, frames: DoubleArray, target: Target) -> Pose:
        """Put posed hands where they project best onto the landmarks.

        u = (x + tx) / (z + tz) is linear in the translation: tx - u tz = u z - x.
        """
        relative = self._skeleton.landmarks(frames)  # (N, 21, 3)
        u, v = target.points[..., 0], target.points[..., 1]
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
        return self._residuals.evaluate(frames, wrist, target)

    def _fits(self, pose: Pose, target: Target, num_steps: NDArray[np.int64]) -> list[HandFit]:
        error = pose.landmarks[..., :2] / pose.landmarks[..., 2:] - target.points
        rms = np.sqrt(np.mean(np.sum(error * error, -1), -1)) / target.size
        rotations = rotations_from_frames(pose.frames)
        transl = pose.wrist - self._skeleton.wrist
        return [
            HandFit(
                rotations=rotations[i],
                transl=transl[i],
                reprojection=float(rms[i]),
                num_steps=int(num_steps[i]),
            )
            for i in range(len(rms))
        ]


def target_of(points: DoubleArray, seen: DoubleArray) -> Target:
    """Make the target of a fit from (N, 21, 2) image points and (N, 21, 3) points in space."""
    num_hands = len(points)
    starts = np.zeros((num_hands, 5, 4, 3))
    ends = seen[:, 1:].reshape(num_hands, 5, 4, 3)
    starts[:, :, 0] = seen[:, None, 0]
    starts[:, :, 1:] = ends[:, :, :3]
    bones = ends - starts
    length = np.linalg.norm(bones, axis=-1, keepdims=True)
    return Target(
        points=points,
        world=seen,
        directions=bones / np.maximum(length, 1e-9),
        size=np.maximum(np.ptp(points, axis=1).max(1), _MIN_SIZE),
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
    turned: DoubleArray = world @ geometry.swing_rotation(axis, ray).swapaxes(1, 2)
    return turned
