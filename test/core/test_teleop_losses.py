"""A hand that is lost, a time that jumps: the arm is let go and nothing begins by itself."""

import numpy as np
import pytest
from teleop_fakes import (
    LATENCY_NS,
    SECOND,
    TICK_NS,
    Table,
    commands_of,
    lose,
    move_right_hand,
    observation,
    untracked,
)

from hand_perception.teleop.states import Reason, State
from hand_perception.teleop.vectors import length, subtract

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
