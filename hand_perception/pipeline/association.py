"""Which look at the image shows which followed hand: by motion, shape and side.

The landmark network looks where each hand should be, but it takes the hand it sees best there.
When two hands cross, both looks may show the upper one. So looks and hands are put together anew
in every image, best pair first, and a hand without a look is hidden, not moved to the other.

Measured on rendered hands that cross and rest on each other: landmarks of two hands are at least
0.30 hand sizes apart on average, however much their boxes overlap; two looks at one hand are less
than 0.1 apart.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from hand_perception.datatypes import DoubleArray, HandLandmarks
from hand_perception.models.landmarks.regions import (
    DUPLICATE_DISTANCE,
    are_duplicates,
    hand_size_px,
)
from hand_perception.pipeline.track import Track, predicted_keypoints, side_vote

#: A look elsewhere than at its own region may show a hand within this distance of where the hand
#: should be: mean over the landmarks, in hand sizes.
_REACH: Final = 0.5
#: A hidden hand may be this far from where it should be, more with every second: hand sizes. When
#: it can be only one hand of the wearer's and shows its side, it may have moved faster.
_HIDDEN_REACH: Final = 0.5
_HIDDEN_SPEED, _ONLY_HIDDEN_SPEED = 1.5, 4.0
#: A hidden hand is not believed to be a hand of another size.
_HIDDEN_SIZE_RATIO: Final = 1.6
#: Presence from which a hidden hand is seen again: half a hand is soon some other thing.
_HIDDEN_PRESENCE: Final = 0.6
#: What full disagreement about the side counts, against distance in hand sizes.
_SIDE_WEIGHT: Final = 0.3
#: A look that says the other side (votes of this many log odds) of a hand whose side is sure, and
#: this far from where the hand should be, shows another hand.
_CONTRARY_VOTE, _CONTRARY_DISTANCE = 1.0, 0.3
#: Two looks that differ so in side and place are two hands, one on the other; mean distance of
#: the landmarks in hand sizes, and least ratio of the sizes.
_CLASPED_DISTANCE, _CLASPED_SIZE_RATIO = 0.28, 0.6


def assign(
    tracks: Sequence[Track],
    looks: Sequence[HandLandmarks | None],
    stamp_ns: int,
    *,
    are_own: bool,
    one_hand_per_side: bool,
) -> list[int | None]:
    """Give followed hands their looks, best pair first; each at most one.

    Args:
        tracks: N hands followed so far, hidden ones too.
        looks: M looks; None where no hand was seen.
        stamp_ns: of the image.
        are_own: look i is that at the region of track i. A hand that is followed is believed to
            be there even if it moved far.
        one_hand_per_side: there are no other people's hands.

    Returns:
        For each track the number of its look, or None. Looks that show the same hand as one that
        was given are left.
    """
    pairs = []
    for i, track in enumerate(tracks):
        expected = predicted_keypoints(track, stamp_ns)
        hidden_s = (stamp_ns - track.stamp_ns) * 1e-9
        for j, hand in enumerate(looks):
            if hand is None:
                continue
            if track.is_hidden:
                cost = _hidden_cost(track, expected, hand, hidden_s, is_only=one_hand_per_side)
            else:
                cost = _cost(track, expected, hand, is_own=are_own and i == j)
            if math.isfinite(cost):
                pairs.append((cost, i, j))
    given: list[int | None] = [None] * len(tracks)
    taken: list[HandLandmarks] = []
    for _, i, j in sorted(pairs):
        hand = looks[j]
        if given[i] is None and hand is not None and not _is_shown(hand, taken):
            given[i] = j
            taken.append(hand)
    return given


def is_known(hand: HandLandmarks, others: Iterable[HandLandmarks]) -> bool:
    """Whether a hand found by a search is one of others.

    Stricter than between followed hands: a palm on a finger of a hand is no second hand.
    """
    return any(are_duplicates(hand, other) and not _are_clasped(hand, other) for other in others)


def overlap_others(hands: Sequence[HandLandmarks]) -> list[bool]:
    """Say for each hand whether the box of another one covers a third of its own."""
    return [
        any(_covered_share(hand, other) > 1 / 3 for other in hands if other is not hand)
        for hand in hands
    ]


def _cost(track: Track, expected: DoubleArray, hand: HandLandmarks, *, is_own: bool) -> float:
    """Say how ill a look fits a followed hand; infinite where it cannot show it."""
    distance = _distance_from(expected, hand)
    if (_is_contrary(track, hand) and distance > _CONTRARY_DISTANCE) or (
        not is_own and distance > _REACH
    ):
        return math.inf
    return distance - _SIDE_WEIGHT * _agreement(track, hand)


def _hidden_cost(
    track: Track, expected: DoubleArray, hand: HandLandmarks, hidden_s: float, *, is_only: bool
) -> float:
    """Say how ill a look fits a hand that was not seen lately; infinite where it cannot."""
    distance = _distance_from(expected, hand)
    is_sure = is_only and track.side_belief * side_vote(hand) >= _CONTRARY_VOTE
    speed = _ONLY_HIDDEN_SPEED if is_sure else _HIDDEN_SPEED
    ratio = hand_size_px(hand.keypoints_2d) / max(hand_size_px(expected), 1.0)
    if (
        distance > _HIDDEN_REACH + speed * hidden_s
        or not 1 / _HIDDEN_SIZE_RATIO < ratio < _HIDDEN_SIZE_RATIO
        or hand.presence < _HIDDEN_PRESENCE
        or _is_contrary(track, hand)
    ):
        return math.inf
    return distance - _SIDE_WEIGHT * _agreement(track, hand)


def _is_contrary(track: Track, hand: HandLandmarks) -> bool:
    """Whether a look clearly shows the other side of a hand whose side is sure."""
    vote = side_vote(hand)
    return track.is_side_sure and vote * track.side_belief < 0 and abs(vote) >= _CONTRARY_VOTE


def _agreement(track: Track, hand: HandLandmarks) -> float:
    """Compare the sides of a followed hand and a look: -1 to 1, 0 where one is unsure."""
    return math.tanh(track.side_belief / 2) * math.tanh(side_vote(hand) / 2)


def _distance_from(expected: DoubleArray, hand: HandLandmarks) -> float:
    """Mean distance of landmarks from (21, 2) expected ones, in sizes of the expected hand."""
    size = max(hand_size_px(expected), 1.0)
    return float(np.linalg.norm(hand.keypoints_2d - expected, axis=1).mean()) / size


def _is_shown(hand: HandLandmarks, others: Iterable[HandLandmarks]) -> bool:
    """Whether a look shows the same hand as others: landmark by landmark, not by boxes."""
    return any(_distance(hand, other) < DUPLICATE_DISTANCE for other in others)


def _are_clasped(a: HandLandmarks, b: HandLandmarks) -> bool:
    """Whether two looks with overlapping boxes show a left and a right hand of like size."""
    sizes = hand_size_px(a.keypoints_2d), hand_size_px(b.keypoints_2d)
    votes = side_vote(a), side_vote(b)
    return (
        min(votes) <= -_CONTRARY_VOTE
        and max(votes) >= _CONTRARY_VOTE
        and min(sizes) >= _CLASPED_SIZE_RATIO * max(sizes)
        and _distance(a, b) > _CLASPED_DISTANCE
    )


def _distance(a: HandLandmarks, b: HandLandmarks) -> float:
    """Mean distance of the landmarks of two looks, in sizes of the larger hand."""
    size = max(hand_size_px(a.keypoints_2d), hand_size_px(b.keypoints_2d), 1e-9)
    return float(np.linalg.norm(a.keypoints_2d - b.keypoints_2d, axis=1).mean()) / size


def _covered_share(hand: HandLandmarks, other: HandLandmarks) -> float:
    low = np.maximum(hand.keypoints_2d.min(0), other.keypoints_2d.min(0))
    high = np.minimum(hand.keypoints_2d.max(0), other.keypoints_2d.max(0))
    own = float(np.ptp(hand.keypoints_2d, axis=0).prod())
    return float(np.maximum(high - low, 0).prod()) / max(own, 1e-9)
