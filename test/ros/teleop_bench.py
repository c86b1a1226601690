"""An operator and the node ``teleop`` of a test, with real topics."""

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_bench import values_of
from ros_fakes import make_hand
from std_srvs.srv import SetBool

from hand_perception.msg import HandPose, TeleopSide, TeleopState
from hand_perception.ros.messages import (
    hand_message,
    make_header,
    untracked_message,
)
from hand_perception.ros.teleop_node import TeleopNode

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
