"""Hold back hands that jumped: believed only when they stay where they jumped to.

Between two images a hand does not move or turn without limit. A reconstruction that says so is
wrong for an image or two (another hand, a palm tipped the wrong way), or it was wrong before. So a
jump is withheld, and when it stays, the hand starts anew under a new id: within one id the wrist
never jumps. A hand with a number that is not finite is no hand at all, and never let through.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hand_perception.datatypes import DoubleArray, Hand
from hand_perception.geometry import angle_between

#: Tracks remembered at most, whatever comes.
_MAX_TRACKS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class GateLimits:
    """What a hand can do between two images; the rest is a jump.

    IsaacTeleop's gate is 0.2 m and 30 degrees an image; at 30 images a second these are the same.

    Attributes:
        distance_m: a move of this length is never a jump.
        speed_m_s: ... nor is one at this speed; both add up.
        angle_rad: the same for turns.
        turn_rad_s: the same for the speed of turns.
        longest_s: a hand that was not seen for longer is expected no farther away than after this.
        confirm_s: a jump that has stayed for so long is believed.
        forget_s: a hand not seen for so long has no place to jump from.
    """

    distance_m: float = 0.1
    speed_m_s: float = 3.0
    angle_rad: float = float(np.radians(15))
    turn_rad_s: float = float(np.radians(450))
    longest_s: float = 0.1
    confirm_s: float = 0.05
    forget_s: float = 0.5


@dataclass(frozen=True, slots=True)
class _Place:
    stamp_ns: int
    wrist_m: DoubleArray
    rotation: DoubleArray


@dataclass(frozen=True, slots=True)
class _Memory:
    """Of one track: where it was believed to be, and since when it claims to be elsewhere."""

    believed: _Place
    claimed: _Place | None = None
    claimed_since_ns: int = 0


@dataclass(slots=True)
class GateState:
    """Memory of the gate for one stream; bounded by the number of hands."""

    memories: dict[int, _Memory] = field(default_factory=dict)

    def reset(self) -> None:
        """Forget all hands."""
        self.memories.clear()


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedHands:
    """What the gate let through.

    Attributes:
        hands: believed hands, in their order; those believed after a jump have a new id.
        held: ids of hands withheld in this image.
        renamed: (old id, new id) of hands believed after a jump.
        next_track_id: the next id that is free.
    """

    hands: tuple[Hand, ...]
    held: tuple[int, ...]
    renamed: tuple[tuple[int, int], ...]
    next_track_id: int


class OutlierGate:
    """Withholds hands that jumped until they stay."""

    def __init__(self, limits: GateLimits | None = None) -> None:
        """Take the limits."""
        self.limits = limits or GateLimits()

    def step(
        self, state: GateState, hands: Sequence[Hand], stamp_ns: int, *, next_track_id: int
    ) -> GatedHands:
        """Judge the hands of the next image.

        Args:
            state: memory of the stream; changed.
            hands: as reconstructed in this image.
            stamp_ns: of the image, later than the last.
            next_track_id: free id for a hand that is believed after a jump; more count on.
        """
        self._forget(state, stamp_ns)
        kept: list[Hand] = []
        held: list[int] = []
        renamed: list[tuple[int, int]] = []
        for hand in hands:
            place = _Place(
                stamp_ns,
                hand.keypoints_3d[0].astype(np.float64),
                np.asarray(hand.wrist_rotation, np.float64),
            )
            if not is_finite(hand):
                held.append(hand.track_id)
                continue
            memory = state.memories.get(hand.track_id)
            if memory is None or self._goes_on(memory, place):
                state.memories[hand.track_id] = _Memory(place)
                kept.append(hand)
                continue
            memory = self._claim(memory, place)
            if (stamp_ns - memory.claimed_since_ns) * 1e-9 < self.limits.confirm_s:
                state.memories[hand.track_id] = memory
                held.append(hand.track_id)
                continue
            del state.memories[hand.track_id]
            state.memories[next_track_id] = _Memory(place)
            renamed.append((hand.track_id, next_track_id))
            kept.append(dataclasses.replace(hand, track_id=next_track_id))
            next_track_id += 1
        return GatedHands(
            hands=tuple(kept),
            held=tuple(held),
            renamed=tuple(renamed),
            next_track_id=next_track_id,
        )

    def _goes_on(self, memory: _Memory, place: _Place) -> bool:
        """Whether a hand is where it was believed to be, not where it claimed to be."""
        strain = self._strain(memory.believed, place)
        return strain <= 1 and (
            memory.claimed is None or strain <= self._strain(memory.claimed, place)
        )

    def _claim(self, memory: _Memory, place: _Place) -> _Memory:
        """Note where a hand claims to be; anew when the claim itself jumps."""
        claimed, since_ns = memory.claimed, memory.claimed_since_ns
        if claimed is None or self._strain(claimed, place) > 1:
            since_ns = place.stamp_ns
        return _Memory(memory.believed, place, since_ns)

    def _strain(self, before: _Place, after: _Place) -> float:
        """Say how much of what a hand can do lies between two places; above 1 is a jump."""
        limits = self.limits
        seconds = min(max((after.stamp_ns - before.stamp_ns) * 1e-9, 0.0), limits.longest_s)
        moved_m = float(np.linalg.norm(after.wrist_m - before.wrist_m))
        turned_rad = angle_between(before.rotation, after.rotation)
        return max(
            moved_m / (limits.distance_m + limits.speed_m_s * seconds),
            turned_rad / (limits.angle_rad + limits.turn_rad_s * seconds),
        )

    def _forget(self, state: GateState, stamp_ns: int) -> None:
        """Drop hands that were not seen for long, the oldest first when there are too many."""
        oldest_ns = stamp_ns - round(self.limits.forget_s * 1e9)
        kept = {
            track_id: memory
            for track_id, memory in state.memories.items()
            if oldest_ns <= _last_ns(memory) <= stamp_ns
        }
        newest = sorted(kept, key=lambda track_id: _last_ns(kept[track_id]))[-_MAX_TRACKS:]
        state.memories = {track_id: kept[track_id] for track_id in newest}


def _last_ns(memory: _Memory) -> int:
    return (memory.claimed or memory.believed).stamp_ns


def is_finite(hand: Hand) -> bool:
    """Whether all is a number that must be one in a tracked hand."""
    parameters = hand.parameters
    numbers = (hand.confidence, hand.pinch_distance_m, hand.pinch, hand.grasp, hand.depth_stddev_m)
    arrays = (
        hand.keypoints_3d, hand.vertices, hand.wrist_rotation, hand.flexion, hand.keypoints_2d,
        hand.bbox_xyxy, parameters.global_orient, parameters.hand_pose, parameters.betas,
        parameters.transl,
    )  # fmt: skip
    return all(map(math.isfinite, numbers)) and all(bool(np.isfinite(a).all()) for a in arrays)


def finite_hands(hands: Sequence[Hand]) -> tuple[Hand, ...]:
    """Drop what is no hand."""
    return tuple(hand for hand in hands if is_finite(hand))
