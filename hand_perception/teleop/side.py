"""One side of the teleoperation: when its arm follows its hand, and when it must not.

idle -> waiting -> engaged -> holding -> disengaged, and from there only a new deliberate act leads
back to waiting. Whatever is not understood leads towards stopping, never towards moving.
"""

from dataclasses import dataclass

from hand_perception.teleop.clutch import Clutch, ClutchReading
from hand_perception.teleop.drive import ArmDrive, Commands
from hand_perception.teleop.gate import HandStatus
from hand_perception.teleop.mapping import StillHand
from hand_perception.teleop.retarget import RobotHand
from hand_perception.teleop.settings import TeleopSettings
from hand_perception.teleop.states import Reason, Side, SideState, State


@dataclass(frozen=True, slots=True, kw_only=True)
class SideOutput:
    """What one side says at one tick.

    Attributes:
        state: for the latched topic.
        is_new_state: whether it differs from that of the tick before.
        commands: what is sent to the arm; None: nothing is sent.
    """

    state: SideState
    is_new_state: bool
    commands: Commands | None


class SideTeleop:
    """State and rules of one side. Times are integer nanoseconds of one clock."""

    def __init__(
        self, side: Side, settings: TeleopSettings, *, robot_hand: RobotHand | None = None
    ) -> None:
        """Make an idle side."""
        self.clutch = Clutch(settings)
        self.drive = ArmDrive(settings, robot_hand=robot_hand)
        self._settings = self._next_settings = settings
        self._state = SideState(side=side, state=State.IDLE, reason=Reason.NONE, since_ns=0)
        self._told: SideState | None = None
        self._tick_ns: int | None = None
        self._run = -1  # of the hand that is engaged or about to be
        self._still: StillHand | None = None
        self._stopping = Reason.NONE

    @property
    def state(self) -> SideState:
        """The state after the last tick."""
        return self._state

    def use(self, settings: TeleopSettings) -> None:
        """Take other live settings; they count from the next engagement."""
        self._next_settings = settings

    def would_refuse(self, hand: HandStatus, now_ns: int) -> Reason:
        """Say why an act of the operator that began now would not engage."""
        refusal = self.clutch.would_refuse(now_ns)
        if refusal is not Reason.NONE:
            return refusal
        return self.drive.start_fault(now_ns) if hand.is_usable else hand.reason

    def forget_time(self, now_ns: int) -> None:
        """Go on after the time jumped back: what was learnt before does not count any more."""
        self.clutch.forget()
        self.drive.forget_arm()
        self._tick_ns = None
        if self._state.state is State.ENGAGED:
            self._lose(Reason.TIME_JUMP, now_ns)
        elif self._state.state is State.WAITING:
            self._end(Reason.TIME_JUMP, now_ns)
        else:
            self._enter(self._state.state, self._state.reason, now_ns)

    def tick(self, hand: HandStatus, now_ns: int) -> SideOutput:
        """Go on to a later time and say what the arm is to do now."""
        passed_ns = 0 if self._tick_ns is None else now_ns - self._tick_ns
        self._tick_ns = now_ns
        wish = self.clutch.read(now_ns)
        commands = None
        state = self._state.state
        if state is State.ENGAGED:
            commands = self._engaged(hand, wish, passed_ns, now_ns)
        elif state is State.HOLDING:
            if self._told == self._state:  # every loss is told before it ends
                commands = self._holding(wish, passed_ns, now_ns)
        elif state is State.WAITING:
            self._waiting(hand, wish, now_ns)
        elif wish.is_pressed:
            self._asked(hand, wish, now_ns)
        is_new, self._told = self._told != self._state, self._state
        return SideOutput(state=self._state, is_new_state=is_new, commands=commands)

    def _asked(self, hand: HandStatus, wish: ClutchReading, now_ns: int) -> None:
        """Begin to engage, or refuse for good: a later hand must not engage by an earlier act."""
        self._settings = self._next_settings
        self.drive.use(self._settings)
        self.clutch.use(self._settings)
        refusal = wish.stop if hand.is_usable else hand.reason
        if refusal is Reason.NONE:
            refusal = self.drive.start_fault(now_ns)
        if refusal is not Reason.NONE:
            self._end(refusal, now_ns)
            return
        self._run = hand.run
        self._still = StillHand(self._settings)
        self._enter(State.WAITING, Reason.ANCHORING, now_ns)

    def _waiting(self, hand: HandStatus, wish: ClutchReading, now_ns: int) -> None:
        """Engage as soon as the hand has been held still."""
        if hand.hand is None or hand.run != self._run:
            self._end(_loss(hand), now_ns)
            return
        if wish.stop is not Reason.NONE or wish.is_pressed:
            self._end(Reason.RELEASED if wish.is_pressed else wish.stop, now_ns)
            return
        if self._still is None:
            raise RuntimeError('waiting without a hand to look at')
        since_ns = self._state.since_ns
        if hand.hand.stamp_ns > since_ns:  # seen after the act
            self._still.add(hand.hand)
        anchor = self._still.anchor
        if anchor is not None:
            fault = self.drive.start_fault(now_ns)
            if fault is not Reason.NONE:
                self._end(fault, now_ns)
                return
            self.drive.engage(anchor)
            self._stopping = Reason.NONE
            self._enter(State.ENGAGED, Reason.NONE, now_ns)
        elif now_ns - since_ns > self._settings.engage_timeout_s * 1e9:
            self._end(Reason.NOT_STILL, now_ns)
        else:
            reason = Reason.ANCHORING if self._still.is_still else Reason.MOVING
            self._enter(State.WAITING, reason, since_ns)

    def _engaged(
        self, hand: HandStatus, wish: ClutchReading, passed_ns: int, now_ns: int
    ) -> Commands | None:
        seconds = passed_ns * 1e-9
        if passed_ns >= self._settings.stall_s * 1e9:
            return self._lose(Reason.STALLED, now_ns)  # the arm has stopped: nothing to brake
        loss = _loss(hand) if hand.hand is None or hand.run != self._run else Reason.NONE
        if loss is Reason.NONE:
            loss = self.drive.fault(now_ns)
        if hand.hand is None or loss is not Reason.NONE:
            return self._lose(loss, now_ns, seconds)
        if self._stopping is Reason.NONE and (wish.is_pressed or wish.stop is not Reason.NONE):
            self._stopping = Reason.RELEASED if wish.is_pressed else wish.stop
            self._enter(State.ENGAGED, Reason.STOPPING, self._state.since_ns)
        if self._stopping is Reason.NONE:
            return self.drive.follow(hand.hand, seconds)
        commands = self.drive.brake(seconds)
        if commands is None:
            self._end(self._stopping, now_ns)
        return commands

    def _holding(self, wish: ClutchReading, passed_ns: int, now_ns: int) -> Commands | None:
        commands = None
        if self._settings.loss_stop == 'brake':
            commands = self.drive.brake(passed_ns * 1e-9)
        held_ns = now_ns - self._state.since_ns
        is_over = held_ns >= self._settings.hold_timeout_s * 1e9
        if commands is None and wish.stop is Reason.RELEASED:
            self._end(Reason.RELEASED, now_ns)
        elif is_over:
            self._end(self._state.reason, now_ns)
        return commands

    def _lose(self, reason: Reason, now_ns: int, seconds: float = 0.0) -> Commands | None:
        """Hold from this moment on, and let nothing count that the operator did before."""
        self.clutch.disarm()
        self._enter(State.HOLDING, reason, now_ns)
        if self._settings.loss_stop == 'brake' and seconds > 0:
            return self.drive.brake(seconds)
        self.drive.release()
        return None

    def _end(self, reason: Reason, now_ns: int) -> None:
        self.clutch.disarm()
        self.drive.release()
        self._still = None
        self._enter(State.DISENGAGED, reason, now_ns)

    def _enter(self, state: State, reason: Reason, since_ns: int) -> None:
        if (state, reason, since_ns) != (
            self._state.state, self._state.reason, self._state.since_ns
        ):  # fmt: skip
            self._state = SideState(
                side=self._state.side, state=state, reason=reason, since_ns=since_ns
            )


def _loss(hand: HandStatus) -> Reason:
    """Say what went wrong with a hand that was usable before, even if it is usable again."""
    return hand.broken_by if hand.reason in (Reason.NONE, Reason.SETTLING) else hand.reason
