"""Hands in another pose than they were reconstructed in: the hand model posed anew, all at once.

The model is a right hand: rotations of left hands are mirrored before and points after, here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from hand_perception import geometry
from hand_perception.datatypes import Camera, DoubleArray, Hand, ManoParameters
from hand_perception.models.hand_model import HandModel
from hand_perception.pipeline import quaternions
from hand_perception.pipeline.lift import project


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """Where a true (left or right) hand is, and its shape.

    Attributes:
        wrist: (3,) metres, camera optical frame.
        rotations: (16, 4) unit quaternions x y z w: palm in the camera, then each joint in its
            parent, MANO order.
        betas: (10,).
    """

    wrist: DoubleArray
    rotations: DoubleArray
    betas: DoubleArray


def pose_hands(
    model: HandModel, camera: Camera, hands: Sequence[Hand], poses: Sequence[Pose]
) -> tuple[Hand, ...]:
    """Pose hands anew: what is measured of them but place, pose and shape stays.

    Args:
        model: that the hands are made of.
        camera: they are seen by.
        hands: as reconstructed; at least one.
        poses: one for each.

    Returns:
        The hands; pinch distance, pinch and grasp are those of ``hands``.
    """
    true = np.stack([pose.rotations for pose in poses])  # (N, 16, 4)
    betas = np.stack([pose.betas for pose in poses])
    wrist = np.stack([pose.wrist for pose in poses])
    is_left = np.array([not hand.is_right for hand in hands])
    straight = np.where(is_left[:, None, None], quaternions.mirrored(true), true)
    rotations = quaternions.to_rotation(straight).astype(np.float32)
    with torch.inference_mode():
        mesh = model.from_rotations(
            rotations=torch.from_numpy(rotations).to(model.device),
            betas=torch.from_numpy(betas).float().to(model.device),
        )
        points = torch.cat([mesh.keypoints, mesh.vertices], 1).cpu().numpy()
    points[is_left, :, 0] *= -1
    transl = wrist - points[:, 0]
    points += transl[:, None].astype(np.float32)
    pixels = project(camera, points)
    num_keypoints = mesh.keypoints.shape[1]
    keypoints, keypoint_pixels = points[:, :num_keypoints], pixels[:, :num_keypoints]
    vertices, outline = points[:, num_keypoints:], pixels[:, num_keypoints:]
    # fmin and fmax leave out points behind the camera (NaN) and copy nothing.
    corners = [np.fmin.reduce(outline, axis=1), np.fmax.reduce(outline, axis=1)]
    boxes = np.concatenate(corners, 1, dtype=np.float32)
    flexion = geometry.flexion_angles(keypoints).astype(np.float32)
    axis_angle = quaternions.to_axis_angle(true)
    return tuple(
        replace(
            hand,
            bbox_xyxy=boxes[i],
            keypoints_3d=keypoints[i],
            keypoints_2d=keypoint_pixels[i].astype(np.float32),
            vertices=vertices[i],
            wrist_rotation=geometry.wrist_rotation(axis_angle[i, 0], is_right=hand.is_right),
            parameters=ManoParameters(
                global_orient=axis_angle[i, 0],
                hand_pose=axis_angle[i, 1:].reshape(45),
                betas=betas[i],
                transl=transl[i],
            ),
            flexion=flexion[i],
        )
        for i, hand in enumerate(hands)
    )
