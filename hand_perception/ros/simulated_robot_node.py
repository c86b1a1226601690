"""The node ``simulated_robot``: a kinematic arm with a gripper that obeys only fresh commands."""

import sys
from typing import Any, Final

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import PoseStamped, TwistStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Float64

from hand_perception.ros import qos
from hand_perception.ros.complaints import Complaints
from hand_perception.ros.messages import make_header, stamp_ns_of
from hand_perception.ros.params import NodeParameters
from hand_perception.ros.process import run_node
from hand_perception.teleop.limiter import Target
from hand_perception.teleop.simulated.arm import SimulatedArm
from hand_perception.teleop.simulated.settings import SimulatedRobotSettings
from hand_perception.teleop.vectors import as_quaternion, as_vector

#: Deep enough that a command and the twist of the same moment find each other.
_COMMANDS: Final = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
_DIAGNOSTICS_PERIOD_S: Final = 1.0


class SimulatedRobotNode(Node):
    """Obeys ``target``, ``twist`` and ``gripper``; tells ``arm_pose`` and ``gripper_state``.

    The names are those of one side of the node ``teleop``: started in the namespace
    ``/teleop/right`` it is its right arm. What it should never be told is counted and published
    on ``/diagnostics``.
    """

    def __init__(self, **node_options: Any) -> None:
        """Rest at the start and listen.

        Raises:
            ConfigError: a parameter is not allowed.
        """
        super().__init__(
            'simulated_robot', automatically_declare_parameters_from_overrides=True, **node_options
        )
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        parameters = NodeParameters(self, SimulatedRobotSettings, on_change=lambda _: None)
        settings = self._settings = parameters.settings
        start = settings.start
        self.arm = SimulatedArm(
            (as_vector(start[:3]), as_quaternion(start[3:])),
            settings.limits,
            timeout_s=settings.command_timeout_s,
        )
        self._timeout_ns = round(settings.command_timeout_s * 1e9)
        self._pose: PoseStamped | None = None
        self._twist: TwistStamped | None = None
        self._command_ns = 0
        self._num_obeyed = 0
        self._complaints = Complaints(self.get_logger())
        self.create_subscription(PoseStamped, 'target', self._hear_target, _COMMANDS)
        self.create_subscription(TwistStamped, 'twist', self._hear_twist, _COMMANDS)
        self.create_subscription(Float64, 'gripper', self._hear_gripper, _COMMANDS)
        self._arm_pose = self.create_publisher(PoseStamped, 'arm_pose', qos.RESULTS)
        self._gripper_state = self.create_publisher(Float64, 'gripper_state', qos.RESULTS)
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', qos.RESULTS)
        self.create_timer(1 / settings.rate_hz, self._step)
        self.create_timer(_DIAGNOSTICS_PERIOD_S, self._tell_counts)

    def close(self) -> None:
        """End the node."""
        self.destroy_node()

    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _hear_target(self, message: PoseStamped) -> None:
        self._pose = message
        self._obey()

    def _hear_twist(self, message: TwistStamped) -> None:
        self._twist = message
        self._obey()

    def _obey(self) -> None:
        """Follow a target as soon as the twist of the same moment is there."""
        pose, twist = self._pose, self._twist
        if pose is None or twist is None or pose.header.stamp != twist.header.stamp:
            return
        self._pose = self._twist = None
        if pose.header.frame_id != self._settings.base_frame:
            self._complaints.add(
                'target',
                f'a command in {pose.header.frame_id!r} is not obeyed, expected '
                f'{self._settings.base_frame!r}',
            )
            return
        stamp_ns, now_ns = stamp_ns_of(pose.header), self._now_ns()
        p, q = pose.pose.position, pose.pose.orientation
        linear, angular = twist.twist.linear, twist.twist.angular
        target = Target(
            position=(p.x, p.y, p.z),
            quaternion=(q.x, q.y, q.z, q.w),
            linear=(linear.x, linear.y, linear.z),
            angular=(angular.x, angular.y, angular.z),
        )
        # Judged by the times at which commands were made: how long the way took must not count
        # as motion. One that is not fresh is refused by the time at which it came.
        is_fresh = 0 <= now_ns - stamp_ns < self._timeout_ns
        at_ns = stamp_ns if is_fresh else now_ns
        if self.arm.command(target, stamp_ns=stamp_ns, now_ns=at_ns):
            self._num_obeyed += 1
            self._command_ns = stamp_ns

    def _hear_gripper(self, message: Float64) -> None:
        """Obey; the message has no stamp, so it is as old as the newest command of the arm."""
        self.arm.command_gripper(message.data, stamp_ns=self._command_ns, now_ns=self._now_ns())

    def _step(self) -> None:
        now_ns = self._now_ns()
        self.arm.step(now_ns)
        position, quaternion = self.arm.pose
        message = PoseStamped(header=make_header(now_ns, self._settings.base_frame))
        point, turn = message.pose.position, message.pose.orientation
        point.x, point.y, point.z = position
        turn.x, turn.y, turn.z, turn.w = quaternion
        self._arm_pose.publish(message)
        if self.arm.gripper is not None:
            self._gripper_state.publish(Float64(data=self.arm.gripper))

    def _tell_counts(self) -> None:
        arm = self.arm
        wrong = ', '.join(f'{name}: {count}' for name, count in sorted(arm.violations.items()))
        status = DiagnosticStatus(
            level=DiagnosticStatus.WARN if wrong else DiagnosticStatus.OK,
            name=f'{self.get_fully_qualified_name()}: commands',
            message=wrong or 'nothing wrong',
            values=[
                KeyValue(key='commands', value=str(arm.num_commands)),
                KeyValue(key='obeyed', value=str(self._num_obeyed)),
                *(
                    KeyValue(key=f'wrong: {name}', value=str(count))
                    for name, count in sorted(arm.violations.items())
                ),
            ],
        )
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)


def main(args: list[str] | None = None) -> int:
    """Run the node ``simulated_robot``; return the exit code."""
    return run_node(lambda done: SimulatedRobotNode(), args)


if __name__ == '__main__':
    sys.exit(main())
