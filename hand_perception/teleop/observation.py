"""What is known of one hand in one image, as a controller needs it."""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hand_perception.datatypes import DoubleArray, Hand
from hand_perception.geometry import quaternion_from_rotation
from hand_perception.teleop.vectors import Quaternion, Vector

#: HandPose.flexion: thumb to little finger, base to end joint.
FINGER_JOINTS: Final = tuple(
    f'{finger}_{joint}'
    for finger in ('thumb', 'index', 'middle', 'ring', 'little')
    for joint in ('base', 'middle', 'end')
)
_NAN: Final = float('nan')
#: How far the length of a quaternion may be from 1: float32 and somebody's rounding.
_QUATERNION_TOLERANCE: Final = 1e-2


@dataclass(frozen=True, slots=True, kw_only=True)
class HandObservation:
    """One side in one image; fields as in HandPose.msg, NaN while it is not tracked.

    Attributes:
        stamp_ns: stamp of the image.
        tracked: False: this side is not seen in this image, and nothing below counts.
        track_id: stable while the hand is followed.
        confidence: 0-1.
        handedness_score: 0-1.
        age_s: age of the image at publication, seconds, by the clock of the publisher; for an
            extrapolated hand that is more than since its stamp.
        position: of the wrist, metres, in ``frame_id``.
        quaternion: of the wrist frame in ``frame_id``, x y z w.
        flexion: 15 radians, see ``FINGER_JOINTS``.
        pinch: 0 open to 1 closed.
        grasp: 0 open to 1 closed.
        is_predicted: extrapolated rather than measured.
        frame_id: coordinate frame; empty where nobody says.
        source: who published it, as far as that is known.
        keypoints: (21, 3) metres in ``frame_id``, for robot hands; None when not needed.
    """

    stamp_ns: int
    tracked: bool
    track_id: int = 0
    confidence: float = _NAN
    handedness_score: float = _NAN
    age_s: float = _NAN
    position: Vector = (_NAN, _NAN, _NAN)
    quaternion: Quaternion = (_NAN, _NAN, _NAN, _NAN)
    flexion: tuple[float, ...] = (_NAN,) * len(FINGER_JOINTS)
    pinch: float = _NAN
    grasp: float = _NAN
    is_predicted: bool = False
    frame_id: str = ''
    source: str = ''
    keypoints: DoubleArray | None = None

    @property
    def content(self) -> tuple[object, ...]:
        """All that a camera cannot deliver twice in exactly the same numbers."""
        return (self.tracked, self.position, self.quaternion, self.flexion)

    @property
    def is_well_formed(self) -> bool:
        """Whether a tracked hand holds the numbers of one: finite, turned, not at the origin."""
        numbers = (
            *self.position, *self.quaternion, *self.flexion, self.confidence,
            self.handedness_score, self.age_s, self.pinch, self.grasp,
        )  # fmt: skip
        return (
            all(map(math.isfinite, numbers))
            and any(self.position)
            and abs(math.hypot(*self.quaternion) - 1) < _QUATERNION_TOLERANCE
            and len(self.flexion) == len(FINGER_JOINTS)
            and (self.keypoints is None or bool(np.isfinite(self.keypoints).all()))
        )


def observation_from_hand(
    hand: Hand | None, *, stamp_ns: int, age_s: float, frame_id: str = '', source: str = ''
) -> HandObservation:
    """Take the hand of one side from the pipeline; None where that side is not seen."""
    if hand is None:
        return HandObservation(stamp_ns=stamp_ns, tracked=False, frame_id=frame_id, source=source)
    x, y, z = hand.keypoints_3d[0].tolist()
    qx, qy, qz, qw = quaternion_from_rotation(hand.wrist_rotation).tolist()
    return HandObservation(
        stamp_ns=stamp_ns,
        tracked=True,
        track_id=hand.track_id,
        confidence=hand.confidence,
        handedness_score=hand.handedness_score,
        age_s=age_s,
        position=(x, y, z),
        quaternion=(qx, qy, qz, qw),
        flexion=tuple(hand.flexion.tolist()),
        pinch=hand.pinch,
        grasp=hand.grasp,
        is_predicted=hand.is_predicted,
        frame_id=frame_id,
        source=source,
        keypoints=hand.keypoints_3d.astype(np.float64),
    )


def observation_from_message(
    message: Any, *, source: str = '', with_keypoints: bool = False
) -> HandObservation:
    """Read a ``hand_perception/HandPose`` message; needs no ROS, only its fields."""
    stamp = message.header.stamp
    point, turn = message.wrist.position, message.wrist.orientation
    keypoints = None
    if with_keypoints and message.tracked:
        keypoints = np.array([(p.x, p.y, p.z) for p in message.keypoints], np.float64)
    return HandObservation(
        stamp_ns=int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec),
        tracked=bool(message.tracked),
        track_id=int(message.track_id),
        confidence=float(message.confidence),
        handedness_score=float(message.handedness_score),
        age_s=float(message.age) + float(message.horizon),
        position=(point.x, point.y, point.z),
        quaternion=(turn.x, turn.y, turn.z, turn.w),
        flexion=tuple(map(float, message.flexion)),
        pinch=float(message.pinch),
        grasp=float(message.grasp),
        is_predicted=bool(message.predicted),
        frame_id=message.header.frame_id,
        source=source,
        keypoints=keypoints,
    )
