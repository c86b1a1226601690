"""The hand-loss contract as a consumer sees it: may this hand be used now, and why not.

A hand is used only after it was seen well for a while (a *run*), and only as long as nothing
breaks that run. Whatever looks wrong breaks it at once; nothing is repaired or guessed.
"""

from dataclasses import dataclass
from typing import Final

from hand_perception.teleop.gate_settings import HandGateSettings
from hand_perception.teleop.observation import HandObservation
from hand_perception.teleop.states import Reason
from hand_perception.teleop.vectors import angle_between, length, subtract

#: A hand that is used may fall this far below min_confidence: no flicker at the threshold.
_CONFIDENCE_MARGIN: Final = 0.1
#: Least number of observations of a run, however short settle_s is.
_MIN_OBSERVATIONS: Final = 3
#: After signs of a second publisher, one alone must be heard for this long.
_CONFLICT_NS: Final = 1_000_000_000
#: Noise of one measurement on top of what speed explains: metres and radians.
_JUMP_M: Final = 0.03
_JUMP_RAD: Final = 0.35


@dataclass(frozen=True, slots=True, kw_only=True)
class HandStatus:
    """Whether a hand may be used at one moment.

    Attributes:
        is_usable: fresh, tracked, confident, and everything else; only then use the hand.
        reason: why not; ``NONE`` while it is usable.
        run: number of the unbroken run; a hand engaged in one run must not be used in another.
        broken_by: what began this run by breaking the one before.
        hand: what to use; None while it is not usable.
        age_s: of the newest good observation; infinite without one.
    """

    is_usable: bool
    reason: Reason
    run: int
    broken_by: Reason
    hand: HandObservation | None
    age_s: float


class HandGate:
    """Judges the observations of one side, as they come from one topic.

    Times are integer nanoseconds of one clock, the one that the stamps are told in. Not
    thread-safe.
    """

    def __init__(self, settings: HandGateSettings | None = None) -> None:
        """Judge by these settings; None for the defaults."""
        self.settings = HandGateSettings() if settings is None else settings
        self._now_ns = 0
        self._run = 0
        self._num_publishers = 1
        self._forget(Reason.NO_HAND_YET)

    def _forget(self, reason: Reason) -> None:
        self._newest: HandObservation | None = None
        self._received_ns = 0
        self._first_stamp_ns = 0
        self._count = 0
        self._is_frozen = False
        self._last: HandObservation | None = None
        self._source_heard_ns: dict[str, int] = {}
        self._conflict_until_ns: int | None = None
        self._broken = reason

    @property
    def newest(self) -> HandObservation | None:
        """The newest observation of the run that goes on, whether it may be used or not."""
        return self._newest

    def reset(self, reason: Reason = Reason.NO_HAND_YET) -> None:
        """Forget everything: a new time, another robot."""
        self._run += 1
        self._forget(reason)

    def reject(self, reason: Reason) -> None:
        """Break the run for something that only the caller can see."""
        self._run += 1
        self._newest = None
        self._count = 0
        self._is_frozen = False
        self._broken = reason

    def set_publishers(self, count: int) -> None:
        """Tell how many publishers the topic has, where that is known."""
        if count > 1 >= self._num_publishers:
            self.reject(Reason.TWO_PUBLISHERS)
        self._num_publishers = count

    def observe(self, hand: HandObservation, now_ns: int) -> Reason:
        """Take one observation in the order in which it arrived.

        Args:
            hand: what arrived.
            now_ns: when it arrived.

        Returns:
            ``NONE`` when it was taken, otherwise why it counts for nothing. An exact duplicate
            (the same stamp and numbers) is ``NONE``, too, and changes nothing.
        """
        self._watch_time(now_ns)
        last = self._last
        if last is not None and hand.stamp_ns == last.stamp_ns and _is_same(hand, last):
            return Reason.NONE
        reason = self._fault(hand, now_ns)
        if reason is not Reason.FUTURE:
            self._last = hand  # also after a stamp from the past: a new recording may have begun
        if reason is Reason.FROZEN:
            self._is_frozen = True  # it is not taken, and so the hand ages until it is too old
            return reason
        if reason is not Reason.NONE:
            self.reject(reason)
            return reason
        self._take(hand, now_ns)
        return reason

    def status(self, now_ns: int) -> HandStatus:
        """Say whether the hand may be used at this moment."""
        self._watch_time(now_ns)
        age_s = self._age_s(now_ns)
        reason = self._doubt(now_ns, age_s)
        is_usable = reason is Reason.NONE
        return HandStatus(
            is_usable=is_usable,
            reason=reason,
            run=self._run,
            broken_by=self._broken,
            hand=self._newest if is_usable else None,
            age_s=age_s,
        )

    def _watch_time(self, now_ns: int) -> None:
        if now_ns < self._now_ns:
            self.reset(Reason.TIME_JUMP)
        self._now_ns = now_ns

    def _fault(self, hand: HandObservation, now_ns: int) -> Reason:
        """Say what is wrong with an observation that just arrived."""
        settings, last = self.settings, self._last
        if self._is_from_second_source(hand, now_ns):
            self._conflict_until_ns = now_ns + _CONFLICT_NS
            return Reason.TWO_PUBLISHERS
        if hand.stamp_ns - now_ns > settings.max_future_s * 1e9:
            return Reason.FUTURE
        if last is not None and hand.stamp_ns < last.stamp_ns:
            return Reason.PAST
        if last is not None and hand.frame_id != last.frame_id:
            return Reason.FRAME_CHANGED
        if not hand.tracked:
            return Reason.UNTRACKED
        if not hand.is_well_formed:
            return Reason.MALFORMED
        if hand.is_predicted and not settings.accept_predicted:
            return Reason.PREDICTED
        age_s = max((now_ns - hand.stamp_ns) * 1e-9, hand.age_s)
        if age_s > settings.max_age_s:
            return Reason.STALE
        margin = _CONFIDENCE_MARGIN if self._is_settled else 0.0
        if hand.confidence < settings.min_confidence - margin:
            return Reason.LOW_CONFIDENCE
        if hand.handedness_score < settings.min_handedness_score:
            return Reason.UNSURE_SIDE
        return self._difference(hand)

    def _difference(self, hand: HandObservation) -> Reason:
        """Say whether a good observation does not go on from the one before."""
        if self._last is not None and self._last.content == hand.content:
            return Reason.FROZEN
        newest = self._newest
        if newest is None:
            return Reason.NONE
        if newest.track_id != hand.track_id:
            return Reason.OTHER_HAND
        seconds = (hand.stamp_ns - newest.stamp_ns) * 1e-9
        settings = self.settings
        moved = length(subtract(hand.position, newest.position))
        turned = angle_between(newest.quaternion, hand.quaternion)
        if (
            moved > _JUMP_M + settings.max_hand_speed * seconds
            or turned > _JUMP_RAD + settings.max_hand_turn * seconds
        ):
            return Reason.JUMP
        return Reason.STALE if seconds > settings.max_age_s else Reason.NONE

    def _is_from_second_source(self, hand: HandObservation, now_ns: int) -> bool:
        heard, last = self._source_heard_ns, self._last
        if last is not None and last.stamp_ns == hand.stamp_ns:
            return True  # one image, two different hands
        for source in [s for s, at_ns in heard.items() if now_ns - at_ns > _CONFLICT_NS]:
            del heard[source]
        if hand.source:
            heard[hand.source] = now_ns
        return len(heard) > 1

    def _take(self, hand: HandObservation, now_ns: int) -> None:
        if self._newest is None:
            self._first_stamp_ns = hand.stamp_ns
        self._newest = hand
        self._received_ns = now_ns
        self._count += 1
        self._is_frozen = False

    @property
    def _is_settled(self) -> bool:
        if self._newest is None or self._count < _MIN_OBSERVATIONS:
            return False
        seen_ns = self._newest.stamp_ns - self._first_stamp_ns
        return seen_ns >= self.settings.settle_s * 1e9

    def _age_s(self, now_ns: int) -> float:
        """Age by the stamp, or by what the publisher told plus the time since: the greater."""
        if self._newest is None:
            return float('inf')
        by_stamp = (now_ns - self._newest.stamp_ns) * 1e-9
        return max(by_stamp, self._newest.age_s + (now_ns - self._received_ns) * 1e-9)

    def _doubt(self, now_ns: int, age_s: float) -> Reason:
        if self._num_publishers > 1:
            return Reason.TWO_PUBLISHERS
        if self._conflict_until_ns is not None:
            if now_ns < self._conflict_until_ns:
                return Reason.TWO_PUBLISHERS
            self._conflict_until_ns = None
        if self._newest is None:
            return self._broken
        if age_s > self.settings.max_age_s:
            return Reason.FROZEN if self._is_frozen else Reason.STALE
        return Reason.NONE if self._is_settled else Reason.SETTLING


def _is_same(a: HandObservation, b: HandObservation) -> bool:
    """Whether two observations say the same; while untracked there is nothing to compare."""
    if not (a.tracked or b.tracked):
        return a.source == b.source
    return a.content == b.content and a.track_id == b.track_id
