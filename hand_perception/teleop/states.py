"""What a side of the teleoperation is doing, and why a hand or a wish is not obeyed."""

import enum
from dataclasses import dataclass
from typing import Final, Literal

Side = Literal['left', 'right']
SIDES: Final[tuple[Side, Side]] = ('left', 'right')


class State(enum.Enum):
    """State of one side; only ``ENGAGED`` moves an arm."""

    IDLE = 'idle'  #: nobody has asked for anything yet
    WAITING = 'waiting'  #: asked to engage; the hand has to be held still first
    ENGAGED = 'engaged'  #: the arm follows the hand
    HOLDING = 'holding'  #: the hand was lost; nothing is sent, the arm holds its place
    DISENGAGED = 'disengaged'  #: it was asked or engaged before; waits for a new deliberate act


class Reason(enum.Enum):
    """Why a hand may not be used, or why a side is in its state; the value is for people."""

    NONE = ''
    # The hand.
    NO_HAND_YET = 'no hand has been reported yet'
    UNTRACKED = 'the hand is not tracked'
    STALE = 'the newest hand is too old'
    FROZEN = 'hands repeat bit for bit: the source is frozen'
    FUTURE = 'the stamp of the hand lies in the future: the clocks differ'
    PAST = 'the stamp of the hand lies before the last one'
    TIME_JUMP = 'the time jumped back'
    TWO_PUBLISHERS = 'hands come from two publishers'
    FRAME_CHANGED = 'the frame_id of the hand changed'
    MALFORMED = 'the hand holds numbers that no hand has'
    PREDICTED = 'the hand was extrapolated, not measured'
    LOW_CONFIDENCE = 'the confidence of the hand is too low'
    UNSURE_SIDE = 'left or right is not sure'
    OTHER_HAND = 'another hand is followed now (new track_id)'
    JUMP = 'the hand jumped'
    SAME_PLACE = 'both sides report a hand at one place'
    SETTLING = 'the hand has not been seen well for long enough'
    # The clutch.
    NOT_RELEASED = 'the clutch must be released before it engages (again)'
    DEAD_MAN = 'the dead-man is not held'
    CLUTCH_SILENT = 'the clutch is silent'
    CLUTCH_FLUTTERS = 'the clutch changes too often: contradictory sources?'
    RELEASED = 'released by the operator'
    # Engaging.
    MOVING = 'the hand moves: hold it still'
    ANCHORING = 'the hand is held still'
    NOT_STILL = 'the hand was not held still in time'
    NO_ARM_POSE = 'the pose of the arm does not come'
    ARM_OUTSIDE = 'the arm is outside the workspace box'
    TWO_MASTERS = 'somebody else publishes targets of this arm, too'
    # Moving.
    STALLED = 'the teleoperation itself stalled'
    ARM_LAGS = 'the arm does not follow'
    STOPPING = 'released by the operator: coming to rest'


@dataclass(frozen=True, slots=True, kw_only=True)
class SideState:
    """What the latched state topic says of one side.

    Attributes:
        side: whose state it is.
        state: what it is doing.
        reason: why; ``NONE`` while nothing is wrong.
        since_ns: when this state began.
    """

    side: Side
    state: State
    reason: Reason
    since_ns: int

    @property
    def text(self) -> str:
        """The state in one line, for people and for the latched topic."""
        told = f': {self.reason.value}' if self.reason.value else ''
        return f'{self.side} {self.state.value}{told}'
