"""What /diagnostics says of the teleoperation once a second: one status per arm."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from hand_perception.ros.complaints import Complaints
from hand_perception.ros.qos import RESULTS
from hand_perception.ros.teleop_inputs import TeleopInputs
from hand_perception.ros.teleop_outputs import SideTopics
from hand_perception.teleop.session import Teleoperation
from hand_perception.teleop.side import SideOutput
from hand_perception.teleop.states import Reason, Side, SideState, State

#: A side that was lost tells it for this long; then it is just not engaged.
_LOSS_TOLD_NS: Final = 5_000_000_000


class TeleopStatus:
    """Counts what the sides do and publishes how they are."""

    def __init__(
        self,
        node: Node,
        teleop: Teleoperation,
        inputs: TeleopInputs,
        sides: Mapping[Side, SideTopics],
        complaints: Complaints,
    ) -> None:
        """Create the publisher."""
        self._node = node
        self._teleop = teleop
        self._inputs = inputs
        self._sides = sides
        self._complaints = complaints
        self._commands: Counter[Side] = Counter()
        self._entered: dict[Side, Counter[State]] = {side: Counter() for side in sides}
        self._losses: dict[Side, Counter[str]] = {side: Counter() for side in sides}
        self._ticks = 0
        self._longest_s = 0.0
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', RESULTS)
        self._before: dict[Side, State] = {}

    def add_tick(self, outputs: Sequence[SideOutput], *, seconds: float) -> None:
        """Count what the sides did, and how long it took to say it."""
        self._ticks += 1
        self._longest_s = max(self._longest_s, seconds)
        for output in outputs:
            state = output.state
            self._commands[state.side] += output.commands is not None
            if self._before.get(state.side) is not state.state:
                self._before[state.side] = state.state
                self._entered[state.side][state.state] += 1
                if state.state is State.HOLDING:
                    self._losses[state.side][state.reason.value] += 1

    def publish(self) -> None:
        """Publish one status per side."""
        now = self._node.get_clock().now()
        common = [*self._complaints.recent(), *self._inputs.frame_problems]
        message = DiagnosticArray(
            status=[self._status(state, common, now.nanoseconds) for state in self._teleop.states]
        )
        message.header.stamp = now.to_msg()
        self._publisher.publish(message)
        self._ticks, self._longest_s = 0, 0.0

    def _status(self, state: SideState, problems: Sequence[str], now_ns: int) -> DiagnosticStatus:
        side = state.side
        found = list(problems)
        is_lost = state.state is State.HOLDING or (
            state.state is State.DISENGAGED and now_ns - state.since_ns < _LOSS_TOLD_NS
        )
        if is_lost and state.reason not in (Reason.NONE, Reason.RELEASED):
            found.append(state.reason.value)
        if rivals := self._sides[side].rivals(self._node):
            found.append(
                f'somebody else publishes {", ".join(rivals)}, too: nothing moves while the arm '
                f'hears two masters (ros2 topic info -v {rivals[0]} names them)'
            )
        if self._teleop.waits_for_joints(side):
            found.append(
                'joint_states has not told all joints of the robot hand: nothing is sent for it '
                '(hand_feedback)'
            )
        return DiagnosticStatus(
            level=DiagnosticStatus.WARN if found else DiagnosticStatus.OK,
            name=f'{self._node.get_fully_qualified_name()}: {side} arm',
            message='; '.join(dict.fromkeys(found)) or state.text,
            values=[
                KeyValue(key=key, value=value)
                for key, value in self._values(state, now_ns).items()
            ],
        )

    def _values(self, state: SideState, now_ns: int) -> dict[str, str]:
        side = state.side
        hand = self._teleop.hand_status(side, now_ns) if now_ns else None
        return {
            'state': state.state.value,
            'reason': state.reason.value,
            'hand usable': str(hand is not None and hand.is_usable),
            'hand': '' if hand is None else hand.reason.value,
            'hand age (ms)': 'inf' if hand is None else f'{hand.age_s * 1e3:.1f}',
            'publishers of the hand': str(self._inputs.num_publishers[side]),
            'commands sent': str(self._commands[side]),
            'engaged': str(self._entered[side][State.ENGAGED]),
            'lost': str(self._entered[side][State.HOLDING]),
            **{f'lost: {why}': str(n) for why, n in sorted(self._losses[side].items())},
            **{
                f'hands refused: {why.value}': str(n)
                for why, n in sorted(
                    self._inputs.refused[side].items(), key=lambda item: item[0].value
                )
            },
            'ticks in the last second': str(self._ticks),
            'longest tick (ms)': f'{self._longest_s * 1e3:.2f}',
        }
