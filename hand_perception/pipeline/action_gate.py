"""From probabilities to what is told: thresholds, hysteresis, a least duration, and reasons.

HTT has no class for "nothing of this": it was trained on clips that each show one action, and
gives probabilities that sum to 1 for any images. What is told is therefore gated:

1. Is there evidence at all (enough images, a hand, a live camera)? If not: unknown, at once.
2. Which action? The one that is told keeps its place until another leads it by the hysteresis.
3. Is it clear? Its probability has to reach a least score, and its lead over the next one a least
   margin; the lead of the action that is told counts ``action_hysteresis`` more, so that scores
   about the margin do not switch it off and on. If not: unknown, at once.
4. Has it been so for a least time? Until then what was told stays, where its own score still
   allows; otherwise unknown.

Unknown needs no duration: it is the safe answer.
"""

from dataclasses import dataclass

import numpy as np

from hand_perception.actions import Ranking
from hand_perception.config import PipelineSettings
from hand_perception.datatypes import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class GateLimits:
    """Thresholds; fields as the settings ``action_*``."""

    min_tokens: int
    min_score: float
    min_margin: float
    hysteresis: float
    min_duration_s: float

    @classmethod
    def of(cls, settings: PipelineSettings, *, num_phases: int = 1) -> 'GateLimits':
        """Take the thresholds from all settings; each phase needs the tokens of one."""
        return cls(
            min_tokens=settings.action_min_tokens * num_phases,
            min_score=settings.action_min_score,
            min_margin=settings.action_min_margin,
            hysteresis=settings.action_hysteresis,
            min_duration_s=settings.action_min_duration_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Gated:
    """What is told at one moment.

    Attributes:
        action: class of what is done; None when unknown.
        reason: why it is unknown; empty when it is not.
        onset_ns: stamp since which the action (or unknown) has held.
    """

    action: int | None
    reason: str
    onset_ns: int


class ActionGate:
    """Remembers what is told, and what asks to be told.

    Thresholds come with every call, so that a change of them acts at once.
    """

    def __init__(self) -> None:
        """Start with nothing told."""
        self.reset()

    def reset(self) -> None:
        """Forget what was told: the stream begins anew."""
        self._told: int | None = None
        self._asking: int | None = None
        self._asking_since_ns = 0
        self._onset_ns: int | None = None

    def step(
        self,
        action_prob: FloatArray | None,
        *,
        stamp_ns: int,
        num_tokens: int,
        labels: tuple[str, ...],
        limits: GateLimits,
        problem: str = '',
    ) -> Gated:
        """Decide what to tell.

        Args:
            action_prob: (actions,) 0-1; None where there are none.
            stamp_ns: of the newest image; later than the last one's.
            num_tokens: images that the probabilities rest on.
            labels: names of the actions, for reasons.
            limits: thresholds.
            problem: why the probabilities should not be believed, whatever they are.
        """
        reason = problem or lack_of_evidence(action_prob, num_tokens, limits)
        if reason or action_prob is None:
            self._asking = None
            return self._tell(None, reason, stamp_ns)
        best = leading_action(action_prob, self._told, limits.hysteresis)
        bonus = limits.hysteresis if best == self._told else 0.0
        reason = lack_of_clarity(action_prob, best, limits, bonus=bonus, labels=labels)
        if reason:
            self._asking = None
            return self._tell(None, reason, stamp_ns)
        if best == self._told:
            self._asking = None
            return self._tell(best, '', stamp_ns)
        if self._asking != best:
            self._asking, self._asking_since_ns = best, stamp_ns
        seen_s = (stamp_ns - self._asking_since_ns) * 1e-9
        if seen_s >= limits.min_duration_s:
            onset_ns = self._asking_since_ns
            self._asking = None
            return self._tell(best, '', stamp_ns, onset_ns=onset_ns)
        if self._told is not None and action_prob[self._told] >= limits.min_score:
            return self._tell(self._told, '', stamp_ns)
        reason = f'{labels[best]} seen for {seen_s:.2f} s of {limits.min_duration_s:.2f} s'
        return self._tell(None, reason, stamp_ns)

    def _tell(
        self, action: int | None, reason: str, stamp_ns: int, *, onset_ns: int | None = None
    ) -> Gated:
        if self._onset_ns is None or action != self._told:
            self._onset_ns = stamp_ns if onset_ns is None else onset_ns
        self._told = action
        return Gated(action=action, reason=reason, onset_ns=self._onset_ns)


def lack_of_evidence(action_prob: FloatArray | None, num_tokens: int, limits: GateLimits) -> str:
    """Say what is missing before anything can be told; empty when nothing is."""
    if action_prob is None:
        return 'no action was computed'
    if not np.isfinite(action_prob).all():
        return 'the probabilities are not finite'
    if num_tokens < limits.min_tokens:
        return f'too few images: {num_tokens} of {limits.min_tokens}'
    return ''


def leading_action(action_prob: FloatArray, told: int | None, hysteresis: float) -> int:
    """Give the best action, or the told one while no other leads it by the hysteresis."""
    best = int(np.argmax(action_prob))
    if told is not None and float(action_prob[best] - action_prob[told]) <= hysteresis:
        return told
    return best


def lack_of_clarity(
    action_prob: FloatArray,
    action: int,
    limits: GateLimits,
    *,
    bonus: float,
    labels: tuple[str, ...],
) -> str:
    """Say why an action is not clear enough to be told; empty when it is.

    Args:
        action_prob: (actions,) 0-1.
        action: the one that would be told.
        limits: thresholds.
        bonus: added to the lead of ``action``.
        labels: names of the actions.
    """
    score = float(action_prob[action])
    if score < limits.min_score:
        return f'{labels[action]} has {score:.2f}, less than {limits.min_score:.2f}'
    others = np.delete(action_prob, action)
    if not len(others):
        return ''
    second = int(np.argmax(others))
    lead = score - float(others[second])
    if lead + bonus < limits.min_margin:
        rival = labels[second + (second >= action)]
        return f'{labels[action]} leads {rival} by {lead:.2f}, less than {limits.min_margin:.2f}'
    return ''


def ranking(prob: FloatArray, labels: tuple[str, ...], top_k: int) -> Ranking:
    """List the most likely classes; of equals the one with the lower number comes first.

    Args:
        prob: (N,) 0-1.
        labels: N names.
        top_k: most that are listed.
    """
    best = np.argsort(-prob, kind='stable')[:top_k]
    return Ranking(
        labels=tuple(labels[i] for i in best), scores=tuple(float(prob[i]) for i in best)
    )
