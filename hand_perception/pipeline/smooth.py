"""Steady hands: positions and rotations of each track filtered, everything else derived from them.

Wrist position, palm rotation and the 15 finger rotations pass One-Euro filters, shapes are
averaged, and the hand model is posed anew, so that keypoints, mesh, wrist, parameters and pixels
agree. What grippers listen to (pinch distance, pinch, grasp) is never smoothed: it stays as it was
measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from hand_perception.config import PipelineSettings
from hand_perception.datatypes import Camera, DoubleArray, Hand
from hand_perception.models.hand_model import HandModel
from hand_perception.pipeline import quaternions
from hand_perception.pipeline.one_euro import OneEuro, share, step_places, step_rotations
from hand_perception.pipeline.repose import Pose, pose_hands

#: A hand that was not seen for longer starts anew, seconds.
_FORGET_S: Final = 0.25
#: Hands remembered at most, whatever the stamps and ids that come.
_MAX_TRACKS: Final = 32
#: Images that the mean shape of a hand is of.
_SHAPE_IMAGES: Final = 30
#: Cutoff of the velocities that are told, Hz: quick enough to look ahead with.
VELOCITY_CUTOFF_HZ: Final = 6.0
_NUM_ROTATIONS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """Where one hand is, and how it moves.

    Attributes:
        stamp_ns: of the image.
        is_right: side.
        pose: as it is published.
        num_betas: images that the mean shape is of.
        wrist_speed: (3,) m/s that the filter of the wrist follows.
        turn_speeds: (16, 3) rad/s likewise, in the axes of each joint.
        last_wrist: (3,) metres, as measured.
        last_palm: (4,) unit quaternion, as measured.
        velocity: (3,) m/s, to look ahead with.
        turn: (3,) rad/s of the palm in its own axes, to look ahead with.
    """

    stamp_ns: int
    is_right: bool
    pose: Pose
    num_betas: int
    wrist_speed: DoubleArray
    turn_speeds: DoubleArray
    last_wrist: DoubleArray
    last_palm: DoubleArray
    velocity: DoubleArray
    turn: DoubleArray


@dataclass(slots=True)
class SmoothingState:
    """Memory of one stream: the motion of each hand seen lately, by track."""

    motions: dict[int, Motion] = field(default_factory=dict)


class HandSmoother:
    """Filters the hands of a stream, image after image."""

    def __init__(self, model: HandModel, settings: PipelineSettings) -> None:
        """Take the hand model that the hands are made of."""
        self._model = model
        self._is_on = settings.smoothing == 'one_euro'
        cutoff = settings.smoothing_min_cutoff_hz
        self._place = OneEuro(min_cutoff_hz=cutoff, beta=settings.smoothing_beta)
        self._turn = OneEuro(min_cutoff_hz=cutoff, beta=settings.smoothing_beta_turn)

    def with_settings(self, settings: PipelineSettings) -> 'HandSmoother':
        """Return a smoother with other live settings; it goes on with the states of this one."""
        return HandSmoother(self._model, settings)

    def step(
        self, state: SmoothingState, camera: Camera, hands: Sequence[Hand], stamp_ns: int
    ) -> tuple[Hand, ...]:
        """Smooth the hands of the next image.

        Args:
            state: memory of the stream; changed.
            camera: of the image.
            hands: as reconstructed, with the keypoints of the hand model.
            stamp_ns: of the image.

        Returns:
            The hands in their order. One that is new, was away for more than 0.25 s, changed its
            side or comes with a stamp that does not go on passes as it is, and starts anew.
        """
        before = _forget(state, stamp_ns)
        going: list[tuple[int, Motion, Motion]] = []  # place among the hands, last, measured
        for i, hand in enumerate(hands):
            last = before.get(hand.track_id)
            new = _begin(hand, stamp_ns)
            if new is None:
                state.motions.pop(hand.track_id, None)
                continue
            state.motions[hand.track_id] = new
            if last is not None and last.is_right == hand.is_right and last.stamp_ns < stamp_ns:
                going.append((i, last, new))
        if not going:
            return tuple(hands)
        followed = self._follow([last for _, last, _ in going], [new for _, _, new in going])
        for (i, _, _), motion in zip(going, followed, strict=True):
            state.motions[hands[i].track_id] = motion
        if not self._is_on:
            return tuple(hands)
        smooth = list(hands)
        places = [i for i, _, _ in going]
        posed = pose_hands(
            self._model, camera, [hands[i] for i in places], [motion.pose for motion in followed]
        )
        for i, hand in zip(places, posed, strict=True):
            smooth[i] = hand
        return tuple(smooth)

    def _follow(self, last: Sequence[Motion], new: Sequence[Motion]) -> list[Motion]:
        """Filter N hands at once: each from its last motion to what was measured of it."""
        seconds = (
            np.array([b.stamp_ns - a.stamp_ns for a, b in zip(last, new, strict=True)]) * 1e-9
        )
        since = seconds[:, None]
        wrist = np.stack([motion.pose.wrist for motion in new])
        rotations = np.stack([motion.pose.rotations for motion in new])
        moved = (wrist - np.stack([motion.last_wrist for motion in last])) / since
        last_palm = np.stack([motion.last_palm for motion in last])
        turned = quaternions.turn_between(last_palm, rotations[:, 0]) / since
        velocity = np.stack([motion.velocity for motion in last])
        turn = np.stack([motion.turn for motion in last])
        alpha = share(VELOCITY_CUTOFF_HZ, since)
        velocity, turn = velocity + alpha * (moved - velocity), turn + alpha * (turned - turn)
        smooth_wrist, wrist_speed = step_places(
            np.stack([motion.pose.wrist for motion in last]),
            np.stack([motion.wrist_speed for motion in last]),
            wrist, seconds=seconds, to=self._place,
        )  # fmt: skip
        smooth, turn_speeds = step_rotations(
            np.stack([motion.pose.rotations for motion in last]),
            np.stack([motion.turn_speeds for motion in last]),
            rotations, seconds=since, to=self._turn,
        )  # fmt: skip
        motions = []
        for i, (before, now) in enumerate(zip(last, new, strict=True)):
            pose, count = now.pose, 1
            if self._is_on:
                count = min(before.num_betas + 1, _SHAPE_IMAGES)
                mean = before.pose.betas + (now.pose.betas - before.pose.betas) / count
                pose = Pose(wrist=smooth_wrist[i], rotations=smooth[i], betas=mean)
            motions.append(
                Motion(
                    stamp_ns=now.stamp_ns, is_right=now.is_right, pose=pose, num_betas=count,
                    wrist_speed=wrist_speed[i], turn_speeds=turn_speeds[i],
                    last_wrist=now.last_wrist, last_palm=now.last_palm, velocity=velocity[i],
                    turn=turn[i],
                )
            )  # fmt: skip
        return motions


def _begin(hand: Hand, stamp_ns: int) -> Motion | None:
    """Make the motion of a hand that nothing else is known of; None when it is nowhere."""
    parameters = hand.parameters
    axis_angle = np.concatenate([parameters.global_orient, parameters.hand_pose])
    wrist = hand.keypoints_3d[0].astype(np.float64)
    betas = np.asarray(parameters.betas, np.float64)
    if not np.isfinite(np.concatenate([wrist, axis_angle, betas])).all():
        return None
    rotations = quaternions.from_axis_angle(axis_angle.reshape(_NUM_ROTATIONS, 3))
    still = np.zeros(3)
    return Motion(
        stamp_ns=stamp_ns, is_right=hand.is_right,
        pose=Pose(wrist=wrist, rotations=rotations, betas=betas), num_betas=1, wrist_speed=still,
        turn_speeds=np.zeros((_NUM_ROTATIONS, 3)), last_wrist=wrist, last_palm=rotations[0],
        velocity=still, turn=still,
    )  # fmt: skip


def _forget(state: SmoothingState, stamp_ns: int) -> dict[int, Motion]:
    """Drop hands that were not seen lately or will be seen later; give those that are left."""
    oldest_ns = stamp_ns - round(_FORGET_S * 1e9)
    kept = {
        track_id: motion
        for track_id, motion in state.motions.items()
        if oldest_ns <= motion.stamp_ns <= stamp_ns
    }
    newest = sorted(kept, key=lambda track_id: kept[track_id].stamp_ns)[-_MAX_TRACKS:]
    state.motions = {track_id: kept[track_id] for track_id in newest}
    return dict(state.motions)
