"""The last fitted pose of each followed hand: what decides between two ways to see a palm."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hand_perception.models.landmark_fit import HandFit, PoseBefore
from hand_perception.pipeline.track import Track

#: After this time a hand may be turned any way: the pose before says nothing any more. Seconds.
_FORGET_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class _Fitted:
    stamp_ns: int
    is_right: bool
    fit: HandFit


class PoseMemory:
    """Poses of the tracks of one stream; forgets what is old, so it stays small."""

    def __init__(self) -> None:
        """Start with no poses."""
        self._fitted: dict[int, _Fitted] = {}

    def __len__(self) -> int:
        """Return the number of tracks remembered."""
        return len(self._fitted)

    def reset(self) -> None:
        """Forget all poses."""
        self._fitted.clear()

    def before(self, tracks: Sequence[Track], stamp_ns: int) -> list[PoseBefore | None]:
        """Give the last pose of each track, None where it is too old or of the other side."""
        found: list[PoseBefore | None] = []
        for track in tracks:
            last = self._fitted.get(track.track_id)
            elapsed_s = 0.0 if last is None else (stamp_ns - last.stamp_ns) * 1e-9
            if last is None or last.is_right != track.is_right or not 0 < elapsed_s <= _FORGET_S:
                found.append(None)
            else:
                found.append(PoseBefore(rotations=last.fit.rotations, elapsed_s=elapsed_s))
        return found

    def store(self, tracks: Sequence[Track], fits: Sequence[HandFit], stamp_ns: int) -> None:
        """Remember the poses of an image, those of right hands as fitted."""
        oldest_ns = stamp_ns - round(_FORGET_S * 1e9)
        self._fitted = {
            track_id: last
            for track_id, last in self._fitted.items()
            if oldest_ns <= last.stamp_ns < stamp_ns
        }
        for track, fit in zip(tracks, fits, strict=True):
            self._fitted[track.track_id] = _Fitted(stamp_ns, track.is_right, fit)
