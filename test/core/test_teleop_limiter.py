"""The motion of targets: limits that always hold, a box that is never left, no overshoot."""

import math

import numpy as np
import pytest

from hand_perception.teleop.limiter import Limits, MotionLimiter
from hand_perception.teleop.vectors import (
    as_quaternion,
    length,
    quaternion_from_vector,
    subtract,
    turn_between,
)

TICK_S = 0.01
STILL = (0.0, 0.0, 0.0, 1.0)
ORIGIN = (0.0, 0.0, 0.0)
BOX = ((-0.3, -0.3, -0.3), (0.3, 0.3, 0.3))
#: Rounding of a speed measured over one tick: 1e-16 m / 0.01 s, with room.
ATOL = 1e-9


def limiter(**changes):
    options = {
        'box': BOX,
        'translation': Limits(speed=0.25, acceleration=1.5, response_s=0.08),
        'rotation': Limits(speed=0.8, acceleration=5.0, response_s=0.08),
        'ramp_s': 0.0,
        'start': (ORIGIN, STILL),
    }
    return MotionLimiter(**{**options, **changes})


def follow(motion, position, seconds, *, quaternion=STILL, tick_s=TICK_S):
    return [motion.follow(position, quaternion, tick_s) for _ in range(round(seconds / tick_s))]


def assert_within_limits(targets, seconds, *, speed, acceleration, turn_speed, turn_acceleration):
    """Measure speeds and accelerations from the poses alone; the first target is at rest."""
    before_linear = before_angular = ORIGIN
    before_s = seconds[0]
    for a, b, step_s in zip(targets, targets[1:], seconds, strict=False):
        linear = np.subtract(b.position, a.position) / step_s
        angular = np.array(turn_between(a.quaternion, b.quaternion)) / step_s
        between_s = (step_s + before_s) / 2
        assert np.linalg.norm(linear) <= speed + ATOL
        assert np.linalg.norm(angular) <= turn_speed + ATOL
        assert np.linalg.norm(linear - before_linear) / between_s <= acceleration + 1e-6
        # Quaternions resolve 1e-16 rad, over two ticks of 1 ms 1e-10 rad/s^2; with room.
        assert np.linalg.norm(angular - before_angular) / between_s <= turn_acceleration + 1e-6
        before_linear, before_angular, before_s = linear, angular, step_s


def test_a_goal_is_reached_and_never_passed():
    targets = follow(limiter(), (0.2, 0.0, 0.0), 3.0)
    ways = [target.position[0] for target in targets]
    assert ways == sorted(ways)
    assert ways[-1] == pytest.approx(0.2, abs=1e-6)
    assert max(ways) <= 0.2


@pytest.mark.parametrize('response_s', [0.0, 0.01, 0.08, 0.5])
@pytest.mark.parametrize('tick_s', [0.001, 0.01, 0.05])
def test_no_step_overshoots_at_any_response_and_rate(response_s, tick_s):
    motion = limiter(translation=Limits(speed=0.25, acceleration=1.5, response_s=response_s))
    for target in follow(motion, (0.05, 0.0, 0.0), 4.0, tick_s=tick_s):
        assert target.position[0] <= 0.05 + 1e-12
    assert motion.target.position[0] == pytest.approx(0.05, abs=2e-3)


def test_a_turn_is_reached_and_never_passed():
    goal = quaternion_from_vector((0.0, 0.9, 0.0))
    turns = [
        turn_between(STILL, target.quaternion)[1]
        for target in follow(limiter(), ORIGIN, 3.0, quaternion=goal)
    ]
    assert turns == sorted(turns)
    assert turns[-1] == pytest.approx(0.9, abs=1e-6)
    assert max(turns) <= 0.9 + 1e-9


def test_the_way_to_a_far_goal_takes_the_full_speed():
    motion = limiter()
    follow(motion, (0.3, 0.0, 0.0), 0.6)
    assert length(motion.target.linear) == pytest.approx(0.25, rel=1e-9)


def test_after_engaging_the_speed_grows_over_the_ramp():
    motion = limiter(ramp_s=1.0)
    speeds = [length(t.linear) for t in follow(motion, (0.3, 0.0, 0.0), 1.5)]
    for number, speed in enumerate(speeds, 1):
        assert speed <= 0.25 * min(1.0, number * TICK_S) + ATOL
    assert max(speeds) == pytest.approx(0.25, rel=1e-6)


def test_a_goal_outside_the_box_ends_at_its_face_without_passing_it():
    motion = limiter()
    targets = follow(motion, (5.0, -7.0, 0.1), 6.0)
    for target in targets:
        assert all(abs(value) <= 0.3 + 1e-9 for value in target.position)
    assert motion.target.position == pytest.approx((0.3, -0.3, 0.1), abs=1e-5)


def test_braking_stops_on_the_way_and_within_the_least_distance():
    motion = limiter()
    follow(motion, (0.3, 0.0, 0.0), 0.6)
    start, speed = motion.target.position, length(motion.target.linear)
    while not motion.is_at_rest:
        motion.brake(TICK_S)
    way = subtract(motion.target.position, start)
    assert way == pytest.approx((speed**2 / (2 * 1.5), 0.0, 0.0), abs=1e-12)
    assert motion.brake(TICK_S).position == motion.target.position


def test_the_brake_takes_the_same_way_whatever_the_ticks_are():
    ways = []
    for tick_s in (0.001, 0.01, 0.07, 1.0):
        motion = limiter()
        follow(motion, (0.3, 0.0, 0.0), 0.6)
        start = motion.target.position
        while not motion.is_at_rest:
            motion.brake(tick_s)
        ways.append(motion.target.position[0] - start[0])
    assert ways == pytest.approx([ways[0]] * 4, abs=1e-12)


def test_a_tick_without_time_changes_nothing():
    motion = limiter()
    follow(motion, (0.3, 0.0, 0.0), 0.2)
    before = motion.target
    assert motion.follow((0.0, 0.3, 0.0), STILL, 0.0) == before
    assert motion.brake(0.0) == before


def test_the_twist_is_the_motion():
    motion = limiter()
    rng = np.random.default_rng(0)
    before = motion.target
    for _ in range(500):
        goal = tuple(rng.uniform(-0.3, 0.3, 3))
        for _ in range(int(rng.integers(1, 30))):
            now = motion.follow(goal, STILL, TICK_S)
            mean = np.add(before.linear, now.linear) / 2
            # In the box the way of a tick is the mean of both velocities.
            assert np.subtract(now.position, before.position) == pytest.approx(
                mean * TICK_S, abs=1e-9
            )
            before = now


@pytest.mark.parametrize('seed', range(30))
def test_random_goals_jumps_and_brakes_never_break_a_limit_or_leave_the_box(seed):
    """Goals jump anywhere, ticks have any length, brakes come at any time."""
    rng = np.random.default_rng(seed)
    limits = {
        'speed': float(rng.uniform(0.05, 2.0)),
        'acceleration': float(rng.uniform(0.2, 10.0)),
        'turn_speed': float(rng.uniform(0.1, 3.0)),
        'turn_acceleration': float(rng.uniform(0.5, 30.0)),
    }
    response_s = float(rng.choice([0.0, 0.03, 0.2]))
    motion = limiter(
        translation=Limits(
            speed=limits['speed'], acceleration=limits['acceleration'], response_s=response_s
        ),
        rotation=Limits(
            speed=limits['turn_speed'], acceleration=limits['turn_acceleration'],
            response_s=response_s,
        ),
        ramp_s=float(rng.choice([0.0, 0.5])),
    )  # fmt: skip
    targets, seconds = [motion.target], []
    goal, turn, is_braking = ORIGIN, STILL, False
    has_even_ticks = seed % 2 == 0
    for _ in range(1500):
        if rng.random() < 0.05:
            goal = tuple(rng.uniform(-0.6, 0.6, 3))
            turn = as_quaternion(rng.normal(size=4))
            is_braking = rng.random() < 0.2
        step_s = TICK_S if has_even_ticks else float(rng.uniform(0.001, 0.04))
        seconds.append(step_s)
        target = motion.brake(step_s) if is_braking else motion.follow(goal, turn, step_s)
        targets.append(target)
        assert all(abs(value) <= 0.3 + 2e-9 for value in target.position)
        assert length(target.quaternion) == pytest.approx(1.0, abs=1e-9)
        assert length(target.linear) <= limits['speed'] + ATOL
        assert length(target.angular) <= limits['turn_speed'] + ATOL
        # From here a full brake still ends inside.
        reach_s = length(target.linear) / (2 * limits['acceleration'])
        for place, speed in zip(target.position, target.linear, strict=True):
            assert abs(place + speed * reach_s) <= 0.3 + 2e-9
    assert_within_limits(targets, seconds, **limits)
    assert max(abs(v) for t in targets for v in t.position) > 0.2  # it really went somewhere


def test_a_half_turn_is_followed_along_one_side():
    goal = quaternion_from_vector((0.0, 0.0, math.pi - 1e-3))
    motion = limiter()
    follow(motion, ORIGIN, 8.0, quaternion=goal)
    assert length(turn_between(motion.target.quaternion, goal)) < 1e-3
