"""Detect, then track: hands are followed by their landmarks, and palms are searched only when due.

The landmark network looks at the predicted region of each track, hidden hands included. The palm
detector searches the whole image when fewer hands are followed than wanted, now and then also on
enlarged tiles. ``association`` says which look shows which hand.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hand_perception.config import PipelineSettings
from hand_perception.datatypes import Frame, HandLandmarks
from hand_perception.models.landmarks.backend import LandmarkBackend, PalmDetection
from hand_perception.models.landmarks.regions import hand_size_px, region_from_keypoints
from hand_perception.pipeline.association import assign, is_known, overlap_others
from hand_perception.pipeline.track import Track, hide_track, predicted_region

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
        hidden: tracks not seen in this image, but lately; no hand of theirs is to be published.
        covered: ids of followed tracks that another hand overlaps: their side is hard to see.
        found: hands that no track explains.
        searched: a palm search ran on this image.
        searched_tiles: ... also on enlarged tiles.
    """

    followed: tuple[tuple[Track, HandLandmarks], ...]
    hidden: tuple[Track, ...]
    covered: frozenset[int]
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
    """Look for the followed hands, and for new ones when a search is due.

    Args:
        backend: networks.
        frame: the image.
        tracks: hands followed so far, hidden ones too.
        settings: of the pipeline.
        since_search_s: seconds since the last palm search.
        since_tiles_s: seconds since the last one on tiles.
    """
    tracks = sorted(tracks, key=lambda track: track.track_id)
    followed, other = _follow(backend, frame, tracks, settings)
    missing = _without(tracks, followed)
    wanted = settings.max_hands - len(followed)
    is_newly_lost = any(not track.is_hidden for track in missing)
    is_due = is_newly_lost or not followed or since_search_s >= settings.search_interval_s
    searched, with_tiles = wanted > 0 and is_due, False
    found: list[HandLandmarks] = []
    if searched:
        with_tiles = since_tiles_s >= settings.tile_interval_s
        known = [hand for _, hand in followed]
        found = _find(backend, frame, known, other, settings, wanted, with_tiles)
        chosen = assign(
            missing,
            found,
            frame.stamp_ns,
            are_own=False,
            one_hand_per_side=settings.one_hand_per_side,
        )
        pairs = zip(missing, chosen, strict=True)
        again = [(track, found[j]) for track, j in pairs if j is not None]
        found = [hand for j, hand in enumerate(found) if j not in chosen]
        followed += again
        missing = _without(missing, again)
    latest_ns = frame.stamp_ns - round(settings.occlusion_s * 1e9)
    hidden = [hide_track(track) for track in missing if track.stamp_ns > latest_ns]
    covered = overlap_others([hand for _, hand in followed])
    return Observations(
        followed=tuple(followed),
        hidden=tuple(hidden[-settings.max_hands :]),
        covered=frozenset(
            track.track_id
            for (track, _), is_covered in zip(followed, covered, strict=True)
            if is_covered
        ),
        found=tuple(found),
        searched=searched,
        searched_tiles=with_tiles,
    )


def _without(tracks: list[Track], seen: Sequence[tuple[Track, HandLandmarks]]) -> list[Track]:
    return [track for track in tracks if all(track is not other for other, _ in seen)]


def _follow(
    backend: LandmarkBackend, frame: Frame, tracks: list[Track], settings: PipelineSettings
) -> tuple[list[tuple[Track, HandLandmarks]], list[HandLandmarks]]:
    """Look where the tracks should be: the hands seen there, and others seen instead."""
    if not tracks:
        return [], []
    regions = [predicted_region(track, frame.stamp_ns) for track in tracks]
    hands = backend.observe(frame.image, regions, is_rgb=frame.is_rgb)
    looks = [
        hand if _is_hand(hand, frame, settings.presence_threshold) else None for hand in hands
    ]
    chosen = assign(
        tracks,
        looks,
        frame.stamp_ns,
        are_own=True,
        one_hand_per_side=settings.one_hand_per_side,
    )
    followed = [
        (track, hands[j]) for track, j in zip(tracks, chosen, strict=True) if j is not None
    ]
    other = [hand for j, hand in enumerate(looks) if hand is not None and j not in chosen]
    return followed, other


def _find(
    backend: LandmarkBackend,
    frame: Frame,
    known: list[HandLandmarks],
    other: list[HandLandmarks],
    settings: PipelineSettings,
    wanted: int,
    with_tiles: bool,
) -> list[HandLandmarks]:
    """Search palms and look at the best; each new hand once, at most ``wanted``.

    ``other`` hands were seen by the way and are as good as found.
    """
    found: list[HandLandmarks] = []
    for hand in other:
        if not is_known(hand, (*known, *found)):
            found.append(hand)
    if len(found) >= wanted:
        return found[:wanted]
    palms = backend.search(
        frame.image,
        is_rgb=frame.is_rgb,
        threshold=settings.detection_threshold,
        with_tiles=with_tiles,
    )
    palms = [palm for palm in palms if not _is_on_hand(palm, [*known, *found])]
    palms = palms[: _PALMS_PER_HAND * wanted]
    if not palms:
        return found
    first = backend.observe(frame.image, [p.region for p in palms], is_rgb=frame.is_rgb)
    likely = [
        (palm, hand)
        for palm, hand in zip(palms, first, strict=True)
        if _is_hand(hand, frame, settings.presence_threshold)
    ]
    if not likely:
        return found
    # A second look at the region that the landmarks give is what tracking will see.
    regions = [region_from_keypoints(hand.keypoints_2d) for _, hand in likely]
    second = backend.observe(frame.image, regions, is_rgb=frame.is_rgb)
    for (palm, _), hand in sorted(
        zip(likely, second, strict=True), key=lambda pair: -pair[1].presence
    ):
        presence = settings.presence_threshold
        if palm.is_from_tile:
            presence = max(presence, _TILE_PRESENCE)
        if _is_hand(hand, frame, presence) and not is_known(hand, (*known, *found)):
            found.append(hand)
    return found[:wanted]


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


def _is_on_hand(palm: PalmDetection, known: list[HandLandmarks]) -> bool:
    """Whether the palm is that of a hand already followed: looking again would be lost time."""
    return any(
        np.linalg.norm(hand.keypoints_2d.mean(0) - palm.region.center_px)
        < 0.25 * hand_size_px(hand.keypoints_2d)
        for hand in known
    )
