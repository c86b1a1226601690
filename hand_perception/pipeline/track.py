"""Hands through time: identity, predicted regions, the vote on left or right."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hand_perception.datatypes import Box, DoubleArray, Hand, HandLandmarks, Region
from hand_perception.models.landmarks.regions import region_from_keypoints

#: One image may not outvote a short history: its log odds are limited to this.
_MAX_VOTE: Final = 2.0
#: Nor may a long history outvote new evidence forever.
_MAX_LOG_ODDS: Final = 12.0
#: Votes of two clear images, or of one image and its fit.
_SURE_LOG_ODDS: Final = 4.0
#: A hand given a side that its votes deny by these log odds is not the wearer's second hand.
_DENIED_LOG_ODDS: Final = -1.5
#: A region is moved ahead by at most this share of its size, ...
_MAX_LEAD: Final = 0.25
#: ... and by this one while its hand is hidden.
_MAX_HIDDEN_LEAD: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One hand followed through the stream.

    Attributes:
        track_id: never reused within a run of the stream.
        landmarks: of the newest image; None where nobody looked: a hand in a given box, before
            its first reconstruction.
        box: of the newest image, given by the user; None where hands are found by landmarks.
        is_seen: the landmark network saw the hand in the newest image; otherwise the landmarks
            are where HaMeR saw it last, moved ahead.
        stamp_ns: of the newest image in which the hand was, or was moved ahead.
        velocity_px_s: (x, y) of the region's centre, pixels per second.
        right_log_odds: vote over the track, above 0 for a right hand.
        is_right: the side given to the hand; follows the vote, but for one hand per side.
        is_settled: the votes were clear once; from then on only votes as clear turn the side.
        is_turned: they turned it in this image, so it was another hand all along or is one now.
        is_hidden: not seen in the newest image, waited for where it should be; no hand of it is
            published.
    """

    track_id: int
    landmarks: HandLandmarks | None
    stamp_ns: int
    box: Box | None = None
    is_seen: bool = True
    velocity_px_s: tuple[float, float] = (0.0, 0.0)
    right_log_odds: float = 0.0
    is_right: bool = True
    is_settled: bool = False
    is_turned: bool = False
    is_hidden: bool = False

    @property
    def handedness_score(self) -> float:
        """0-1: how far the votes of the track agree with ``is_right``."""
        odds = self.right_log_odds if self.is_right else -self.right_log_odds
        return 1 / (1 + math.exp(-odds))

    @property
    def region(self) -> Region:
        """Where the landmarks of the newest image lie.

        Raises:
            ValueError: nobody looked for landmarks.
        """
        return region_from_keypoints(self.known_landmarks.keypoints_2d)

    @property
    def known_landmarks(self) -> HandLandmarks:
        """The landmarks of a hand that has some.

        Raises:
            ValueError: nobody looked for them.
        """
        if self.landmarks is None:
            raise ValueError('a hand in a given box has no landmarks')
        return self.landmarks

    @property
    def is_side_sure(self) -> bool:
        """Whether the votes are clear; until then the fit of both sides is asked too."""
        return abs(self.right_log_odds) >= _SURE_LOG_ODDS

    @property
    def side_belief(self) -> float:
        """Log odds for a right hand by which the sides are given: votes with hysteresis.

        Once settled, a side that is not yet denied by votes as clear counts as still voted for.
        """
        if not self.is_settled or _is_denied(self):
            return self.right_log_odds
        sign = 1 if self.is_right else -1
        return sign * max(sign * self.right_log_odds, _SURE_LOG_ODDS)

    def with_side(self, is_right: bool) -> 'Track':
        """Return the track as a left or right hand."""
        return dataclasses.replace(
            self,
            is_right=is_right,
            is_settled=self.is_settled or self.is_side_sure,
            is_turned=self.is_settled and is_right != self.is_right,
        )


def start_track(
    track_id: int, landmarks: HandLandmarks, stamp_ns: int, *, side_evidence: float = 0.0
) -> Track:
    """Begin a track from a first observation; ``side_evidence`` as in :func:`continue_track`."""
    log_odds = _vote(landmarks.right_score) + side_evidence
    return Track(
        track_id=track_id, landmarks=landmarks, stamp_ns=stamp_ns,
        right_log_odds=log_odds, is_right=log_odds > 0,
    )  # fmt: skip


def continue_track(
    track: Track,
    landmarks: HandLandmarks,
    stamp_ns: int,
    *,
    side_evidence: float = 0.0,
    has_vote: bool = True,
) -> Track:
    """Add an observation in a later image to a track.

    Args:
        track: as it was.
        landmarks: what was seen.
        stamp_ns: of the later image.
        side_evidence: log odds for a right hand from elsewhere, beside the network's own score.
        has_vote: False leaves the vote as it was, where another hand covers this one.
    """
    seconds = max((stamp_ns - track.stamp_ns) * 1e-9, 1e-3)
    old = track.region.center_px
    new = region_from_keypoints(landmarks.keypoints_2d).center_px
    log_odds = track.right_log_odds
    if has_vote:
        log_odds += _vote(landmarks.right_score) + side_evidence
    log_odds = min(max(log_odds, -_MAX_LOG_ODDS), _MAX_LOG_ODDS)
    return dataclasses.replace(
        track,
        landmarks=landmarks,
        stamp_ns=stamp_ns,
        velocity_px_s=((new[0] - old[0]) / seconds, (new[1] - old[1]) / seconds),
        right_log_odds=log_odds,
        is_seen=True,
        is_hidden=False,
    )


def hide_track(track: Track) -> Track:
    """Wait for a hand that was not seen: it keeps its landmarks, stamp and votes."""
    return dataclasses.replace(track, is_hidden=True, is_turned=False)


def with_ids(tracks: Iterable[Track], renamed: Mapping[int, int]) -> tuple[Track, ...]:
    """Give some tracks new ids: what is followed now is not the hand it was."""
    return tuple(
        dataclasses.replace(track, track_id=renamed[track.track_id])
        if track.track_id in renamed
        else track
        for track in tracks
    )


def predicted_region(track: Track, stamp_ns: int) -> Region:
    """Say where the hand of a track should be looked for: constant image velocity."""
    region = track.region
    lead_x, lead_y = _lead_px(track, stamp_ns, region.size_px)
    x, y = region.center_px
    return dataclasses.replace(region, center_px=(x + lead_x, y + lead_y))


def predicted_keypoints(track: Track, stamp_ns: int) -> DoubleArray:
    """Say where the (21, 2) landmarks of a track should be seen: constant image velocity."""
    return track.known_landmarks.keypoints_2d + _lead_px(track, stamp_ns, track.region.size_px)


def move_ahead(track: Track, stamp_ns: int) -> Track:
    """Move a hand that nobody looks at in a later image to where it should be."""
    moved = dataclasses.replace(
        track.known_landmarks, keypoints_2d=predicted_keypoints(track, stamp_ns)
    )
    return dataclasses.replace(track, landmarks=moved, is_seen=False)


def take_keypoints(track: Track, hand: Hand, stamp_ns: int) -> Track:
    """Let a track be where its hand was reconstructed, for images in which nobody looks."""
    keypoints = hand.keypoints_2d.astype(np.float64)
    before = track.landmarks
    landmarks = HandLandmarks(
        keypoints_2d=keypoints,
        world_m=hand.keypoints_3d.astype(np.float64),
        presence=hand.confidence if before is None else before.presence,
        right_score=float(hand.is_right),
        region=region_from_keypoints(keypoints),
    )
    velocity = track.velocity_px_s
    if before is not None and not track.is_seen:
        # Moved ahead: what the reconstruction adds to the prediction corrects the velocity.
        seconds = max((stamp_ns - track.stamp_ns) * 1e-9, 1e-3)
        missed = np.subtract(landmarks.region.center_px, track.region.center_px) / seconds
        guessed = velocity if track.box is None else (0.0, 0.0)  # boxes are not moved ahead
        velocity = (guessed[0] + float(missed[0]), guessed[1] + float(missed[1]))
    return dataclasses.replace(
        track, landmarks=landmarks, stamp_ns=stamp_ns, velocity_px_s=velocity
    )


def _lead_px(track: Track, stamp_ns: int, size_px: float) -> tuple[float, float]:
    """Say how far a hand of a size should have moved since it was seen, within limits."""
    seconds = max((stamp_ns - track.stamp_ns) * 1e-9, 0.0)
    x, y = np.multiply(track.velocity_px_s, seconds)
    most = (_MAX_HIDDEN_LEAD if track.is_hidden else _MAX_LEAD) * size_px
    share = min(1.0, most / max(float(np.hypot(x, y)), 1e-9))
    return float(x) * share, float(y) * share


def give_sides(tracks: Iterable[Track], *, one_hand_per_side: bool) -> list[Track]:
    """Decide left or right for every track, left hands first.

    With one hand per side at most two tracks stay: of two hands with the same vote the less
    certain one becomes the other hand, unless its own votes deny that clearly; then it is no hand
    of the wearer and the younger track is given up. Hidden hands keep their side; one whose side
    is taken by a hand that is seen is not waited for any longer.
    """
    tracks = sorted(tracks, key=lambda track: track.track_id)
    seen = [track for track in tracks if not track.is_hidden]
    hidden = [track for track in tracks if track.is_hidden]
    if one_hand_per_side:
        seen = _one_per_side(seen)
        taken = {track.is_right for track in seen}
        hidden = [track for track in hidden if track.is_right not in taken]
    else:
        seen = [track.with_side(track.side_belief > 0) for track in seen]
    return sorted([*seen, *hidden], key=lambda track: (track.is_right, track.track_id))


def _one_per_side(tracks: Sequence[Track]) -> list[Track]:
    kept: list[Track] = []
    for track in tracks:  # oldest first: a newcomer never displaces a followed hand
        if not kept:
            kept = [track]
        elif len(kept) == 1:
            left, right = sorted((kept[0], track), key=lambda t: t.side_belief)
            if min(right.side_belief, -left.side_belief) >= _DENIED_LOG_ODDS:
                kept = [left, right]
    if len(kept) == 2:
        return [kept[0].with_side(False), kept[1].with_side(True)]
    return [track.with_side(track.side_belief > 0) for track in kept]


def _is_denied(track: Track) -> bool:
    """Whether votes as clear as those that settled the side now speak against it."""
    odds = track.right_log_odds if track.is_right else -track.right_log_odds
    return odds <= -_SURE_LOG_ODDS


def side_vote(landmarks: HandLandmarks) -> float:
    """Give the log odds for a right hand of one look, limited to what one image may say."""
    return _vote(landmarks.right_score)


def _vote(right_score: float) -> float:
    score = min(max(right_score, 1e-3), 1 - 1e-3)
    return min(max(math.log(score / (1 - score)), -_MAX_VOTE), _MAX_VOTE)
