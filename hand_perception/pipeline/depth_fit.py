"""Fitted hands put where an aligned depth image has them: distance, size and tilt of the palm.

A hand that is farther than its size told is larger by the same ratio, so that its projection
stays. Its tilt is what landmarks in one image show worst; where depth shows another one, the pose
is fitted again with that palm. Distance by depth and distance by size are joined by their
variances: with few measured places the size has a say.

All hands here are right hands, left ones mirrored at x = 0, as in ``reconstruct``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hand_perception.datatypes import Camera, DoubleArray, FloatArray
from hand_perception.models.hand_model import HandModel
from hand_perception.models.landmark_fit import HandFit, LandmarkFitter
from hand_perception.pipeline.palm_depth import PalmMeasurement, PalmSurface

#: Tilts below this are not worth another fit, radians.
_MIN_TILT: Final = float(np.radians(2))
#: A pose fitted with the measured palm may miss the landmarks this many times as much as before,
#: and by this share of the hand more; beyond, what was measured was not this palm.
_MAX_MISS_RATIO, _MAX_MISS = 2.0, 0.01
#: Tilt that is left by and without depth, radians (standard deviations on rendered hands), and how
#: far the wrist lies from the middle of the palm, metres: together its error beside the palm's.
_TILT_LEFT, _TILT_UNKNOWN, _LEVER_M = float(np.radians(8)), float(np.radians(20)), 0.05

#: Poses fits: (N, V, 3) vertices and (N, 21, 3) keypoints, metres.
Posing = Callable[[Sequence[HandFit]], tuple[DoubleArray, DoubleArray]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthFit:
    """One hand after the depth image was asked.

    Attributes:
        fit: its pose.
        scale: by how much it is farther away and larger than fitted; 1 where nothing was measured.
        stddev_m: standard deviation of the wrist's distance; None where nothing was measured.
    """

    fit: HandFit
    scale: float = 1.0
    stddev_m: float | None = None


class DepthFitter:
    """Asks depth images about fitted hands."""

    def __init__(self, model: HandModel, fitter: LandmarkFitter) -> None:
        """Take the hand model and what fits it."""
        self._palm = PalmSurface(model)
        self._fitter = fitter

    def __call__(
        self,
        camera: Camera,
        depth_m: FloatArray,
        fits: Sequence[HandFit],
        landmarks: tuple[DoubleArray, DoubleArray],
        is_right: NDArray[np.bool_],
        mono_stddev_m: Sequence[float],
        pose: Posing,
    ) -> list[DepthFit]:
        """Correct N fitted hands of one image.

        Args:
            camera: of both images.
            depth_m: (H, W) metres, NaN where unknown.
            fits: the hands.
            landmarks: (N, 21, 2) and (N, 21, 3) that they were fitted to.
            is_right: (N,) side.
            mono_stddev_m: standard deviation of each distance by size.
            pose: gives the surfaces of fits.
        """
        vertices, keypoints = pose(fits)
        distances = keypoints[:, 0, 2]
        ratios = [stddev / z for stddev, z in zip(mono_stddev_m, distances, strict=True)]

        def measure(i: int, surface: DoubleArray) -> PalmMeasurement | None:
            return self._palm.measure(
                camera, depth_m, surface, is_right=bool(is_right[i]), mono_ratio=ratios[i]
            )

        found = [measure(i, surface) for i, surface in enumerate(vertices)]
        turned = list(fits)
        for i, measured in enumerate(found):
            if measured is not None and np.linalg.norm(measured.tilt) > _MIN_TILT:
                again = self._fitter.fit_turned(
                    landmarks[0][i], landmarks[1][i], fits[i], measured.tilt
                )
                if again.reprojection <= _MAX_MISS_RATIO * fits[i].reprojection + _MAX_MISS:
                    turned[i] = again
        if any(a is not b for a, b in zip(fits, turned, strict=True)):
            vertices, _ = pose(turned)
        results = []
        for i, (before, measured) in enumerate(zip(fits, found, strict=True)):
            if measured is None:
                results.append(DepthFit(fit=before))
                continue
            is_straight = float(np.linalg.norm(measured.tilt)) <= _MIN_TILT
            is_sure = turned[i] is not before or is_straight
            if turned[i] is not before:
                measured = measure(i, vertices[i]) or measured
            results.append(
                _join(turned[i], measured, ratios[i] * float(distances[i]), is_sure=is_sure)
            )
        return results


def _join(
    fit: HandFit, measured: PalmMeasurement, mono_stddev_m: float, *, is_sure: bool
) -> DepthFit:
    """Join distance by depth and distance by size by their variances."""
    by_size, by_depth = mono_stddev_m**2, measured.stddev_m**2
    say = by_size / (by_size + by_depth)
    tilt = _TILT_LEFT if is_sure else _TILT_UNKNOWN
    return DepthFit(
        fit=fit,
        scale=1 + say * (measured.scale - 1),
        stddev_m=float(np.hypot(np.sqrt(say * by_depth), _LEVER_M * tilt)),
    )
