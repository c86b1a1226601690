"""Hands that move as told, measured with noise, for smoothing and looking ahead."""

import numpy as np
import torch
from hands import BACK_OF_HAND, half_closed, posed_hand
from stream_fakes import CAMERA

from hand_perception import geometry
from hand_perception.config import PipelineSettings
from hand_perception.pipeline import quaternions
from hand_perception.pipeline.smooth import HandSmoother, SmoothingState

# As the pipeline runs; threads that wait for each other cost tens of milliseconds per hand.
torch.set_num_threads(1)

RATE_HZ = 30.0
WHERE = np.array([0.0, 0.05, 0.45])


def hand_at(model, *, moved_m=(0.0, 0.0, 0.0), turn=(0.0, 0.0, 0.0), fingers=None, **more):
    """A right hand moved from its place and turned about axes of the camera, or its mirror image.

    Args:
        model: of the mesh.
        moved_m: (3,) metres.
        turn: (3,) axis-angle.
        fingers: (15, 3) axis-angle added to a half-closed hand.
        more: of ``posed_hand``.
    """
    pose = half_closed() + (0 if fingers is None else fingers)
    rotation = geometry.rotation_from_axis_angle(np.asarray(turn)) @ BACK_OF_HAND
    wrist_m = WHERE + moved_m
    if not more.get('is_right', True):
        wrist_m = geometry.mirror_points(wrist_m)
    return posed_hand(model, wrist_m=wrist_m, rotation=rotation, hand_pose=pose, **more)


class Stream:
    """Smooths hands image by image."""

    def __init__(self, model, **settings):
        self.settings = PipelineSettings(**settings)
        self.smoother = HandSmoother(model, self.settings)
        self.state = SmoothingState()
        self.stamp_ns = 0

    def __call__(self, *hands, after_s=1 / RATE_HZ):
        self.stamp_ns += round(after_s * 1e9)
        return self.smoother.step(self.state, CAMERA, hands, self.stamp_ns)


def quaternions_of(hand):
    """(16, 4) rotations of a hand."""
    parameters = hand.parameters
    vectors = np.concatenate([parameters.global_orient, parameters.hand_pose])
    return quaternions.from_axis_angle(vectors.reshape(16, 3))


def wrists(hands):
    """(N, 3) metres."""
    return np.array([hand.keypoints_3d[0] for hand in hands], np.float64)


def rms(values):
    """Root mean square of all numbers."""
    return float(np.sqrt(np.mean(np.square(values))))
