"""Errors of 21 keypoints: as they are, with the wrists put together, and best aligned."""

from typing import Final

import numpy as np

from hand_perception.datatypes import JOINT_NAMES, DoubleArray

#: The bone whose length HO-3D's program takes for the size of a hand.
_SIZE_JOINT: Final = JOINT_NAMES.index('middle_mcp')


def mean_joint_error(points: DoubleArray, truth: DoubleArray) -> DoubleArray:
    """Give the mean distance of (..., J, D) keypoints from the true ones: (...), their unit."""
    return np.linalg.norm(points - truth, axis=-1).mean(-1)


def mpjpe(points: DoubleArray, truth: DoubleArray) -> DoubleArray:
    """Give the mean per-joint error of (..., J, 3) with the first keypoints (wrists) together."""
    return mean_joint_error(points - points[..., :1, :], truth - truth[..., :1, :])


def pa_mpjpe(points: DoubleArray, truth: DoubleArray) -> DoubleArray:
    """Give the mean per-joint error of (..., J, 3) after Procrustes alignment."""
    return mean_joint_error(procrustes_align(points, truth), truth)


def scale_and_wrist_align(keypoints: DoubleArray, truth: DoubleArray) -> DoubleArray:
    """Scale (N, 21, 3) hands and put their wrists onto the true ones, as HO-3D's program does.

    The size of a hand is the distance of its wrist from the base of its middle finger; a hand
    without any is not scaled.
    """
    relative = keypoints - keypoints[:, :1]
    size, true_size = (
        np.linalg.norm(points[:, _SIZE_JOINT] - points[:, 0], axis=-1)[:, None, None]
        for points in (keypoints, truth)
    )
    scale = true_size / np.where(size > 0, size, 1)
    return relative * scale + truth[:, :1]


def procrustes_align(
    points: DoubleArray, target: DoubleArray, *, may_mirror: bool = False
) -> DoubleArray:
    """Move, turn and scale (..., J, 3) points onto a target, least squares (Umeyama 1991).

    Without ``may_mirror`` a hand of the wrong side stays wrong. The programs of FreiHAND and HO-3D
    allow mirroring; it makes no difference to hands that are anywhere near the truth.
    """
    centre, target_centre = points.mean(-2, keepdims=True), target.mean(-2, keepdims=True)
    centred, target_centred = points - centre, target - target_centre
    u, strength, vt = np.linalg.svd(np.swapaxes(centred, -1, -2) @ target_centred)
    is_mirrored = np.linalg.det(u @ vt) < 0
    sign = np.where(is_mirrored & (not may_mirror), -1.0, 1.0)
    u[..., -1] *= sign[..., None]
    strength[..., -1] *= sign
    spread = np.maximum((centred**2).sum((-2, -1)), 1e-30)
    scale = (strength.sum(-1) / spread)[..., None, None]
    return scale * centred @ (u @ vt) + target_centre
