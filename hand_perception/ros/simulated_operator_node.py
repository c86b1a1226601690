"""The node ``simulated_operator``: a person with a button, who watches the own hand."""

import sys
from typing import Any, Final

from rclpy.node import Node
from sensor_msgs.msg import Joy

from hand_perception.msg import HandPose, TeleopSide, TeleopState
from hand_perception.ros import qos
from hand_perception.ros.messages import make_header, time_ns_of
from hand_perception.ros.params import NodeParameters
from hand_perception.ros.process import run_node
from hand_perception.teleop.simulated.operator import SimulatedOperator
from hand_perception.teleop.simulated.settings import SimulatedOperatorSettings
from hand_perception.teleop.states import State

_STATES: Final = {
    TeleopSide.IDLE: State.IDLE,
    TeleopSide.WAITING: State.WAITING,
    TeleopSide.ENGAGED: State.ENGAGED,
    TeleopSide.HOLDING: State.HOLDING,
    TeleopSide.DISENGAGED: State.DISENGAGED,
}


class SimulatedOperatorNode(Node):
    """Publishes ``joy``; listens to ``hands/<side>/pose`` and ``teleop/state``."""

    def __init__(self, **node_options: Any) -> None:
        """Subscribe and start to repeat the button.

        Raises:
            ConfigError: a parameter is not allowed.
        """
        super().__init__(
            'simulated_operator',
            automatically_declare_parameters_from_overrides=True,
            **node_options,
        )
        try:
            settings = NodeParameters(
                self, SimulatedOperatorSettings, on_change=lambda _: None
            ).settings
            self._settings = settings
            self._operator = SimulatedOperator(settings)
            self._was_down = False
            is_right = settings.side == 'right'
            self._side = TeleopSide.HANDEDNESS_RIGHT if is_right else TeleopSide.HANDEDNESS_LEFT
            self._joy = self.create_publisher(Joy, 'joy', qos.RESULTS)
            self.create_subscription(
                HandPose, f'hands/{settings.side}/pose', self._see_hand, qos.RESULTS
            )
            self.create_subscription(TeleopState, 'teleop/state', self._see_state, qos.LATCHED)
            self.create_timer(1 / settings.rate_hz, self._act)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go: a button that is silent is released."""
        self.destroy_node()

    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _see_hand(self, message: HandPose) -> None:
        point = message.wrist.position
        place = (point.x, point.y, point.z) if message.tracked else None
        self._operator.hear_hand(place, self._now_ns())

    def _see_state(self, message: TeleopState) -> None:
        for side in message.sides:
            if side.handedness == self._side:
                self._operator.hear_state(_STATES[side.state], time_ns_of(side.since))

    def _act(self) -> None:
        now_ns = self._now_ns()
        is_down = self._operator.act(now_ns)
        if is_down != self._was_down:
            self._was_down = is_down
            self.get_logger().info('presses the button' if is_down else 'lets the button go')
        buttons = [0] * (self._settings.button + 1)
        buttons[self._settings.button] = int(is_down)
        self._joy.publish(Joy(header=make_header(now_ns, ''), buttons=buttons))


def main(args: list[str] | None = None) -> int:
    """Run the node ``simulated_operator``; return the exit code."""
    return run_node(lambda done: SimulatedOperatorNode(), args)


if __name__ == '__main__':
    sys.exit(main())
