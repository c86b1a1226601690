"""Poses, shapes and the mean of a data set's hands, read without their images."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from hand_perception.augmentation.crop import mirror_pose, turn_orientation
from hand_perception.datasets.hands import HandImages
from hand_perception.datatypes import FloatArray
from hand_perception.errors import DatasetError
from hand_perception.evaluation.mean_hand import right_joints

#: Numbers of a pose in the official file, which begins with the orientation.
_WHOLE_POSE: Final = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class HandPoses:
    """Poses and shapes of M real right hands (left ones mirrored).

    Attributes:
        hand_pose: (M, 45) axis-angle, radians, relative to the flat hand.
        betas: (M, 10).
    """

    hand_pose: FloatArray
    betas: FloatArray

    def __len__(self) -> int:
        """How many there are."""
        return len(self.hand_pose)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandStatistics:
    """What is known of the hands of a data set.

    Attributes:
        poses: of the hands whose pose and shape are known; may be of none.
        mean_joints: (21, 3) metres, mean of the joints relative to the wrist, camera axes, left
            hands mirrored; None where no joints are known in 3D.
        mean_orientation: (3, 3) mean of the matrices of the hands' orientation in the camera, of
            hands with known pose, left ones mirrored; identity without any. It is no rotation.
    """

    poses: HandPoses
    mean_joints: FloatArray | None
    mean_orientation: FloatArray


def hand_statistics(hands: HandImages, *, limit: int) -> HandStatistics:
    """Read the truth of hands, evenly from the first to the last.

    Args:
        hands: of a data set; no image is read.
        limit: most hands to read.

    Raises:
        DatasetError: an annotation is missing or damaged.
    """
    poses, betas, joints, orientations = [], [], [], []
    for number in evenly(len(hands), limit):
        truth, is_right = hands.truth(number), hands.is_right(number)
        known = right_joints(truth, is_right=is_right)
        if known is not None:
            joints.append(known)
        mano = truth.mano
        if mano is not None and mano.has_pose[0, 0] and mano.has_betas[0, 0]:
            poses.append(mirror_pose(mano.hand_pose[0, 0], is_right=is_right))
            betas.append(mano.betas[0, 0])
            orient = turn_orientation(mano.global_orient[0, 0], 0.0, is_right=is_right)
            orientations.append(cv2.Rodrigues(orient)[0])
    return HandStatistics(
        poses=HandPoses(
            hand_pose=np.array(poses, np.float32).reshape(-1, 45),
            betas=np.array(betas, np.float32).reshape(-1, 10),
        ),
        mean_joints=np.mean(joints, 0).astype(np.float32) if joints else None,
        mean_orientation=np.mean(orientations or [np.eye(3)], 0).astype(np.float32),
    )


def read_pose_file(path: Path) -> HandPoses:
    """Read real poses as HaMeR's training has them (freihand_mocap.npz).

    Raises:
        DatasetError: the file is missing, damaged, or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            pose, betas = (
                np.asarray(archive[name], np.float32) for name in ('hand_pose', 'betas')
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DatasetError(
            f'{path} cannot be read as poses of hands ({error!r}); expected an npz file with '
            'hand_pose and betas, such as freihand_mocap.npz'
        ) from error
    shapes = ((len(pose), _WHOLE_POSE), (len(pose), 10))
    is_finite = np.isfinite(pose).all() and np.isfinite(betas).all()
    if not len(pose) or (pose.shape, betas.shape) != shapes or not is_finite:
        raise DatasetError(
            f'{path}: hand_pose must be (M, {_WHOLE_POSE}) and betas (M, 10) finite numbers, got '
            f'{pose.shape} and {betas.shape}'
        )
    return HandPoses(hand_pose=pose[:, 3:].copy(), betas=betas)


def evenly(count: int, limit: int) -> list[int]:
    """Choose at most ``limit`` of ``count`` places, evenly from the first to the last."""
    if count <= limit:
        return list(range(count))
    chosen: list[int] = np.linspace(0, count - 1, limit).round().astype(int).tolist()
    return chosen
