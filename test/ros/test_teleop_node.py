"""The node ``teleop`` with real topics: who moves an arm, who does not, and what is said of it."""

import math

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import TwistStamped
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from ros_bench import values_of
from ros_fakes import make_hand
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState, Joy
from std_msgs.msg import Float64
from std_srvs.srv import Trigger
from teleop_bench import Operator, Robot, ns

from hand_perception.errors import ConfigError
from hand_perception.msg import HandPose, TeleopSide
from hand_perception.ros.messages import (
    stamp_ns_of,
)
from hand_perception.ros.teleop_node import TeleopNode
from hand_perception.teleop.observation import FINGER_JOINTS

# Engaging and moving.


def test_nothing_is_published_before_somebody_engages(bench):
    Operator(bench)
    robot = Robot(bench)
    robot.wait_state(TeleopSide.IDLE)
    robot.status(lambda _, v: v['hand usable'] == 'True', what='a usable hand')
    assert robot.targets['right'].messages == []


def test_an_engaged_arm_gets_fresh_targets_in_the_base_frame(bench):
    operator = Operator(bench)
    robot = Robot(bench, base_frame='my_base')
    twists = bench.listen(TwistStamped, 'teleop/right/twist')
    robot.engage_surely()
    # Away from the camera is x of the base. In one step: HandGate takes 5 cm in 10 ms for a jump.
    operator.position = operator.position + [0, 0, 0.03]
    moved = robot.targets['right'].wait(
        lambda m: m.pose.position.x > 0.41, what='a target farther along x'
    )
    assert moved.header.frame_id == 'my_base'
    quaternion = moved.pose.orientation
    assert math.hypot(quaternion.x, quaternion.y, quaternion.z, quaternion.w) == pytest.approx(1)
    twist = twists.wait(lambda m: m.twist.linear.x > 0.01, what='a twist along x')
    assert twist.header.frame_id == 'my_base'
    stamps = [stamp_ns_of(m.header) for m in robot.targets['right'].messages]
    assert stamps == sorted(set(stamps))


def test_targets_begin_where_the_arm_is(bench):
    Operator(bench)
    robot = Robot(bench, start_pose='0.5 0.1 0.3 0 0 0 1')
    robot.engage_surely()
    (first,) = robot.targets['right'].wait_count(1)
    at = first.pose.position
    # One step of a hundredth of a second at 0.25 m/s is 2.5 mm.
    np.testing.assert_allclose([at.x, at.y, at.z], [0.5, 0.1, 0.3], atol=3e-3)


def test_the_stamp_of_targets_is_that_of_the_image_when_asked(bench):
    operator = Operator(bench)
    robot = Robot(bench, command_stamp='image')
    seen = bench.listen(HandPose, 'hands/right/pose')
    robot.engage_surely()
    targets = robot.targets['right'].wait_count(5)
    operator.stop()
    stamps = {stamp_ns_of(m.header) for m in seen.messages}
    assert {stamp_ns_of(m.header) for m in targets} <= stamps


def test_gripper_and_fingers_follow_the_hand(bench):
    operator = Operator(bench)
    robot = Robot(bench)
    gripper = bench.listen(Float64, 'teleop/right/gripper')
    fingers = bench.listen(JointState, 'teleop/right/fingers')
    robot.engage_surely()
    operator.pinch = 1.0
    gripper.wait(lambda m: m.data == 1.0, what='a closed gripper')
    (message,) = fingers.wait_count(1)
    assert message.name == [f'right_{joint}' for joint in FINGER_JOINTS]
    np.testing.assert_allclose(message.position, make_hand().flexion, rtol=1e-6)


def test_a_gripper_that_holds_something_is_not_opened_by_engaging(bench):
    operator = Operator(bench)
    operator.pinch = 0.2
    robot = Robot(bench)
    places = bench.talk(Float64, 'teleop/right/gripper_state')
    gripper = bench.listen(Float64, 'teleop/right/gripper')
    places.publish(Float64(data=0.9))
    bench.wait_until(
        lambda: robot.node._teleop._sides['right'].drive.gripper._place == 0.9, what='its place'
    )
    robot.engage_surely()
    robot.targets['right'].wait_count(5)
    assert gripper.messages == []
    operator.pinch = 0.95
    gripper.wait(lambda m: m.data == 1.0, what='a gripper that is taken over')


def test_each_side_is_engaged_alone(bench):
    Operator(bench)
    Operator(bench, is_right=False)
    robot = Robot(bench, sides=('left', 'right'))
    robot.engage_surely('left')
    robot.targets['left'].wait_count(3)
    assert robot.targets['right'].messages == []
    states = robot.states.messages[-1].sides
    assert [(s.handedness, s.state) for s in states] == [
        (TeleopSide.HANDEDNESS_LEFT, TeleopSide.ENGAGED),
        (TeleopSide.HANDEDNESS_RIGHT, TeleopSide.IDLE),
    ]


# Stopping.


def test_a_lost_hand_stops_the_targets_at_once_holds_and_disengages(bench):
    operator = Operator(bench)
    robot = Robot(bench)
    robot.engage_surely()
    robot.targets['right'].wait_count(3)
    told = len(robot.states.messages)
    operator.is_seen = False
    holding = robot.wait_state(TeleopSide.HOLDING, after=told)
    assert holding.reason == 'the hand is not tracked'
    robot.wait_state(TeleopSide.DISENGAGED, after=told)
    last_ns = max(stamp_ns_of(m.header) for m in robot.targets['right'].messages)
    assert last_ns < ns(holding.since)
    operator.is_seen = True
    count = len(robot.targets['right'].messages)
    robot.status(
        lambda _, v: v['hand usable'] == 'True' and v['state'] == 'disengaged',
        what='a hand that is back, and an arm that is not',
    )
    assert len(robot.targets['right'].messages) == count


def test_the_service_stops_a_side_and_the_other_one_all(bench):
    Operator(bench)
    robot = Robot(bench)
    robot.engage_surely()
    told = len(robot.states.messages)
    answer = robot.engage(on=False)
    assert (answer.success, answer.message) == (True, 'right: stops')
    assert robot.wait_state(TeleopSide.DISENGAGED, after=told).reason
    robot.engage_surely()
    told = len(robot.states.messages)
    assert bench.call(Trigger, 'teleop/disengage', Trigger.Request()).success
    robot.wait_state(TeleopSide.DISENGAGED, after=told)


def test_a_hand_that_stops_coming_stops_the_targets(bench):
    operator = Operator(bench)
    robot = Robot(bench, max_age_s=0.3)
    robot.engage_surely()
    told = len(robot.states.messages)
    operator.stop()
    holding = robot.wait_state(TeleopSide.HOLDING, after=told)
    assert holding.reason == 'the newest hand is too old'


def test_extrapolating_makes_an_old_hand_no_younger(bench):
    operator = Operator(bench)
    robot = Robot(bench, accept_predicted=True, max_age_s=0.4)
    robot.engage_surely()
    told = len(robot.states.messages)
    measured = operator.message

    def extrapolated(stamp_ns):
        message = measured(stamp_ns)
        message.predicted, message.horizon = True, 0.5
        return message

    operator.message = extrapolated  # stamped now, from an image that is half a second old
    holding = robot.wait_state(TeleopSide.HOLDING, after=told)
    assert holding.reason == 'the newest hand is too old'


def test_two_publishers_of_a_hand_stop_the_arm_until_one_is_left(bench):
    operator = Operator(bench)
    robot = Robot(bench)
    robot.engage_surely()
    told = len(robot.states.messages)
    second = bench.node.create_publisher(HandPose, 'hands/right/pose', 10)
    holding = robot.wait_state(TeleopSide.HOLDING, after=told)
    assert holding.reason == 'hands come from two publishers'
    robot.wait_state(TeleopSide.DISENGAGED, after=told)
    assert not robot.engage().success
    status = robot.status(
        lambda _, v: v['publishers of the hand'] == '2', what='two publishers counted'
    )
    assert status.level == DiagnosticStatus.WARN
    assert '2 publishers of one hand' in status.message
    bench.node.destroy_publisher(second)
    robot.engage(on=False)
    robot.engage_surely()
    operator.stop()


def test_a_left_hand_on_the_topic_of_the_right_is_no_hand(bench):
    Operator(bench, is_right=False, topic='hands/right/pose')
    robot = Robot(bench)
    status = robot.status(lambda s, _: 'not the right one' in s.message, what='the complaint')
    assert values_of(status)['hand usable'] == 'False'
    assert not robot.engage().success


def test_the_last_state_of_a_node_that_ends_is_disengaged(bench):
    Operator(bench)
    robot = Robot(bench)
    robot.engage_surely()
    told = len(robot.states.messages)
    bench._nodes.remove(robot.node)
    bench._executor.remove_node(robot.node)
    robot.node.close()
    robot.wait_state(TeleopSide.DISENGAGED, after=told)


# Clutches.


def test_a_button_engages_and_silence_of_the_joystick_stops(bench):
    Operator(bench)
    robot = Robot(bench, clutch='button', right_button=2, button_timeout_s=0.5)
    joy = bench.talk(Joy, 'joy')
    held = [0]
    timer = bench.node.create_timer(0.01, lambda: joy.publish(Joy(buttons=[0, 0, *held])))
    robot.status(lambda _, v: v['hand usable'] == 'True', what='a usable hand')
    held[0] = 1
    robot.wait_state(TeleopSide.ENGAGED)
    told = len(robot.states.messages)
    bench.node.destroy_timer(timer)
    assert robot.wait_state(TeleopSide.DISENGAGED, after=told).reason == 'the clutch is silent'
    answer = robot.engage()
    assert not answer.success and 'the button is the clutch' in answer.message


def test_a_joystick_without_the_button_is_told(bench):
    robot = Robot(bench, clutch='button', right_button=5)
    joy = bench.talk(Joy, 'joy')
    timer = bench.node.create_timer(0.05, lambda: joy.publish(Joy(buttons=[1, 1])))
    robot.status(lambda s, _: 'has 2 buttons, button 5' in s.message, what='the complaint')
    bench.node.destroy_timer(timer)


def test_a_storm_of_clutch_messages_moves_nothing(bench):
    Operator(bench)
    robot = Robot(bench, clutch='button', right_button=0)
    robot.status(lambda _, v: v['hand usable'] == 'True', what='a usable hand')
    joy = bench.talk(Joy, 'joy', qos=QoSProfile(depth=1000))
    for number in range(2000):
        joy.publish(Joy(buttons=[number % 2]))
    robot.status(lambda _, v: v['state'] in ('idle', 'disengaged'), what='a side at rest')
    assert robot.targets['right'].messages == []


def test_a_service_that_is_refused_says_why(bench):
    robot = Robot(bench)
    answer = robot.engage()
    assert not answer.success
    assert 'no hand has been reported yet' in answer.message


# Parameters and time.


@pytest.mark.parametrize(
    ('parameters', 'message'),
    [
        ({'axis_map': '1 0 0 0 1 0 0 0 -1'}, 'axis_map must be a rotation.*mirror'),
        ({'axis_map': '2 0 0 0 2 0 0 0 2'}, 'axis_map must be a rotation'),
        ({'box_min': '1 1 1', 'box_max': '0 0 0'}, 'box_min must lie below box_max'),
        ({'rate_hz': 5.0}, 'rate_hz must be 10 to 1000'),
        ({'clutch': 'foot'}, 'clutch must be'),
    ],
)
def test_a_wrong_parameter_ends_the_start_with_what_is_allowed(bench, parameters, message):
    with pytest.raises(ConfigError, match=message):
        TeleopNode(**bench.node_options(**parameters))


def test_a_wrong_live_change_is_refused_and_a_right_one_counts(bench):
    robot = Robot(bench)
    (wrong,) = robot.node.set_parameters([Parameter('box_min', value='9 9 9')])
    assert not wrong.successful and 'below box_max' in wrong.reason
    (right,) = robot.node.set_parameters([Parameter('scale', value=2.0)])
    assert right.successful
    assert robot.node._teleop.settings.scale == 2.0


def test_commands_follow_simulated_time_and_a_jump_back_stops_them(bench):
    robot = Robot(bench, use_sim_time=True)
    clock = bench.talk(Clock, '/clock')
    operator = Operator(bench)
    operator.stop()
    time_ns = [1_000_000_000_000]

    def pass_time():
        time_ns[0] += 10_000_000
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(time_ns[0], 10**9)
        operator.publisher.publish(operator.message(time_ns[0]))
        clock.publish(message)

    timer = bench.node.create_timer(0.01, pass_time)
    robot.engage_surely()
    target = robot.targets['right'].wait_count(3)[-1]
    # Simulated time began at 1000 s; the tests take seconds, not half an hour.
    assert 1_000 <= target.header.stamp.sec < 3_000
    told = len(robot.states.messages)
    time_ns[0] -= 500_000_000_000
    holding = robot.wait_state(TeleopSide.HOLDING, after=told)
    assert holding.reason == 'the time jumped back'
    robot.wait_state(TeleopSide.DISENGAGED, after=told)
    bench.node.destroy_timer(timer)
