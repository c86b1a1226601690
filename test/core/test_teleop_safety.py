"""Ten simulated minutes with everything that goes wrong; and a judge that is not blind."""

from dataclasses import replace

import pytest

from hand_perception.teleop import limiter
from hand_perception.teleop.clutch import Clutch
from hand_perception.teleop.gate import HandGate
from hand_perception.teleop.settings import TeleopSettings
from hand_perception.teleop.side import SideTeleop
from hand_perception.teleop.simulated.run import FAULTS, SafetyRun
from hand_perception.teleop.states import Reason, State
from hand_perception.teleop.vectors import scaled

SETTINGS = {
    'service, both arms': TeleopSettings(sides='both'),
    'held button, both arms': TeleopSettings(sides='both', clutch='button', dead_man='button'),
    'button, both arms': TeleopSettings(sides='both', clutch='button'),
    'pinch of the other hand': TeleopSettings(clutch='pinch'),
}


def assert_safe(run):
    counts = run.counts
    assert not counts.commands_while_unsafe
    assert not counts.arm_violations
    assert counts.not_deliberate == 0
    assert counts.losses_overlooked == 0
    assert counts.bad_holds == 0
    assert counts.moving_at_release == 0
    assert counts.num_violations == 0
    # Every loss ended in hold then disengage, but for those of the last moment.
    holding = sum(state.state is State.HOLDING for state in run.teleop.states)
    assert counts.losses == counts.held_then_disengaged + holding


@pytest.fixture(scope='module')
def ten_minutes():
    run = SafetyRun(SETTINGS['held button, both arms'], seed=0)
    run.run(600)
    return run


def test_ten_minutes_of_faults_without_one_unsafe_command(ten_minutes):
    assert ten_minutes.counts.seconds == pytest.approx(600)
    assert_safe(ten_minutes)


def test_the_ten_minutes_had_all_faults_and_much_driving(ten_minutes):
    counts = ten_minutes.counts
    assert set(counts.faults) == set(FAULTS)
    assert min(counts.faults.values()) >= 2
    assert counts.losses > 100
    assert counts.engagements > 100
    assert counts.releases > 0
    assert counts.commands > 30_000  # two arms, a quarter of the time


def test_hardly_any_loss_was_needless(ten_minutes):
    # Hands that cross within 3 cm are one hand on both sides for all that anybody can tell.
    assert ten_minutes.counts.needless_losses <= 0.06 * ten_minutes.counts.losses


@pytest.mark.parametrize('name', SETTINGS)
def test_a_minute_of_faults_is_safe_with_every_clutch(name):
    run = SafetyRun(SETTINGS[name], seed=1)
    counts = run.run(60)
    assert counts.losses >= 5
    assert_safe(run)


def test_without_faults_there_is_no_loss_but_for_hands_at_one_place():
    counts = SafetyRun(SETTINGS['service, both arms'], seed=2, with_faults=False).run(60)
    assert counts.commands > 5_000
    assert counts.releases > 2
    assert set(counts.loss_reasons) <= {'SAME_PLACE'}
    assert counts.num_violations == 0


def sabotaged(name='service, both arms', seconds=40):
    return SafetyRun(SETTINGS[name], seed=3).run(seconds)


def test_the_judge_sees_hands_that_are_used_although_they_are_lost(monkeypatch):
    status = HandGate.status
    last = {}

    def never_lost(self, now_ns):
        found = status(self, now_ns)
        if found.is_usable:
            last[self] = found
        return last.get(self, found)

    monkeypatch.setattr(HandGate, 'status', never_lost)
    counts = sabotaged()
    assert counts.commands_while_unsafe.total() > 0
    assert counts.losses_overlooked > 0


def test_the_judge_sees_old_hands(monkeypatch):
    monkeypatch.setattr(HandGate, '_age_s', lambda self, now_ns: 0.0)
    assert sabotaged(seconds=200).commands_while_unsafe['stale'] > 0


def test_the_judge_sees_hands_of_another_person_and_of_the_other_side(monkeypatch):
    monkeypatch.setattr(HandGate, '_difference', lambda self, hand: Reason.NONE)
    assert sabotaged(seconds=100).commands_while_unsafe['wrong hand'] > 0


def test_the_judge_sees_an_engagement_that_nobody_asked_for(monkeypatch):
    read = Clutch.read

    def eager(self, now_ns):
        wish = read(self, now_ns)
        return replace(wish, is_pressed=wish.stop is Reason.NONE)

    monkeypatch.setattr(Clutch, 'read', eager)
    monkeypatch.setattr(SideTeleop, '_waiting', _patient(SideTeleop._waiting))
    monkeypatch.setattr(SideTeleop, '_engaged', _patient(SideTeleop._engaged))
    assert sabotaged(seconds=100).not_deliberate > 0


def _patient(method):
    """Let a press that goes on not count as the press that stops."""

    def patched(self, hand, wish, *rest):
        return method(self, hand, replace(wish, is_pressed=False), *rest)

    return patched


def test_the_judge_sees_motion_beyond_the_limits(monkeypatch):
    slow = limiter.next_velocity
    monkeypatch.setattr(limiter, 'next_velocity', lambda *all_: scaled(slow(*all_), 1.5))
    assert {'kick', 'jump'} <= set(sabotaged().arm_violations)


def test_the_judge_sees_a_loss_without_hold_and_a_hold_without_end(monkeypatch):
    def skip(self, reason, now_ns, seconds=0.0):
        self._end(reason, now_ns)

    with monkeypatch.context() as patch:
        patch.setattr(SideTeleop, '_lose', skip)
        assert sabotaged().bad_holds > 0
    hold = SideTeleop._holding

    def too_long(self, wish, passed_ns, now_ns):
        is_late = now_ns - self._state.since_ns > 2e9
        return hold(self, wish, passed_ns, now_ns) if is_late else None

    monkeypatch.setattr(SideTeleop, '_holding', too_long)
    assert sabotaged().bad_holds > 0
