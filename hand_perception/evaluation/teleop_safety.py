"""Counts of what a teleoperation must never do, from what was recorded of it.

It shares no code with the rules that it judges. What it can know late is judged leniently by the
time that messages need, ``stall_s``: a teleoperation that takes longer says by itself that it
stalled.
"""

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
    engagements_of,
    is_engaged,
)
from hand_perception.teleop.settings import TeleopSettings

#: Rounding of positions near 1 m over one period, relative to a limit.
_ROUNDING: Final = 1e-5
_MS_NS: Final = 1_000_000
#: A loss that is not disengaged this long after its time has been forgotten, seconds.
_LATE_S: Final = 0.5
#: What an arm refuses because it came too late: delays on the way, which move nothing.
_REFUSED: Final = 'stale'


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """Largest motion of commands between two of one engagement: m, s and rad.

    Attributes:
        speed: metres per second.
        acceleration: metres per second squared.
        turn_speed: radians per second.
        turn_acceleration: radians per second squared.
        too_fast: steps above the limits of speed.
        too_hard: steps above the limits of acceleration.
    """

    speed: float
    acceleration: float
    turn_speed: float
    turn_acceleration: float
    too_fast: int
    too_hard: int


def motion_of(
    targets: Poses, engagements: Sequence[Engagement], settings: TeleopSettings
) -> Motion:
    """Measure commands by their differences, not by what they claim."""
    largest = np.zeros(4)
    fast = hard = 0
    for one in engagements:
        inside = (targets.times_ns >= one.engaged_ns) & (targets.times_ns <= one.ended_ns)
        seconds = np.diff(targets.times_ns[inside]) * 1e-9
        if len(seconds) < 2:
            continue
        linear = np.diff(targets.positions[inside], axis=0) / seconds[:, None]
        angular = _turns(targets.quaternions[inside]) / seconds[:, None]
        between = (seconds[1:] + seconds[:-1]) / 2
        values = []
        for velocity in (linear, angular):
            values.append(np.linalg.norm(velocity, axis=1))
            values.append(np.linalg.norm(np.diff(velocity, axis=0), axis=1) / between)
        largest = np.maximum(largest, [value.max() for value in values])
        limits = (
            settings.max_speed, settings.max_acceleration,
            settings.max_turn_speed, settings.max_turn_acceleration,
        )  # fmt: skip
        above = [
            int((value > limit * (1 + _ROUNDING)).sum())
            for value, limit in zip(values, limits, strict=True)
        ]
        fast += above[0] + above[2]
        hard += above[1] + above[3]
    speed, acceleration, turn_speed, turn_acceleration = largest.tolist()
    return Motion(
        speed=speed, acceleration=acceleration, turn_speed=turn_speed,
        turn_acceleration=turn_acceleration, too_fast=fast, too_hard=hard,
    )  # fmt: skip


def _turns(quaternions: DoubleArray) -> DoubleArray:
    """(N - 1, 3) rotation vectors from each of (N, 4) quaternions x y z w to the next."""
    before, after = quaternions[:-1], quaternions[1:]
    xyz = (
        before[:, 3:] * after[:, :3] - after[:, 3:] * before[:, :3]
        - np.cross(after[:, :3], before[:, :3])
    )  # fmt: skip
    w = (before * after).sum(1)
    sine = np.linalg.norm(xyz, axis=1)
    angle = 2 * np.arctan2(sine, np.abs(w)) * np.sign(np.where(w == 0, 1, w))
    turns: DoubleArray = xyz * (angle / np.maximum(sine, 1e-300))[:, None]
    return turns


def safety_counts(
    record: TeleopRecord,
    settings: TeleopSettings,
    *,
    is_other_hand: NDArray[np.bool_] | None = None,
) -> dict[str, int]:
    """Count what must not happen; every number must be 0.

    Args:
        record: of the run.
        settings: of the teleoperation.
        is_other_hand: (N,) for each hand message, whether it was really the hand of the other
            side; None where nobody knows.
    """
    engagements = engagements_of(record)
    targets, hands = record.targets, record.hands
    times = targets.times_ns
    motion = motion_of(targets, engagements, settings)
    newest = hands.newest(times)
    known = hands.newest(times - round(settings.stall_s * 1e9))
    low, high = settings.box
    outside = (targets.positions < low) | (targets.positions > high)
    counts = {
        'commands while the hand is not tracked': _count(~hands.is_tracked, known),
        'commands by a stale hand': _num_stale(record, newest, settings.max_age_s),
        'commands while not engaged': int((~is_engaged(engagements, times)).sum()),
        'engagements that nobody asked for': sum(one.pressed_ns is None for one in engagements),
        'losses that did not hold, then disengage': _num_bad_holds(
            engagements, settings, end_ns=_end_ns(record)
        ),
        'steps above the limits of speed': motion.too_fast,
        'steps above the limits of acceleration': motion.too_hard,
        'commands outside the box': int(outside.any(1).sum()) if len(times) else 0,
        'complaints of the arm': sum(
            count for name, count in record.arm_complaints.items() if name != _REFUSED
        ),
    }
    if is_other_hand is not None:
        counts['commands by the other hand'] = _count(is_other_hand, known)
    return counts


def _count(is_wrong: NDArray[np.bool_], numbers: NDArray[np.intp]) -> int:
    """Count the numbers of messages that are wrong; -1 is none, which is wrong, too."""
    return int((is_wrong[numbers] | (numbers < 0)).sum()) if len(is_wrong) else len(numbers)


def _num_stale(record: TeleopRecord, newest: NDArray[np.intp], max_age_s: float) -> int:
    """Commands at whose time even the newest published hand was too old."""
    if not len(record.hands.stamps_ns):
        return len(newest)
    ages = record.targets.times_ns - record.hands.stamps_ns[newest]
    return int((ages > max_age_s * 1e9 + _MS_NS).sum())


def _num_bad_holds(
    engagements: Sequence[Engagement], settings: TeleopSettings, *, end_ns: int
) -> int:
    bad = 0
    for one in engagements:
        if not one.is_lost:
            continue
        latest_ns = one.ended_ns + round((settings.hold_timeout_s + _LATE_S) * 1e9)
        if one.disengaged_ns is None:
            bad += end_ns > latest_ns  # the recording may end before
        else:
            bad += one.disengaged_ns > latest_ns
    return bad


def _end_ns(record: TeleopRecord) -> int:
    return int(record.arm.times_ns[-1]) if len(record.arm.times_ns) else 0
