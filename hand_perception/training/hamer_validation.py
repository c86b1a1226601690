"""How good HaMeR is on held-out hands while it learns: a few figures, not a benchmark."""

from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from torch import Tensor

from hand_perception.datatypes import DoubleArray, FloatArray
from hand_perception.errors import DatasetError
from hand_perception.evaluation.alignment import pa_mpjpe
from hand_perception.models.hamer.network import HamerOutput
from hand_perception.training.hamer_batches import HandCrops, collate_crops
from hand_perception.training.task import Draw, Validation

#: (B, 3, 256, 256) images to hands.
Reconstruct = Callable[[Tensor], HamerOutput]

_BATCH: Final = 32
_MILLIMETRES: Final = 1000.0
WATCHED: Final = 'mpjpe_mm'


def validate_hands(
    reconstruct: Reconstruct, crops: HandCrops, *, device: torch.device,
    mean_joints: FloatArray | None = None,
) -> Validation:  # fmt: skip
    """Measure on held-out hands, left ones mirrored.

    Args:
        reconstruct: the network, in evaluation mode.
        crops: hands with joints in 3D, without augmentation.
        device: of the network.
        mean_joints: (21, 3) metres, mean of the training hands relative to the wrist, to compare
            with what knows nothing of the image.

    Returns:
        ``mpjpe_mm`` relative to the wrist, ``pa_mpjpe_mm`` after alignment, ``keypoints_2d_px``
        in the crop, and with a mean ``mean_pose_mm`` and ``times_better``.

    Raises:
        DatasetError: no hand has joints in 3D.
    """
    errors, aligned, pixels, mean_errors = [], [], [], []
    for start in range(0, len(crops), _BATCH):
        numbers = range(start, min(start + _BATCH, len(crops)))
        batch = collate_crops([crops[Draw(0, number)] for number in numbers])
        output = reconstruct(batch.to(device).images)
        truth = batch.targets.keypoints_3d.double().numpy()
        truth_2d = batch.targets.keypoints_2d.double().numpy()
        known = truth[..., 3] > 0
        found = _relative(output.keypoints.detach().double().cpu().numpy())
        points = _relative(truth[..., :3])
        errors.append(_distances(found, points)[known])
        if mean_joints is not None:
            mean_errors.append(_distances(mean_joints[None], points)[known])
        whole = known.all(1)
        if whole.any():
            aligned.append(pa_mpjpe(found[whole], points[whole]))
        found_2d = output.pred_keypoints_2d.detach().double().cpu().numpy()
        pixels.append(_distances(found_2d, truth_2d[..., :2])[truth_2d[..., 2] > 0] * 256)
    if not any(len(part) for part in errors):
        raise DatasetError('no held-out hand has joints in 3D; choose other data.validation')
    figures = {WATCHED: _mean_mm(errors)}
    if aligned:
        figures['pa_mpjpe_mm'] = _mean_mm(aligned)
    figures['keypoints_2d_px'] = float(np.concatenate(pixels).mean())
    if mean_errors:
        figures['mean_pose_mm'] = _mean_mm(mean_errors)
        figures['times_better'] = figures['mean_pose_mm'] / figures[WATCHED]
    return Validation(figures=figures, watched=WATCHED)


def _relative(joints: DoubleArray) -> DoubleArray:
    return joints - joints[:, :1]


def _distances(points: FloatArray | DoubleArray, truth: DoubleArray) -> DoubleArray:
    distances: DoubleArray = np.linalg.norm(points - truth, axis=-1)
    return distances


def _mean_mm(parts: list[DoubleArray]) -> float:
    return float(np.concatenate(parts).mean()) * _MILLIMETRES
