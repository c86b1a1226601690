"""How a hand is shaped, and which of the five still primitives that is.

Everything is measured against the hand itself, so neither its size, its distance, its side nor
the camera matters. Each shape is a handful of conditions; a condition is a ramp from 0 (not at
all) to 1 (clearly), one half at its limit. The score of a shape is its worst condition. It is
therefore no probability: above 0.5 all conditions hold, 1.0 means that all hold clearly.

The limits lie between what the shapes measure (10th to 90th percentile) on the synthetic clip
through the landmark back end, and on a real video of a right hand seen from its palm:

============  =====================  ==================  ================
shape         extension of fingers   index finger        thumb to index
============  =====================  ==================  ================
open          0.93-0.98              as the others       1.0-1.1 palms
open, real    0.85-0.96              as the others       0.7-1.6
relaxed       0.79-0.92              as the others       0.63-1.2
pinch         others 0.78-0.94       0.57-0.78           0.07-0.44
grasp         0.61-0.80              0.77-0.79           0.32-0.75
fist          0.37-0.64              0.48-0.64           0.1-0.7
point         others 0.40-0.49       0.95                1.0-1.1
============  =====================  ==================  ================
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hand_perception.datatypes import JOINT_PARENTS, DoubleArray

#: The still primitives, in the order of ``actions.PRIMITIVES``.
SHAPES: Final = ('open', 'fist', 'point', 'pinch', 'grasp')
_WRIST, _THUMB_TIP, _INDEX_TIP = 0, 4, 8
_INDEX_KNUCKLE, _MIDDLE_KNUCKLE, _LITTLE_KNUCKLE = 5, 9, 17
_TIPS: Final = np.array([8, 12, 16, 20])
_PARENTS: Final = np.array(JOINT_PARENTS)

#: Limits: where a condition begins to hold and where it holds clearly. Extensions are shares of
#: the length of the straight finger.
_OPEN_MEAN: Final = (0.82, 0.92)
_OPEN_LEAST: Final = (0.70, 0.80)
_FIST_MEAN: Final = (0.71, 0.59)
_FIST_MOST: Final = (0.80, 0.68)
_POINT_INDEX: Final = (0.80, 0.92)
_POINT_OTHERS: Final = (0.84, 0.72)  # two of three: one hidden finger may be seen wrongly ...
_POINT_MOST: Final = (0.90, 0.78)  # ... but not straight
_POINT_LEAD: Final = (0.08, 0.18)  # index finger over the middle one of the others
_PINCH_INDEX: Final = (0.94, 0.86)
_PINCH_INDEX_OVER: Final = (0.40, 0.50)  # bent into the palm it cannot meet the thumb
_PINCH_OTHERS: Final = (0.68, 0.80)
_GRASP_MEAN_OVER: Final = (0.59, 0.71)
_GRASP_MEAN_UNDER: Final = (0.85, 0.77)
_GRASP_MOST: Final = (0.91, 0.83)
#: A grasp bends the index finger like the others; bent by this much more it is no grasp.
_GRASP_LEAD: Final = (0.22, 0.12)
#: Thumb to index tip, in palms, from which a pinch is one, over how much more than the others the
#: index finger is bent: as much in a grasp, whose thumb is near too; the more it is bent alone,
#: the surer it is a pinch, however badly the thumb is seen behind it.
_PINCH_LEADS: Final = (-0.02, 0.06, 0.20)
_PINCH_GAPS: Final = (0.26, 0.50, 0.78)
#: Half the width of that condition's ramp, palms.
_PINCH_GAP_RAMP: Final = 0.12
#: A palm (wrist to middle knuckle) shorter than this is no hand, metres.
_MIN_PALM_M: Final = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class HandShape:
    """One hand in one image, measured against itself.

    Attributes:
        extension: (4,) index, middle, ring, little: wrist to tip over the length of the bones in
            between; 1 straight, about 0.35 in a fist.
        gap: thumb tip to index tip, in palms.
        palm_m: wrist to middle knuckle, metres.
        tips_m: (3,) mean of the four finger tips, metres, camera axes.
        across: (3,) unit vector across the palm, square to the line of sight, camera axes.
    """

    extension: DoubleArray
    gap: float
    palm_m: float
    tips_m: DoubleArray
    across: DoubleArray


def measure_shape(keypoints_3d: NDArray[np.floating]) -> HandShape | None:
    """Measure a hand.

    Args:
        keypoints_3d: (21, 3) metres, camera optical frame.

    Returns:
        None where keypoints are not finite or lie on one spot.
    """
    points = np.asarray(keypoints_3d, np.float64)
    if not np.isfinite(points).all():
        return None
    palm = float(np.linalg.norm(points[_MIDDLE_KNUCKLE] - points[_WRIST]))
    if palm < _MIN_PALM_M:
        return None
    bones = np.linalg.norm(points - points[_PARENTS], axis=1)[1:].reshape(5, 4).sum(1)[1:]
    reach = np.linalg.norm(points[_TIPS] - points[_WRIST], axis=1)
    gap = float(np.linalg.norm(points[_THUMB_TIP] - points[_INDEX_TIP]))
    return HandShape(
        extension=reach / np.maximum(bones, _MIN_PALM_M),
        gap=gap / palm,
        palm_m=palm,
        tips_m=points[_TIPS].mean(0),
        across=_across(points),
    )


def score_shapes(shape: HandShape) -> DoubleArray:
    """Score a hand as each of ``SHAPES``: (5,) 0-1."""
    extension = shape.extension
    index, others = float(extension[0]), extension[1:]
    mean, least, most = float(extension.mean()), float(extension.min()), float(extension.max())
    lead, middle = float(others.mean()) - index, float(np.median(others))
    limit = float(np.interp(lead, _PINCH_LEADS, _PINCH_GAPS))
    pinch = min(
        _ramp(shape.gap, (limit + _PINCH_GAP_RAMP, limit - _PINCH_GAP_RAMP)),
        _ramp(index, _PINCH_INDEX),
        _ramp(index, _PINCH_INDEX_OVER),
        _ramp(float(others.mean()), _PINCH_OTHERS),
    )
    point = min(
        _ramp(index, _POINT_INDEX),
        _ramp(middle, _POINT_OTHERS),
        _ramp(index - middle, _POINT_LEAD),
        _ramp(float(others.max()), _POINT_MOST),
    )
    grasp = min(
        _ramp(mean, _GRASP_MEAN_OVER), _ramp(mean, _GRASP_MEAN_UNDER), _ramp(most, _GRASP_MOST),
        _ramp(lead, _GRASP_LEAD), 1 - pinch,
    )  # fmt: skip
    fist = min(_ramp(mean, _FIST_MEAN), _ramp(most, _FIST_MOST))
    opened = min(_ramp(mean, _OPEN_MEAN), _ramp(least, _OPEN_LEAST), 1 - pinch)
    return np.array([opened, fist, point, pinch, grasp])


def _ramp(value: float, limits: tuple[float, float]) -> float:
    """Rise from 0 at the first limit to 1 at the second, whichever is the greater."""
    begins, is_clear = limits
    return min(max((value - begins) / (is_clear - begins), 0.0), 1.0)


def _across(points: DoubleArray) -> DoubleArray:
    """Take the palm's direction from little to index finger, without its part along the sight.

    Distances along the line of sight are the least certain, and no part of waving.
    """
    across = points[_INDEX_KNUCKLE] - points[_LITTLE_KNUCKLE]
    sight = points[_MIDDLE_KNUCKLE] / max(float(np.linalg.norm(points[_MIDDLE_KNUCKLE])), 1e-9)
    across = across - sight * (across @ sight)
    return np.asarray(across / max(float(np.linalg.norm(across)), 1e-9), np.float64)
