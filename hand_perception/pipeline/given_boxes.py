"""Hands in boxes that the user gives: no search, no landmarks; identity by overlap."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from hand_perception.boxes import box_arrays
from hand_perception.datatypes import Box, DoubleArray
from hand_perception.pipeline.track import Track

#: Least overlap (intersection over union) with which a box continues a hand.
_MIN_OVERLAP: Final = 0.2
#: A given side is taken as it is: log odds of a sure vote.
_GIVEN_LOG_ODDS: Final = 8.0


def tracks_from_boxes(
    boxes: Sequence[Box], tracks: Sequence[Track], *, stamp_ns: int, next_track_id: int
) -> list[Track]:
    """Give every box a track: that of the hand of its side which it overlaps most, or a new one.

    Args:
        boxes: of the image, checked.
        tracks: of the image before.
        stamp_ns: of the image.
        next_track_id: for the first new track; the others count on.

    Returns:
        One track per box, left hands first.
    """
    overlaps = _overlaps(boxes, [track.box for track in tracks])
    free = set(range(len(tracks)))
    continued: list[Track] = []
    for i, box in enumerate(boxes):
        same = [j for j in free if tracks[j].is_right == box.is_right]
        best = max(same, key=lambda j: overlaps[i, j], default=None)
        if best is None or overlaps[i, best] < _MIN_OVERLAP:
            before = Track(track_id=next_track_id, landmarks=None, stamp_ns=stamp_ns)
            next_track_id += 1
        else:
            free.remove(best)
            before = tracks[best]
        odds = math.copysign(_GIVEN_LOG_ODDS, 1 if box.is_right else -1)
        continued.append(
            dataclasses.replace(
                before, box=box, is_right=box.is_right, right_log_odds=odds, is_seen=False
            )
        )
    return sorted(continued, key=lambda track: (track.is_right, track.track_id))


def _overlaps(boxes: Sequence[Box], others: Sequence[Box | None]) -> DoubleArray:
    """Give (N, M) intersection over union; 0 with None."""
    a = box_arrays(boxes)[0].astype(np.float64)[:, None]  # (N, 1, 4)
    empty = Box(xyxy=(0.0, 0.0, 0.0, 0.0), is_right=True)
    b = box_arrays([other or empty for other in others])[0].astype(np.float64)[None]  # (1, M, 4)
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    shared = np.prod(np.clip(high - low, 0, None), -1)
    areas = np.prod(a[..., 2:] - a[..., :2], -1) + np.prod(b[..., 2:] - b[..., :2], -1)
    return shared / np.maximum(areas - shared, 1e-9)
