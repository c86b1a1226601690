"""How well hands are followed through situations: losses, false hands, swaps, errors in metres."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from hand_perception.datatypes import DoubleArray
from hand_perception.errors import DatasetError
from hand_perception.evaluation.clip_errors import HandPoints, match_hands

#: A hand of which at least this share is visible has to be found.
SEEN_SHARE: Final = 0.5
#: A hand of which at most this share is visible is hidden: nobody can know where it is.
HIDDEN_SHARE: Final = 0.1
#: A rotation this far off is a flip, radians.
FLIP_RAD: Final = np.deg2rad(60.0)

#: An error of the wrist that changes by this much from image to image is a jump, metres.
JUMP_M: Final = 0.05


class TrueHand(HandPoints, Protocol):
    """A true hand of which is known how much is visible: ``synthetic.truth.HandTruth``."""

    @property
    def wrist_rotation(self) -> DoubleArray | None:
        """(3, 3) camera optical frame from wrist frame."""

    @property
    def visible_share(self) -> float | None:
        """0-1."""


class TrackedHand(HandPoints, Protocol):
    """A found hand: ``datatypes.Hand``."""

    @property
    def track_id(self) -> int:
        """Of its track."""

    @property
    def wrist_rotation(self) -> DoubleArray:
        """(3, 3) camera optical frame from wrist frame."""

    @property
    def depth_stddev_m(self) -> float:
        """Told standard deviation of its distance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingErrors:
    """What happened to the hands of some images; M visible hands were found.

    Attributes:
        num_images: images compared.
        num_visible: true hands with at least ``SEEN_SHARE`` visible.
        num_false: hands told where none is.
        num_hidden: hands told that match a true one with at most ``HIDDEN_SHARE`` visible.
        num_wrong_side: of the M, told as the other side.
        num_new_ids: visible hands that got another track id without having been out of sight.
        num_swaps: track ids that went over to the other hand.
        num_jumps: hands, also those seen in part, whose wrist jumped by more than ``JUMP_M``
            against the true one since the image before, under the same id.
        wrist_error_m: (M,) distance of the wrist from the true one.
        depth_error_m: (M,) found minus true distance of the wrist along the viewing axis.
        told_stddev_m: (M,) standard deviation of that, as told.
        rotation_error_rad: (M,) angle between the wrist's rotation and the true one.
    """

    num_images: int
    num_visible: int
    num_false: int
    num_hidden: int
    num_wrong_side: int
    num_new_ids: int
    num_swaps: int
    num_jumps: int
    wrist_error_m: DoubleArray
    depth_error_m: DoubleArray
    told_stddev_m: DoubleArray
    rotation_error_rad: DoubleArray

    @property
    def recall(self) -> float:
        """Share of the visible hands that were found; NaN when there are none."""
        return _share(len(self.wrist_error_m), self.num_visible)

    @property
    def side_accuracy(self) -> float:
        """Share of the found ones told as the right side; NaN when none was found."""
        found = len(self.wrist_error_m)
        return _share(found - self.num_wrong_side, found)

    @property
    def flip_share(self) -> float:
        """Share of the found ones whose rotation is off by more than ``FLIP_RAD``."""
        return _share(int((self.rotation_error_rad > FLIP_RAD).sum()), len(self.wrist_error_m))

    def covered(self, deviations: float) -> float:
        """Share of the found ones whose distance is off by at most so many told deviations."""
        is_within = np.abs(self.depth_error_m) <= deviations * self.told_stddev_m
        return _share(int(is_within.sum()), len(is_within))


def evaluate_tracking(
    truth: Sequence[Sequence[TrueHand]], found: Sequence[Sequence[TrackedHand]]
) -> TrackingErrors:
    """Compare the hands of a stream, image by image in order, with the true ones.

    Args:
        truth: true hands of every image, at most one per side, with visible shares.
        found: hands told of every image, as many images.

    Raises:
        DatasetError: the numbers of images differ, or visible shares are missing.
    """
    if len(truth) != len(found):
        raise DatasetError(
            f'truth is known for {len(truth)} images, results are there for {len(found)}; '
            'give one entry per image, an empty one where no hand was found'
        )
    ids: dict[bool, int] = {}  # of hands that have been in sight since they got them
    owners: dict[int, bool] = {}
    last_off: dict[int, DoubleArray] = {}  # of the image before
    counts = dict.fromkeys(('visible', 'false', 'hidden', 'side', 'new', 'swaps', 'jumps'), 0)
    rows: list[tuple[float, float, float, float]] = []
    for true_hands, found_hands in zip(truth, found, strict=True):
        in_sight = [hand for hand in true_hands if _visible_share(hand) > HIDDEN_SHARE]
        hidden = [hand for hand in true_hands if _visible_share(hand) <= HIDDEN_SHARE]
        counts['visible'] += sum(_visible_share(hand) >= SEEN_SHARE for hand in in_sight)
        for hand in hidden:
            ids.pop(hand.is_right, None)
        pairs = match_hands(in_sight, found_hands)
        rest = [hand for j, hand in enumerate(found_hands) if j not in {j for _, j in pairs}]
        num_behind = len(match_hands(hidden, rest))
        counts['hidden'] += num_behind
        counts['false'] += len(rest) - num_behind
        off = {found_hands[j].track_id: _wrist_off(in_sight[i], found_hands[j]) for i, j in pairs}
        moved = [np.linalg.norm(off[name] - last_off.get(name, off[name])) for name in off]
        counts['jumps'] += sum(bool(step > JUMP_M) for step in moved)
        last_off = off
        for i, j in pairs:
            true, told = in_sight[i], found_hands[j]
            counts['new'] += ids.get(true.is_right, told.track_id) != told.track_id
            counts['swaps'] += owners.get(told.track_id, true.is_right) != true.is_right
            ids[true.is_right], owners[told.track_id] = told.track_id, true.is_right
            if _visible_share(true) >= SEEN_SHARE:
                counts['side'] += told.is_right != true.is_right
                rows.append(_errors(true, told))
    columns = np.array(rows, np.float64).reshape(len(rows), 4).T
    return TrackingErrors(
        num_images=len(truth),
        num_visible=counts['visible'],
        num_false=counts['false'],
        num_hidden=counts['hidden'],
        num_wrong_side=counts['side'],
        num_new_ids=counts['new'],
        num_swaps=counts['swaps'],
        num_jumps=counts['jumps'],
        wrist_error_m=columns[0],
        depth_error_m=columns[1],
        told_stddev_m=columns[2],
        rotation_error_rad=columns[3],
    )


def merge_tracking(parts: Sequence[TrackingErrors]) -> TrackingErrors:
    """Add up what happened in several streams."""

    def total(name: str) -> int:
        return sum(getattr(part, name) for part in parts)

    def joined(name: str) -> DoubleArray:
        return np.concatenate([getattr(part, name) for part in parts])

    return TrackingErrors(
        num_images=total('num_images'),
        num_visible=total('num_visible'),
        num_false=total('num_false'),
        num_hidden=total('num_hidden'),
        num_wrong_side=total('num_wrong_side'),
        num_new_ids=total('num_new_ids'),
        num_swaps=total('num_swaps'),
        num_jumps=total('num_jumps'),
        wrist_error_m=joined('wrist_error_m'),
        depth_error_m=joined('depth_error_m'),
        told_stddev_m=joined('told_stddev_m'),
        rotation_error_rad=joined('rotation_error_rad'),
    )


def _errors(true: TrueHand, told: TrackedHand) -> tuple[float, float, float, float]:
    off = _wrist_off(true, told)
    angle = float('nan')
    if true.wrist_rotation is not None:
        turn = np.asarray(told.wrist_rotation, np.float64).T @ true.wrist_rotation
        angle = float(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1)))
    return float(np.linalg.norm(off)), float(off[2]), told.depth_stddev_m, angle


def _wrist_off(true: TrueHand, told: TrackedHand) -> DoubleArray:
    return np.asarray(told.keypoints_3d[0], np.float64) - true.keypoints_3d[0]


def _visible_share(hand: TrueHand) -> float:
    if hand.visible_share is None:
        raise DatasetError(
            'the truth does not say how much of the hands is visible; take it from a rendered '
            'image or from Scene.truth(time_s, with_visibility=True)'
        )
    return hand.visible_share


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float('nan')
