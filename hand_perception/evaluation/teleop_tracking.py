"""How well an arm followed the true motion of the operator's hand: error, lag, gripper."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hand_perception.datatypes import DoubleArray
from hand_perception.evaluation.teleop_records import (
    Engagement,
    Poses,
    TeleopRecord,
    TimesNs,
    engagements_of,
)
from hand_perception.teleop.mapping import RelativeMotion
from hand_perception.teleop.settings import TeleopSettings
from hand_perception.teleop.vectors import as_quaternion, as_vector, mean_quaternion

#: Lags that are tried, seconds.
_LAGS_S: Final = np.arange(0.0, 0.8, 0.005)
#: The hand is slow when it kept the arm's limits for this long, seconds.
_SLOW_S: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingErrors:
    """How far an arm was from where the true hand led it, while it was engaged.

    Attributes:
        lag_s: shift in time with which the arm fits best; NaN where it never followed.
        position_m: (N,) distances at the same moment.
        position_shifted_m: (N,) with the lag taken out.
        angle_shifted_rad: (N,) with the lag taken out.
        is_slow: (N,) the hand has not been faster than the arm may be, for a while.
    """

    lag_s: float
    position_m: DoubleArray
    position_shifted_m: DoubleArray
    angle_shifted_rad: DoubleArray
    is_slow: NDArray[np.bool_]


def goals_of(
    record: TeleopRecord, engagement: Engagement, hand: Poses, settings: TeleopSettings
) -> Poses | None:
    """Map the true hand as the teleoperation does with the one that it sees, before any limit.

    Args:
        record: of the run.
        engagement: whose anchor counts: the mean of the true hand over the same images, and where
            the arm was.
        hand: true wrist at every image, camera.
        settings: of the teleoperation.

    Returns:
        Where the arm belongs at every image; None where no anchor can be found.
    """
    engaged_ns = engagement.engaged_ns
    seen = int(record.hands.newest(np.array([engaged_ns]))[0])
    arm = record.arm.before(engaged_ns)
    if seen < 0 or arm < 0:
        return None
    last_ns = int(record.hands.stamps_ns[seen])
    first_ns = last_ns - round((settings.anchor_s + 0.02) * 1e9)
    inside = (hand.times_ns >= first_ns) & (hand.times_ns <= last_ns)
    if not inside.any():
        return None
    quaternions = [as_quaternion(q) for q in hand.quaternions[inside]]
    motion = RelativeMotion.from_settings(
        settings,
        hand=(as_vector(hand.positions[inside].mean(0)), mean_quaternion(quaternions)),
        arm=(
            as_vector(record.arm.positions[arm]),
            as_quaternion(record.arm.quaternions[arm]),
        ),
    )
    goals = [
        motion.goal(as_vector(p), as_quaternion(q))
        for p, q in zip(hand.positions, hand.quaternions, strict=True)
    ]
    low, high = settings.box
    return Poses(
        times_ns=hand.times_ns,
        positions=np.clip([position for position, _ in goals], low, high),
        quaternions=np.array([quaternion for _, quaternion in goals]),
    )


def tracking_errors(record: TeleopRecord, hand: Poses, settings: TeleopSettings) -> TrackingErrors:
    """Compare the arm with the true hand over all engagements.

    Args:
        record: of the run.
        hand: true wrist at every image, camera.
        settings: of the teleoperation.
    """
    parts: list[_Part] = []
    for one in engagements_of(record):
        goals = goals_of(record, one, hand, settings)
        arm = _between(record.arm, one.engaged_ns, one.ended_ns)
        if goals is not None and len(arm.times_ns):
            parts.append((arm, goals, _is_slow(goals, arm.times_ns, settings)))
    if not parts:
        nothing = np.zeros(0)
        return TrackingErrors(
            lag_s=float('nan'), position_m=nothing, position_shifted_m=nothing,
            angle_shifted_rad=nothing, is_slow=np.zeros(0, np.bool_),
        )  # fmt: skip
    is_slow = np.concatenate([part[2] for part in parts])
    misfits = [_misfit(parts, lag_s, only_slow=bool(is_slow.any())) for lag_s in _LAGS_S]
    lag_s = float(_LAGS_S[int(np.argmin(misfits))])
    angles = np.concatenate(
        [
            angles_between(arm.quaternions, _at(goals, arm.times_ns - round(lag_s * 1e9))[1])
            for arm, goals, _ in parts
        ]
    )
    return TrackingErrors(
        lag_s=lag_s,
        position_m=_distances(parts, 0.0),
        position_shifted_m=_distances(parts, lag_s),
        angle_shifted_rad=angles,
        is_slow=is_slow,
    )


def gripper_differences(
    record: TeleopRecord, true_pinch: DoubleArray, settings: TeleopSettings
) -> tuple[DoubleArray, DoubleArray]:
    """Give (G,) commands of the gripper and (G,) what the true hand asked for in the same image.

    Args:
        record: of the run.
        true_pinch: (N,) 0 open to 1 closed, at every image.
        settings: of the teleoperation.
    """
    seen = record.hands.newest(record.gripper_ns)
    stamps = record.hands.stamps_ns[seen]
    image = np.searchsorted(record.images_ns, stamps)
    fits = (seen >= 0) & (image < len(true_pinch))
    image, commands = image[fits], record.gripper[fits]
    return commands, gripper_goal(true_pinch[image], settings)


def gripper_goal(pinch: DoubleArray, settings: TeleopSettings) -> DoubleArray:
    """Say where the gripper belongs, 0 open to 1 closed, by pinches 0 open to 1 closed."""
    span = settings.gripper_closed_at - settings.gripper_open_at
    goal: DoubleArray = np.clip((pinch - settings.gripper_open_at) / span, 0, 1)
    return goal


def angles_between(a: DoubleArray, b: DoubleArray) -> DoubleArray:
    """(N,) radians between (N, 4) unit quaternions."""
    angles: DoubleArray = 2 * np.arccos(np.clip(np.abs((a * b).sum(1)), 0, 1))
    return angles


def _between(poses: Poses, first_ns: int, last_ns: int) -> Poses:
    inside = (poses.times_ns >= first_ns) & (poses.times_ns <= last_ns)
    return Poses(
        times_ns=poses.times_ns[inside],
        positions=poses.positions[inside],
        quaternions=poses.quaternions[inside],
    )


_Part = tuple[Poses, Poses, NDArray[np.bool_]]


def _misfit(parts: Sequence[_Part], lag_s: float, *, only_slow: bool) -> float:
    """Sum the squares of what a shift in time leaves, less the mean of each engagement.

    Where the limits of the arm bind, it is late because of them; and an anchor that was not quite
    right is an offset and no lag.
    """
    total = 0.0
    for arm, goals, is_slow in parts:
        counted = is_slow if only_slow else np.ones(len(is_slow), np.bool_)
        if counted.any():
            goal = _at(goals, arm.times_ns - round(lag_s * 1e9))[0]
            rest = (arm.positions - goal)[counted]
            total += float(np.square(rest - rest.mean(0)).sum())
    return total


def _distances(parts: Sequence[_Part], lag_s: float) -> DoubleArray:
    shift_ns = round(lag_s * 1e9)
    return np.concatenate(
        [
            np.linalg.norm(arm.positions - _at(goals, arm.times_ns - shift_ns)[0], axis=1)
            for arm, goals, _ in parts
        ]
    )


def _at(poses: Poses, times_ns: TimesNs) -> tuple[DoubleArray, DoubleArray]:
    """Positions and unit quaternions at times, linear between two; the ends are held."""
    start = int(poses.times_ns[0])
    known, asked = (poses.times_ns - start) * 1e-9, (times_ns - start) * 1e-9
    after = np.clip(np.searchsorted(known, asked), 1, len(known) - 1)
    share = np.clip((asked - known[after - 1]) / (known[after] - known[after - 1]), 0, 1)[:, None]
    positions = poses.positions[after - 1] * (1 - share) + poses.positions[after] * share
    first, second = poses.quaternions[after - 1], poses.quaternions[after]
    second = np.where((first * second).sum(1, keepdims=True) < 0, -second, second)
    turned = first * (1 - share) + second * share
    return positions, turned / np.linalg.norm(turned, axis=1, keepdims=True)


def _is_slow(goals: Poses, times_ns: TimesNs, settings: TeleopSettings) -> NDArray[np.bool_]:
    """(N,) whether the goal kept the limits of speed for the last while."""
    seconds = np.diff(goals.times_ns) * 1e-9
    speed = np.linalg.norm(np.diff(goals.positions, axis=0), axis=1) / seconds
    turning = angles_between(goals.quaternions[1:], goals.quaternions[:-1]) / seconds
    fast_ns = goals.times_ns[1:][
        (speed > settings.max_speed) | (turning > settings.max_turn_speed)
    ]
    last = np.searchsorted(fast_ns, times_ns, side='right') - 1
    if not len(fast_ns):
        return np.ones(len(times_ns), np.bool_)
    slow: NDArray[np.bool_] = (last < 0) | (times_ns - fast_ns[last] > _SLOW_S * 1e9)
    return slow
