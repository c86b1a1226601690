"""Compare the hands found in a clip with the true ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from hand_perception.datatypes import DoubleArray
from hand_perception.errors import DatasetError
from hand_perception.evaluation.alignment import mean_joint_error, mpjpe, pa_mpjpe

#: A hand is found when its keypoints lie on average within this share of the hand's size of the
#: true ones; farther away it is a false hand, and the true one is missed.
MATCH_LIMIT: Final = 0.5


class HandPoints(Protocol):
    """A found or a true hand: ``datatypes.Hand``, ``synthetic.truth.HandTruth``."""

    @property
    def is_right(self) -> bool:
        """Side."""

    @property
    def keypoints_3d(self) -> NDArray[np.floating]:
        """(21, 3) metres, camera optical frame."""

    @property
    def keypoints_2d(self) -> NDArray[np.floating]:
        """(21, 2) pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipErrors:
    """What was found of a clip, and how well. M hands were found, in order of their images.

    The size of a hand is the longer side of the box around its true 2D keypoints.

    Attributes:
        num_images: images compared.
        num_true: true hands in them.
        num_false: hands found where there is none.
        image: (M,) number of the image.
        is_right: (M,) true side.
        is_side_right: (M,) the side was told correctly.
        error_2d_px: (M,) mean distance of the 2D keypoints, pixels.
        error_2d_ratio: (M,) the same over the size of the hand.
        wrist_depth_error_m: (M,) found minus true distance of the wrist along the viewing axis.
        absolute_m: (M,) mean distance of the 3D keypoints, metres.
        mpjpe_m: (M,) the same with wrists put together.
        pa_mpjpe_m: (M,) the same after Procrustes alignment.
    """

    num_images: int
    num_true: int
    num_false: int
    image: NDArray[np.int64]
    is_right: NDArray[np.bool_]
    is_side_right: NDArray[np.bool_]
    error_2d_px: DoubleArray
    error_2d_ratio: DoubleArray
    wrist_depth_error_m: DoubleArray
    absolute_m: DoubleArray
    mpjpe_m: DoubleArray
    pa_mpjpe_m: DoubleArray

    @property
    def num_found(self) -> int:
        """True hands that were found, M."""
        return len(self.image)

    @property
    def recall(self) -> float:
        """Share of the true hands that were found; NaN when there are none."""
        return self.num_found / self.num_true if self.num_true else float('nan')

    @property
    def side_accuracy(self) -> float:
        """Share of the found hands whose side was told correctly; NaN when none was found."""
        return float(self.is_side_right.mean()) if self.num_found else float('nan')

    def rows(self) -> list[tuple[str, str]]:
        """Give name and value of each figure, for a table."""
        return [
            ('hands found', f'{self.num_found} of {self.num_true} ({self.recall:.1%})'),
            ('false hands', str(self.num_false)),
            ('side right', f'{self.side_accuracy:.1%}'),
            ('2D error, median', f'{_median(self.error_2d_px):.1f} px, '
                                 f'{_median(self.error_2d_ratio):.1%} of hand size'),
            ('wrist distance error, median',
             f'{_median(np.abs(self.wrist_depth_error_m)) * 1e3:.0f} mm'),
            ('3D error, median', f'{_median(self.absolute_m) * 1e3:.0f} mm'),
            ('3D error from wrist (MPJPE), median', f'{_median(self.mpjpe_m) * 1e3:.0f} mm'),
            ('3D error aligned (PA-MPJPE), median', f'{_median(self.pa_mpjpe_m) * 1e3:.0f} mm'),
        ]  # fmt: skip


def evaluate_clip(
    truth: Sequence[Sequence[HandPoints]], found: Sequence[Sequence[HandPoints]]
) -> ClipErrors:
    """Compare hands image by image.

    Args:
        truth: true hands of every image.
        found: hands found in every image, as many images.

    Raises:
        DatasetError: the numbers of images differ.
    """
    if len(truth) != len(found):
        raise DatasetError(
            f'truth is known for {len(truth)} images, results are there for {len(found)}; '
            'give one entry per image, an empty one where no hand was found'
        )
    matches = [
        (number, true_hands[i], found_hands[j])
        for number, (true_hands, found_hands) in enumerate(zip(truth, found, strict=True))
        for i, j in match_hands(true_hands, found_hands)
    ]
    true_3d = _stack([hand.keypoints_3d for _, hand, _ in matches], 3)
    found_3d = _stack([hand.keypoints_3d for _, _, hand in matches], 3)
    true_2d = _stack([hand.keypoints_2d for _, hand, _ in matches], 2)
    found_2d = _stack([hand.keypoints_2d for _, _, hand in matches], 2)
    error_px = mean_joint_error(found_2d, true_2d)
    return ClipErrors(
        num_images=len(truth),
        num_true=sum(len(hands) for hands in truth),
        num_false=sum(len(hands) for hands in found) - len(matches),
        image=np.array([number for number, _, _ in matches], np.int64),
        is_right=np.array([hand.is_right for _, hand, _ in matches], np.bool_),
        is_side_right=np.array([a.is_right == b.is_right for _, a, b in matches], np.bool_),
        error_2d_px=error_px,
        error_2d_ratio=error_px / hand_size_px(true_2d),
        wrist_depth_error_m=found_3d[:, 0, 2] - true_3d[:, 0, 2],
        absolute_m=mean_joint_error(found_3d, true_3d),
        mpjpe_m=mpjpe(found_3d, true_3d),
        pa_mpjpe_m=pa_mpjpe(found_3d, true_3d),
    )


def match_hands(truth: Sequence[HandPoints], found: Sequence[HandPoints]) -> list[tuple[int, int]]:
    """Pair true and found hands of one image, closest pair first, whatever their sides.

    Returns:
        Pairs of positions in ``truth`` and ``found``; each at most once, none over MATCH_LIMIT.
    """
    if not truth or not found:
        return []
    true_2d = _stack([hand.keypoints_2d for hand in truth], 2)
    found_2d = _stack([hand.keypoints_2d for hand in found], 2)
    ratio = mean_joint_error(found_2d[None], true_2d[:, None]) / hand_size_px(true_2d)[:, None]
    ratio = np.where(ratio <= MATCH_LIMIT, ratio, np.inf)  # NaN is no match either
    pairs = []
    while np.isfinite(ratio).any():
        i, j = (int(k) for k in np.unravel_index(np.argmin(ratio), ratio.shape))
        pairs.append((i, j))
        ratio[i, :], ratio[:, j] = np.inf, np.inf
    return sorted(pairs)


def hand_size_px(keypoints_2d: DoubleArray) -> DoubleArray:
    """Give the longer side of the box around (..., J, 2) keypoints: (...) pixels."""
    return np.ptp(keypoints_2d, axis=-2).max(-1)


def _stack(points: list[NDArray[np.floating]], width: int) -> DoubleArray:
    return np.array(points, np.float64).reshape(len(points), -1 if points else 21, width)


def _median(values: DoubleArray) -> float:
    return float(np.median(values)) if len(values) else float('nan')
