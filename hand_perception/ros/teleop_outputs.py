"""Commands of the teleoperation as messages, and the topics that they go out on."""

from collections.abc import Sequence
from typing import Final

from geometry_msgs.msg import PoseStamped, TwistStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64, Header

from hand_perception.msg import TeleopSide, TeleopState
from hand_perception.ros.messages import make_header
from hand_perception.ros.transforms import PublisherMaker
from hand_perception.teleop.drive import Commands
from hand_perception.teleop.limiter import Target
from hand_perception.teleop.observation import FINGER_JOINTS
from hand_perception.teleop.settings import TeleopSettings
from hand_perception.teleop.states import Side, SideState, State

#: A command that the next one overtakes is of no use to an arm: only the newest is kept.
COMMANDS: Final = QoSProfile(
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.VOLATILE,
    history=HistoryPolicy.KEEP_LAST,
    depth=1,
)
_STATES: Final = {
    State.IDLE: TeleopSide.IDLE,
    State.WAITING: TeleopSide.WAITING,
    State.ENGAGED: TeleopSide.ENGAGED,
    State.HOLDING: TeleopSide.HOLDING,
    State.DISENGAGED: TeleopSide.DISENGAGED,
}
_HANDEDNESS: Final = {
    'left': TeleopSide.HANDEDNESS_LEFT,
    'right': TeleopSide.HANDEDNESS_RIGHT,
}


def pose_message(target: Target, header: Header) -> PoseStamped:
    """Write where an arm should be."""
    message = PoseStamped(header=header)
    position, orientation = message.pose.position, message.pose.orientation
    position.x, position.y, position.z = target.position
    orientation.x, orientation.y, orientation.z, orientation.w = target.quaternion
    return message


def twist_message(target: Target, header: Header) -> TwistStamped:
    """Write how an arm should move: m/s and rad/s about the axes of the header's frame."""
    message = TwistStamped(header=header)
    linear, angular = message.twist.linear, message.twist.angular
    linear.x, linear.y, linear.z = target.linear
    angular.x, angular.y, angular.z = target.angular
    return message


def joints_message(names: Sequence[str], positions: Sequence[float], header: Header) -> JointState:
    """Write joint angles, radians."""
    return JointState(header=header, name=list(names), position=[float(p) for p in positions])


def state_message(states: Sequence[SideState], *, now_ns: int, base_frame: str) -> TeleopState:
    """Write what the sides are doing."""
    return TeleopState(
        header=make_header(now_ns, base_frame),
        sides=[
            TeleopSide(
                handedness=_HANDEDNESS[state.side],
                state=_STATES[state.state],
                reason=state.reason.value,
                since=make_header(state.since_ns, '').stamp,
            )
            for state in states
        ],
    )


class SideTopics:
    """The command topics of one side, below the name of the node.

    ``target`` PoseStamped, ``twist`` TwistStamped, ``gripper`` Float64 (0 open - 1 closed),
    ``fingers`` JointState, and ``hand_joints`` JointState with a robot hand.
    """

    def __init__(
        self, make_publisher: PublisherMaker, side: Side, robot_joint_names: Sequence[str]
    ) -> None:
        """Create the publishers."""
        self._finger_names = [f'{side}_{joint}' for joint in FINGER_JOINTS]
        self._robot_joint_names = robot_joint_names
        self._target = make_publisher(PoseStamped, f'~/{side}/target', COMMANDS)
        self._twist = make_publisher(TwistStamped, f'~/{side}/twist', COMMANDS)
        self._gripper = make_publisher(Float64, f'~/{side}/gripper', COMMANDS)
        self._fingers = make_publisher(JointState, f'~/{side}/fingers', COMMANDS)
        self._robot_hand = None
        if robot_joint_names:
            self._robot_hand = make_publisher(JointState, f'~/{side}/hand_joints', COMMANDS)
        #: Names under which other publishers of the same command can be found.
        self.command_topics = [self._target.topic_name, self._twist.topic_name]

    def publish(self, commands: Commands, settings: TeleopSettings, *, now_ns: int) -> None:
        """Publish what is commanded; what is None is not published."""
        is_now = settings.command_stamp == 'now'
        stamp_ns = now_ns if is_now else commands.image_stamp_ns
        header = make_header(stamp_ns, settings.base_frame)
        self._target.publish(pose_message(commands.target, header))
        self._twist.publish(twist_message(commands.target, header))
        if commands.gripper is not None:
            self._gripper.publish(Float64(data=commands.gripper))
        if commands.flexion is not None:
            self._fingers.publish(joints_message(self._finger_names, commands.flexion, header))
        if commands.robot_joints is not None and self._robot_hand is not None:
            names = self._robot_joint_names
            self._robot_hand.publish(joints_message(names, commands.robot_joints, header))

    def rivals(self, node: Node) -> list[str]:
        """Name the command topics that somebody else publishes, too."""
        return [topic for topic in self.command_topics if node.count_publishers(topic) > 1]
