"""Steady hands: positions and rotations of each track filtered, everything else derived from them.

Wrist position, palm rotation and the 15 finger rotations pass One-Euro filters, shapes are
averaged, and the hand model is posed anew, so that keypoints, mesh, wrist, parameters and pixels
agree. What grippers listen to (pinch distance, pinch, grasp) is never smoothed: it stays as it was
measured.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from hand_perception import geometry
from hand_perception.config import PipelineSettings
from hand_perception.datatypes import Camera, DoubleArray, Hand, ManoParameters
from hand_perception.models.hand_model import HandModel
from hand_perception.pipeline.hands import make_hand
from hand_perception.pipeline.one_euro import OneEuro, share, step_places, step_rotations

#: A hand that was not seen for longer starts anew, seconds.
_FORGET_S: Final = 0.25
#: Images that the mean shape of a hand is of.
_SHAPE_IMAGES: Final = 30
#: Cutoff of the velocities that are told, Hz: quick enough to look ahead with.
_VELOCITY_CUTOFF_HZ: Final = 6.0
_NUM_ROTATIONS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """Where one hand is, and how it moves.

    Attributes:
        stamp_ns: of the image.
        is_right: side.
        wrist: (3,) metres, camera optical frame.
        rotations: (16, 3, 3) of the true hand: palm in the camera, then each joint in its parent.
        betas: (10,) mean shape.
        num_betas: images that the mean is of.
        wrist_speed: (3,) m/s that the filter of the wrist follows.
        turn_speeds: (16, 3) rad/s likewise.
        last_wrist: (3,) metres, as measured.
        last_palm: (3, 3) as measured.
        velocity: (3,) m/s, to look ahead with.
        turn: (3,) rad/s of the palm in its own axes, to look ahead with.
    """

    stamp_ns: int
    is_right: bool
    wrist: DoubleArray
    rotations: DoubleArray
    betas: DoubleArray
    num_betas: int
    wrist_speed: DoubleArray
    turn_speeds: DoubleArray
    last_wrist: DoubleArray
    last_palm: DoubleArray
    velocity: DoubleArray
    turn: DoubleArray


class SmoothingState:
    """Memory of one stream: the motion of each hand of the last image."""

    def __init__(self) -> None:
        """Start without hands."""
        self.motions: dict[int, Motion] = {}


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
            state: memory of the stream; changed. Hands that are not in this image are forgotten.
            camera: of the image.
            hands: as reconstructed, with the keypoints of the hand model.
            stamp_ns: of the image.

        Returns:
            The hands in their order; the first image of a hand passes as it is.
        """
        before, state.motions = state.motions, {}
        for hand in hands:
            last = before.get(hand.track_id)
            state.motions[hand.track_id] = self._follow(last, hand, stamp_ns)
        if not (self._is_on and hands):
            return tuple(hands)
        motions = [state.motions[hand.track_id] for hand in hands]
        return pose_hands(self._model, camera, hands, motions)

    def _follow(self, last: Motion | None, hand: Hand, stamp_ns: int) -> Motion:
        rotations = _rotations_of(hand)
        wrist = hand.keypoints_3d[0].astype(np.float64)
        seconds = 0.0 if last is None else (stamp_ns - last.stamp_ns) * 1e-9
        if last is None or last.is_right != hand.is_right or not 0 < seconds <= _FORGET_S:
            return _begin(hand, stamp_ns, wrist, rotations)
        count = min(last.num_betas + 1, _SHAPE_IMAGES)
        smooth_wrist, wrist_speed = step_places(
            last.wrist, last.wrist_speed, wrist, seconds=seconds, to=self._place
        )
        smooth, turn_speeds = step_rotations(
            last.rotations, last.turn_speeds, rotations, seconds=seconds, to=self._turn
        )
        alpha = share(_VELOCITY_CUTOFF_HZ, seconds)
        moved = (wrist - last.last_wrist) / seconds
        turned = geometry.axis_angle_from_rotation(last.last_palm.T @ rotations[0]) / seconds
        return Motion(
            stamp_ns=stamp_ns, is_right=hand.is_right, wrist=smooth_wrist, rotations=smooth,
            betas=last.betas + (hand.parameters.betas - last.betas) / count, num_betas=count,
            wrist_speed=wrist_speed, turn_speeds=turn_speeds, last_wrist=wrist,
            last_palm=rotations[0], velocity=last.velocity + alpha * (moved - last.velocity),
            turn=last.turn + alpha * (turned - last.turn),
        )  # fmt: skip


def _begin(hand: Hand, stamp_ns: int, wrist: DoubleArray, rotations: DoubleArray) -> Motion:
    still = np.zeros(3)
    return Motion(
        stamp_ns=stamp_ns, is_right=hand.is_right, wrist=wrist, rotations=rotations,
        betas=np.asarray(hand.parameters.betas, np.float64), num_betas=1, wrist_speed=still,
        turn_speeds=np.zeros((_NUM_ROTATIONS, 3)), last_wrist=wrist, last_palm=rotations[0],
        velocity=still, turn=still,
    )  # fmt: skip


def _rotations_of(hand: Hand) -> DoubleArray:
    axis_angle = np.concatenate([hand.parameters.global_orient, hand.parameters.hand_pose])
    return geometry.rotation_from_axis_angle(axis_angle.reshape(_NUM_ROTATIONS, 3))


def pose_hands(
    model: HandModel, camera: Camera, hands: Sequence[Hand], motions: Sequence[Motion]
) -> tuple[Hand, ...]:
    """Pose the hand model by motions: what is measured but its place and pose stays.

    The model is a right hand: the parameters of left hands are mirrored before, the points after.
    """
    axis_angle = geometry.axis_angle_from_rotation(np.stack([m.rotations for m in motions]))
    betas = np.stack([motion.betas for motion in motions])
    is_left = [i for i, motion in enumerate(motions) if not motion.is_right]
    straight = axis_angle.copy()
    straight[is_left] = geometry.mirror_axis_angle(axis_angle[is_left])
    with torch.inference_mode():
        mesh = model.from_rotations(
            rotations=torch.from_numpy(geometry.rotation_from_axis_angle(straight)).float(),
            betas=torch.from_numpy(betas).float(),
        )
        vertices = mesh.vertices.numpy().astype(np.float64)
        keypoints = mesh.keypoints.numpy().astype(np.float64)
    for points in (vertices, keypoints):
        points[is_left] = geometry.mirror_points(points[is_left])
    transl = np.stack([motion.wrist for motion in motions]) - keypoints[:, 0]
    made = []
    for i, hand in enumerate(hands):
        posed = make_hand(
            camera,
            hand,
            vertices=vertices[i] + transl[i],
            keypoints=keypoints[i] + transl[i],
            parameters=ManoParameters(
                global_orient=axis_angle[i, 0],
                hand_pose=axis_angle[i, 1:].reshape(45),
                betas=betas[i],
                transl=transl[i],
            ),
            confidence=hand.confidence,
            depth=(hand.depth_source, hand.depth_stddev_m),
            hamer=hand.hamer,
        )
        made.append(
            dataclasses.replace(
                posed,
                keypoint_confidence=hand.keypoint_confidence,
                pinch_distance_m=hand.pinch_distance_m,
                pinch=hand.pinch,
                grasp=hand.grasp,
                is_predicted=hand.is_predicted,
            )
        )
    return tuple(made)
