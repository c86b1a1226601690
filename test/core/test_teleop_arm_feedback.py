"""Where the arm is, and who else moves it: not engaged, let go, and kept in its box."""

import math

import pytest
from teleop_fakes import (
    STILL,
    Table,
    commands_of,
    move_right_hand,
)

from hand_perception.teleop.states import Reason, State
from hand_perception.teleop.vectors import length, subtract


@pytest.mark.parametrize(
    'arm',
    [
        ((math.nan, 0.0, 0.4), STILL),
        ((math.inf, 0.0, 0.4), STILL),
        ((0.4, 0.0, 0.4), (0.0, 0.0, 0.0, 0.0)),
        ((0.4, 0.0, 0.4), (0.0, 0.0, 0.0, math.nan)),
    ],
)
def test_an_arm_that_is_nowhere_is_not_engaged_and_stops_an_engaged_side(arm):
    table = Table()
    table.arm = arm
    table.run(0.3)
    accepted, words = table.call(True)
    assert not accepted
    assert Reason.NO_ARM_POSE.value in words
    table = Table().engage()
    table.arm_is_heard = False  # the table would tell the last target again
    for _ in range(25):
        table.tick()
        problem = table.teleop.hear_arm('right', *arm, table.now_ns)
        assert 'expected a finite position in metres and a quaternion of length 1' in problem
    assert not table.teleop.hear_arm('right', (0.4, 0.0, 0.4), STILL, table.now_ns)
    assert (table.state, table.reason) == (State.HOLDING, Reason.NO_ARM_POSE)


def test_an_arm_with_another_master_is_not_engaged_and_is_let_go():
    table = Table()
    table.run(0.3)
    table.teleop.hear_rival('right', True)
    accepted, words = table.call(True)
    assert not accepted
    assert Reason.TWO_MASTERS.value in words
    table.run(0.1)
    assert (table.state, table.reason) == (State.DISENGAGED, Reason.TWO_MASTERS)
    table.call(False)
    table.teleop.hear_rival('right', False)
    table.engage()
    table.teleop.hear_rival('right', True)
    assert table.tick().commands is None
    assert (table.state, table.reason) == (State.HOLDING, Reason.TWO_MASTERS)
    table.teleop.hear_rival('right', False)
    outputs = table.run(2.0)  # it is gone; nobody asked since
    assert (table.state, table.reason) == (State.DISENGAGED, Reason.TWO_MASTERS)
    assert not commands_of(outputs)


def test_a_master_that_comes_while_the_hand_is_held_still_ends_the_wish():
    table = Table()
    table.run(0.3)
    table.call(True)
    table.run(0.1)
    assert table.state is State.WAITING
    table.teleop.hear_rival('right', True)
    outputs = table.run(1.0)
    assert (table.state, table.reason) == (State.DISENGAGED, Reason.TWO_MASTERS)
    assert not commands_of(outputs)


def test_without_the_pose_of_the_arm_nothing_is_engaged():
    table = Table()
    table.arm_is_heard = False
    table.run(0.3)
    accepted, words = table.call(True)
    assert not accepted
    assert Reason.NO_ARM_POSE.value in words
    table.run(1.0)
    assert (table.state, table.reason) == (State.DISENGAGED, Reason.NO_ARM_POSE)


def test_an_arm_that_falls_silent_is_let_go():
    table = Table().engage()
    table.arm_is_heard = False
    outputs = table.run(1.0)
    assert 15 <= len(commands_of(outputs)) <= 21  # 0.2 s
    assert (table.state, table.reason) == (State.DISENGAGED, Reason.NO_ARM_POSE)


def test_an_arm_that_does_not_follow_is_let_go_before_its_target_runs_away():
    table = Table(max_arm_lag_m=0.05, ramp_s=0.0).engage()
    stuck = table.arm
    farthest = 0.0
    for _ in range(200):
        x, y, z = table.hand.get('position', (0.1, 0.1, 0.4))
        table.hand['position'] = (x, y, z + 0.002)
        table.tick()
        if table.outputs[-1][1].commands is not None:
            target = table.outputs[-1][1].commands.target.position
            farthest = max(farthest, length(subtract(target, stuck[0])))
        table.arm = stuck
    assert (table.state, table.reason) == (State.DISENGAGED, Reason.ARM_LAGS)
    assert farthest < 0.05 + 0.25 * 0.02  # the limit and two ticks


def test_an_arm_outside_the_box_is_not_engaged():
    table = Table()
    table.arm = ((0.1, 0.0, 0.4), STILL)
    table.run(0.3)
    assert not table.call(True)[0]
    table.run(0.1)
    assert (table.state, table.reason) == (State.DISENGAGED, Reason.ARM_OUTSIDE)


def test_an_arm_at_the_face_of_the_box_is_engaged_and_does_not_creep():
    table = Table()
    table.arm = ((0.2, 0.0, 0.4), STILL)
    table.engage()
    table.run(1.0)
    assert table.arm[0] == pytest.approx((0.2, 0.0, 0.4), abs=3e-5)


def test_targets_stay_in_the_box_wherever_the_hand_goes():
    table = Table(ramp_s=0.0, max_arm_lag_m=1.0).engage()
    move_right_hand(table, 2.0, speed=0.5)
    for command in commands_of([output for _, output in table.outputs]):
        assert command.target.position[0] <= 0.7
    assert table.arm[0][0] > 0.69


def test_without_feedback_it_starts_from_the_start_pose_then_from_the_last_target():
    table = Table(arm_feedback=False, start_pose='0.5 0.1 0.3 0 0 0 1', ramp_s=0.0)
    table.arm_is_heard = False
    table.engage()
    first = commands_of(table.run(0.1))[0]
    assert first.target.position == pytest.approx((0.5, 0.1, 0.3), abs=1e-4)
    move_right_hand(table, 1.0)
    table.call(False)
    table.run(1.0)
    last = table.arm[0]
    assert last[0] > 0.55
    table.engage()
    assert commands_of(table.run(0.1))[0].target.position == pytest.approx(last, abs=1e-4)


def test_an_open_hand_does_not_open_the_gripper_after_engaging_again():
    table = Table()
    table.hand = {'pinch': 0.95}
    table.engage()
    assert commands_of(table.run(0.1))[-1].gripper == 1.0
    table.call(False)
    table.run(0.3)
    table.hand = {'pinch': 0.1}
    table.engage()
    assert {c.gripper for c in commands_of(table.run(0.5))} == {None}
    table.hand = {'pinch': 0.9}
    assert commands_of(table.run(0.1))[-1].gripper == 1.0
