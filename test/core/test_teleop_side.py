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
    observation,
    untracked,
)

from hand_perception.teleop.states import Reason, State
from hand_perception.teleop.vectors import angle_between, length, quaternion_from_vector, subtract


def move_right_hand(table, seconds, *, speed=0.1):
    """Move the hand away from the camera; gives the outputs."""
    outputs = []
    for _ in range(round(seconds * SECOND / TICK_NS)):
        x, y, z = table.hand.get('position', (0.1, 0.1, 0.4))
        table.hand['position'] = (x, y, z + speed * TICK_NS / SECOND)
        outputs.append(table.tick())
    return outputs


def lose(table):
    table.hand = {'tracked': False}


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


LOSSES = {
    'not tracked': ({'tracked': False}, Reason.UNTRACKED),
    'low confidence': ({'confidence': 0.1}, Reason.LOW_CONFIDENCE),
    'side not sure': ({'handedness_score': 0.5}, Reason.UNSURE_SIDE),
    'another hand': ({'track_id': 9}, Reason.OTHER_HAND),
    'jump': ({'position': (0.1, 0.4, 0.4)}, Reason.JUMP),
    'flip': ({'quaternion': (1.0, 0.0, 0.0, 0.0)}, Reason.JUMP),
    'zeros': ({'position': (0.0, 0.0, 0.0)}, Reason.MALFORMED),
    'extrapolated': ({'is_predicted': True}, Reason.PREDICTED),
    'two publishers': ({'source': 'another'}, Reason.TWO_PUBLISHERS),
    'another frame': ({'frame_id': 'other'}, Reason.FRAME_CHANGED),
}


@pytest.mark.parametrize('loss', LOSSES)
def test_a_loss_silences_at_once_then_disengages_and_never_comes_back_by_itself(loss):
    change, reason = LOSSES[loss]
    table = Table(hold_timeout_s=0.3).engage()
    move_right_hand(table, 0.5)
    good = dict(table.hand)
    table.hand = {**good, **change}
    while table.tick().state.state is State.ENGAGED:
        # Only until the message of the loss has come: less than one image.
        assert table.number % 3 != 0
    lost_ns = table.now_ns
    assert (table.state, table.reason) == (State.HOLDING, reason)
    assert table.outputs[-1][1].commands is None
    table.hand = good  # seen again at once: makes no difference
    outputs = []
    while table.state is State.HOLDING:
        outputs.append(table.tick())
    assert (table.now_ns - lost_ns) * 1e-9 == pytest.approx(0.3, abs=0.011)  # one tick
    assert (table.state, table.reason) == (State.DISENGAGED, reason)
    outputs += table.run(3.0)
    for _ in range(20):
        table.call(True)  # a client that repeats itself is no new act
        outputs += table.run(0.1)
    assert table.state is State.DISENGAGED
    assert not commands_of(outputs)
    table.call(False)
    table.run(0.1)
    table.engage()  # a new act: released, then asked again


def test_without_messages_commands_end_when_the_hand_is_too_old():
    table = Table(max_age_s=0.15).engage()
    move_right_hand(table, 0.5)
    table.hand = None
    outputs = table.run(1.0)
    stamps = [c.image_stamp_ns for c in commands_of(outputs)]
    assert len(set(stamps)) == 1
    last_ns = table.outputs[-len(outputs)][0] + (len(stamps) - 1) * TICK_NS
    assert 0.13 < (last_ns - stamps[-1]) * 1e-9 <= 0.15
    assert (table.state, table.reason) == (State.DISENGAGED, Reason.STALE)


def test_one_lost_image_between_good_ones_is_a_loss():
    table = Table().engage()
    lose(table)
    for _ in range(3):
        table.tick()
    table.hand = {}
    table.run(2.0)
    assert (table.state, table.reason) == (State.DISENGAGED, Reason.UNTRACKED)


def test_a_loss_between_two_ticks_is_a_loss():
    table = Table(settle_s=0.0, stall_s=1.0).engage()
    run = table.teleop.hand_status('right', table.now_ns).run
    for number in range(6):  # lost and found again, faster than ticks come
        table.now_ns += TICK_NS // 2
        stamp_ns = table.now_ns - LATENCY_NS
        hand = untracked(stamp_ns) if number < 2 else observation(stamp_ns, number)
        table.teleop.hear_hand('right', hand, table.now_ns)
    assert table.teleop.hand_status('right', table.now_ns).is_usable
    assert table.teleop.hand_status('right', table.now_ns).run > run
    table.hand = None
    assert table.tick().commands is None
    assert (table.state, table.reason) == (State.HOLDING, Reason.UNTRACKED)


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


def test_a_hand_lost_while_coming_to_rest_silences_at_once():
    table = Table(ramp_s=0.0, max_acceleration=0.3).engage()
    move_right_hand(table, 1.5, speed=0.15)
    table.call(False)
    table.tick()
    assert table.reason is Reason.STOPPING
    lose(table)
    outputs = table.run(1.0)
    assert len(commands_of(outputs)) < 3  # until the message of the loss has come
    states = [output.state.state for output in outputs]
    assert states.index(State.HOLDING) < states.index(State.DISENGAGED)


def test_with_brake_a_loss_slows_down_on_the_way_without_the_hand():
    table = Table(ramp_s=0.0, loss_stop='brake').engage()
    move_right_hand(table, 1.0, speed=0.2)
    table.hand = {**table.hand, 'tracked': False}
    outputs = table.run(1.0)
    after = [o for o in outputs if o.state.state is not State.ENGAGED]
    braking = commands_of(after)
    speeds = [length(command.target.linear) for command in braking]
    assert speeds[-1] == 0.0
    assert speeds == sorted(speeds, reverse=True)
    assert all(c.gripper is None and c.flexion is None for c in braking)
    way = np.array([c.target.position for c in braking])
    assert np.ptp(way[:, 1]) < 1e-6  # straight on
    assert all(o.commands is None for o in after if o.state.state is State.DISENGAGED)
    assert table.state is State.DISENGAGED


def test_each_side_is_lost_alone():
    table = Table(sides='both', settle_s=0.1)
    table.left = {}
    table.run(0.3)
    for side in ('left', 'right'):
        assert table.teleop.hear_service(side, True, table.now_ns)[0]
    table.run(0.8)
    assert {s.state for s in table.teleop.states} == {State.ENGAGED}
    table.left = {'tracked': False}
    table.run(0.6)
    left, right = table.teleop.states
    assert left.state is State.DISENGAGED
    assert right.state is State.ENGAGED


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


def test_hands_of_two_frames_are_not_compared():
    table = Table().engage()
    table.left = {'position': (0.11, 0.1, 0.4), 'frame_id': 'another camera'}
    table.run(0.5)
    assert table.state is State.ENGAGED


def test_one_hand_reported_on_both_sides_is_used_on_neither():
    table = Table().engage()
    table.left = {'position': (0.11, 0.1, 0.4)}
    table.run(0.1)
    assert (table.state, table.reason) == (State.HOLDING, Reason.SAME_PLACE)


def test_a_stall_of_the_teleoperation_itself_is_a_loss():
    table = Table(stall_s=0.1).engage()
    move_right_hand(table, 0.5)
    table.number = 2  # an image comes with the next tick: the hand is fresh
    output = table.tick(150_000_000)
    assert output.commands is None
    assert (table.state, table.reason) == (State.HOLDING, Reason.STALLED)


def test_late_ticks_within_the_stall_limit_keep_the_speed():
    table = Table(stall_s=0.1, ramp_s=0.0).engage()
    before = table.arm[0]
    table.hand['position'] = (0.1, 0.1, 0.45)
    for step_ns in (TICK_NS, 70_000_000, TICK_NS, 90_000_000, TICK_NS):
        table.number = 2
        table.tick(step_ns)
        moved = length(subtract(table.arm[0], before))
        assert moved <= 0.25 * step_ns / SECOND + 1e-9
        before = table.arm[0]


def test_when_the_time_jumps_back_an_engaged_side_holds_then_is_disengaged():
    table = Table().engage()
    table.now_ns -= 60 * SECOND
    output = table.tick()
    assert output.commands is None
    assert (table.state, table.reason) == (State.HOLDING, Reason.TIME_JUMP)
    table.run(0.5)
    assert (table.state, table.reason) == (State.DISENGAGED, Reason.TIME_JUMP)
    for _ in range(20):
        table.call(True)
        assert not commands_of(table.run(0.1))
    table.call(False)
    table.run(0.2)
    table.engage()


def test_when_the_time_jumps_ahead_an_engaged_side_holds():
    table = Table().engage()
    table.number = 0
    assert table.tick(60 * SECOND).commands is None
    assert table.state is State.HOLDING


def test_a_loss_is_told_even_where_nothing_is_held():
    table = Table(hold_timeout_s=0.0).engage()
    table.now_ns -= 60 * SECOND
    assert table.tick().state.state is State.HOLDING
    assert table.tick().state.state is State.DISENGAGED


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


def press_button(table, seconds):
    table.button = 1
    outputs = table.run(seconds)
    table.button = 0
    return outputs


def test_a_button_that_must_stay_held_engages_and_letting_go_stops():
    table = Table(clutch='button', dead_man='button')
    table.button = 0
    table.run(0.3)
    table.button = 1
    table.run(0.8)
    assert table.state is State.ENGAGED
    table.button = 0
    table.run(0.1)
    assert (table.state, table.reason) == (State.DISENGAGED, Reason.DEAD_MAN)


def test_a_held_button_does_not_engage_again_after_a_loss():
    table = Table(clutch='button', dead_man='button')
    table.button = 0
    table.run(0.3)
    table.button = 1
    table.run(0.8)
    lose(table)
    table.run(0.2)
    table.hand = {}
    outputs = table.run(3.0)
    assert table.state is State.DISENGAGED
    assert not commands_of(outputs)
    table.button = 0
    table.run(0.2)
    table.button = 1
    table.run(0.8)
    assert table.state is State.ENGAGED


def test_a_dead_joystick_stops():
    table = Table(clutch='button', button_timeout_s=0.2)
    table.button = 0
    table.run(0.3)
    press_button(table, 0.1)
    table.run(0.8)
    assert table.state is State.ENGAGED
    table.button = None
    table.run(0.3)
    assert (table.state, table.reason) == (State.DISENGAGED, Reason.CLUTCH_SILENT)


def test_a_second_press_stops_where_nothing_has_to_be_held():
    table = Table(clutch='button')
    table.button = 0
    table.run(0.3)
    press_button(table, 0.1)
    table.run(0.8)
    assert table.state is State.ENGAGED
    press_button(table, 0.1)
    assert (table.state, table.reason) == (State.DISENGAGED, Reason.RELEASED)
    table.run(0.2)
    press_button(table, 0.1)
    table.run(0.8)
    assert table.state is State.ENGAGED


def test_a_storm_of_contradictory_joysticks_never_engages():
    table = Table(clutch='button')
    table.button = 0
    table.run(0.3)
    for number in range(500):
        table.button = int(number // 3 % 2 == 0)
        assert table.tick().commands is None
    assert table.state is not State.ENGAGED


def test_a_joystick_without_that_button_is_told_and_does_not_engage():
    table = Table(clutch='button', right_button=9)
    table.button = 0
    problem = table.teleop.hear_joy([0, 0], table.now_ns + 1)
    assert 'has 2 buttons, button 9 (right_button)' in problem
    table.run(0.3)
    press_button(table, 0.1)
    table.run(1.0)
    assert table.state is State.IDLE


def test_the_pinch_of_the_other_hand_engages_when_it_is_held_long_enough():
    table = Table(clutch='pinch', pinch_hold_s=0.5)
    table.left = {'pinch': 0.1}
    table.run(0.4)
    table.left = {'pinch': 0.95}
    table.run(0.4)
    assert table.state is State.IDLE
    table.left = {'pinch': 0.1}
    table.run(0.3)
    table.left = {'pinch': 0.95}
    table.run(0.6)
    assert table.state is State.WAITING
    table.run(0.5)
    assert table.state is State.ENGAGED


def test_a_pinch_that_was_closed_while_the_hand_was_away_is_no_act():
    table = Table(clutch='pinch')
    table.left = {'pinch': 0.1}
    table.run(0.4)
    table.left = {'tracked': False}
    table.run(0.4)
    table.left = {'pinch': 0.95}
    table.run(3.0)
    assert table.state is State.IDLE


def test_a_pinch_between_open_and_closed_keeps_what_it_was():
    table = Table(clutch='pinch', dead_man='pinch')
    table.left = {'pinch': 0.1}
    table.run(0.4)
    table.left = {'pinch': 0.95}
    table.run(1.5)
    assert table.state is State.ENGAGED
    table.left = {'pinch': 0.7}
    table.run(0.3)
    assert table.state is State.ENGAGED
    table.left = {'pinch': 0.5}
    table.run(0.1)
    assert (table.state, table.reason) == (State.DISENGAGED, Reason.DEAD_MAN)


def test_the_own_pinch_can_be_the_clutch_where_the_grasp_moves_the_gripper():
    table = Table(clutch='pinch', pinch_hand='same', gripper_source='grasp')
    table.hand = {'pinch': 0.1}
    table.run(0.4)
    table.hand = {'pinch': 0.95}
    table.run(1.5)
    assert table.state is State.ENGAGED


def test_the_service_cannot_engage_where_a_button_is_the_clutch_but_it_can_stop():
    table = Table(clutch='button')
    table.button = 0
    table.run(0.3)
    accepted, words = table.call(True)
    assert not accepted
    assert 'the button is the clutch' in words
    press_button(table, 0.1)
    table.run(0.8)
    assert table.state is State.ENGAGED
    assert table.call(False)[0]
    table.run(0.1)
    assert table.state is State.DISENGAGED


def test_the_service_of_a_side_without_an_arm_says_so():
    accepted, words = Table().teleop.hear_service('left', True, SECOND)
    assert not accepted
    assert 'set sides to left or both' in words


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
