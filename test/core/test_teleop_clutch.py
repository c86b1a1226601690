"""Levers and clutches: stopping is easy, engaging takes a deliberate act."""

import numpy as np
import pytest
from teleop_fakes import SECOND, START_NS, TICK_NS

from hand_perception.teleop.clutch import Clutch, Lever
from hand_perception.teleop.settings import TeleopSettings
from hand_perception.teleop.states import Reason

MS = 1_000_000


def feed(lever, now_ns, seconds, is_down):
    """Hear one state 100 times a second; gives the time and how many presses were complete."""
    presses = 0
    for _ in range(round(seconds * SECOND / TICK_NS)):
        now_ns += TICK_NS
        lever.hear(is_down, now_ns)
        lever.read_held(now_ns)
        presses += lever.take_press(now_ns)
    return now_ns, presses


def test_up_then_down_is_one_press_and_only_one():
    lever = Lever()
    now_ns, _ = feed(lever, START_NS, 0.2, False)
    assert feed(lever, now_ns, 3.0, True)[1] == 1


def test_a_lever_that_is_down_from_the_start_was_not_pressed():
    assert feed(Lever(), START_NS, 3.0, True)[1] == 0


def test_a_press_from_unknown_does_not_count():
    lever = Lever()
    now_ns, _ = feed(lever, START_NS, 0.2, False)
    now_ns, _ = feed(lever, now_ns, 0.1, None)
    assert feed(lever, now_ns, 3.0, True)[1] == 0


def test_a_press_must_be_held_for_its_time():
    lever = Lever(hold_ns=600 * MS)
    now_ns, _ = feed(lever, START_NS, 0.2, False)
    now_ns, presses = feed(lever, now_ns, 0.5, True)
    assert presses == 0
    now_ns, presses = feed(lever, now_ns, 0.2, False)
    assert presses == 0
    assert feed(lever, now_ns, 0.7, True)[1] == 1


def test_a_hold_with_a_gap_starts_anew():
    lever = Lever(hold_ns=600 * MS)
    now_ns, _ = feed(lever, START_NS, 0.2, False)
    now_ns, _ = feed(lever, now_ns, 0.4, True)
    now_ns, _ = feed(lever, now_ns, 0.01, None)
    assert feed(lever, now_ns, 1.0, True)[1] == 0


def test_a_release_of_a_moment_is_no_release():
    lever = Lever()
    now_ns, _ = feed(lever, START_NS, 0.2, False)
    now_ns, _ = feed(lever, now_ns, 0.2, True)
    now_ns, _ = feed(lever, now_ns, 0.02, False)
    assert feed(lever, now_ns, 1.0, True)[1] == 0


def test_a_release_between_two_readings_is_seen():
    lever = Lever()
    now_ns, _ = feed(lever, START_NS, 0.2, False)
    now_ns, _ = feed(lever, now_ns, 0.2, True)
    assert lever.read_held(now_ns)
    lever.hear(False, now_ns + 1 * MS)
    lever.hear(True, now_ns + 2 * MS)
    assert not lever.read_held(now_ns + 10 * MS)


def test_a_silent_lever_is_not_held():
    lever = Lever(expiry_ns=300 * MS)
    now_ns, _ = feed(lever, START_NS, 0.2, False)
    now_ns, _ = feed(lever, now_ns, 0.2, True)
    assert lever.read_held(now_ns + 290 * MS)
    assert not lever.read_held(now_ns + 310 * MS)
    # Heard again, still down: nobody saw it released.
    assert feed(lever, now_ns + 400 * MS, 1.0, True)[1] == 0


def test_after_disarming_a_lever_that_is_down_must_be_released_first():
    lever = Lever(hold_ns=100 * MS)
    now_ns, _ = feed(lever, START_NS, 0.2, False)
    now_ns, presses = feed(lever, now_ns, 0.05, True)
    assert presses == 0
    lever.disarm()
    now_ns, presses = feed(lever, now_ns, 2.0, True)
    assert presses == 0
    now_ns, _ = feed(lever, now_ns, 0.2, False)
    assert feed(lever, now_ns, 0.3, True)[1] == 1


def test_a_lever_that_changes_in_a_storm_is_not_held_and_not_pressed():
    lever = Lever()
    now_ns, _ = feed(lever, START_NS, 0.2, False)
    for number in range(400):
        now_ns += 7 * MS
        lever.hear(number % 2 == 0, now_ns)
        assert not lever.read_held(now_ns) or number < 2
        assert not lever.take_press(now_ns) or number < 2
    assert lever.is_fluttering(now_ns)
    # It calms down while it is down: nobody meant that.
    now_ns, presses = feed(lever, now_ns, 3.0, True)
    assert presses == 0
    assert not lever.is_fluttering(now_ns)


def test_when_the_time_jumps_back_a_lever_is_forgotten():
    lever = Lever()
    now_ns, _ = feed(lever, START_NS, 0.2, False)
    now_ns, _ = feed(lever, now_ns, 0.2, True)
    assert feed(lever, now_ns - 5 * SECOND, 1.0, True)[1] == 0


@pytest.mark.parametrize('seed', range(20))
def test_every_press_in_random_noise_had_a_release_and_its_whole_hold(seed):
    rng = np.random.default_rng(seed)
    lever = Lever(hold_ns=80 * MS, expiry_ns=500 * MS)
    now_ns, log = START_NS, []
    presses = 0
    state = None
    for _ in range(4000):
        now_ns += int(rng.uniform(1, 20)) * MS
        if rng.random() < 0.05:
            state = [True, False, None][int(rng.choice(3, p=[0.45, 0.45, 0.1]))]
        lever.hear(state, now_ns)
        log.append((now_ns, state))
        lever.read_held(now_ns)
        if lever.take_press(now_ns):
            presses += 1
            began = next(i for i in range(len(log) - 1, -1, -1) if log[i][1] is not True) + 1
            assert now_ns - log[began][0] >= 80 * MS
            up_until = began - 1
            assert log[up_until][1] is False
            up_since = up_until
            while up_since > 0 and log[up_since - 1][1] is False:
                up_since -= 1
            assert log[began][0] - log[up_since][0] >= 50 * MS
    assert presses > 10


def read(clutch, now_ns, seconds):
    """Read for some seconds; gives the time and the last reading, or the one with a press."""
    pressed = None
    for _ in range(round(seconds * SECOND / TICK_NS)):
        now_ns += TICK_NS
        reading = clutch.read(now_ns)
        pressed = reading if reading.is_pressed else pressed
    return now_ns, pressed or reading


def test_the_service_engages_and_stops():
    clutch = Clutch(TeleopSettings())
    clutch.hear_service(True, START_NS)
    now_ns, reading = read(clutch, START_NS, 0.1)
    assert reading.is_pressed
    assert reading.stop is Reason.NONE
    clutch.hear_service(False, now_ns)
    assert clutch.read(now_ns + TICK_NS).stop is Reason.RELEASED


def test_a_client_that_repeats_itself_does_not_press_again_after_a_loss():
    clutch = Clutch(TeleopSettings())
    clutch.hear_service(True, START_NS)
    now_ns, reading = read(clutch, START_NS, 0.1)
    assert reading.is_pressed
    clutch.disarm()
    for _ in range(50):
        clutch.hear_service(True, now_ns)
        now_ns, reading = read(clutch, now_ns, 0.1)
        assert not reading.is_pressed
    assert clutch.would_refuse(now_ns) is Reason.NOT_RELEASED
    clutch.hear_service(False, now_ns)
    now_ns, _ = read(clutch, now_ns, 0.1)
    clutch.hear_service(True, now_ns)
    assert read(clutch, now_ns, 0.1)[1].is_pressed


def test_the_service_stops_whatever_the_clutch_is():
    for clutch_kind in ('button', 'pinch'):
        clutch = Clutch(TeleopSettings(clutch=clutch_kind))
        clutch.hear_button(False, START_NS)
        clutch.hear_service(False, START_NS)
        assert clutch.read(START_NS + TICK_NS).stop is Reason.RELEASED


def test_a_call_to_stop_wins_over_a_press_in_the_same_moment():
    clutch = Clutch(TeleopSettings())
    clutch.hear_service(True, START_NS)
    clutch.read(START_NS + TICK_NS)
    clutch.hear_service(False, START_NS + 2 * TICK_NS)
    clutch.hear_service(True, START_NS + 2 * TICK_NS)
    reading = clutch.read(START_NS + 2 * TICK_NS)
    assert not reading.is_pressed
    assert reading.stop is Reason.RELEASED


def test_only_the_clutch_that_was_chosen_engages():
    clutch = Clutch(TeleopSettings(clutch='button'))
    clutch.hear_service(True, START_NS)
    clutch.hear_pinch(False, START_NS)
    clutch.hear_pinch(True, START_NS + SECOND)
    assert not read(clutch, START_NS + SECOND, 2.0)[1].is_pressed


def test_the_dead_man_must_be_held_and_a_silent_joystick_is_not():
    clutch = Clutch(TeleopSettings(dead_man='button', button_timeout_s=0.3))
    clutch.hear_service(True, START_NS)
    now_ns, reading = read(clutch, START_NS, 0.1)
    assert reading.stop is Reason.DEAD_MAN
    for _ in range(10):
        now_ns += TICK_NS
        clutch.hear_button(True, now_ns)
        reading = clutch.read(now_ns)
    assert reading.stop is Reason.NONE
    assert clutch.read(now_ns + 290 * MS).stop is Reason.NONE
    assert clutch.read(now_ns + 310 * MS).stop is Reason.DEAD_MAN


def test_a_button_that_is_not_heard_of_stops():
    clutch = Clutch(TeleopSettings(clutch='button', button_timeout_s=0.3))
    clutch.hear_button(False, START_NS)
    assert clutch.read(START_NS + 100 * MS).stop is Reason.NONE
    assert clutch.read(START_NS + 400 * MS).stop is Reason.CLUTCH_SILENT


def test_contradictory_joysticks_stop_and_are_told():
    clutch = Clutch(TeleopSettings(clutch='button'))
    now_ns = START_NS
    for number in range(100):
        now_ns += TICK_NS
        clutch.hear_button(number % 2 == 0, now_ns)
        reading = clutch.read(now_ns)
    assert reading.stop is Reason.CLUTCH_FLUTTERS
    assert clutch.would_refuse(now_ns) is Reason.CLUTCH_FLUTTERS
