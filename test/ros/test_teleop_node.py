"""The node ``teleop`` with real topics: who moves an arm, who does not, and what is said of it."""

import importlib.util
import math
import sys

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped, TransformStamped, TwistStamped
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_bench import values_of
from ros_fakes import make_hand
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState, Joy
from std_msgs.msg import Float64
from std_srvs.srv import SetBool, Trigger

from hand_perception.errors import ConfigError, MissingPackageError
from hand_perception.msg import HandPose, TeleopSide, TeleopState
from hand_perception.ros.messages import (
    hand_message,
    make_header,
    stamp_ns_of,
    untracked_message,
)
from hand_perception.ros.target_frame import TfBuffer
from hand_perception.ros.teleop_node import TeleopNode
from hand_perception.teleop.observation import FINGER_JOINTS
from hand_perception.teleop.retarget import RobotHand
from hand_perception.teleop.states import Reason

needs_tf = pytest.mark.skipif(
    importlib.util.find_spec('tf2_ros') is None,
    reason='needs the packages tf2_msgs and tf2_ros, which are not among the wheels',
)
NAMES = {'backend': 'landmarks', 'hand_model': 'default', 'with_vertices': False}
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
HANDS_PERIOD_S = 0.01
#: Quick to engage, and patient with a stalled machine: 2 s is far more than any test waits for.
QUICK = {
    'settle_s': 0.03, 'anchor_s': 0.05, 'ramp_s': 0.0, 'max_age_s': 2.0, 'stall_s': 1.0,
    'still_radius_m': 0.05, 'still_angle_rad': 1.0, 'engage_timeout_s': 20.0,
    'hold_timeout_s': 0.1, 'arm_feedback': False, 'button_timeout_s': 10.0,
}  # fmt: skip


class Operator:
    """Publishes one hand a hundred times a second, in the middle of a camera image.

    Attributes:
        is_seen: whether the hand is tracked.
        position: of the wrist, metres.
    """

    def __init__(self, bench, *, is_right=True, topic=None, frame_id='camera'):
        self.is_seen = True
        self.is_right = is_right
        self.position = np.array([0.1 if is_right else -0.1, 0.0, 0.5])
        self.pinch = 0.25
        self.frame_id = frame_id
        self._bench = bench
        self._side = 'right' if is_right else 'left'
        self._rng = np.random.default_rng(int(is_right))
        topic = topic or f'hands/{self._side}/pose'
        self.publisher = bench.talk(HandPose, topic, wait=False)
        self.timer = bench.node.create_timer(HANDS_PERIOD_S, self.show)
        bench._executor.wake()

    def message(self, stamp_ns):
        header = make_header(stamp_ns, self.frame_id)
        if not self.is_seen:
            message = untracked_message(
                is_right=self.is_right, backend='landmarks', hand_model='default'
            )
            message.header = header
            return message
        message = hand_message(make_hand(is_right=self.is_right), header, **NAMES)
        message.handedness_score = 1.0
        message.age = 0.01
        message.pinch = self.pinch
        # A camera never sees the same numbers twice: half a millimetre of noise.
        noise = self._rng.normal(0, 5e-4, 3)
        at = message.wrist.position
        at.x, at.y, at.z = self.position + noise
        return message

    def show(self):
        now_ns = self._bench.node.get_clock().now().nanoseconds
        self.publisher.publish(self.message(now_ns))

    def stop(self):
        self._bench.node.destroy_timer(self.timer)


class Robot:
    """A node that drives one arm or two, and what it says."""

    def __init__(self, bench, *, sides=('right',), **parameters):
        self.bench = bench
        options = {key: parameters.pop(key) for key in ('load_hands', 'open_buffer')
                   if key in parameters}  # fmt: skip
        word = 'both' if len(sides) == 2 else sides[0]
        self.node = bench.add(
            TeleopNode(**options, **bench.node_options(**{**QUICK, 'sides': word, **parameters}))
        )
        self.targets = {s: bench.listen(PoseStamped, f'teleop/{s}/target') for s in sides}
        self.states = bench.listen(TeleopState, 'teleop/state', qos=LATCHED)

    def engage(self, side='right', *, on=True):
        return self.bench.call(SetBool, f'teleop/{side}/engage', SetBool.Request(data=on))

    def engage_surely(self, side='right'):
        """Ask until it counts: hands must have come first."""
        for _ in range(1000):
            answer = self.engage(side)
            if answer.success:
                break
            self.engage(side, on=False)
            self.states.wait_count(len(self.states.messages) + 1)
        assert answer.success, answer.message
        self.wait_state(TeleopSide.ENGAGED, side)

    def wait_state(self, state, side='right', *, after=0):
        handedness = TeleopSide.HANDEDNESS_RIGHT if side == 'right' else TeleopSide.HANDEDNESS_LEFT

        def matches(message):
            return any(s.handedness == handedness and s.state == state for s in message.sides)

        messages = self.states.messages
        found = self.states.wait(
            lambda m: any(m is later for later in messages[after:]) and matches(m),
            what=f'state {state} of the {side} side',
        )
        return next(s for s in found.sides if s.handedness == handedness)

    def status(self, predicate, *, what, side='right'):
        name = f'{self.bench.namespace}/teleop: {side} arm'
        inbox = self.bench.listen(DiagnosticArray, '/diagnostics')

        def matches(array):
            return any(s.name == name and predicate(s, values_of(s)) for s in array.status)

        array = inbox.wait(matches, what=what)
        return next(s for s in array.status if s.name == name)


def ns(time):
    return time.sec * 10**9 + time.nanosec


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


# Robot hands.


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
