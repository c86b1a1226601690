"""Hands and meshes after alignment, as FreiHAND and HO-3D score them.

Sources: Zimmermann et al., "FreiHAND" (ICCV 2019), and Hampali et al., "HOnnotate" (CVPR 2020),
with their evaluation programs; F-scores after Knapitsch et al., "Tanks and Temples" (2017). These
are the figures in HaMeR's tables (Pavlakos et al., CVPR 2024).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hand_perception.datatypes import NUM_JOINTS, DoubleArray
from hand_perception.errors import DatasetError
from hand_perception.evaluation.alignment import procrustes_align
from hand_perception.evaluation.curves import FREIHAND
from hand_perception.evaluation.point_errors import PointErrors, PointScores, check_batch

#: Metres.
F_THRESHOLDS_M: Final = (0.005, 0.015)
_MANO_VERTICES: Final = 778


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshScores:
    """Errors after Procrustes alignment of each hand; NaN without hands.

    Attributes:
        keypoints: PA-MPJPE and AUC_J over 0-50 mm, of 21 keypoints.
        vertices: PA-MPVPE and AUC_V, of the mesh, which is aligned for itself.
        f_scores: F@5 mm and F@15 mm of the aligned meshes, 0-1.
    """

    keypoints: PointScores
    vertices: PointScores
    f_scores: tuple[float, ...]


class MeshEvaluator:
    """Gathers hands with their meshes batch by batch."""

    def __init__(self, num_vertices: int = _MANO_VERTICES) -> None:
        """Start without hands; meshes have corresponding vertices."""
        self._keypoints = PointErrors(NUM_JOINTS)
        self._vertices = PointErrors(num_vertices)
        self._f_scores: list[NDArray[np.float64]] = []

    def add(
        self,
        keypoints: ArrayLike,
        true_keypoints: ArrayLike,
        vertices: ArrayLike,
        true_vertices: ArrayLike,
    ) -> None:
        """Feed N hands.

        Args:
            keypoints: (N, 21, 3) metres, any frame.
            true_keypoints: (N, 21, 3) metres, the same order.
            vertices: (N, V, 3) metres.
            true_vertices: (N, V, 3) metres.

        Raises:
            DatasetError: shapes differ or numbers are not finite.
        """
        joints, true_joints, mesh, true_mesh = (
            np.asarray(points, np.float64)
            for points in (keypoints, true_keypoints, vertices, true_vertices)
        )
        # Before the alignment, which fails on numbers that are not finite.
        check_batch(joints, true_joints, None, num_points=NUM_JOINTS)
        check_batch(mesh, true_mesh, None, num_points=self._vertices.num_points)
        if len(joints) != len(mesh):
            raise DatasetError(f'{len(joints)} hands came with {len(mesh)} meshes; give one each')
        aligned = procrustes_align(mesh, true_mesh, may_mirror=True)
        self._keypoints.add(procrustes_align(joints, true_joints, may_mirror=True), true_joints)
        self._vertices.add(aligned, true_mesh)
        self._f_scores += map(f_scores, aligned, true_mesh)

    def merge(self, other: 'MeshEvaluator') -> None:
        """Take over what another one gathered of other hands.

        Raises:
            DatasetError: its meshes have another number of vertices.
        """
        self._vertices.merge(other._vertices)
        self._keypoints.merge(other._keypoints)
        self._f_scores += other._f_scores

    def arrays(self) -> dict[str, NDArray[np.floating]]:
        """Give what was gathered, hand by hand, so that it can be kept in a file."""
        return {
            'keypoints_m': self._keypoints.distances_m,
            'vertices_m': self._vertices.distances_m,
            'f_scores': np.reshape(self._f_scores, (-1, len(F_THRESHOLDS_M))),
        }

    def add_arrays(self, arrays: Mapping[str, ArrayLike]) -> None:
        """Take over what ``arrays`` of another one gave.

        Raises:
            DatasetError: its meshes have another number of vertices.
        """
        self._vertices.add_distances(arrays['vertices_m'])
        self._keypoints.add_distances(arrays['keypoints_m'])
        self._f_scores += list(np.asarray(arrays['f_scores'], np.float64))

    def finish(self) -> MeshScores:
        """Sum up."""
        means = (
            np.mean(self._f_scores, 0) if self._f_scores else np.full(len(F_THRESHOLDS_M), np.nan)
        )
        return MeshScores(
            keypoints=self._keypoints.finish(FREIHAND),
            vertices=self._vertices.finish(FREIHAND),
            f_scores=tuple(means.tolist()),
        )


def f_scores(
    points: DoubleArray, truth: DoubleArray, thresholds_m: ArrayLike = F_THRESHOLDS_M
) -> DoubleArray:
    """Give the harmonic mean of precision and recall of (V, 3) points for (W, 3) true ones: (T,).

    Precision is the share of the points nearer than the threshold to some true point, recall that
    of the true points nearer to some point.
    """
    square = _square_distances(points, truth)  # (V, W)
    limits = np.asarray(thresholds_m, np.float64)[:, None] ** 2
    precision = (square.min(1) < limits).mean(1)
    recall = (square.min(0) < limits).mean(1)
    total = precision + recall
    return np.where(total > 0, 2 * precision * recall / np.where(total > 0, total, 1), 0.0)


def _square_distances(points: DoubleArray, truth: DoubleArray) -> DoubleArray:
    """Squares of the distances of all pairs; counted from the middle, where rounding is least."""
    middle = truth.mean(0)
    a, b = points - middle, truth - middle
    square = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return np.maximum(square, 0)
