"""Detect, then track: hands are followed by their landmarks, and palms are searched only when due.

The landmark network looks at the predicted region of each track. The palm detector searches the
whole image when fewer hands are followed than wanted, now and then also on enlarged tiles.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from hand_perception.config import PipelineSettings
from hand_perception.datatypes import Frame, HandLandmarks
from hand_perception.models.landmarks.backend import LandmarkBackend, PalmDetection
from hand_perception.models.landmarks.regions import (
    are_duplicates,
    hand_size_px,
    region_from_keypoints,
)
from hand_perception.pipeline.track import Track, predicted_region

#: A palm seen on an enlarged tile starts a track only with this presence; fewer false hands.
_TILE_PRESENCE: Final = 0.9
#: Hands smaller than this cannot be told from texture.
_MIN_HAND_PX: Final = 12.0
#: Palms looked at per hand still wanted: the best are often two views of one hand.
_PALMS_PER_HAND: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Observations:
    """What was seen in one image.

    Attributes:
        followed: tracks seen again, with their new landmarks.
        found: hands that no track explains.
        searched: a palm search ran on this image.
        searched_tiles: ... also on enlarged tiles.
    """

    followed: tuple[tuple[Track, HandLandmarks], ...]
    found: tuple[HandLandmarks, ...]
    searched: bool
    searched_tiles: bool


def observe_hands(
    backend: LandmarkBackend,
    frame: Frame,
    tracks: Iterable[Track],
    settings: PipelineSettings,
    *,
    since_search_s: float,
    since_tiles_s: float,
) -> Observations:
    """Look for the followed hands, and for new ones when a search is due."""
    followed = _follow(backend, frame, tracks, settings)
    lost = [t for t in tracks if all(t is not again for again, _ in followed)]
    wanted = settings.max_hands - len(followed)
    if not (wanted > 0 and (lost or not followed or since_search_s >= settings.search_interval_s)):
        return Observations(followed=followed, found=(), searched=False, searched_tiles=False)
    with_tiles = since_tiles_s >= settings.tile_interval_s
    found = _find(backend, frame, [hand for _, hand in followed], settings, wanted, with_tiles)
    followed += _matches(lost, found)
    explained = [hand for _, hand in followed]
    found = [hand for hand in found if all(hand is not other for other in explained)]
    return Observations(
        followed=followed, found=tuple(found), searched=True, searched_tiles=with_tiles
    )


def _follow(
    backend: LandmarkBackend, frame: Frame, tracks: Iterable[Track], settings: PipelineSettings
) -> tuple[tuple[Track, HandLandmarks], ...]:
    """Look where the tracks should be; of two tracks on one hand the older stays."""
    tracks = sorted(tracks, key=lambda track: track.track_id)
    if not tracks:
        return ()
    regions = [predicted_region(track, frame.stamp_ns) for track in tracks]
    hands = backend.observe(frame.image, regions, is_rgb=frame.is_rgb)
    kept: list[tuple[Track, HandLandmarks]] = []
    for track, hand in zip(tracks, hands, strict=True):
        if _is_hand(hand, frame, settings.presence_threshold) and _is_new(
            hand, (other for _, other in kept)
        ):
            kept.append((track, hand))
    return tuple(kept)


def _find(
    backend: LandmarkBackend,
    frame: Frame,
    known: list[HandLandmarks],
    settings: PipelineSettings,
    wanted: int,
    with_tiles: bool,
) -> list[HandLandmarks]:
    """Search palms and look at the best; each new hand once, at most ``wanted``."""
    palms = backend.search(
        frame.image,
        is_rgb=frame.is_rgb,
        threshold=settings.detection_threshold,
        with_tiles=with_tiles,
    )
    palms = [palm for palm in palms if not _is_on_hand(palm, known)]
    palms = palms[: _PALMS_PER_HAND * wanted]
    if not palms:
        return []
    first = backend.observe(frame.image, [p.region for p in palms], is_rgb=frame.is_rgb)
    likely = [
        (palm, hand)
        for palm, hand in zip(palms, first, strict=True)
        if _is_hand(hand, frame, settings.presence_threshold)
    ]
    if not likely:
        return []
    # A second look at the region that the landmarks give is what tracking will see.
    regions = [region_from_keypoints(hand.keypoints_2d) for _, hand in likely]
    second = backend.observe(frame.image, regions, is_rgb=frame.is_rgb)
    found: list[HandLandmarks] = []
    for (palm, _), hand in sorted(
        zip(likely, second, strict=True), key=lambda pair: -pair[1].presence
    ):
        presence = settings.presence_threshold
        if palm.is_from_tile:
            presence = max(presence, _TILE_PRESENCE)
        if _is_hand(hand, frame, presence) and _is_new(hand, (*known, *found)):
            found.append(hand)
    return found[:wanted]


def _matches(
    lost: list[Track], found: list[HandLandmarks]
) -> tuple[tuple[Track, HandLandmarks], ...]:
    """Give tracks that were lost in this very image the found hands that lie where they were."""
    pairs: list[tuple[Track, HandLandmarks]] = []
    free = list(found)
    for track in lost:
        before = track.known_landmarks.keypoints_2d
        size, centre = hand_size_px(before), before.mean(0)
        gaps = [float(np.linalg.norm(hand.keypoints_2d.mean(0) - centre)) for hand in free]
        if gaps and min(gaps) < 0.5 * size:
            pairs.append((track, free.pop(int(np.argmin(gaps)))))
    return tuple(pairs)


def _is_hand(hand: HandLandmarks, frame: Frame, presence: float) -> bool:
    """Judge an observation: present, finite, of a size to be seen, its middle in the image."""
    points = hand.keypoints_2d
    if not hand.presence >= presence or not np.isfinite(points).all():
        return False
    if not np.isfinite(hand.world_m).all() or hand_size_px(points) < _MIN_HAND_PX:
        return False
    height, width = frame.image.shape[:2]
    x, y = points.mean(0)
    return bool(0 <= x < width and 0 <= y < height)


def _is_new(hand: HandLandmarks, others: Iterable[HandLandmarks]) -> bool:
    return not any(are_duplicates(hand, other) for other in others)


def _is_on_hand(palm: PalmDetection, known: list[HandLandmarks]) -> bool:
    """Whether the palm is that of a hand already followed: looking again would be lost time."""
    return any(
        np.linalg.norm(hand.keypoints_2d.mean(0) - palm.region.center_px)
        < 0.25 * hand_size_px(hand.keypoints_2d)
        for hand in known
    )
