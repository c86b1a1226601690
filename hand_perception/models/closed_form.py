"""The pose of a hand from 21 points in space, without iterating.

The palm's rotation is the best one for six directions in it (Kabsch 1976); then each bone swings
by the smallest rotation from where its parent carries it to where the points say. Exact when the
points are those of the same hand; twist about a bone's own axis, which points do not show, is
none.
"""

from typing import Final

import numpy as np

from hand_perception import geometry
from hand_perception.datatypes import DoubleArray
from hand_perception.models.skeleton import BONE, NUM_FINGERS, NUM_FRAMES, Skeleton

#: Directions in the palm that its rotation is taken from: (start, end) keypoints.
_PALM_PAIRS: Final = np.array([(0, 5), (0, 9), (0, 13), (0, 17), (17, 5), (13, 9)])
_TINY: Final = 1e-9


def closed_form_frames(skeleton: Skeleton, points: DoubleArray) -> DoubleArray:
    """Find the pose that brings the bones into the directions of N hands' points.

    Args:
        skeleton: the flat right hand.
        points: (N, 21, 3) in any unit, keypoint order. Where two neighbours coincide the bone
            stays as its parent carries it.

    Returns:
        (N, 5, 4, 3, 3) global frames as in :mod:`hand_perception.models.skeleton`.
    """
    num_hands = len(points)
    rest = skeleton.landmarks(np.broadcast_to(np.eye(3), (1, NUM_FINGERS, NUM_FRAMES, 3, 3)))[0]
    palm = _unit(rest[_PALM_PAIRS[:, 1]] - rest[_PALM_PAIRS[:, 0]])  # (6, 3)
    seen = _unit(points[:, _PALM_PAIRS[:, 1]] - points[:, _PALM_PAIRS[:, 0]])  # (N, 6, 3)
    u, _, vt = np.linalg.svd(seen.swapaxes(1, 2) @ palm)
    u[:, :, 2] *= np.linalg.det(u @ vt)[:, None]  # a rotation, not a reflection

    frames = np.empty((num_hands, NUM_FINGERS, NUM_FRAMES, 3, 3))
    frames[:, :, 0] = (u @ vt)[:, None]
    chains = points[:, 1:].reshape(num_hands, NUM_FINGERS, NUM_FRAMES, 3)
    targets = np.diff(chains, axis=2)  # (N, 5, 3, 3)
    lengths = np.linalg.norm(targets, axis=-1, keepdims=True)
    for joint in range(3):
        parent = frames[:, :, joint]
        carried = (parent @ skeleton.carried[:, joint + 1, BONE, :, None])[..., 0]
        target = np.where(lengths[:, :, joint] > _TINY, targets[:, :, joint], carried)
        frames[:, :, joint + 1] = geometry.swing_rotation(carried, target) @ parent
    return frames


def _unit(vectors: DoubleArray) -> DoubleArray:
    length: DoubleArray = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(length, _TINY)
