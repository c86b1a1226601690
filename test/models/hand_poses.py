"""Seeded hands in poses that hands can take, as exact truth for the fit."""

import numpy as np

from hand_perception import geometry
from hand_perception.models.hand_model import HandModel
from hand_perception.models.skeleton import (
    FIRST_JOINTS,
    HINGE,
    NEXT_PALMAR,
    Skeleton,
    frames_from_rotations,
)


class TrueHands:
    """N right hands 0.3 to 0.7 m in front of a camera.

    Attributes:
        skeleton: of the mean hand, landmarks at the joints themselves.
        rotations: (N, 16, 3, 3) local.
        wrist: (N, 3) metres.
        keypoints: (N, 21, 3) metres, camera optical frame.
        points: (N, 21, 2) x/z, y/z.
    """

    def __init__(self, model: HandModel, num_hands: int, *, seed: int = 0, scale: float = 1.0):
        rng = np.random.default_rng(seed)
        self.skeleton = Skeleton.from_rest(model.rest(model.betas_for_scale(scale)))
        self.rotations = np.tile(np.eye(3), (num_hands, 16, 1, 1))
        self.rotations[:, 0] = geometry.rotation_from_axis_angle(
            rng.normal(0, 1.2, (num_hands, 3))
        )
        carried = self.skeleton.carried
        for finger, first in enumerate(FIRST_JOINTS):
            reach = 0.5 if finger == 0 else 1.0
            for joint in range(3):
                bend = rng.uniform(-0.1, 1.3 * reach, (num_hands, 1))
                turn = bend * carried[finger, joint + 1, HINGE]
                if joint == 0:  # fingers also spread at their base
                    turn = (
                        turn
                        + rng.normal(0, 0.1, (num_hands, 1))
                        * (carried[finger, joint, NEXT_PALMAR])
                    )
                self.rotations[:, first + joint] = geometry.rotation_from_axis_angle(turn)
        self.wrist = rng.uniform((-0.15, -0.1, 0.3), (0.15, 0.1, 0.7), (num_hands, 3))
        self.keypoints = keypoints_of(self.skeleton, self.rotations, self.wrist)
        self.points = self.keypoints[..., :2] / self.keypoints[..., 2:]

    def world(self) -> np.ndarray:
        """(N, 21, 3) what a network that makes no error says: axes of the view at the hand."""
        centre = self.points.mean(1)
        ray = np.concatenate([centre, np.ones((len(centre), 1))], 1)
        axis = np.broadcast_to((0.0, 0.0, 1.0), ray.shape)
        camera_from_view = geometry.swing_rotation(axis, ray)
        return (self.keypoints - self.keypoints.mean(1, keepdims=True)) @ camera_from_view


def keypoints_of(skeleton: Skeleton, rotations: np.ndarray, wrist: np.ndarray) -> np.ndarray:
    """(N, 21, 3) keypoints of (N, 16, 3, 3) local rotations and (N, 3) wrists."""
    return skeleton.landmarks(frames_from_rotations(rotations)) + wrist[:, None]
