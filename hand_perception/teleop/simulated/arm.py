"""A kinematic arm with a gripper that obeys only fresh commands and notes what was wrong."""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from hand_perception.teleop.limiter import Limits, MotionLimiter, Target
from hand_perception.teleop.vectors import (
    ZERO,
    Quaternion,
    Vector,
    length,
    scaled,
    subtract,
    turn_between,
)

#: Relative rounding of differences of float64 positions over one tick.
_ROUNDING: Final = 1e-6
#: The arm itself: how closely and how hard it follows.
_RESPONSE_S: Final = 0.02
_ARM_SPEED, _ARM_ACCELERATION = 1.0, 10.0
_ARM_TURN_SPEED, _ARM_TURN_ACCELERATION = 3.0, 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLimits:
    """What commands must keep; measured from their differences, not from what they claim.

    Attributes:
        box: least and greatest position, metres.
        speed: metres per second.
        acceleration: metres per second squared.
        turn_speed: radians per second.
        turn_acceleration: radians per second squared.
    """

    box: tuple[Vector, Vector]
    speed: float
    acceleration: float
    turn_speed: float
    turn_acceleration: float


@dataclass(frozen=True, slots=True)
class _Command:
    target: Target
    now_ns: int
    seconds: float  # since the command before
    linear: Vector  # mean over that time
    angular: Vector


class SimulatedArm:
    """Moves to where fresh commands say; brakes by itself when they cease.

    ``violations`` counts, by name, what an arm should never be told: ``stale`` and ``future``
    stamps, ``malformed`` numbers, places ``outside`` the box, ``jump`` (speed), ``kick``
    (acceleration), ``turn jump``, ``turn kick``, and a ``twist`` that is not the motion.
    """

    def __init__(
        self,
        start: tuple[Vector, Quaternion],
        limits: CommandLimits,
        *,
        timeout_s: float = 0.1,
    ) -> None:
        """Rest at a start.

        Args:
            start: position and unit quaternion, base of the robot.
            limits: what commands have to keep.
            timeout_s: age from which a command is not obeyed any more (MoveIt Servo: 0.1).
        """
        self.violations: Counter[str] = Counter()
        self.num_commands = 0
        self.gripper: float | None = None
        self.is_blocked = False  #: an emergency stop: commands are heard, nothing moves
        self._limits = limits
        self._timeout_ns = round(timeout_s * 1e9)
        self._command: _Command | None = None
        self._step_ns: int | None = None
        self._start_motion(start)

    def _start_motion(self, start: tuple[Vector, Quaternion]) -> None:
        far = 1e3  # the arm has no box of its own: it goes where it is told
        self._motion = MotionLimiter(
            box=((-far, -far, -far), (far, far, far)),
            translation=Limits(
                speed=_ARM_SPEED, acceleration=_ARM_ACCELERATION, response_s=_RESPONSE_S
            ),
            rotation=Limits(
                speed=_ARM_TURN_SPEED, acceleration=_ARM_TURN_ACCELERATION, response_s=_RESPONSE_S
            ),
            ramp_s=0.0,
            start=start,
        )

    @property
    def pose(self) -> tuple[Vector, Quaternion]:
        """Where the arm is."""
        target = self._motion.target
        return target.position, target.quaternion

    @property
    def speed(self) -> float:
        """How fast it moves, metres per second."""
        return length(self._motion.target.linear)

    def command(self, target: Target, *, stamp_ns: int, now_ns: int) -> bool:
        """Take a target; tells whether it will be obeyed."""
        self.num_commands += 1
        if now_ns - stamp_ns >= self._timeout_ns:
            self.violations['stale'] += 1
            return False
        if stamp_ns > now_ns:
            self.violations['future'] += 1
            return False
        numbers = (*target.position, *target.quaternion, *target.linear, *target.angular)
        if not all(abs(n) < 1e3 for n in numbers) or abs(length(target.quaternion) - 1) > 1e-6:
            self.violations['malformed'] += 1
            return False
        self._check(target, now_ns)
        return True

    def command_gripper(self, value: float, *, stamp_ns: int, now_ns: int) -> bool:
        """Take a place of the gripper, 0 open to 1 closed; tells whether it is obeyed."""
        if now_ns - stamp_ns >= self._timeout_ns:
            self.violations['stale'] += 1
            return False
        if not 0 <= value <= 1:
            self.violations['malformed'] += 1
            return False
        if not self.is_blocked:
            self.gripper = value
        return True

    def step(self, now_ns: int) -> None:
        """Move on to a later time."""
        seconds = 0.0 if self._step_ns is None else (now_ns - self._step_ns) * 1e-9
        self._step_ns = now_ns
        if self.is_blocked:
            self._start_motion(self.pose)
        elif self._command is not None and now_ns - self._command.now_ns < self._timeout_ns:
            target = self._command.target
            self._motion.follow(target.position, target.quaternion, seconds)
        else:
            self._motion.brake(seconds)

    def _check(self, target: Target, now_ns: int) -> None:
        """Compare a command with the one before, or with the arm where none is fresh."""
        limits, last = self._limits, self._command
        inside = all(
            low <= p <= high
            for p, low, high in zip(target.position, *limits.box, strict=True)
        )  # fmt: skip
        if not inside:
            self.violations['outside'] += 1
        is_first = last is None or now_ns - last.now_ns >= self._timeout_ns
        if last is None or is_first:
            # The first command may ask for what can be reached from rest within one tick.
            position, quaternion = self.pose
            seconds = before_s = 0.01
            before_linear, before_angular = ZERO, ZERO
        else:
            position, quaternion = last.target.position, last.target.quaternion
            seconds, before_s = (now_ns - last.now_ns) * 1e-9, last.seconds
            before_linear, before_angular = last.linear, last.angular
        if seconds <= 0:
            return
        linear = scaled(subtract(target.position, position), 1 / seconds)
        angular = scaled(turn_between(quaternion, target.quaternion), 1 / seconds)
        between_s = (seconds + before_s) / 2
        checks = (
            ('jump', length(linear), limits.speed),
            ('turn jump', length(angular), limits.turn_speed),
            ('kick', length(subtract(linear, before_linear)) / between_s, limits.acceleration),
            (
                'turn kick',
                length(subtract(angular, before_angular)) / between_s,
                limits.turn_acceleration,
            ),
        )
        # Rounding of positions near 1 m, over one tick for speed and over two for acceleration.
        for name, value, limit in checks:
            if value > limit * (1 + _ROUNDING) + 1e-9 / seconds:
                self.violations[name] += 1
        if last is not None and not is_first:
            claimed = scaled(subtract(target.linear, scaled(last.target.linear, -1.0)), 0.5)
            if length(subtract(claimed, linear)) > limits.acceleration * seconds / 2 + 1e-9:
                self.violations['twist'] += 1
        self._command = _Command(target, now_ns, seconds, linear, angular)
