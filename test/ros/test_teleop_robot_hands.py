"""The node ``teleop`` with robot hands: joints that move, that rest, and what is missing."""

import sys

import numpy as np
import pytest
from ros_fakes import make_hand
from sensor_msgs.msg import JointState
from teleop_bench import QUICK, Operator, Robot

from hand_perception.errors import ConfigError, MissingPackageError
from hand_perception.ros.teleop_node import TeleopNode
from hand_perception.teleop.retarget import RobotHand


class FakeRetargeter:
    """Two joints that bend with the index finger."""

    joint_names = ('j0', 'j1')

    def joints(self, hand):
        assert hand.keypoints.shape == (21, 3)
        return (hand.flexion[3], hand.flexion[4])

    def restart(self):
        pass


def test_joints_of_a_robot_hand_are_published_under_its_names(bench):
    Operator(bench)
    blind = RobotHand(FakeRetargeter(), max_speed=6.0, needs_places=False)
    robot = Robot(bench, load_hands=lambda _: {'right': blind})
    joints = bench.listen(JointState, 'teleop/right/hand_joints')
    robot.engage_surely()
    (message,) = joints.wait_count(1)
    assert message.name == ['j0', 'j1']
    np.testing.assert_allclose(message.position, make_hand().flexion[3:5], rtol=1e-6)


def test_a_robot_hand_whose_joints_nobody_tells_is_not_moved_and_it_is_said(bench):
    Operator(bench)
    robot = Robot(
        bench, load_hands=lambda _: {'right': RobotHand(FakeRetargeter(), max_speed=6.0)}
    )
    joints = bench.listen(JointState, 'teleop/right/hand_joints')
    robot.engage_surely()
    robot.targets['right'].wait_count(5)
    robot.status(lambda s, _: 'hand_feedback' in s.message, what='the complaint')
    assert joints.messages == []
    places = bench.talk(JointState, 'joint_states')
    places.publish(JointState(name=['j0', 'j1'], position=[0.0, 0.0]))
    joints.wait_count(1)


def test_a_robot_hand_starts_from_the_joints_that_it_has(bench):
    Operator(bench)
    robot = Robot(
        bench, load_hands=lambda _: {'right': RobotHand(FakeRetargeter(), max_speed=0.5)}
    )
    places = bench.talk(JointState, 'joint_states')
    joints = bench.listen(JointState, 'teleop/right/hand_joints')
    places.publish(JointState(name=['j1', 'other', 'j0'], position=[-1.0, 9.0, -2.0]))
    hand = robot.node._teleop._sides['right'].drive.robot_hand
    bench.wait_until(lambda: hand._places == (-2.0, -1.0), what='the places of the joints')
    robot.engage_surely()
    (message,) = joints.wait_count(1)
    # At 0.5 rad/s the joints are still near where they were; a machine may stall for a second.
    np.testing.assert_allclose(message.position, [-2.0, -1.0], atol=0.5)


def test_a_missing_robot_hand_ends_the_start_with_what_is_missing(bench):
    with pytest.raises(ConfigError, match='nowhere.yaml does not exist'):
        TeleopNode(**bench.node_options(**QUICK, right_hand_config='/nowhere.yaml'))


def test_a_missing_retargeting_package_ends_the_start_with_how_to_get_it(
    bench, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, 'dex_retargeting', None)
    (tmp_path / 'hand.urdf').write_text('<robot name="hand"/>', encoding='utf-8')
    config = tmp_path / 'hand.yaml'
    config.write_text('retargeting: {urdf_path: hand.urdf}', encoding='utf-8')
    with pytest.raises(MissingPackageError, match='pip install dex_retargeting'):
        TeleopNode(**bench.node_options(**QUICK, right_hand_config=str(config)))
