"""Hands in any place and pose, for what comes after the reconstruction."""

import dataclasses

import numpy as np
import torch
from stream_fakes import CAMERA

from hand_perception import geometry
from hand_perception.datatypes import Camera, DepthSource, Hand, ManoParameters
from hand_perception.models.hand_model import HandModel
from hand_perception.pipeline.hands import make_hand
from hand_perception.pipeline.track import Track

#: The back of a right hand towards the camera, fingers up.
BACK_OF_HAND = np.array([[0.0, 0, -1], [1, 0, 0], [0, -1, 0]])


def posed_hand(
    model: HandModel,
    *,
    wrist_m=(0.0, 0.05, 0.45),
    rotation=BACK_OF_HAND,
    hand_pose=None,
    betas=None,
    track_id: int = 1,
    is_right: bool = True,
    confidence: float = 0.9,
    camera: Camera = CAMERA,
    depth=(DepthSource.MONO, 0.02),
) -> Hand:
    """A hand whose mesh, keypoints, parameters and pixels agree.

    Args:
        model: of the mesh.
        wrist_m: (3,) where its wrist joint is, camera axes.
        rotation: (3, 3) global orientation of the right hand; a left one is mirrored.
        hand_pose: (15, 3) axis-angle of the right hand; None for a half-closed one.
        betas: (10,).
        track_id: its track.
        is_right: side.
        confidence: 0-1.
        camera: it is seen by.
        depth: source and standard deviation.
    """
    pose = half_closed() if hand_pose is None else np.asarray(hand_pose, np.float64)
    shape = np.zeros(10) if betas is None else np.asarray(betas, np.float64)
    wrist = np.asarray(wrist_m, np.float64)
    if not is_right:
        wrist = geometry.mirror_points(wrist)
    transl = wrist - model.rest(shape).joints[0]
    orient = geometry.axis_angle_from_rotation(rotation)
    mesh = model(
        global_orient=torch.from_numpy(orient)[None].float(),
        hand_pose=torch.from_numpy(pose.reshape(1, 45)).float(),
        betas=torch.from_numpy(shape)[None].float(),
        transl=torch.from_numpy(transl)[None].float(),
    )
    vertices, keypoints = mesh.vertices[0].double().numpy(), mesh.keypoints[0].double().numpy()
    if not is_right:
        vertices, keypoints, transl = map(geometry.mirror_points, (vertices, keypoints, transl))
        orient, pose = geometry.mirror_axis_angle(orient), geometry.mirror_axis_angle(pose)
    return make_hand(
        camera,
        Track(track_id=track_id, landmarks=None, stamp_ns=0, is_right=is_right),
        vertices=vertices,
        keypoints=keypoints,
        parameters=ManoParameters(
            global_orient=orient, hand_pose=pose.reshape(45), betas=shape, transl=transl
        ),
        confidence=confidence,
        depth=depth,
    )


def half_closed(curl: float = 0.35) -> np.ndarray:
    """(15, 3) pose of a right hand, four fingers bent by an angle at each joint."""
    pose = np.zeros((15, 3))
    pose[:12, 2] = curl
    return pose


def renamed(hand: Hand, track_id: int) -> Hand:
    """The hand under another id."""
    return dataclasses.replace(hand, track_id=track_id)
