"""Joint errors of HTT's benchmarks: MEPE and PCK in camera space and relative to the wrist.

Source: Wen et al., "Hierarchical Temporal Transformer" (CVPR 2023), and its evaluation program.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hand_perception.datatypes import NUM_JOINTS
from hand_perception.errors import DatasetError
from hand_perception.evaluation.curves import (
    FPHA_CAMERA,
    H2O_CAMERA,
    WRIST_RELATIVE,
    Thresholds,
)
from hand_perception.evaluation.point_errors import PointErrors, PointScores


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseBenchmark:
    """How joints are scored.

    Attributes:
        name: of the data set.
        sides: hands, in the order of the joints, 21 each.
        camera: thresholds in camera space.
        relative: thresholds with the wrists put together.
    """

    name: str
    sides: tuple[str, ...]
    camera: Thresholds
    relative: Thresholds = WRIST_RELATIVE

    @property
    def num_joints(self) -> int:
        """Joints of all hands."""
        return NUM_JOINTS * len(self.sides)


FPHA_POSE: Final = PoseBenchmark(name='fpha', sides=('right',), camera=FPHA_CAMERA)
H2O_POSE: Final = PoseBenchmark(name='h2o', sides=('left', 'right'), camera=H2O_CAMERA)
POSE_BENCHMARKS: Final = {entry.name: entry for entry in (FPHA_POSE, H2O_POSE)}


@dataclass(frozen=True, slots=True, kw_only=True)
class HandPoseScores:
    """Errors of one hand.

    Attributes:
        camera: in camera space, 21 joints: MEPE.
        relative: with the wrists put together, the 20 other joints: MEPE-RA.
    """

    camera: PointScores
    relative: PointScores


class PoseEvaluator:
    """Gathers joints batch by batch; every hand is scored for itself."""

    def __init__(self, benchmark: PoseBenchmark) -> None:
        """Start without images."""
        self.benchmark = benchmark
        self._camera = {side: PointErrors(NUM_JOINTS) for side in benchmark.sides}
        self._relative = {side: PointErrors(NUM_JOINTS - 1) for side in benchmark.sides}

    def add(
        self, joints_m: ArrayLike, truth_m: ArrayLike, is_valid: ArrayLike | None = None
    ) -> None:
        """Feed N images.

        Args:
            joints_m: (N, 21 S, 3) metres, camera optical frame, hands in the order of ``sides``.
            truth_m: the same of the truth.
            is_valid: (N,), as HTT's own evaluation has it, or (N, S) per hand; not 0 for what
                counts. None: all does.

        Raises:
            DatasetError: shapes do not fit the benchmark, or numbers that count are not finite.
        """
        joints, truth = np.asarray(joints_m, np.float64), np.asarray(truth_m, np.float64)
        sides = self.benchmark.sides
        wanted = (len(joints), self.benchmark.num_joints, 3)
        if joints.shape != wanted or truth.shape != wanted:
            raise DatasetError(
                f'{self.benchmark.name} has {wanted[1]} joints in {len(sides)} hands, expected '
                f'(N, {wanted[1]}, 3), got {joints.shape} and {truth.shape} for the truth'
            )
        valid = np.ones(len(joints), np.bool_) if is_valid is None else np.asarray(is_valid) != 0
        if valid.ndim == 1:
            valid = np.repeat(valid[:, None], len(sides), 1)
        if valid.shape != (len(joints), len(sides)):
            raise DatasetError(
                f'validity must be ({len(joints)},) or ({len(joints)}, {len(sides)}), got '
                f'{valid.shape}'
            )
        for number, side in enumerate(sides):
            hand = slice(number * NUM_JOINTS, (number + 1) * NUM_JOINTS)
            found, true, counts = joints[:, hand], truth[:, hand], valid[:, number]
            self._camera[side].add(found, true, counts)
            self._relative[side].add(
                (found - found[:, :1])[:, 1:], (true - true[:, :1])[:, 1:], counts
            )

    def merge(self, other: 'PoseEvaluator') -> None:
        """Take over what another one gathered of other images.

        Raises:
            DatasetError: it was for another benchmark.
        """
        if other.benchmark != self.benchmark:
            raise DatasetError(
                f'results of {other.benchmark.name} cannot be put to those of '
                f'{self.benchmark.name}; merge parts of one benchmark'
            )
        for side in self.benchmark.sides:
            self._camera[side].merge(other._camera[side])
            self._relative[side].merge(other._relative[side])

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Give all distances, metres, so that they can be kept in a file; NaN without truth."""
        return {
            f'{side}_{space}_m': errors[side].distances_m
            for space, errors in (('camera', self._camera), ('relative', self._relative))
            for side in self.benchmark.sides
        }

    def add_arrays(self, arrays: Mapping[str, ArrayLike]) -> None:
        """Take over what ``arrays`` of another one for this benchmark gave.

        Raises:
            DatasetError: they are of another number of joints.
        """
        for side in self.benchmark.sides:
            self._camera[side].add_distances(arrays[f'{side}_camera_m'])
            self._relative[side].add_distances(arrays[f'{side}_relative_m'])

    def finish(self) -> Mapping[str, HandPoseScores]:
        """Sum up, hand by hand."""
        return {
            side: HandPoseScores(
                camera=self._camera[side].finish(self.benchmark.camera),
                relative=self._relative[side].finish(self.benchmark.relative),
            )
            for side in self.benchmark.sides
        }
