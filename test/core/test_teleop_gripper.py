"""A gripper follows the hand without smoothing, and does not drop what it holds."""

import pytest
from teleop_fakes import START_NS, observation

from hand_perception.teleop.gripper import GripperFollower
from hand_perception.teleop.settings import TeleopSettings


def follow(gripper, **hand):
    return gripper.follow(observation(START_NS, **hand))


def test_the_range_of_the_pinch_is_mapped_to_open_and_closed():
    gripper = GripperFollower(TeleopSettings(gripper_open_at=0.2, gripper_closed_at=0.8))
    for pinch, place in ((0.0, 0.0), (0.2, 0.0), (0.5, 0.5), (0.8, 1.0), (1.0, 1.0)):
        assert follow(gripper, pinch=pinch) == pytest.approx(place)


def test_the_command_is_that_of_the_newest_image_without_smoothing():
    gripper = GripperFollower(TeleopSettings())
    follow(gripper, pinch=0.0)
    assert follow(gripper, pinch=1.0) == 1.0
    assert follow(gripper, pinch=0.0) == 0.0


def test_the_grasp_can_close_it_and_nothing_can_too():
    assert follow(GripperFollower(TeleopSettings(gripper_source='grasp')), grasp=1.0) == 1.0
    assert follow(GripperFollower(TeleopSettings(gripper_source='none')), pinch=1.0) is None


def test_an_open_hand_does_not_open_a_gripper_that_was_closed_before():
    gripper = GripperFollower(TeleopSettings())
    assert follow(gripper, pinch=0.9) == 1.0
    gripper.release()
    assert follow(gripper, pinch=0.1) is None
    assert follow(gripper, pinch=0.4) is None
    assert follow(gripper, pinch=0.85) is not None  # the hand has come to where the gripper is
    assert follow(gripper, pinch=0.1) == 0.0


def test_a_hand_that_passes_the_place_of_the_gripper_takes_over():
    gripper = GripperFollower(TeleopSettings())
    gripper.set_place(0.5)
    assert follow(gripper, pinch=0.1) is None
    assert follow(gripper, pinch=0.9) == 1.0


def test_where_the_gripper_is_does_not_matter_while_it_follows():
    gripper = GripperFollower(TeleopSettings())
    assert follow(gripper, pinch=0.5) == pytest.approx(0.5)
    gripper.set_place(0.0)
    assert follow(gripper, pinch=0.6) is not None
