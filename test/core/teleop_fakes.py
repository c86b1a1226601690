"""A teleoperation on a table: hands, clutch and arm that a test moves by hand, at 100 Hz."""

import math
from dataclasses import replace

from hand_perception.teleop.observation import FINGER_JOINTS, HandObservation
from hand_perception.teleop.session import Teleoperation
from hand_perception.teleop.settings import TeleopSettings
from hand_perception.teleop.states import State

SECOND = 1_000_000_000
START_NS = 1_000 * SECOND
TICK_NS = 10_000_000
#: Images come at 33.3 Hz, every third tick, and are 40 ms old when they arrive.
IMAGE_EVERY = 3
LATENCY_NS = 40_000_000
STILL = (0.0, 0.0, 0.0, 1.0)


def observation(stamp_ns, number=0, **changes):
    """A good hand; ``number`` makes its numbers differ from those of other images."""
    jitter = 1e-5 * math.sin(1.7 * number)
    hand = HandObservation(
        stamp_ns=stamp_ns, tracked=True, track_id=7, confidence=0.9, handedness_score=0.99,
        age_s=0.04, position=(0.1 + jitter, 0.1, 0.4), quaternion=STILL,
        flexion=(0.3 + jitter,) * len(FINGER_JOINTS), pinch=0.2, grasp=0.2, frame_id='camera',
        source='perception',
    )  # fmt: skip
    return replace(hand, **changes)


def untracked(stamp_ns, **changes):
    """What is published in an image without the hand."""
    lost = HandObservation(
        stamp_ns=stamp_ns, tracked=False, frame_id='camera', source='perception'
    )
    return replace(lost, **changes)


class Table:
    """Runs a teleoperation; the right arm is where its last target was, the left one rests.

    ``hand`` holds what the right hand shows beside good values, ``left`` that of the left hand;
    None: no message comes. ``button`` is the state of both buttons, None: the joystick is silent.
    """

    def __init__(self, **settings):
        self.settings = TeleopSettings(**{'settle_s': 0.1, **settings})
        self.teleop = Teleoperation(self.settings)
        self.now_ns = START_NS
        self.number = 0
        self.hand = {}
        self.left = None
        self.button = None
        self.arm = ((0.4, 0.0, 0.4), STILL)
        self.arm_is_heard = True
        self.outputs = []

    def tick(self, step_ns=TICK_NS):
        self.now_ns += step_ns
        self.number += 1
        if self.number % IMAGE_EVERY == 0:
            for side, changes in (('right', self.hand), ('left', self.left)):
                if changes is not None:
                    stamp_ns = self.now_ns - LATENCY_NS
                    hand = observation(stamp_ns, self.number)
                    if side == 'left':
                        hand = replace(hand, track_id=8, position=(-0.2, 0.1, 0.4))
                    hand = replace(hand, **changes)
                    self.teleop.hear_hand(side, hand, self.now_ns)
        if self.arm_is_heard:
            self.teleop.hear_arm('right', *self.arm, self.now_ns)
            self.teleop.hear_arm('left', (0.4, 0.2, 0.4), STILL, self.now_ns)
        if self.button is not None:
            self.teleop.hear_joy([0, 0, 0, 0, self.button, self.button], self.now_ns)
        output = self.teleop.tick(self.now_ns)[-1]
        if output.commands is not None:
            target = output.commands.target
            self.arm = (target.position, target.quaternion)
        self.outputs.append((self.now_ns, output))
        return output

    def run(self, seconds):
        """Go on for some seconds; gives the outputs of these ticks."""
        before = len(self.outputs)
        for _ in range(round(seconds * SECOND / TICK_NS)):
            self.tick()
        return [output for _, output in self.outputs[before:]]

    def call(self, engage):
        return self.teleop.hear_service('right', engage, self.now_ns)

    @property
    def state(self):
        return self.outputs[-1][1].state.state

    @property
    def reason(self):
        return self.outputs[-1][1].state.reason

    def engage(self):
        """See the hand, ask, hold still; the service must be the clutch."""
        self.run(0.3)
        assert self.call(True)[0]
        for _ in range(200):
            self.tick()
            if self.state is State.ENGAGED:
                return self
        raise AssertionError(f'not engaged: {self.reason}')


def commands_of(outputs):
    """The commands among outputs."""
    return [output.commands for output in outputs if output.commands is not None]


def move_right_hand(table, seconds, *, speed=0.1):
    """Move the hand away from the camera; gives the outputs."""
    outputs = []
    for _ in range(round(seconds * SECOND / TICK_NS)):
        x, y, z = table.hand.get('position', (0.1, 0.1, 0.4))
        table.hand['position'] = (x, y, z + speed * TICK_NS / SECOND)
        outputs.append(table.tick())
    return outputs


def lose(table):
    """The right hand is not seen from now on."""
    table.hand = {'tracked': False}


def press_button(table, seconds):
    """Hold the button for some seconds; gives the outputs."""
    table.button = 1
    outputs = table.run(seconds)
    table.button = 0
    return outputs
