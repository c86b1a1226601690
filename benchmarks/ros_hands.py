"""Hands for the benchmarks of messages and nodes: the default mesh, made-up numbers."""

import numpy as np

from hand_perception.datatypes import DepthSource, Hand, ManoParameters
from hand_perception.models.hand_arrays import load_default_arrays

_MODEL = load_default_arrays()
FACES = _MODEL.faces


def make_hands(count: int) -> list[Hand]:
    """Make hands half a metre in front of the camera, left and right in turn."""
    rng = np.random.default_rng(0)
    return [_make_hand(rng, number) for number in range(count)]


def _make_hand(rng: np.random.Generator, number: int) -> Hand:
    place = [0.1 * number, 0.0, 0.5]
    keypoints = (rng.normal(0, 0.05, (21, 3)) + place).astype(np.float32)
    template = np.asarray(_MODEL.v_template, np.float32)
    return Hand(
        track_id=number + 1,
        is_right=bool(number % 2),
        handedness_score=1.0,
        confidence=0.9,
        bbox_xyxy=np.array([0, 0, 100, 100], np.float32),
        keypoints_3d=keypoints,
        keypoints_2d=(1000 * keypoints[:, :2] / keypoints[:, 2:]).astype(np.float32),
        keypoint_confidence=np.full(21, np.nan, np.float32),
        vertices=template + np.array(place, np.float32),
        wrist_rotation=np.eye(3),
        parameters=ManoParameters(
            global_orient=np.zeros(3), hand_pose=np.zeros(45), betas=np.zeros(10),
            transl=np.array(place),
        ),
        flexion=np.zeros(15, np.float32),
        pinch_distance_m=0.05,
        pinch=0.0,
        grasp=0.0,
        depth_source=DepthSource.MONO,
        depth_stddev_m=0.05,
    )  # fmt: skip
