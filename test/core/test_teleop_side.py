"""When an arm follows a hand, and when it must not: the rules one by one, at 100 Hz."""

import math

import numpy as np
import pytest
from teleop_fakes import (
    LATENCY_NS,
    SECOND,
    STILL,
    TICK_NS,
    Table,
    commands_of,
    lose,
    move_right_hand,
)

from hand_perception.teleop.states import Reason, State
from hand_perception.teleop.vectors import angle_between, length, quaternion_from_vector, subtract


def test_it_begins_idle_and_says_nothing():
    table = Table()
    outputs = table.run(1.0)
    assert table.state is State.IDLE
    assert not commands_of(outputs)
    assert [output.is_new_state for output in outputs[:3]] == [True, False, False]


def test_asking_with_a_still_hand_engages_and_the_arm_stays_where_it_is():
    table = Table().engage()
    commands = commands_of(table.run(0.5))
    assert len(commands) == 50
    for command in commands:
        # The hand trembles by 10 micrometres.
        assert command.target.position == pytest.approx((0.4, 0.0, 0.4), abs=3e-5)
        assert angle_between(command.target.quaternion, STILL) < 1e-6


def test_the_arm_follows_the_hand_and_the_commands_carry_all_of_it():
    table = Table(ramp_s=0.2).engage()
    outputs = move_right_hand(table, 1.0)
    outputs += table.run(1.0)
    last = commands_of(outputs)[-1]
    way = table.hand['position'][2] - 0.4
    assert last.target.position == pytest.approx((0.4 + way, 0.0, 0.4), abs=1e-4)
    assert last.image_stamp_ns > table.now_ns - 2 * LATENCY_NS
    assert last.gripper == pytest.approx((0.2 - 0.1) / 0.8)
    assert len(last.flexion) == 15
    assert last.robot_joints is None
    moving = [c.target.linear[0] for c in commands_of(outputs)]
    assert max(moving) == pytest.approx(0.1, rel=0.1)


def test_the_arm_turns_with_the_hand():
    table = Table(ramp_s=0.0).engage()
    for number in range(60):
        table.hand['quaternion'] = quaternion_from_vector((0.0, 0.0, 0.005 * number))
        table.tick()
    table.run(1.0)
    turn = quaternion_from_vector((0.005 * 59, 0.0, 0.0))  # the view axis is x of the base
    assert angle_between(table.arm[1], turn) < 1e-3


def test_a_hand_that_moves_is_not_engaged_and_the_act_is_used_up():
    table = Table(engage_timeout_s=1.0)
    table.run(0.3)
    assert table.call(True)[0]
    outputs = move_right_hand(table, 0.9)
    assert table.state is State.WAITING
    assert table.reason is Reason.MOVING
    outputs += move_right_hand(table, 0.3)
    assert table.state is State.DISENGAGED
    assert table.reason is Reason.NOT_STILL
    outputs += table.run(3.0)  # still now, and the service still says engage
    assert table.state is State.DISENGAGED
    assert not commands_of(outputs)


def test_a_hand_that_comes_to_rest_in_time_is_engaged_where_it_rests():
    table = Table()
    table.run(0.3)
    table.call(True)
    move_right_hand(table, 1.0, speed=0.2)
    table.run(1.5)
    assert table.state is State.ENGAGED
    # The last of the motion may be in the mean, as far as it is within still_radius_m.
    assert table.arm[0] == pytest.approx((0.4, 0.0, 0.4), abs=0.012)


def test_the_anchor_is_made_of_images_from_after_the_act_alone():
    table = Table(anchor_s=0.4)
    table.run(1.0)  # still all the time: that does not count
    table.call(True)
    asked_ns = table.now_ns
    while table.tick().state.state is not State.ENGAGED:
        assert table.now_ns < asked_ns + SECOND
    newest = table.teleop.hand_status('right', table.now_ns).hand
    assert newest.stamp_ns - asked_ns > 0.4 * SECOND


def test_asking_again_while_engaged_is_answered_with_what_it_is_and_changes_nothing():
    table = Table()
    table.run(0.3)
    table.call(True)
    table.run(0.1)
    assert table.call(True) == (False, 'right is waiting already; this changes nothing')
    table.run(1.0)
    assert table.call(True) == (False, 'right is engaged already; this changes nothing')
    table.run(0.5)
    assert table.state is State.ENGAGED


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        ({'tracked': False}, Reason.UNTRACKED),
        ({'confidence': 0.1}, Reason.LOW_CONFIDENCE),
        ({'age_s': 3.0}, Reason.STALE),
    ],
)
def test_asking_without_a_usable_hand_is_refused_for_good(change, reason):
    table = Table()
    table.hand = change
    table.run(0.3)
    accepted, words = table.call(True)
    assert not accepted
    assert reason.value in words
    table.run(0.1)
    assert (table.state, table.reason) == (State.DISENGAGED, reason)
    table.hand = {}
    outputs = table.run(3.0)  # the hand comes; nobody asked since
    assert table.state is State.DISENGAGED
    assert not commands_of(outputs)


def test_a_hand_that_is_lost_while_waiting_ends_the_wish():
    table = Table()
    table.run(0.3)
    table.call(True)
    table.run(0.1)
    assert table.state is State.WAITING
    lose(table)
    table.run(0.1)
    table.hand = {}
    table.run(3.0)
    assert (table.state, table.reason) == (State.DISENGAGED, Reason.UNTRACKED)


def test_releasing_brings_the_arm_to_rest_within_the_limits():
    table = Table(ramp_s=0.0).engage()
    move_right_hand(table, 1.0, speed=0.2)
    speed = length(table.outputs[-1][1].commands.target.linear)
    assert speed > 0.15
    table.call(False)
    braking = []
    while table.state is State.ENGAGED:
        output = table.tick()
        if output.commands is not None:
            braking.append(output.commands)
    assert all(command.gripper is None and command.flexion is None for command in braking)
    speeds = [length(command.target.linear) for command in braking]
    assert speeds == sorted(speeds, reverse=True)
    assert speeds[-1] == 0.0
    for before, after in zip(speeds, speeds[1:], strict=False):
        assert before - after <= 1.5 * 0.01 + 1e-9  # max_acceleration in a tick
    assert (table.state, table.reason) == (State.DISENGAGED, Reason.RELEASED)
    assert not commands_of(table.run(1.0))


def test_live_settings_count_from_the_next_engagement():
    table = Table(ramp_s=0.0).engage()
    table.teleop.use(table.settings.replace(scale=0.5))
    start = table.arm[0][0]
    move_right_hand(table, 0.5)
    table.run(1.0)
    assert table.arm[0][0] - start == pytest.approx(0.05, abs=1e-3)
    table.call(False)
    table.run(0.3)
    table.engage()
    start = table.arm[0][0]
    move_right_hand(table, 0.5)
    table.run(1.0)
    assert table.arm[0][0] - start == pytest.approx(0.025, abs=1e-3)


def test_the_state_tells_itself_in_one_line():
    table = Table().engage()
    lose(table)
    table.run(0.1)
    assert table.outputs[-1][1].state.text == 'right holding: the hand is not tracked'


@pytest.mark.parametrize('seed', range(8))
def test_in_a_random_storm_commands_come_only_while_engaged_and_within_the_speed(seed):
    """Hands, calls, stalls and jumps of time in any order; a seed is 40 seconds."""
    rng = np.random.default_rng(seed)
    table = Table(ramp_s=0.1, settle_s=0.0, anchor_s=0.1, sides='right')
    place = np.array([0.1, 0.1, 0.4])
    faults = [None, {'tracked': False}, {'track_id': 99}, {'position': (math.nan, 0, 0)}]
    last = None
    num_commands = 0
    for _ in range(4000):
        if rng.random() < 0.02:
            table.call(bool(rng.random() < 0.7))
        place = np.clip(place + rng.normal(0, 1e-3, 3), [0, 0, 0.3], [0.3, 0.3, 0.6])
        table.hand = {'position': tuple(place)}
        if rng.random() < 0.01:
            fault = faults[int(rng.integers(len(faults)))]
            table.hand = None if fault is None else {**table.hand, **fault}
        if rng.random() < 0.001:
            table.now_ns += int(rng.uniform(-5, 5) * SECOND)
        step_ns = TICK_NS if rng.random() < 0.97 else int(rng.uniform(0, 0.2) * SECOND)
        output = table.tick(step_ns)
        if output.commands is None:
            last = None
            continue
        num_commands += 1
        target = output.commands.target
        assert output.state.state is State.ENGAGED
        assert all(map(math.isfinite, (*target.position, *target.quaternion)))
        if last is not None and step_ns > 0:
            assert length(subtract(target.position, last)) <= 0.25 * step_ns / SECOND + 1e-9
        last = target.position
    assert num_commands > 100
