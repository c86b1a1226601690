"""What the operator does: buttons, pinches, calls; what engages a side and what stops it."""

from teleop_fakes import (
    SECOND,
    Table,
    commands_of,
    lose,
    press_button,
)

from hand_perception.teleop.states import Reason, State


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
