"""Whether a hand may be used: every rule of the hand-loss contract from the consumer's side."""

from dataclasses import replace

import numpy as np
import pytest
from teleop_fakes import SECOND, START_NS, observation, untracked

from hand_perception.teleop.gate import HandGate
from hand_perception.teleop.gate_settings import HandGateSettings
from hand_perception.teleop.states import Reason

PERIOD_NS = SECOND // 30
NAN = float('nan')


class Stream:
    """Sends images to a gate, 30 a second, each 40 ms old."""

    def __init__(self, **settings):
        self.gate = HandGate(HandGateSettings(**settings))
        self.now_ns = START_NS
        self.number = 0

    def send(self, hand=None, **changes):
        """Send the next image: a good hand with changes, or the one that is given."""
        self.now_ns += PERIOD_NS
        self.number += 1
        if hand is None:
            hand = observation(self.now_ns - 40_000_000, self.number, **changes)
        return self.gate.observe(hand, self.now_ns)

    def settle(self, **changes):
        for _ in range(12):
            assert self.send(**changes) is Reason.NONE
        assert self.status.is_usable
        return self

    @property
    def stamp_ns(self):
        """Stamp of the next image."""
        return self.now_ns + PERIOD_NS - 40_000_000

    @property
    def status(self):
        return self.gate.status(self.now_ns)


def test_before_any_message_no_hand_may_be_used():
    status = HandGate().status(START_NS)
    assert not status.is_usable
    assert status.hand is None
    assert status.reason is Reason.NO_HAND_YET


def test_a_hand_is_used_after_it_was_seen_well_for_the_settling_time():
    stream = Stream(settle_s=0.2)
    for number in range(20):
        stream.send()
        if number * PERIOD_NS < 0.2 * SECOND:
            assert stream.status.reason is Reason.SETTLING
        else:
            assert stream.status.is_usable
            assert stream.status.hand.stamp_ns == stream.now_ns - 40_000_000


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        ({'position': (NAN, 0.1, 0.4)}, Reason.MALFORMED),
        ({'position': (float('inf'), 0.1, 0.4)}, Reason.MALFORMED),
        ({'position': (0.0, 0.0, 0.0)}, Reason.MALFORMED),
        ({'quaternion': (0.0, 0.0, 0.0, 0.0)}, Reason.MALFORMED),
        ({'quaternion': (0.0, 0.0, 0.0, 1.1)}, Reason.MALFORMED),
        ({'flexion': (NAN,) * 15}, Reason.MALFORMED),
        ({'flexion': (0.1,) * 14}, Reason.MALFORMED),
        ({'keypoints': np.full((21, 3), np.nan)}, Reason.MALFORMED),
        ({'confidence': NAN}, Reason.MALFORMED),
        ({'pinch': NAN}, Reason.MALFORMED),
        ({'confidence': 0.3}, Reason.LOW_CONFIDENCE),
        ({'handedness_score': 0.6}, Reason.UNSURE_SIDE),
        ({'is_predicted': True}, Reason.PREDICTED),
        ({'age_s': 0.5}, Reason.STALE),
        ({'track_id': 8}, Reason.OTHER_HAND),
        ({'position': (0.1, 0.3, 0.4)}, Reason.JUMP),
        ({'quaternion': (1.0, 0.0, 0.0, 0.0)}, Reason.JUMP),
        ({'frame_id': 'another_camera'}, Reason.FRAME_CHANGED),
        ({'source': 'another'}, Reason.TWO_PUBLISHERS),
    ],
)
def test_one_bad_message_takes_the_hand_away_at_once_and_until_it_settled_again(changes, reason):
    stream = Stream().settle()
    run = stream.status.run
    assert stream.send(**changes) is reason
    status = stream.status
    assert not status.is_usable
    assert status.hand is None
    assert status.reason is reason
    assert status.run > run
    for _ in range(3):
        stream.send()
        assert not stream.status.is_usable


def test_a_hand_that_is_not_tracked_is_lost_in_that_message():
    stream = Stream().settle()
    assert stream.send(untracked(stream.stamp_ns)) is Reason.UNTRACKED
    assert stream.status.reason is Reason.UNTRACKED


def test_a_hand_gets_too_old_without_any_message():
    stream = Stream(max_age_s=0.15).settle()
    newest_ns = stream.gate.newest.stamp_ns
    assert stream.gate.status(newest_ns + 149_000_000).is_usable
    late = stream.gate.status(newest_ns + 151_000_000)
    assert late.reason is Reason.STALE
    assert late.hand is None
    assert late.age_s == pytest.approx(0.151)


def test_the_age_at_publication_counts_where_the_clocks_hide_it():
    # The stamp says 10 ms, the publisher says 140 ms: 20 ms later the hand is too old.
    stream = Stream(max_age_s=0.15, settle_s=0.0)
    for _ in range(4):
        stream.send(hand=observation(stream.stamp_ns + 30_000_000, stream.number, age_s=0.14))
    assert stream.status.is_usable
    assert stream.gate.status(stream.now_ns + 20_000_000).reason is Reason.STALE


def test_a_gap_between_stamps_breaks_the_run_even_if_nobody_looked():
    stream = Stream().settle()
    run = stream.status.run
    stream.now_ns += SECOND
    assert stream.send() is Reason.STALE
    assert stream.status.run > run


def test_bit_identical_hands_do_not_keep_a_hand_fresh():
    stream = Stream(max_age_s=0.2).settle()
    frozen = stream.gate.newest
    usable = []
    for _ in range(10):
        assert stream.send(replace(frozen, stamp_ns=stream.stamp_ns)) is Reason.FROZEN
        usable.append(stream.status.is_usable)
    assert usable[0]  # a camera that shows an image twice is not an alarm
    assert usable == sorted(usable, reverse=True)
    assert stream.status.reason is Reason.FROZEN
    assert (stream.now_ns - frozen.stamp_ns) * 1e-9 > 0.2


def test_the_same_message_twice_changes_nothing():
    stream = Stream().settle()
    before = stream.status
    stream.gate.observe(stream.gate.newest, stream.now_ns)
    assert stream.status == before


def test_one_image_with_two_different_hands_means_two_publishers():
    stream = Stream().settle()
    other = replace(stream.gate.newest, position=(0.1, 0.12, 0.4), source='')
    assert stream.gate.observe(other, stream.now_ns) is Reason.TWO_PUBLISHERS
    assert stream.status.reason is Reason.TWO_PUBLISHERS


def test_two_publishers_that_take_turns_never_give_a_hand():
    stream = Stream().settle()
    for number in range(120):
        stream.send(source=('another', 'perception')[number % 2])
        assert stream.status.reason is Reason.TWO_PUBLISHERS


def test_two_unnamed_publishers_of_different_hands_never_give_a_hand():
    stream = Stream()
    for number in range(120):
        stream.send(position=(0.1, 0.1 + 0.3 * (number % 2), 0.4 + 1e-4 * number), source='')
        assert not stream.status.is_usable


def test_one_publisher_is_used_again_a_second_after_the_other_fell_silent():
    stream = Stream().settle()
    stream.send(source='another')
    silent_ns = stream.now_ns
    while not stream.status.is_usable:
        assert stream.status.reason in (Reason.TWO_PUBLISHERS, Reason.SETTLING)
        stream.send()
        assert stream.now_ns - silent_ns < 3 * SECOND
    assert stream.now_ns - silent_ns > SECOND


def test_a_topic_with_two_publishers_gives_no_hand_whatever_they_say():
    stream = Stream().settle()
    run = stream.status.run
    stream.gate.set_publishers(2)
    stream.send()
    assert stream.status.reason is Reason.TWO_PUBLISHERS
    stream.gate.set_publishers(1)
    assert stream.status.run > run


def test_a_stamp_from_the_past_breaks_the_run_and_a_new_recording_may_begin_there():
    stream = Stream().settle()
    assert stream.send(observation(stream.stamp_ns - SECOND)) is Reason.PAST
    assert stream.status.reason is Reason.PAST
    stream.settle()


def test_stamps_that_alternate_between_two_times_never_give_a_hand():
    stream = Stream()
    for number in range(60):
        stream.send(observation(stream.stamp_ns - (number % 2) * 100_000_000, number))
        assert not stream.status.is_usable


def test_a_stamp_from_the_future_is_refused_but_a_little_is_allowed_for_clocks():
    stream = Stream(max_future_s=0.05).settle()
    ahead_ns = stream.now_ns + PERIOD_NS
    assert stream.send(observation(ahead_ns + 40_000_000, 1)) is Reason.NONE
    assert stream.send(observation(ahead_ns + 5 * SECOND, 2)) is Reason.FUTURE
    assert stream.status.reason is Reason.FUTURE


def test_when_the_time_jumps_back_everything_is_forgotten():
    stream = Stream().settle()
    run = stream.status.run
    status = stream.gate.status(stream.now_ns - 10 * SECOND)
    assert status.reason is Reason.TIME_JUMP
    assert status.run > run
    stream.now_ns -= 10 * SECOND
    for _ in range(2):
        stream.send()
        assert not stream.status.is_usable
    for _ in range(10):
        stream.send()
    assert stream.status.is_usable


def test_when_the_time_jumps_ahead_the_hand_is_too_old():
    stream = Stream().settle()
    assert stream.gate.status(stream.now_ns + 20 * SECOND).reason is Reason.STALE


def test_confidence_may_drop_a_little_once_the_hand_is_used():
    stream = Stream(min_confidence=0.5)
    assert stream.send(confidence=0.45) is Reason.LOW_CONFIDENCE
    stream.settle(confidence=0.5)
    assert stream.send(confidence=0.45) is Reason.NONE
    assert stream.send(confidence=0.39) is Reason.LOW_CONFIDENCE


def test_extrapolated_hands_are_used_only_when_asked_for():
    stream = Stream(accept_predicted=True)
    stream.settle(is_predicted=True)


def test_a_fast_hand_is_no_jump():
    stream = Stream(max_hand_speed=2.0)
    for number in range(15):
        # 1.5 m/s for half a second
        assert stream.send(position=(0.1, 0.1, 0.3 + 0.05 * number)) is Reason.NONE
    assert stream.status.is_usable


def test_rejecting_from_outside_ends_the_run():
    stream = Stream().settle()
    stream.gate.reject(Reason.SAME_PLACE)
    assert stream.status.reason is Reason.SAME_PLACE


@pytest.mark.parametrize('seed', range(20))
def test_in_any_storm_a_usable_hand_is_good_fresh_and_of_one_unbroken_run(seed):
    """Whatever arrives in whatever order, what the gate gives out keeps the contract."""
    rng = np.random.default_rng(seed)
    gate = HandGate(HandGateSettings(settle_s=0.05))
    now_ns, bad_ns, run_began_ns, run = START_NS, START_NS, START_NS, -1
    taken, num_usable = set(), 0
    for number in range(3000):
        now_ns += int(rng.exponential(12e6))
        hand = observation(now_ns - int(rng.uniform(0, 60e6)), number)
        fault = rng.random()
        if fault < 0.01:
            hand = untracked(hand.stamp_ns)
        elif fault < 0.02:
            hand = replace(hand, track_id=int(rng.integers(100)))
        elif fault < 0.03:
            hand = replace(hand, position=(NAN, NAN, NAN))
        elif fault < 0.04:
            hand = replace(hand, stamp_ns=hand.stamp_ns - int(rng.uniform(0.3, 5) * SECOND))
        elif fault < 0.045:
            now_ns += SECOND
        reason = gate.observe(hand, now_ns)
        if reason is Reason.NONE:
            taken.add(hand.stamp_ns)
        else:
            bad_ns = now_ns
        status = gate.status(now_ns + int(rng.uniform(0, 30e6)))
        if status.run != run:
            run, run_began_ns = status.run, now_ns
        now_ns = max(now_ns, gate._now_ns)
        if status.is_usable:
            num_usable += 1
            assert status.hand.tracked
            assert status.hand.is_well_formed
            assert status.age_s <= 0.2
            assert status.hand.stamp_ns in taken
            assert bad_ns <= run_began_ns
        else:
            assert status.hand is None
            assert status.reason is not Reason.NONE
    assert num_usable > 100  # the storm has calm moments, in which the hand is given
