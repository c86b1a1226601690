"""A person with a button: presses when the hand is still, and wrongly holds on after a loss."""

import pytest

from hand_perception.teleop.simulated.operator import SimulatedOperator
from hand_perception.teleop.simulated.settings import (
    SimulatedOperatorSettings,
    SimulatedRobotSettings,
)
from hand_perception.teleop.states import State

SECOND = 1_000_000_000
PERIOD_NS = SECOND // 20
STILL = (0.1, 0.0, 0.45)


class Person:
    """Goes on in steps of 50 ms with an image of the hand in each."""

    def __init__(self, **settings):
        self.operator = SimulatedOperator(SimulatedOperatorSettings(**settings))
        self.now_ns = 1000 * SECOND

    def go_on(self, seconds, hand=STILL, speed=0.0):
        """Let time pass; gives whether the button was down in each step."""
        downs = []
        for step in range(round(seconds * 20)):
            self.now_ns += PERIOD_NS
            moved = None if hand is None else (hand[0] + speed * step / 20, *hand[1:])
            self.operator.hear_hand(moved, self.now_ns)
            downs.append(self.operator.act(self.now_ns))
        return downs

    def hear(self, state):
        self.operator.hear_state(state, self.now_ns)


@pytest.fixture
def person():
    return Person()


@pytest.fixture
def driving(person):
    person.go_on(1.0)
    person.hear(State.WAITING)
    person.hear(State.ENGAGED)
    assert all(person.go_on(1.0, speed=0.2))
    return person


def test_nothing_is_pressed_before_a_still_hand_is_seen(person):
    assert not any(person.go_on(2.0, hand=None))
    assert not any(person.go_on(1.0, speed=0.2))
    assert person.go_on(1.0)[-1]


def test_a_press_that_is_refused_is_let_go_and_made_again(person):
    person.go_on(1.0)
    person.go_on(0.1)
    person.hear(State.DISENGAGED)
    downs = person.go_on(1.0)
    assert not downs[0]
    assert downs[-1]
    assert downs.count(False) * 0.05 == pytest.approx(0.4, abs=0.051)  # rest_s, one step


def test_a_press_that_leads_to_nothing_is_let_go_after_a_while(person):
    downs = person.go_on(6.0)
    first = downs.index(True)
    assert downs[first:].index(False) * 0.05 == pytest.approx(4.0, abs=0.051)  # patience_s


def test_the_button_stays_down_after_a_loss_until_the_hand_was_back_for_a_second(driving):
    driving.hear(State.HOLDING)
    assert all(driving.go_on(2.0, hand=None))
    driving.hear(State.DISENGAGED)
    assert all(driving.go_on(2.0, hand=None))
    downs = driving.go_on(1.3)
    assert downs.index(False) * 0.05 == pytest.approx(1.0, abs=0.051)  # hold_on_s


def test_after_the_loss_the_next_press_comes_after_a_release(driving):
    driving.hear(State.HOLDING)
    driving.go_on(0.3, hand=None)
    driving.hear(State.DISENGAGED)
    driving.go_on(1.1)
    downs = driving.go_on(2.0)
    assert not downs[0] and downs[-1]
    assert downs == sorted(downs)  # one press


def test_a_hand_of_which_nothing_comes_is_not_back(driving):
    driving.hear(State.DISENGAGED)
    for _ in range(100):
        driving.now_ns += PERIOD_NS
        assert driving.operator.act(driving.now_ns)


def test_settings_of_the_robot_are_checked_and_give_what_the_arm_takes():
    settings = SimulatedRobotSettings(box_min='0 0 0', max_speed=0.5)
    assert settings.limits.box[0] == (0.0, 0.0, 0.0)
    assert settings.limits.speed == 0.5
    assert settings.start.tolist() == [0.4, 0, 0.4, 0, 0, 0, 1]
    with pytest.raises(Exception, match='start_pose'):
        SimulatedRobotSettings(start_pose='here')
