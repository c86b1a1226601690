"""What it costs to look at no crop and always say the mean hand: a line that HaMeR must beat."""

from collections.abc import Iterator, Mapping

import numpy as np

from hand_perception.datasets.hands import HandImages
from hand_perception.datasets.sample import HandTruth
from hand_perception.datatypes import DoubleArray
from hand_perception.errors import DatasetError
from hand_perception.evaluation.alignment import procrustes_align
from hand_perception.evaluation.curves import FREIHAND
from hand_perception.evaluation.point_errors import PointErrors
from hand_perception.evaluation.report import Table
from hand_perception.geometry import mirror_points


def is_known(truth: HandTruth) -> bool:
    """Tell whether all keypoints of a single hand are known in 3D."""
    confidence = truth.confidence_3d
    return bool(truth.hand_valid[0, 0]) and (confidence is None or bool((confidence > 0).all()))


def right_joints(truth: HandTruth, *, is_right: bool) -> DoubleArray | None:
    """Give (21, 3) metres of a known hand, its wrist at 0, a left one mirrored; else None."""
    if not is_known(truth):
        return None
    joints = truth.joints_3d[0, 0].astype(np.float64)
    joints -= joints[:1]
    return joints if is_right else mirror_points(joints)


def mean_hand(hands: HandImages) -> DoubleArray:
    """Average the keypoints of all hands, wrists together, left hands mirrored: (21, 3) metres.

    Raises:
        DatasetError: none is known in 3D, or annotations are damaged.
    """
    total, count = np.zeros((21, 3)), 0
    for joints in _known(hands):
        total += joints
        count += 1
    if not count:
        raise DatasetError(
            f'{hands.dataset} {hands.split} knows no hand in 3D that a mean could be of'
        )
    return total / count


def mean_hand_figures(mean: DoubleArray, hands: HandImages) -> dict[str, float]:
    """Score a hand as the answer for every hand: ``mpjpe_root`` and ``pa_mpjpe``, millimetres."""
    relative, aligned = PointErrors(len(mean)), PointErrors(len(mean))
    for joints in _known(hands):
        said = mean[None]
        relative.add(said, joints[None])
        aligned.add(procrustes_align(said, joints[None], may_mirror=True), joints[None])
    return {
        'mpjpe_root': relative.finish(FREIHAND).mean_mm,
        'pa_mpjpe': aligned.finish(FREIHAND).mean_mm,
    }


def mean_hand_table(figures: Mapping[str, float], mean: Mapping[str, float], source: str) -> Table:
    """Set the errors of a network beside those of the mean hand.

    Args:
        figures: of the network.
        mean: of ``mean_hand_figures``.
        source: what the hand is the mean of.
    """
    ours = [figures.get(name, np.nan) for name in mean]
    times = [value / one for value, one in zip(mean.values(), ours, strict=True)]
    return Table(
        name='mean_hand',
        title='Beside a hand that is always the same, mm',
        columns=('', 'MPJPE, wrist-relative', 'PA-MPJPE'),
        rows=[
            ('HaMeR', *ours),
            (f'mean hand of {source}', *mean.values()),
            ('times better', *times),
        ],
    )


def _known(hands: HandImages) -> Iterator[DoubleArray]:
    """Give the keypoints of hands that are known, wrists at 0, left hands mirrored."""
    for number in range(len(hands)):
        joints = right_joints(hands.truth(number), is_right=hands.is_right(number))
        if joints is not None:
            yield joints
