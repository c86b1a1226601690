"""The node ``teleop`` and where the arm is, by topic or TF, and who else moves it."""

import importlib.util
import math

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped, TransformStamped
from ros_bench import values_of
from teleop_bench import Operator, Robot

from hand_perception.msg import TeleopSide
from hand_perception.ros.messages import (
    make_header,
)
from hand_perception.ros.target_frame import TfBuffer
from hand_perception.teleop.states import Reason

needs_tf = pytest.mark.skipif(
    importlib.util.find_spec('tf2_ros') is None,
    reason='needs the packages tf2_msgs and tf2_ros, which are not among the wheels',
)


# Where the arm is.


def arm_pose(stamp, *, frame_id='base_link', x=0.4, w=1.0):
    message = PoseStamped()
    message.header.stamp, message.header.frame_id = stamp, frame_id
    message.pose.position.x, message.pose.position.z = x, 0.4
    message.pose.orientation.w = w
    return message


def test_without_a_pose_of_the_arm_nothing_engages(bench):
    Operator(bench)
    robot = Robot(bench, arm_feedback=True)
    robot.status(lambda _, v: v['hand usable'] == 'True', what='a usable hand')
    assert 'the pose of the arm does not come' in robot.engage().message


def test_targets_begin_at_the_pose_that_the_arm_tells(bench):
    Operator(bench)
    robot = Robot(bench, arm_feedback=True)
    arm = bench.talk(PoseStamped, 'teleop/right/arm_pose')
    clock = bench.node.get_clock()
    timer = bench.node.create_timer(
        0.01, lambda: arm.publish(arm_pose(clock.now().to_msg(), x=0.55))
    )
    robot.engage_surely()
    (first,) = robot.targets['right'].wait_count(1)
    assert first.pose.position.x == pytest.approx(0.55, abs=3e-3)  # one step, as above
    told = len(robot.states.messages)
    bench.node.destroy_timer(timer)
    holding = robot.wait_state(TeleopSide.HOLDING, after=told)
    assert holding.reason == 'the pose of the arm does not come'


@pytest.mark.parametrize(
    ('make', 'words'),
    [
        (
            lambda now: arm_pose(now, frame_id='map'),
            "is in 'map', expected base_frame 'base_link'",
        ),
        (lambda now: arm_pose(Time(sec=now.sec - 5, nanosec=now.nanosec)), 's old by its stamp'),
        (lambda now: arm_pose(now, x=math.nan), 'got position (nan, 0, 0.4)'),
        (lambda now: arm_pose(now, w=0.0), 'and quaternion (0, 0, 0, 0); it is not used'),
    ],
    ids=['another frame', 'old', 'nowhere', 'quaternion of length 0'],
)
def test_a_pose_of_the_arm_that_cannot_be_is_told_and_not_used(bench, make, words):
    Operator(bench)
    robot = Robot(bench, arm_feedback=True)
    arm = bench.talk(PoseStamped, 'teleop/right/arm_pose')
    clock = bench.node.get_clock()
    timer = bench.node.create_timer(0.01, lambda: arm.publish(make(clock.now().to_msg())))
    robot.status(
        lambda s, v: words in s.message and v['hand usable'] == 'True', what='the complaint'
    )
    assert 'the pose of the arm does not come' in robot.engage().message
    bench.node.destroy_timer(timer)


def test_of_two_programs_that_tell_where_the_arm_is_none_is_believed(bench):
    Operator(bench)
    robot = Robot(bench, arm_feedback=True)
    arms = [bench.talk(PoseStamped, 'teleop/right/arm_pose') for _ in range(2)]
    clock = bench.node.get_clock()

    def tell():
        for number, arm in enumerate(arms):
            arm.publish(arm_pose(clock.now().to_msg(), x=0.4 + 0.1 * number))

    timer = bench.node.create_timer(0.01, tell)
    robot.status(
        lambda s, v: '2 publishers; none is believed' in s.message and v['hand usable'] == 'True',
        what='the complaint',
    )
    assert 'the pose of the arm does not come' in robot.engage().message
    bench.node.destroy_timer(timer)


# Frames through TF, with a fake of it, and with the real one where it is installed.


class FakeTf:
    """Knows a transform, or nothing."""

    def __init__(self):
        self.known = {}

    def open(self, node):
        return TfBuffer(self._look_up, KeyError)

    def _look_up(self, target, source, time):
        made = TransformStamped(child_frame_id=source)
        shift, stamp_ns = self.known[target, source]
        made.header = make_header(stamp_ns(), target)
        made.transform.translation.x, made.transform.translation.y = shift
        return made


def test_hands_are_taken_into_a_frame_that_stands_still(bench):
    tf = FakeTf()
    tf.known['world', 'camera'] = ((1.0, 2.0), lambda: 0)
    operator = Operator(bench)
    robot = Robot(bench, hand_frame='world', open_buffer=tf.open)
    robot.status(lambda _, v: v['hand usable'] == 'True', what='a usable hand')
    hand = robot.node._teleop._gates['right'].newest
    assert hand.frame_id == 'world'
    # Noise of half a millimetre.
    np.testing.assert_allclose(hand.position, operator.position + [1, 2, 0], atol=5e-3)


def test_a_quaternion_of_length_0_is_refused_and_ends_nothing_in_any_frame(bench):
    tf = FakeTf()
    tf.known['world', 'camera'] = ((1.0, 2.0), lambda: 0)
    operator = Operator(bench)
    robot = Robot(bench, hand_frame='world', open_buffer=tf.open)
    robot.status(lambda _, v: v['hand usable'] == 'True', what='a usable hand')
    operator.stop()
    bad = operator.message(bench.node.get_clock().now().nanoseconds)
    bad.wrist.orientation.x = bad.wrist.orientation.y = 0.0
    bad.wrist.orientation.z = bad.wrist.orientation.w = 0.0
    operator.publisher.publish(bad)
    refused = f'hands refused: {Reason.MALFORMED.value}'
    robot.status(lambda _, v: v.get(refused) == '1', what='the refused hand')


def test_a_frame_that_tf_does_not_know_is_no_hand_and_is_told(bench):
    Operator(bench)
    robot = Robot(bench, hand_frame='world', open_buffer=FakeTf().open)
    status = robot.status(
        lambda s, _: "'camera' is not known in 'world'" in s.message, what='the complaint'
    )
    assert values_of(status)['hand usable'] == 'False'


def test_tf_tells_where_the_arm_is(bench):
    tf = FakeTf()
    clock = bench.node.get_clock()
    tf.known['base_link', 'tool0'] = ((0.45, 0.1), lambda: clock.now().nanoseconds)
    Operator(bench)
    robot = Robot(
        bench, arm_feedback=True, right_tool_frame='tool0', open_buffer=tf.open,
        box_min='0.2 -0.5 -0.1',
    )  # fmt: skip
    robot.engage_surely()
    (first,) = robot.targets['right'].wait_count(1)
    assert first.pose.position.x == pytest.approx(0.45, abs=3e-3)  # one step, as above


@pytest.mark.parametrize('shift', [(math.nan, 0.1), (0.45, math.inf)])
def test_a_transform_of_an_arm_that_is_nowhere_is_told_and_not_used(bench, shift):
    tf = FakeTf()
    clock = bench.node.get_clock()
    tf.known['base_link', 'tool0'] = (shift, lambda: clock.now().nanoseconds)
    Operator(bench)
    robot = Robot(bench, arm_feedback=True, right_tool_frame='tool0', open_buffer=tf.open)
    robot.status(
        lambda s, v: (
            'tool0 in TF: expected a finite position' in s.message and v['hand usable'] == 'True'
        ),
        what='the complaint',
    )
    assert 'the pose of the arm does not come' in robot.engage().message


def test_an_old_transform_does_not_tell_where_the_arm_is(bench):
    tf = FakeTf()
    tf.known['base_link', 'tool0'] = ((0.45, 0.1), lambda: 10**9)
    Operator(bench)
    robot = Robot(bench, arm_feedback=True, right_tool_frame='tool0', open_buffer=tf.open)
    robot.status(lambda _, v: v['hand usable'] == 'True', what='a usable hand')
    assert 'the pose of the arm does not come' in robot.engage().message


@needs_tf
def test_the_real_tf_tells_where_the_arm_is(bench):
    from tf2_msgs.msg import TFMessage

    Operator(bench)
    robot = Robot(bench, arm_feedback=True, right_tool_frame='tool0')
    publisher = bench.talk(TFMessage, '/tf', qos=100)
    clock = bench.node.get_clock()

    def tell():
        made = TransformStamped(child_frame_id='tool0')
        made.header = make_header(clock.now().nanoseconds, 'base_link')
        made.transform.translation.x, made.transform.translation.z = 0.6, 0.2
        publisher.publish(TFMessage(transforms=[made]))

    timer = bench.node.create_timer(0.01, tell)
    robot.engage_surely()
    (first,) = robot.targets['right'].wait_count(1)
    at = first.pose.position
    np.testing.assert_allclose([at.x, at.z], [0.6, 0.2], atol=3e-3)  # one step, as above
    told = len(robot.states.messages)
    bench.node.destroy_timer(timer)
    holding = robot.wait_state(TeleopSide.HOLDING, after=told)
    assert holding.reason == 'the pose of the arm does not come'


# Another master.


def test_a_second_master_of_the_arm_is_told(bench):
    robot = Robot(bench)
    rival = bench.node.create_publisher(PoseStamped, 'teleop/right/target', 10)
    robot.status(lambda s, _: 'two masters' in s.message, what='the warning')
    bench.node.destroy_publisher(rival)


def test_a_second_master_ends_an_engaged_side_and_none_engages_beside_it(bench):
    Operator(bench)
    robot = Robot(bench)
    robot.engage_surely()
    robot.targets['right'].wait_count(3)
    told = len(robot.states.messages)
    rival = bench.node.create_publisher(PoseStamped, 'teleop/right/target', 10)
    holding = robot.wait_state(TeleopSide.HOLDING, after=told)
    assert holding.reason == Reason.TWO_MASTERS.value
    robot.wait_state(TeleopSide.DISENGAGED, after=told)
    robot.engage(on=False)
    robot.states.wait_count(len(robot.states.messages) + 2)  # told twice a second: released
    assert Reason.TWO_MASTERS.value in robot.engage().message
    bench.node.destroy_publisher(rival)
    robot.engage(on=False)
    robot.engage_surely()
