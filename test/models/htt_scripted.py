"""An HTT checkpoint that always says the same: known hands, one action, one object.

Its backbone and its blocks are random; the last layers are left with their biases alone. So all of
the way from an image to messages is run, and what comes out is known.
"""

from pathlib import Path

import htt_files
import numpy as np
import torch

from hand_perception.datatypes import Camera
from hand_perception.labels import load_label_map
from hand_perception.models.htt.constants import (
    DEPTH_OFFSET_M,
    IMAGE_HEIGHT,
    IMAGE_WIDTH,
    SCALE_FACTOR,
    TRANS_FACTOR,
)
from hand_perception.models.htt.preprocess import fit
from tools.make_htt_checkpoint import official_arguments, write_official

ACTION, OBJECT = 7, 3
LABELS = load_label_map('h2o')
#: Probability of ACTION: a logit of 6 above 35 others.
ACTION_PROB = float(np.exp(6) / (np.exp(6) + 35))


def raw_of(joints_3d, camera: Camera):
    """What the hand head must say for joints to be there: (J, 3) from (J, 3) metres."""
    view, _ = fit(camera.width, camera.height)
    K = view.K_of(camera)
    depth = joints_3d[:, 2]
    pixels = joints_3d[:, :2] / depth[:, None] * K[0, 0] + K[:2, 2]
    uv = (pixels - (IMAGE_WIDTH / 2, IMAGE_HEIGHT / 2)) / TRANS_FACTOR
    return np.c_[uv, (depth - DEPTH_OFFSET_M) / (K[0, 0] * SCALE_FACTOR)]


def write(folder: Path, joints_3d, camera: Camera, *, window=32, pose_window=8) -> Path:
    """Write checkpoint_45.pth for two hands (H2O).

    Args:
        folder: where to.
        joints_3d: (42, 3) metres, left hand then right hand.
        camera: that sees them there.
        window: tokens in the action window.
        pose_window: tokens in a pose window.
    """
    module = htt_files.network('h2o')
    state = module.state_dict()
    for prefix, bias in {
        'image_to_hand_pose.mlp.4': torch.from_numpy(raw_of(joints_3d, camera).ravel()),
        'action_classification.classifier': 6.0 * torch.eye(len(LABELS.actions))[ACTION],
        'obj_classification.classifier': 6.0 * torch.eye(len(LABELS.objects))[OBJECT],
    }.items():
        state[f'{prefix}.weight'].zero_()
        state[f'{prefix}.bias'].copy_(bias)
    return write_official(
        folder, module,
        arguments=official_arguments('h2o', window=window, pose_window=pose_window),
    )  # fmt: skip
