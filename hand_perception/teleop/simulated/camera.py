"""What a camera and a hand tracker report of the hands, late, noisy, and sometimes wrong."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from hand_perception.teleop.observation import FINGER_JOINTS, HandObservation
from hand_perception.teleop.simulated.person import WanderingHand
from hand_perception.teleop.states import SIDES, Side
from hand_perception.teleop.vectors import add, as_vector, multiply, quaternion_from_vector

_PERIOD_S: Final = 1 / 30
#: Noise of one measurement: metres and radians, standard deviation.
_NOISE_M, _NOISE_RAD = 0.0012, 0.012
_LATENCY_S: Final = (0.03, 0.09)
_NAN: Final = float('nan')
_OTHER: Final[dict[Side, Side]] = {'left': 'right', 'right': 'left'}

#: Faults of single messages: what becomes of a good observation.
_MESSAGE_FAULTS: Final[dict[str, Callable[[HandObservation, float], HandObservation]]] = {
    'low confidence': lambda hand, _: replace(hand, confidence=0.2),
    'unsure side': lambda hand, _: replace(hand, handedness_score=0.55),
    'extrapolated': lambda hand, _: replace(hand, is_predicted=True),
    'not a number': lambda hand, _: replace(hand, position=(_NAN, 0.1, 0.4)),
    'zeros': lambda hand, _: replace(
        hand, position=(0.0, 0.0, 0.0), quaternion=(0.0, 0.0, 0.0, 1.0)
    ),
    'no rotation': lambda hand, _: replace(hand, quaternion=(0.0, 0.0, 0.0, 0.0)),
    'outlier': lambda hand, size: replace(
        hand, position=add(hand.position, (0.0, 0.15 + 0.3 * size, 0.0))
    ),
    'flip': lambda hand, _: replace(
        hand, quaternion=multiply(hand.quaternion, (1.0, 0.0, 0.0, 0.0))
    ),
    'stamp from the past': lambda hand, size: replace(
        hand, stamp_ns=hand.stamp_ns - round((0.3 + 5 * size) * 1e9)
    ),
    'stamp from the future': lambda hand, size: replace(
        hand, stamp_ns=hand.stamp_ns + round((0.2 + 5 * size) * 1e9)
    ),
    'old at publication': lambda hand, size: replace(hand, age_s=0.3 + size),
    'new id': lambda hand, size: replace(hand, track_id=100_000 + round(1e6 * size)),
}
#: Faults of the stream, handled below.
_STREAM_FAULTS: Final = (
    'loss', 'loss of one image', 'stall', 'backlog', 'frozen', 'ids swapped', 'sides swapped',
    'second publisher', 'second publisher unnamed', 'one hand on both sides',
)  # fmt: skip
CAMERA_FAULTS: Final = (*_MESSAGE_FAULTS, *_STREAM_FAULTS)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message on its way.

    Attributes:
        at_s: when it arrives.
        side: whose topic it comes on.
        hand: what it says.
        is_true: whether it is what the hand of that side really did.
        true_s: when the hand did that.
        is_foreign: from a second publisher.
    """

    at_s: float
    side: Side
    hand: HandObservation
    is_true: bool
    true_s: float
    is_foreign: bool = False


class FaultyCamera:
    """Makes the messages of both sides; ``fault`` names what goes wrong just now."""

    def __init__(self, hands: dict[Side, WanderingHand], rng: np.random.Generator) -> None:
        """Look at two hands."""
        self.fault = ''
        self.size = 0.0  #: 0-1, of the fault
        self._hands, self._rng = hands, rng
        self._next_s = 0.0
        self._ids: dict[Side, int] = {'left': 1, 'right': 2}
        self._next_id = 3
        self._was_seen = True
        self._frozen: dict[Side, tuple[HandObservation, float]] = {}
        self._arrived_s = 0.0

    def look(self, time_s: float, clock_ns: int) -> list[Delivery]:
        """Give what is sent at a time; the stamps are those of a clock that may jump."""
        if time_s < self._next_s:
            return []
        self._next_s = time_s + _PERIOD_S * self._rng.uniform(0.8, 1.2)
        is_lost = self.fault in ('loss', 'loss of one image')
        if is_lost and self._was_seen:
            for side in SIDES:  # found again: with a new number
                self._ids[side], self._next_id = self._next_id, self._next_id + 1
        self._was_seen = not is_lost
        seen = {side: self._observe(side, clock_ns) for side in SIDES}
        if self.fault == 'stall':
            return []
        latency_s = self._rng.uniform(*_LATENCY_S)
        if self.fault == 'backlog':
            latency_s += 0.4 + 0.6 * self.size
        # Messages of one publisher arrive in order.
        self._arrived_s = max(self._arrived_s, time_s + latency_s)
        sent = [self._send(side, seen, time_s) for side in SIDES]
        if self.fault.startswith('second publisher'):
            sent += [self._foreign(side, seen[side], time_s) for side in SIDES]
        return sent

    def _observe(self, side: Side, clock_ns: int) -> HandObservation:
        """Measure one hand as well as it can be done."""
        hand, noise = self._hands[side], self._rng.normal(size=6)
        turn = quaternion_from_vector(as_vector(noise[3:] * _NOISE_RAD))
        bend = 0.4 + 0.3 * hand.pinch + 0.01 * float(noise[0])
        return HandObservation(
            stamp_ns=clock_ns,
            tracked=True,
            track_id=self._ids[side],
            confidence=0.9,
            handedness_score=0.99,
            age_s=0.05,
            position=add(hand.position, as_vector(noise[:3] * _NOISE_M)),
            quaternion=multiply(turn, hand.quaternion),
            flexion=(bend,) * len(FINGER_JOINTS),
            pinch=hand.pinch,
            grasp=0.5,
            frame_id='camera',
            source='perception',
        )

    def _send(self, side: Side, seen: dict[Side, HandObservation], time_s: float) -> Delivery:
        hand, is_true, true_s = seen[side], True, time_s
        fault = self.fault
        if fault != 'frozen':
            self._frozen[side] = (hand, time_s)
        if fault in _MESSAGE_FAULTS:
            hand, is_true = _MESSAGE_FAULTS[fault](hand, self.size), False
        elif not self._was_seen:
            hand, is_true = (
                HandObservation(
                    stamp_ns=hand.stamp_ns, tracked=False, frame_id='camera', source='perception'
                ),
                False,
            )
        elif fault == 'frozen':
            frozen, true_s = self._frozen[side]
            hand = replace(frozen, stamp_ns=hand.stamp_ns)
        elif fault == 'ids swapped':
            hand, is_true = seen[_OTHER[side]], False
        elif fault == 'sides swapped':
            hand, is_true = replace(seen[_OTHER[side]], track_id=hand.track_id), False
        elif fault == 'one hand on both sides' and side == 'left':
            shift = add(seen['right'].position, (0.004, 0.0, 0.0))
            hand, is_true = replace(hand, position=shift), False
        return Delivery(self._arrived_s, side, hand, is_true, true_s)

    def _foreign(self, side: Side, hand: HandObservation, time_s: float) -> Delivery:
        """A second tracker, that sees somebody else."""
        is_named = self.fault == 'second publisher'
        other = replace(
            hand,
            position=add(hand.position, (0.0, -0.25 - 0.2 * self.size, 0.1)),
            stamp_ns=hand.stamp_ns + round(self._rng.uniform(0, 5e6)),
            source='another' if is_named else 'perception',
        )
        return Delivery(self._arrived_s + 0.004, side, other, False, time_s, is_foreign=True)


def swap_is_visible(hands: dict[Side, WanderingHand]) -> bool:
    """Whether two hands are far enough apart for a swap that keeps the track ids to be seen."""
    return math.dist(hands['left'].position, hands['right'].position) > 0.2
