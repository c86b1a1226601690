"""The node ``teleop``: tracked hands in, bounded motion of arms out, or nothing."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile

from hand_perception.msg import TeleopState
from hand_perception.ros import qos
from hand_perception.ros.complaints import Complaints
from hand_perception.ros.params import NodeParameters
from hand_perception.ros.process import forwarded_logs, run_node
from hand_perception.ros.target_frame import TfBuffer, listen_to_tf
from hand_perception.ros.teleop_inputs import TeleopInputs
from hand_perception.ros.teleop_outputs import SideTopics, state_message
from hand_perception.ros.teleop_status import TeleopStatus
from hand_perception.teleop.node_settings import TeleopNodeSettings
from hand_perception.teleop.retarget import RobotHand
from hand_perception.teleop.session import Teleoperation, load_robot_hands
from hand_perception.teleop.side import SideOutput
from hand_perception.teleop.states import Reason, Side, SideState, State

#: The latched state is told again after this time, so that silence says that nobody tells it.
_STATE_PERIOD_S: Final = 0.5
_DIAGNOSTICS_PERIOD_S: Final = 1.0

HandLoader = Callable[[TeleopNodeSettings], Mapping[Side, RobotHand]]


class TeleopNode(Node):
    """Wires topics to a :class:`Teleoperation`. One thread, one clock: that of the node.

    Commands are made and published by one timer, from what is known at that moment; when there
    is nothing to command, nothing is published.
    """

    def __init__(
        self,
        *,
        load_hands: HandLoader = load_robot_hands,
        open_buffer: Callable[[Node], TfBuffer] = listen_to_tf,
        **node_options: Any,
    ) -> None:
        """Read the parameters, load robot hands and start to listen.

        Args:
            load_hands: builds the robot hands that the settings name.
            open_buffer: listens to TF where the settings name frames.
            node_options: for :class:`rclpy.node.Node`.

        Raises:
            HandPerceptionError: a parameter is not allowed, or a robot hand cannot be loaded.
        """
        super().__init__(
            'teleop', automatically_declare_parameters_from_overrides=True, **node_options
        )
        self._logs = forwarded_logs(self.get_logger())
        self._logs.__enter__()
        self._states: Publisher | None = None
        try:
            self._start(load_hands, open_buffer)
        except BaseException:
            self.close()
            raise

    def _start(self, load_hands: HandLoader, open_buffer: Callable[[Node], TfBuffer]) -> None:
        parameters = NodeParameters(self, TeleopNodeSettings, on_change=self._take_settings)
        settings = self._settings = parameters.settings
        for name in parameters.unknown_names:
            self.get_logger().warning(f'parameter {name!r} is not known and has no effect')
        self._teleop = Teleoperation(settings, robot_hands=load_hands(settings))
        self._complaints = Complaints(self.get_logger())
        self._sides = {
            side: SideTopics(self._make_publisher, side, self._teleop.robot_joint_names(side))
            for side in settings.active_sides
        }
        self._states = self._make_publisher(TeleopState, '~/state', qos.LATCHED)
        self._inputs = TeleopInputs(
            self, self._teleop, settings, self._now_ns, self._complaints, open_buffer=open_buffer
        )
        self._status = TeleopStatus(
            self, self._teleop, self._inputs, self._sides, self._complaints
        )
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # simulated time may stand still
        self.create_timer(_STATE_PERIOD_S, self._tell_states, clock=steady)
        self.create_timer(_DIAGNOSTICS_PERIOD_S, self._status.publish, clock=steady)
        # On the clock of the node: with simulated time commands keep its pace.
        self.create_timer(1 / settings.rate_hz, self._tick)
        self.get_logger().info(
            f'ready: {settings.sides} at {settings.rate_hz:g} Hz in {settings.base_frame!r}, '
            f'engaged by {settings.clutch}; nothing moves before that'
        )

    def close(self) -> None:
        """Say that nothing is engaged any more and end the node."""
        if self._states is not None:
            now_ns = self._now_ns() or 0
            ended = [
                SideState(
                    side=state.side, state=State.DISENGAGED, reason=Reason.RELEASED,
                    since_ns=now_ns,
                )
                for state in self._teleop.states
            ]  # fmt: skip
            self._tell(ended)
        self._logs.__exit__(None, None, None)
        self.destroy_node()

    def _make_publisher(self, kind: Any, topic: str, profile: QoSProfile) -> Publisher:
        name = self.resolve_topic_name(topic)
        events = qos.publisher_events(name, lambda text: self._complaints.add(name, text))
        return self.create_publisher(kind, topic, profile, event_callbacks=events)

    def _now_ns(self) -> int | None:
        """Give the node's clock; None while simulated time has not started."""
        return self.get_clock().now().nanoseconds or None

    def _take_settings(self, settings: TeleopNodeSettings) -> None:
        self._settings = settings
        self._teleop.use(settings)

    def _tick(self) -> None:
        """Make the commands of this moment and publish them."""
        now_ns = self._now_ns()
        if now_ns is None:
            return
        started = time.perf_counter()
        self._inputs.look_for_arms(now_ns)
        for side, topics in self._sides.items():
            self._teleop.hear_rival(side, bool(topics.rivals(self)))
        outputs = self._teleop.tick(now_ns)
        for output in outputs:
            if output.commands is not None:
                topics = self._sides[output.state.side]
                topics.publish(output.commands, self._settings, now_ns=now_ns)
        if any(output.is_new_state for output in outputs):
            self._tell_states()
        self._log(outputs)
        self._status.add_tick(outputs, seconds=time.perf_counter() - started)

    def _log(self, outputs: tuple[SideOutput, ...]) -> None:
        for output in outputs:
            if output.is_new_state:
                self.get_logger().info(output.state.text)

    def _tell_states(self) -> None:
        self._tell(self._teleop.states)

    def _tell(self, states: Any) -> None:
        if self._states is not None:
            now_ns = self._now_ns() or 0
            base_frame = self._settings.base_frame
            self._states.publish(state_message(states, now_ns=now_ns, base_frame=base_frame))


def main(args: list[str] | None = None) -> int:
    """Run the node ``teleop``; return the exit code."""
    return run_node(lambda done: TeleopNode(), args)


if __name__ == '__main__':
    sys.exit(main())
