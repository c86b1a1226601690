"""Motion of a target that keeps speed and acceleration limits at every moment, and a box.

Between two steps the velocity changes linearly, so the limits hold in between, too, whatever the
time between steps is. The safety of the box is an invariant: a full brake from here ends inside.
A step that would break it is pulled back towards the full brake, which never does.
"""

import math
from dataclasses import dataclass
from typing import Final

from hand_perception.teleop.vectors import (
    ZERO,
    Quaternion,
    Vector,
    add,
    as_quaternion,
    between,
    clamped,
    dot,
    length,
    multiply,
    quaternion_from_vector,
    scaled,
    subtract,
    turn_between,
)

#: Halvings in the search for the widest step that still can stop inside the box: 1e-4 of it.
_SEARCH_STEPS: Final = 14
#: Metres by which rounding may leave the box.
_ROUNDING_M: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of translation (m) or rotation (rad).

    Attributes:
        speed: per second.
        acceleration: per second squared.
        response_s: time constant of following; 0 follows as fast as the limits allow.
    """

    speed: float
    acceleration: float
    response_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where an arm should be at one moment, and how it moves there; base of the robot.

    Attributes:
        position: metres.
        quaternion: x y z w.
        linear: metres per second.
        angular: radians per second, about the axes of the base.
    """

    position: Vector
    quaternion: Quaternion
    linear: Vector
    angular: Vector


class MotionLimiter:
    """Follows goals from a start at rest; never faster, never outside the box, no overshoot."""

    def __init__(
        self,
        *,
        box: tuple[Vector, Vector],
        translation: Limits,
        rotation: Limits,
        ramp_s: float,
        start: tuple[Vector, Quaternion],
    ) -> None:
        """Rest at a start, which must lie in the box.

        Args:
            box: least and greatest position.
            translation: limits in metres.
            rotation: limits in radians.
            ramp_s: time over which the speed limits grow from 0 to their values.
            start: position and unit quaternion.
        """
        self._low, self._high = box
        self._translation, self._rotation = translation, rotation
        self._ramp_s = ramp_s
        self._seconds = 0.0
        self._position = clamped(start[0], *box)
        self._quaternion = start[1]
        self._linear, self._angular = ZERO, ZERO

    @property
    def target(self) -> Target:
        """Where the motion is now."""
        return Target(
            position=self._position,
            quaternion=self._quaternion,
            linear=self._linear,
            angular=self._angular,
        )

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing moves."""
        return self._linear == ZERO and self._angular == ZERO

    def follow(self, position: Vector, quaternion: Quaternion, seconds: float) -> Target:
        """Take one step towards a goal; a position outside the box counts as its nearest point."""
        if seconds <= 0:
            return self.target
        share = self._ramp_share(seconds)
        goal = clamped(position, self._low, self._high)
        linear = next_velocity(
            subtract(goal, self._position), self._linear, self._translation, share, seconds
        )
        self._translate(linear, seconds)
        angular = next_velocity(
            turn_between(self._quaternion, quaternion), self._angular, self._rotation, share,
            seconds,
        )  # fmt: skip
        self._turn(_way(self._angular, angular, self._rotation, seconds), angular)
        return self.target

    def brake(self, seconds: float) -> Target:
        """Take one step of stopping along the way that the motion has, with full deceleration."""
        if seconds <= 0:
            return self.target
        moved, self._linear = _braked(self._linear, self._translation.acceleration, seconds)
        self._position = add(self._position, moved)
        turned, angular = _braked(self._angular, self._rotation.acceleration, seconds)
        self._turn(turned, angular)
        return self.target

    def _ramp_share(self, seconds: float) -> float:
        self._seconds += seconds
        return min(1.0, self._seconds / self._ramp_s) if self._ramp_s > 0 else 1.0

    def _turn(self, turned: Vector, angular: Vector) -> None:
        step = quaternion_from_vector(turned)
        self._quaternion = as_quaternion(multiply(step, self._quaternion))
        self._angular = angular

    def _translate(self, velocity: Vector, seconds: float) -> None:
        """Move with a new velocity, or with the part of the change to it that keeps the box."""
        if not self._keeps_box(velocity, seconds):
            brake = _braked(self._linear, self._translation.acceleration, seconds)
            low, high = 0.0, 1.0
            for _ in range(_SEARCH_STEPS):
                middle = (low + high) / 2
                if self._keeps_box(between(brake[1], velocity, middle), seconds):
                    low = middle
                else:
                    high = middle
            if low == 0:
                self._position = add(self._position, brake[0])
                self._linear = brake[1]
                return
            velocity = between(brake[1], velocity, low)
        self._position = self._moved(velocity, seconds)
        self._linear = velocity

    def _moved(self, velocity: Vector, seconds: float) -> Vector:
        return add(self._position, _way(self._linear, velocity, self._translation, seconds))

    def _keeps_box(self, velocity: Vector, seconds: float) -> bool:
        """Whether the step, and a full brake after it, end inside."""
        position = self._moved(velocity, seconds)
        reach_s = length(velocity) / (2 * self._translation.acceleration)
        return all(
            low - _ROUNDING_M <= p <= high + _ROUNDING_M
            and low - _ROUNDING_M <= p + v * reach_s <= high + _ROUNDING_M
            for p, v, low, high in zip(position, velocity, self._low, self._high, strict=True)
        )


def next_velocity(
    error: Vector, velocity: Vector, limits: Limits, ramp_share: float, seconds: float
) -> Vector:
    """Choose the velocity at the end of a step.

    Args:
        error: from here to the goal, metres or radians.
        velocity: at the beginning of the step.
        limits: of speed and acceleration.
        ramp_share: 0-1 of the speed that is allowed now.
        seconds: length of the step.

    Returns:
        Towards the goal, as fast as lets the motion still stop there; within the acceleration of
        ``velocity``, and no faster than the greater of it and the limit.
    """
    distance = length(error)
    change = limits.acceleration * seconds
    wanted = ZERO
    if distance > 0:
        direction = scaled(error, 1 / distance)
        # (v + u) t/2 + u^2 / 2a <= distance, solved for the speed u at the end of the step.
        half = change / 2
        square = (
            half * half + 2 * limits.acceleration * distance - change * dot(velocity, direction)
        )
        can_stop = math.sqrt(square) - half if square > half * half else 0.0
        follows = distance / (limits.response_s + seconds / 2)
        speed = min(limits.speed * ramp_share, can_stop, follows)
        wanted = scaled(direction, speed)
    difference = subtract(wanted, velocity)
    size = length(difference)
    if size <= change:
        return wanted
    return add(velocity, scaled(difference, change / size))


def _way(before: Vector, after: Vector, limits: Limits, seconds: float) -> Vector:
    """Give the way of a step: velocity changes evenly, but to rest as soon as it can.

    A motion that slowed down to rest over the whole step would go farther than a full brake, and
    so past the goal or out of the box.
    """
    if after == ZERO:
        return _braked(before, limits.acceleration, seconds)[0]
    return scaled(add(before, after), seconds / 2)


def _braked(velocity: Vector, acceleration: float, seconds: float) -> tuple[Vector, Vector]:
    """Give the way and the velocity after a step of full braking, which may end within it."""
    speed = length(velocity)
    if speed <= acceleration * seconds:
        return scaled(velocity, speed / (2 * acceleration)), ZERO
    after = scaled(velocity, 1 - acceleration * seconds / speed)
    return scaled(add(velocity, after), seconds / 2), after
