"""How large a person's hands are: measured with a depth image, or from the width of a palm.

Distances seen without a depth image follow from the size of the hand. With a depth image the size
shows in every image, best on a flat hand that faces the camera and holds still; some of them say
it within one or two percent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hand_perception.datatypes import DepthSource, DoubleArray, FrameResult, Hand
from hand_perception.errors import HandPerceptionError
from hand_perception.models.hand_model import HandModel

#: Palm bones, whose lengths do not depend on the pose: wrist to the four knuckles, and across.
_PALM_BONES: Final = ((0, 5), (0, 9), (0, 13), (0, 17), (5, 17))
#: Mean bend of the joints of the four fingers from which a hand is not flat, radians.
_MAX_BEND: Final = float(np.radians(25))
#: Cosine between the palm's normal and the ray to it from which the palm faces the camera.
_MIN_FACING: Final = 0.75
#: How far the wrist may move, metres, and the palm turn, radians, while it is measured.
_MAX_MOVE_M, _MAX_TURN = 0.02, float(np.radians(12))
#: Spread of the sizes from which something is wrong, as a share.
_MAX_SPREAD: Final = 0.03
#: Images that err alike, and what depth cameras err at a distance whatever is averaged.
_ALIKE, _SENSOR_RATIO = 5.0, 0.01
#: Images with the hand but without depth after which nobody waits any longer.
_PATIENCE: Final = 30
#: Joints of the thumb in MANO's order.
_THUMB: Final = slice(13, 16)
#: The knuckles of index and little finger in MANO's order; how near to their line skin counts, m.
_INDEX, _LITTLE, _BAND_M = 1, 7, 0.008


@dataclass(frozen=True, slots=True)
class _Look:
    wrist_m: DoubleArray
    rotation: DoubleArray
    scale: float


class HandMeasurement:
    """Measures a hand that is held flat and still before a depth camera, image by image."""

    def __init__(
        self, model: HandModel, *, is_right: bool | None = None, num_images: int = 30
    ) -> None:
        """Begin.

        Args:
            model: that the hands are made of.
            is_right: the hand to measure; None: the only one that is seen.
            num_images: images in a row that are wanted.
        """
        keypoints = _flat_palm(model)
        self._lengths = _palm_lengths(keypoints)
        self._is_right = is_right
        self._num_images = num_images
        self._looks: list[_Look] = []
        self._num_without_depth = 0
        self._hint = 'show the hand to the camera'

    @property
    def hint(self) -> str:
        """What the person should do for it to go on."""
        return self._hint

    @property
    def progress(self) -> float:
        """0-1, share of the images that are there."""
        return len(self._looks) / self._num_images

    def add(self, result: FrameResult) -> bool:
        """Take what was seen in an image; return whether the measurement is complete.

        Images in which the hand moves, is bent or turned away begin it anew.

        Raises:
            HandPerceptionError: there is no depth to measure with.
        """
        hand = self._chosen(result.hands if result.raw_hands is None else result.raw_hands)
        if hand is None:
            self._looks.clear()
            return False
        if hand.depth_source != DepthSource.SENSOR:
            self._num_without_depth += 1
            self._begin_again('hold the palm where the depth camera sees all of it')
            if self._num_without_depth >= _PATIENCE:
                raise HandPerceptionError(
                    f'the hand was seen in {_PATIENCE} images, but its distance was in none of '
                    'their depth images; publish aligned depth and set use_depth, or give '
                    'palm_width'
                )
            return False
        problem = _problem(hand)
        look = _Look(
            hand.keypoints_3d[0].astype(np.float64),
            np.asarray(hand.wrist_rotation, np.float64),
            float(np.median(_palm_lengths(hand.keypoints_3d) / self._lengths)),
        )
        if problem:
            self._begin_again(problem)
            return False
        if self._looks and _is_moved(self._looks[0], look):
            self._begin_again('hold the hand still')
        self._looks.append(look)
        if len(self._looks) < self._num_images:
            return False
        if self._spread() > _MAX_SPREAD:
            self._begin_again('hold the hand still, away from other things')
            return False
        return True

    def outcome(self) -> tuple[float, float]:
        """Give hand_scale and its standard deviation, once complete.

        Raises:
            HandPerceptionError: it is not complete.
        """
        if len(self._looks) < self._num_images:
            raise HandPerceptionError(
                f'{len(self._looks)} of {self._num_images} images of the hand are there; '
                f'{self._hint}'
            )
        scale = float(np.median([look.scale for look in self._looks]))
        spread = self._spread() / np.sqrt(max(len(self._looks) / _ALIKE, 1.0))
        return scale, scale * float(np.hypot(spread, _SENSOR_RATIO))

    def _chosen(self, hands: Sequence[Hand]) -> Hand | None:
        if self._is_right is not None:
            hands = [hand for hand in hands if hand.is_right == self._is_right]
        if len(hands) != 1:
            self._hint = 'show one hand only' if hands else 'show the hand to the camera'
            return None
        return hands[0]

    def _begin_again(self, hint: str) -> None:
        self._looks.clear()
        self._hint = hint

    def _spread(self) -> float:
        """Give the robust standard deviation of the sizes, as a share."""
        scales = np.array([look.scale for look in self._looks])
        middle = float(np.median(scales))
        return 1.4826 * float(np.median(np.abs(scales - middle))) / middle


def scale_of_palm(model: HandModel, width_m: float) -> float:
    """Give the hand_scale of a hand whose palm is so wide.

    Args:
        model: that the hands are made of.
        width_m: across the four knuckles from skin to skin, thumb not counted, metres.
    """
    return width_m / palm_width(model)


def palm_width(model: HandModel) -> float:
    """Give the width of the model's mean palm across the four knuckles, skin to skin, metres."""
    rest = model.rest(np.zeros(10))
    index, little = rest.joints[_INDEX], rest.joints[_LITTLE]
    along = (little - index) / np.linalg.norm(little - index)
    skin = np.asarray(model.arrays.v_template, np.float64)
    offset = skin - index
    place = offset @ along
    beside = offset - place[:, None] * along
    is_thumb = np.asarray(model.arrays.weights)[:, _THUMB].sum(1) > 0.3
    is_near = (np.abs(beside[:, 0]) < _BAND_M) & ~is_thumb  # fingers lie along x
    return float(np.ptp(place[is_near]))


def _problem(hand: Hand) -> str:
    """Say what keeps a hand from being measured; empty when nothing does."""
    bend = float(np.mean(hand.flexion.reshape(5, 3)[1:]))
    middle = hand.keypoints_3d[[0, 5, 17]].astype(np.float64).mean(0)
    facing = abs(float(hand.wrist_rotation[:, 2] @ middle)) / float(np.linalg.norm(middle))
    if bend > _MAX_BEND:
        return 'stretch the fingers: the hand has to be flat'
    if facing < _MIN_FACING:
        return 'turn the palm or the back of the hand to the camera'
    return ''


def _is_moved(first: _Look, look: _Look) -> bool:
    cosine = (np.trace(first.rotation.T @ look.rotation) - 1) / 2
    moved_m = float(np.linalg.norm(look.wrist_m - first.wrist_m))
    return moved_m > _MAX_MOVE_M or float(np.arccos(np.clip(cosine, -1, 1))) > _MAX_TURN


def _flat_palm(model: HandModel) -> DoubleArray:
    """Give (21, 3) keypoints of the flat mean hand of which those of the palm are filled."""
    joints = model.rest(np.zeros(10)).joints
    keypoints = np.zeros((21, 3))
    keypoints[[0, 5, 9, 13, 17]] = joints[[0, 1, 4, 10, 7]]
    return keypoints


def _palm_lengths(keypoints: np.ndarray) -> DoubleArray:
    ends = np.asarray(keypoints, np.float64)[np.array(_PALM_BONES)]
    lengths: DoubleArray = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=-1)
    return lengths
