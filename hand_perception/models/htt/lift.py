"""HTT's raw outputs to pixels and metres (Wen et al., 2023, and the published weights)."""

import numpy as np
from numpy.typing import NDArray

from hand_perception.datatypes import FloatArray
from hand_perception.models.htt.constants import (
    DEPTH_OFFSET_M,
    IMAGE_HEIGHT,
    IMAGE_WIDTH,
    SCALE_FACTOR,
    TRANS_FACTOR,
)


def lift(raw: FloatArray, K: NDArray[np.floating]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Place the joints of N images in the image and before the camera.

    The 2D outputs count from the middle of the network image, not from the principal point, and
    fx stands for both axes, as the weights were trained.

    Args:
        raw: (N, J, 3) outputs of the hand head.
        K: (N, 3, 3) intrinsics of the network image, pixels.

    Returns:
        (N, J, 2) pixels of the network image; (N, J) depth, metres; (N, J, 3) metres, camera
        optical frame.
    """
    outputs = raw.astype(np.float64)
    focal = K[:, 0, 0].astype(np.float64)[:, None]  # (N, 1)
    principal = K[:, None, :2, 2].astype(np.float64)  # (N, 1, 2)
    joints_2d = TRANS_FACTOR * outputs[..., :2] + (IMAGE_WIDTH / 2, IMAGE_HEIGHT / 2)
    depth = focal * SCALE_FACTOR * outputs[..., 2] + DEPTH_OFFSET_M  # (N, J)
    lateral = (joints_2d - principal) * (depth / focal)[..., None]
    joints_3d = np.concatenate((lateral, depth[..., None]), axis=-1)
    return (
        joints_2d.astype(np.float32), depth.astype(np.float32), joints_3d.astype(np.float32),
    )  # fmt: skip
