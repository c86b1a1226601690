"""Even and odd images of 30 Hz in windows of their own, and one vote on the action.

Each phase is a stream of 15 Hz as the network was trained on, and gives poses for its images, so
that together they have the camera's rate. The published evaluation sums the action probabilities
of all windows of a video, of both phases; their mean here is that sum over their number.
"""

from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from hand_perception.datatypes import FloatArray
from hand_perception.pipeline.temporal import (
    EngineStep,
    Rows,
    Span,
    TemporalNetwork,
    TiledEngine,
)
from hand_perception.pipeline.temporal_state import TemporalSettings, TemporalState, Token


@dataclass(slots=True)
class TwoPhaseState:
    """Memory of both phases.

    Attributes:
        phases: even and odd.
        action_prob: what each of them said last; None before the first time in a clip.
    """

    phases: tuple[TemporalState, TemporalState]
    action_prob: list[FloatArray | None]


class TwoPhaseEngine:
    """Two tiled engines; see TiledEngine and Engine."""

    def __init__(self, network: TemporalNetwork, settings: TemporalSettings) -> None:
        """Run both phases on one network."""
        self._tiled = TiledEngine(network, settings)
        self._num_full = 2 * settings.window

    def new_state(self) -> TwoPhaseState:
        """Make the memory for one stream."""
        return TwoPhaseState((self._tiled.new_state(), self._tiled.new_state()), [None, None])

    def step(
        self, state: TwoPhaseState, feature: Tensor, token: Token, *, action_interval: int
    ) -> EngineStep | None:
        """Add a token to its phase; see Engine."""
        phase = state.phases[token.phase]
        before = phase.clip
        step = self._tiled.step(phase, feature, token, action_interval=action_interval)
        if phase.clip != before:
            state.action_prob[token.phase] = None
        if step is None:
            return None
        if step.action_prob is not None:
            state.action_prob[token.phase] = step.action_prob
        return replace(
            step,
            action_prob=None if step.action_prob is None else self._vote(state),
            span=self.span(state),
        )

    def finish(self, state: TwoPhaseState) -> EngineStep | None:
        """End the clip in both phases; see Engine."""
        span = replace(self.span(state), is_final=True)
        current = self._current(state)
        steps = [self._tiled.finish(phase) for phase in state.phases]
        ended = [step for step in steps if step is not None]
        if not ended:
            return None
        votes = [
            step.action_prob
            for i, step in enumerate(steps)
            if i in current and step is not None and step.action_prob is not None
        ]
        self._begin_together(state)
        return EngineStep(
            told=None,
            finals=_joined([step.finals for step in ended if step.finals is not None]),
            action_prob=_mean(votes) if votes else None,
            span=span,
        )

    def forget(self, state: TwoPhaseState) -> None:
        """End the clip in both phases without telling anything; see Engine."""
        for phase in state.phases:
            self._tiled.forget(phase)
        self._begin_together(state)

    def span(self, state: TwoPhaseState) -> Span:
        """Say what both action windows hold."""
        spans = [self._tiled.span(state.phases[i]) for i in self._current(state)]
        filled = [span for span in spans if span.num_tokens]
        return Span(
            start_ns=min((span.start_ns for span in filled), default=0),
            num_tokens=sum(span.num_tokens for span in filled),
            num_full=self._num_full,
            is_final=len(filled) == len(state.phases) and all(span.is_final for span in filled),
        )

    def _current(self, state: TwoPhaseState) -> list[int]:
        """Give the phases that are in the newest clip; one may still be in the clip before."""
        newest = max(phase.clip for phase in state.phases)
        return [i for i, phase in enumerate(state.phases) if phase.clip == newest]

    def _begin_together(self, state: TwoPhaseState) -> None:
        """Let both phases, whose clips have ended, begin the same one."""
        state.action_prob = [None, None]
        clip = max(phase.clip for phase in state.phases)
        for phase in state.phases:
            phase.clip = clip

    def _vote(self, state: TwoPhaseState) -> FloatArray:
        known = [state.action_prob[i] for i in self._current(state)]
        return _mean([prob for prob in known if prob is not None])


def _mean(probs: list[FloatArray]) -> FloatArray:
    return np.asarray(np.mean(probs, axis=0, dtype=np.float64), np.float32)


def _joined(rows: list[Rows]) -> Rows | None:
    """Put rows of both phases into the order of their images."""
    if not rows:
        return None
    tokens = [token for part in rows for token in part.tokens]
    order = sorted(range(len(tokens)), key=lambda i: tokens[i].index)
    return Rows(
        tokens=tuple(tokens[i] for i in order),
        raw=np.concatenate([part.raw for part in rows])[order],
        object_logits=np.concatenate([part.object_logits for part in rows])[order],
    )
