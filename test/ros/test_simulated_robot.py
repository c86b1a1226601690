"""The nodes of the simulated robot and its operator with real topics."""

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped, TwistStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_bench import values_of
from ros_fakes import make_hand
from sensor_msgs.msg import Joy
from std_msgs.msg import Float64

from hand_perception.errors import ConfigError
from hand_perception.msg import HandPose, TeleopState
from hand_perception.ros.messages import hand_message, make_header, stamp_ns_of
from hand_perception.ros.simulated_operator_node import SimulatedOperatorNode
from hand_perception.ros.simulated_robot_node import SimulatedRobotNode
from hand_perception.ros.teleop_outputs import state_message
from hand_perception.teleop.states import Reason, SideState, State

pytestmark = pytest.mark.ros

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
#: Far more than a stalled machine needs, where the age of commands is not what is tested.
PATIENT_S = 5.0
START = (0.4, 0.0, 0.4)


class Robot:
    """The node, what it tells, and how to command it."""

    def __init__(self, bench, **parameters):
        self.node = bench.add(SimulatedRobotNode(**bench.node_options(**parameters)))
        self.poses = bench.listen(PoseStamped, 'arm_pose')
        self.gripper_state = bench.listen(Float64, 'gripper_state')
        self._name = f'{bench.namespace}/simulated_robot: commands'
        self._diagnostics = bench.listen(DiagnosticArray, '/diagnostics')
        self._target = bench.talk(PoseStamped, 'target')
        self._twist = bench.talk(TwistStamped, 'twist')
        self.gripper = bench.talk(Float64, 'gripper')

    def now_ns(self):
        return self.node.get_clock().now().nanoseconds

    def command(self, x, *, age_s=0.0, frame_id='base_link', speed=0.0):
        header = make_header(self.now_ns() - round(age_s * 1e9), frame_id)
        pose = PoseStamped(header=header)
        pose.pose.position.x, pose.pose.position.y, pose.pose.position.z = x, *START[1:]
        twist = TwistStamped(header=header)
        twist.twist.linear.x = speed
        self._twist.publish(twist)  # the order on the way is not certain
        self._target.publish(pose)

    def status(self, predicate, what):
        def mine(array):
            return [s for s in array.status if s.name == self._name and predicate(s)]

        return mine(self._diagnostics.wait(mine, what=what))[0]


@pytest.fixture
def robot(bench):
    return Robot(bench, command_timeout_s=PATIENT_S)


def test_the_arm_tells_where_it_rests_and_the_time_of_that(robot):
    pose = robot.poses.wait(lambda m: True, what='a pose')
    assert pose.header.frame_id == 'base_link'
    assert abs(robot.now_ns() - stamp_ns_of(pose.header)) < 30e9  # the same clock
    assert (pose.pose.position.x, pose.pose.position.y, pose.pose.position.z) == START


def test_a_fresh_command_is_obeyed_and_counted(robot):
    robot.command(0.4005)  # 0.05 m/s from rest within 10 ms: less than a kick
    robot.poses.wait(lambda m: m.pose.position.x > 0.4003, what='a moved arm')
    status = robot.status(
        lambda s: values_of(s)['obeyed'] == '1', 'a status with the command'
    )  # fmt: skip
    assert values_of(status)['commands'] == '1'


def test_an_old_command_is_refused_and_told(bench):
    robot = Robot(bench)
    robot.command(0.5, age_s=0.2)
    status = robot.status(
        lambda s: values_of(s).get('wrong: stale') == '1', 'a status with the old command'
    )
    assert status.level == DiagnosticStatus.WARN
    assert values_of(status)['obeyed'] == '0'
    assert {m.pose.position.x for m in robot.poses.messages} == {0.4}


def test_a_leap_is_told_as_one(robot):
    robot.command(0.6)
    status = robot.status(lambda s: s.level == DiagnosticStatus.WARN, 'a complaint')
    assert {'wrong: jump', 'wrong: kick'} <= set(values_of(status))


def test_a_command_in_another_frame_is_not_obeyed(robot):
    robot.command(0.6, frame_id='world')
    robot.command(0.4005)
    status = robot.status(lambda s: values_of(s)['commands'] != '0', 'a status with a command')
    assert values_of(status)['commands'] == '1'


def test_the_gripper_follows_a_command_that_comes_with_one_of_the_arm(robot, bench):
    robot.command(0.4)
    bench.wait_until(lambda: robot.node.arm.num_commands, what='the command of the arm')
    robot.gripper.publish(Float64(data=0.7))
    robot.gripper_state.wait(lambda m: m.data == 0.7, what='the gripper')


def test_a_start_that_is_no_pose_is_refused(bench):
    with pytest.raises(ConfigError, match='start_pose'):
        SimulatedRobotNode(**bench.node_options(start_pose='home'))


def test_the_operator_presses_when_the_hand_is_still_and_holds_on_after_a_loss(bench):
    node = bench.add(
        SimulatedOperatorNode(**bench.node_options(button=3, rest_s=0.1, still_s=0.1))
    )
    joy = bench.listen(Joy, 'joy')
    states = bench.talk(TeleopState, 'teleop/state', qos=LATCHED)
    hands = bench.talk(HandPose, 'hands/right/pose')

    def now_ns():
        return node.get_clock().now().nanoseconds

    def show_hand():
        message = hand_message(
            make_hand(is_right=True), make_header(now_ns(), 'camera'),
            backend='landmarks', hand_model='default', with_vertices=False,
        )  # fmt: skip
        hands.publish(message)

    assert joy.wait(lambda m: True, what='a joystick').buttons.tolist() == [0, 0, 0, 0]
    timer = bench.node.create_timer(0.02, show_hand)
    joy.wait(lambda m: m.buttons[3] == 1, what='a press')
    for state in (State.ENGAGED, State.HOLDING):
        told = SideState(side='right', state=state, reason=Reason.NONE, since_ns=now_ns())
        states.publish(state_message([told], now_ns=now_ns(), base_frame='base_link'))
    bench.node.destroy_timer(timer)
    count = len(joy.messages)
    joy.wait_count(count + 20)
    assert all(m.buttons[3] == 1 for m in joy.messages[count:])
