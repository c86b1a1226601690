"""What was recorded of one side of a teleoperation, and the times for which it was engaged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hand_perception.datatypes import DoubleArray
from hand_perception.teleop.states import State

TimesNs = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Poses:
    """Poses over time, base of the robot.

    Attributes:
        times_ns: (N,) stamps, increasing.
        positions: (N, 3) metres.
        quaternions: (N, 4) x y z w.
    """

    times_ns: TimesNs
    positions: DoubleArray
    quaternions: DoubleArray

    def before(self, time_ns: int) -> int:
        """Number of the newest one at a time; -1 where there is none yet."""
        return int(np.searchsorted(self.times_ns, time_ns, side='right')) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class HandMessages:
    """What perception said of one hand, in the order of publication.

    Attributes:
        stamps_ns: (N,) of the images.
        published_ns: (N,) stamp plus age.
        is_tracked: (N,).
        positions: (N, 3) wrist, metres, camera; NaN where it is not tracked.
    """

    stamps_ns: TimesNs
    published_ns: TimesNs
    is_tracked: NDArray[np.bool_]
    positions: DoubleArray

    def newest(self, times_ns: TimesNs) -> NDArray[np.intp]:
        """(M,) number of the newest one published at each time; -1 where there is none yet."""
        found: NDArray[np.intp] = np.searchsorted(self.published_ns, times_ns, side='right') - 1
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChange:
    """A state of the side began."""

    at_ns: int
    state: State
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TeleopRecord:
    """One side of a run. All times are of one clock.

    Attributes:
        images_ns: (N,) stamps of all camera images.
        hands: what perception said.
        targets: commands, by their stamp.
        arm: where the arm said it was.
        gripper_ns: (G,) when a command of the gripper came.
        gripper: (G,) 0 open to 1 closed.
        states: changes, in order.
        button_ns: (B,) when the button was told.
        is_button_down: (B,).
        arm_complaints: what the arm counted as wrong, by name.
    """

    images_ns: TimesNs
    hands: HandMessages
    targets: Poses
    arm: Poses
    gripper_ns: TimesNs
    gripper: DoubleArray
    states: tuple[StateChange, ...]
    button_ns: TimesNs
    is_button_down: NDArray[np.bool_]
    arm_complaints: Mapping[str, int] = field(default_factory=dict)

    def presses_ns(self) -> TimesNs:
        """When the button went down, having been up."""
        down = self.is_button_down
        found: TimesNs = self.button_ns[1:][down[1:] & ~down[:-1]]
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Engagement:
    """The arm followed the hand for a while.

    Attributes:
        engaged_ns: begin.
        ended_ns: end.
        is_lost: the hand was lost; otherwise it was released, or the recording ended.
        reason: why it ended; empty where the recording ended.
        disengaged_ns: when a loss became disengaged; None where it never did.
        pressed_ns: the press that led to it; None where there was none since the end of the one
            before.
    """

    engaged_ns: int
    ended_ns: int
    is_lost: bool
    reason: str
    disengaged_ns: int | None
    pressed_ns: int | None

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return (self.ended_ns - self.engaged_ns) * 1e-9


def changes_of(told: Sequence[StateChange]) -> tuple[StateChange, ...]:
    """Leave out what repeats the state before, as a latched topic does."""
    changes: list[StateChange] = []
    for change in told:
        if not changes or change.state is not changes[-1].state:
            changes.append(change)
    return tuple(changes)


def engagements_of(record: TeleopRecord) -> tuple[Engagement, ...]:
    """Find the times for which the arm followed."""
    presses = record.presses_ns()
    found: list[Engagement] = []
    states = record.states
    free_ns = 0
    for number, change in enumerate(states):
        if change.state is not State.ENGAGED:
            continue
        end = states[number + 1] if number + 1 < len(states) else None
        after = states[number + 2] if number + 2 < len(states) else None
        is_lost = end is not None and end.state is State.HOLDING
        disengaged_ns = None
        if is_lost and after is not None and after.state is State.DISENGAGED:
            disengaged_ns = after.at_ns
        mine = presses[(presses > free_ns) & (presses <= change.at_ns)]
        ended_ns = _last_ns(record) if end is None else end.at_ns
        found.append(
            Engagement(
                engaged_ns=change.at_ns,
                ended_ns=max(ended_ns, change.at_ns),
                is_lost=is_lost,
                reason='' if end is None else end.reason,
                disengaged_ns=disengaged_ns,
                pressed_ns=int(mine[-1]) if len(mine) else None,
            )
        )
        free_ns = ended_ns
    return tuple(found)


def is_engaged(engagements: Sequence[Engagement], times_ns: TimesNs) -> NDArray[np.bool_]:
    """(N,) whether a time lies within an engagement, both ends included."""
    inside = np.zeros(len(times_ns), np.bool_)
    for one in engagements:
        inside |= (times_ns >= one.engaged_ns) & (times_ns <= one.ended_ns)
    return inside


def _last_ns(record: TeleopRecord) -> int:
    times = record.targets.times_ns
    return int(times[-1]) if len(times) else 0
