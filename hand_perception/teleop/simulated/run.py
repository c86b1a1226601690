"""Minutes of teleoperation in seconds, with everything that goes wrong, and what came of it."""

import heapq
from typing import Final

import numpy as np

from hand_perception.teleop.session import Teleoperation
from hand_perception.teleop.settings import TeleopSettings
from hand_perception.teleop.simulated.arm import CommandLimits, SimulatedArm
from hand_perception.teleop.simulated.camera import (
    CAMERA_FAULTS,
    Delivery,
    FaultyCamera,
    swap_is_visible,
)
from hand_perception.teleop.simulated.judge import SafetyCounts, SideJudge
from hand_perception.teleop.simulated.person import ClutchUser, WanderingHand
from hand_perception.teleop.states import SIDES, Side, State
from hand_perception.teleop.vectors import Vector, as_vector

_TICK_S: Final = 0.01
#: joy_node repeats the state of a joystick 20 times a second.
_JOY_S: Final = 0.05
_START_NS: Final = 1_000_000_000_000
#: Faults of clock, process, clutch and arm; the others are those of the camera.
_OTHER_FAULTS: Final = (
    'clock jumps back', 'clock jumps ahead', 'teleop stalls', 'clutch storm', 'clutch silent',
    'arm blocked', 'arm silent',
)  # fmt: skip
FAULTS: Final = (*CAMERA_FAULTS, *_OTHER_FAULTS)
_MOMENTARY: Final = ('clock jumps back', 'clock jumps ahead')
#: Faults of one image; and sides that are swapped for less time than it takes to engage: a hand
#: that is on the wrong side from before the act until after it is no consumer's to notice.
_LENGTHS_S: Final = {
    'loss of one image': 0.034, 'outlier': 0.034, 'flip': 0.034,
    'ids swapped': 0.5, 'sides swapped': 0.5,
}  # fmt: skip
#: A fault comes when everybody has been engaged for about this long, seconds.
_CALM_S: Final = (0.5, 2.5)
#: Nor does it keep anybody waiting longer than this, seconds.
_PATIENCE_S: Final = 8.0
#: Traces of a fault are gone after this, seconds.
_AFTER_S: Final = 1.0
_STARTS: Final[dict[Side, Vector]] = {'left': (0.45, 0.2, 0.4), 'right': (0.45, -0.2, 0.4)}


class SafetyRun:
    """One run: a person, a camera, teleoperation and an arm per side, all at one clock."""

    def __init__(self, settings: TeleopSettings, *, seed: int, with_faults: bool = True) -> None:
        """Prepare a run that the seed decides.

        Args:
            settings: of the teleoperation, with arm_feedback.
            seed: of everything that is drawn.
            with_faults: False: a person and a camera without faults.
        """
        self._rng = np.random.default_rng(seed)
        self._settings = settings
        self._with_faults = with_faults
        self.counts = SafetyCounts()
        self.teleop = Teleoperation(settings)
        self.hands = {side: WanderingHand(side, self._rng) for side in SIDES}
        self.arms = {side: _arm(side, settings) for side in settings.active_sides}
        is_toggle = settings.clutch != 'service' and settings.dead_man == 'none'
        self._users = {
            side: ClutchUser(self.hands[side], self._rng, is_toggle=is_toggle)
            for side in settings.active_sides
        }
        self._judges = {
            side: SideJudge(
                self.counts, user.acts, max_age_s=settings.max_age_s,
                hold_timeout_s=settings.hold_timeout_s, tick_s=_TICK_S,
            )
            for side, user in self._users.items()
        }  # fmt: skip
        self._camera = FaultyCamera(self.hands, self._rng)
        self._mail: list[tuple[float, int, Delivery]] = []
        self._num_sent = 0
        self._time_s = 0.0
        self._offset_s = 0.0
        self._was_down = dict.fromkeys(settings.active_sides, False)
        self._joy_s = 0.0
        self._fault, self._fault_end_s = '', 0.0
        self._deck: list[str] = []
        self._calm_since_s = 0.0
        self._calm_for_s = 2.0

    def run(self, seconds: float) -> SafetyCounts:
        """Go on for some simulated seconds; gives the counts since the beginning."""
        for _ in range(round(seconds / _TICK_S)):
            self._step()
        counts = self.counts
        counts.arm_violations.clear()
        for arm in self.arms.values():
            counts.arm_violations.update(arm.violations)
        return counts

    @property
    def _clock_ns(self) -> int:
        return _START_NS + round((self._time_s + self._offset_s) * 1e9)

    def _step(self) -> None:
        self._time_s += _TICK_S
        self.counts.seconds += _TICK_S
        if self._with_faults:
            self._play_faults()
        for hand in self.hands.values():
            hand.move(_TICK_S)
        for message in self._camera.look(self._time_s, self._clock_ns):
            self._num_sent += 1
            heapq.heappush(self._mail, (message.at_s, self._num_sent, message))
        for side, user in self._users.items():
            state = next(s for s in self.teleop.states if s.side == side)
            user.act(self._time_s, state)
        if self._fault != 'teleop stalls':
            self._teleoperate()
        for arm in self.arms.values():
            arm.step(self._arm_ns)

    @property
    def _arm_ns(self) -> int:
        """The clock of the arms, which never jumps."""
        return _START_NS + round(self._time_s * 1e9)

    def _teleoperate(self) -> None:
        now_ns = self._clock_ns
        while self._mail and self._mail[0][0] <= self._time_s:
            message = heapq.heappop(self._mail)[2]
            self.teleop.hear_hand(message.side, message.hand, now_ns)
            if message.side in self._judges:
                self._judges[message.side].deliver(message)
        for side, arm in self.arms.items():
            if self._fault != 'arm silent':
                self.teleop.hear_arm(side, *arm.pose, now_ns)
        self._work_clutches(now_ns)
        is_fault_near = self._time_s < self._fault_end_s + _AFTER_S
        for output in self.teleop.tick(now_ns):
            side = output.state.side
            self._judges[side].watch(output, self._time_s, is_fault_near=is_fault_near)
            if output.commands is None:
                continue
            stamp_ns = self._arm_ns
            arm, commands = self.arms[side], output.commands
            arm.command(commands.target, stamp_ns=stamp_ns, now_ns=stamp_ns)
            if commands.gripper is not None:
                arm.command_gripper(commands.gripper, stamp_ns=stamp_ns, now_ns=stamp_ns)

    def _work_clutches(self, now_ns: int) -> None:
        is_joy_time = self._time_s >= self._joy_s
        if is_joy_time:
            self._joy_s = self._time_s + _JOY_S
        storm = None
        if self._fault == 'clutch storm':
            storm = round(self._time_s / (0.01 + 0.1 * self._camera.size)) % 2 == 0
        for side, user in self._users.items():
            if self._settings.clutch == 'service':
                self._call_service(side, user.is_down, storm, is_joy_time, now_ns)
            elif self._settings.clutch == 'pinch':
                lever = self.hands['left' if side == 'right' else 'right']
                is_closed = user.is_down if storm is None else storm
                lever.held_pinch = 0.97 if is_closed else 0.2
        if self._settings.clutch == 'button' and self._fault != 'clutch silent':
            states = [int(side in self._users and self._users[side].is_down) for side in SIDES]
            if is_joy_time:
                self.teleop.hear_joy([0, 0, 0, 0, *states], now_ns)
            if storm is not None:
                self.teleop.hear_joy([0, 0, 0, 0, int(storm), int(storm)], now_ns)

    def _call_service(
        self, side: Side, is_down: bool, storm: bool | None, is_time: bool, now_ns: int
    ) -> None:
        """Call like a bad client, that says again and again what it wants."""
        if storm is not None:
            self.teleop.hear_service(side, storm, now_ns)
        elif is_down != self._was_down[side] or (is_down and is_time):
            self.teleop.hear_service(side, is_down, now_ns)
        self._was_down[side] = is_down if storm is None else storm

    def _play_faults(self) -> None:
        if self._fault:
            if self._time_s >= self._fault_end_s:
                self._end_fault()
            return
        is_calm = all(state.state is State.ENGAGED for state in self.teleop.states)
        waited_s = self._time_s - self._fault_end_s
        if not is_calm and waited_s < _PATIENCE_S:
            self._calm_since_s = self._time_s
        elif self._time_s - self._calm_since_s >= self._calm_for_s or waited_s >= _PATIENCE_S:
            self._begin_fault()

    def _begin_fault(self) -> None:
        if not self._deck:
            self._deck = [str(fault) for fault in self._rng.permutation(FAULTS)]
        if self._deck[-1] == 'sides swapped' and not swap_is_visible(self.hands):
            return  # see docs/hand-contract.md: only perception can see that one
        fault, size = self._deck.pop(), float(self._rng.uniform())
        self._fault = fault
        seconds = _LENGTHS_S.get(fault, 0.05 + 1.2 * size)
        self._fault_end_s = self._time_s + (_TICK_S if fault in _MOMENTARY else seconds)
        self.counts.faults[fault] += 1
        self._camera.size = size
        self._camera.fault = fault if fault in CAMERA_FAULTS else ''
        if fault == 'clock jumps back':
            self._jump_clock(-(0.05 + 5 * size))
        elif fault == 'clock jumps ahead':
            self._jump_clock(0.5 + 20 * size)
        for arm in self.arms.values():
            arm.is_blocked = fault == 'arm blocked'

    def _end_fault(self) -> None:
        self._fault = ''
        self._fault_end_s = self._calm_since_s = self._time_s
        self._calm_for_s = float(self._rng.uniform(*_CALM_S))
        self._camera.fault = ''
        for arm in self.arms.values():
            arm.is_blocked = False

    def _jump_clock(self, seconds: float) -> None:
        self._offset_s += seconds
        for judge in self._judges.values():
            judge.jump_time()


def _arm(side: Side, settings: TeleopSettings) -> SimulatedArm:
    low, high = settings.box
    limits = CommandLimits(
        box=(as_vector(low), as_vector(high)),
        speed=settings.max_speed,
        acceleration=settings.max_acceleration,
        turn_speed=settings.max_turn_speed,
        turn_acceleration=settings.max_turn_acceleration,
    )
    return SimulatedArm((_STARTS[side], (0.0, 0.0, 0.0, 1.0)), limits)


def simulate(
    settings: TeleopSettings, *, seconds: float, seed: int = 0, with_faults: bool = True
) -> SafetyCounts:
    """Run a whole simulation and give its counts."""
    return SafetyRun(settings, seed=seed, with_faults=with_faults).run(seconds)
