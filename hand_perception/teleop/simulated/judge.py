"""Who knows the truth, and counts what a safe teleoperation must never do.

It shares no code with the rules that it judges: it knows what every message really was, when it
arrived, and what the person meant.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from hand_perception.teleop.side import SideOutput
from hand_perception.teleop.simulated.camera import Delivery
from hand_perception.teleop.states import State

#: A second publisher that was heard this long ago may speak again.
_FOREIGN_S: Final = 0.2


@dataclass(slots=True)
class SafetyCounts:
    """What happened in a run, and what must not have.

    Attributes:
        seconds: simulated.
        commands: targets sent to arms.
        engagements: transitions to engaged.
        releases: engaged to disengaged, as the operator wanted.
        losses: engaged to holding.
        held_then_disengaged: losses that ended in disengaged within hold_timeout_s.
        needless_losses: without any fault at work.
        commands_while_unsafe: by what was wrong with the newest hand: must be empty.
        not_deliberate: engagements without a new deliberate act: must be 0.
        losses_overlooked: ticks engaged although the newest hand was unsafe: must be 0.
        bad_holds: losses that did not end as they must: must be 0.
        moving_at_release: releases whose last target still moved: must be 0.
        arm_violations: what the arms noted, by name: must be empty.
        loss_reasons: by what the state topic said.
        faults: played, by name.
    """

    seconds: float = 0.0
    commands: int = 0
    engagements: int = 0
    releases: int = 0
    losses: int = 0
    held_then_disengaged: int = 0
    needless_losses: int = 0
    not_deliberate: int = 0
    losses_overlooked: int = 0
    bad_holds: int = 0
    moving_at_release: int = 0
    commands_while_unsafe: Counter[str] = field(default_factory=Counter)
    arm_violations: Counter[str] = field(default_factory=Counter)
    loss_reasons: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)

    @property
    def num_violations(self) -> int:
        """Everything that must not happen, together."""
        return (
            self.commands_while_unsafe.total() + self.arm_violations.total()
            + self.not_deliberate + self.losses_overlooked + self.bad_holds
            + self.moving_at_release
        )  # fmt: skip


class SideJudge:
    """Judges one side."""

    def __init__(
        self,
        counts: SafetyCounts,
        acts: list[float],
        *,
        max_age_s: float,
        hold_timeout_s: float,
        tick_s: float,
    ) -> None:
        """Count into shared counts.

        Args:
            counts: of the run.
            acts: times of the deliberate acts of the person, growing.
            max_age_s: from which a hand is too old.
            hold_timeout_s: within which a loss must end in disengaged.
            tick_s: nominal time between ticks.
        """
        self._counts, self._acts = counts, acts
        self._max_age_s, self._hold_s, self._tick_s = max_age_s, hold_timeout_s, tick_s
        self._state = State.IDLE
        self._left_s = -1.0  # when engaged ended last
        self._newest: Delivery | None = None
        self._foreign_s = -1.0
        self._time_jumped = False
        self._last_speed = 0.0
        self._tick_time_s = 0.0

    def deliver(self, message: Delivery) -> None:
        """Take note of a message at the moment at which teleop gets it."""
        if message.is_foreign:
            self._foreign_s = message.at_s
        self._newest = message

    def jump_time(self) -> None:
        """Take note that the clock jumped: nothing seen before may be used any more."""
        self._newest = None

    def watch(self, output: SideOutput, time_s: float, *, is_fault_near: bool) -> None:
        """Judge what came out of one tick."""
        counts, state = self._counts, output.state.state
        before, self._state = self._state, state
        waited_s, self._tick_time_s = time_s - self._tick_time_s, time_s
        doubt = self._doubt(time_s)
        if output.commands is not None:
            counts.commands += 1
            if doubt:
                counts.commands_while_unsafe[doubt] += 1
            if state is not State.ENGAGED:
                counts.commands_while_unsafe[f'while {state.value}'] += 1
            target = output.commands.target
            self._last_speed = max(map(abs, (*target.linear, *target.angular)))
        if state is State.ENGAGED and doubt:
            counts.losses_overlooked += 1
        if state is before:
            return
        if state is State.ENGAGED:
            counts.engagements += 1
            if not self._acts or self._acts[-1] <= self._left_s:
                counts.not_deliberate += 1
        elif before is State.ENGAGED:
            self._left_s = time_s
            self._end(output, doubt, is_fault_near)
        elif before is State.HOLDING:
            is_in_time = time_s - self._left_s <= self._hold_s + self._tick_s + waited_s
            if state is State.DISENGAGED and is_in_time:
                counts.held_then_disengaged += 1
            else:
                counts.bad_holds += 1

    def _end(self, output: SideOutput, doubt: str, is_fault_near: bool) -> None:
        counts = self._counts
        if output.state.state is State.HOLDING:
            counts.losses += 1
            counts.loss_reasons[output.state.reason.name] += 1
            if not doubt and not is_fault_near:
                counts.needless_losses += 1
            return
        counts.releases += 1
        if doubt:
            counts.bad_holds += 1  # a loss has to hold first
        if self._last_speed > 0:
            counts.moving_at_release += 1

    def _doubt(self, time_s: float) -> str:
        """Say why no hand may be used at this moment; empty when one may."""
        newest = self._newest
        if newest is None:
            return 'no hand'
        if not newest.hand.tracked:
            return 'untracked'
        if not newest.is_true:
            return 'wrong hand'
        if time_s - newest.true_s > self._max_age_s + 1e-6:  # rounding of the clocks
            return 'stale'
        return 'second publisher' if time_s - self._foreign_s < _FOREIGN_S else ''
