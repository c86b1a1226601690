"""HTT over a stream: what each new image adds, computed from what is remembered of the others.

An image goes through the backbone once, which is nearly all of the arithmetic; its feature is
kept. The pose block and the action block look both ways in time, so their results change with
every token and are computed anew, from the features. Nothing is padded: shorter sequences give the
same numbers as masked ones.

A token whose numbers are not finite is left out as if its image had not come: what it would have
changed is changed only after its results have been looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import torch
from torch import Tensor

from hand_perception.datatypes import FloatArray
from hand_perception.models.htt.module import HttHeads
from hand_perception.models.htt.sizes import HttSizes
from hand_perception.pipeline.temporal_state import TemporalSettings, TemporalState, Token

#: Outputs beyond this are as useless as ones that are not finite: 100 million pixels.
_LARGEST: Final = 1e6


class TemporalNetwork(Protocol):
    """The part of HttNetwork that works on features."""

    sizes: HttSizes
    device: torch.device

    def pose(self, features: Tensor) -> Tensor:
        """Map (B, L, C) features to the same shape."""

    def heads(self, pose_features: Tensor) -> HttHeads:
        """Read (N, C) features of :meth:`pose`."""

    def action(self, action_inputs: Tensor) -> Tensor:
        """Map (B, L, C) action inputs to (B, actions) logits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Raw outputs for n tokens.

    Attributes:
        tokens: n.
        raw: (n, J, 3) of the hand head.
        object_logits: (n, objects).
    """

    tokens: tuple[Token, ...] = ()
    raw: FloatArray
    object_logits: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The tokens of an action window.

    Attributes:
        start_ns: stamp of the oldest; 0 when there are none.
        num_tokens: how many there are.
        num_full: how many a full window has.
        is_final: the window is full or its clip has ended.
    """

    start_ns: int
    num_tokens: int
    num_full: int
    is_final: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStep:
    """What one token changed.

    Attributes:
        told: poses that are told for the first time, oldest first.
        finals: poses that are told again, with all of their window known.
        action_prob: (actions,) 0-1; None where it was not asked for.
        span: what ``action_prob`` is of.
    """

    told: Rows | None
    finals: Rows | None
    action_prob: FloatArray | None
    span: Span


class Engine(Protocol):
    """A way to put tokens together."""

    def new_state(self) -> Any:
        """Make the memory for one stream; nobody else looks into it."""

    def step(
        self, state: Any, feature: Tensor, token: Token, *, action_interval: int
    ) -> EngineStep | None:
        """Add a token.

        Args:
            state: memory; goes on as if the token had not come when None is returned.
            feature: (C,) of its image.
            token: the image.
            action_interval: the action is told at every n-th token and at the last of a clip.

        Returns:
            None for a token that was left out because numbers were not finite.
        """

    def finish(self, state: Any) -> EngineStep | None:
        """End the clip: tell what is still open; the next token begins another clip.

        Returns:
            None without tokens.
        """

    def span(self, state: Any) -> Span:
        """Say what the action window holds."""


class _Blocks:
    """What the engines share: network, sizes, and the action window."""

    def __init__(self, network: TemporalNetwork, settings: TemporalSettings) -> None:
        self._network = network
        self._settings = settings

    def new_state(self) -> TemporalState:
        """Make the memory for one stream."""
        network = self._network
        return TemporalState(self._settings, width=network.sizes.width, device=network.device)

    def span(self, state: TemporalState, *, has_ended: bool = False) -> Span:
        """Say what the action window holds."""
        return Span(
            start_ns=int(state.stamps_ns[0]) if state.num_inputs else 0,
            num_tokens=state.num_inputs,
            num_full=self._settings.window,
            is_final=has_ended or state.num_inputs == self._settings.window,
        )

    def _make_room(self, state: TemporalState, num_rows: int) -> None:
        """Let go of the oldest action inputs where ``num_rows`` more have no room."""
        if state.num_inputs + num_rows > self._settings.window:
            state.drop_oldest(self._settings.pose_window)

    def _action(self, state: TemporalState, num_inputs: int) -> Tensor:
        return self._network.action(state.action_inputs[None, :num_inputs])[0]

    def _rows(
        self, tokens: Sequence[Token], raw: FloatArray, object_logits: FloatArray
    ) -> Rows | None:
        if not tokens:
            return None
        count = len(tokens)
        return Rows(tokens=tuple(tokens), raw=raw[-count:], object_logits=object_logits[-count:])


class TiledEngine(_Blocks):
    """The published windows: token k belongs to pose window k // t.

    Each token's pose is told at once from the tokens of its window so far, and again when the
    window closes. Equals the network on the clip, at the end and after every token.
    """

    def step(
        self, state: TemporalState, feature: Tensor, token: Token, *, action_interval: int
    ) -> EngineStep | None:
        """Add a token; see Engine."""
        settings = self._settings
        if not settings.is_rolling and state.num_taken == settings.window:
            state.start_clip()
        # While a pose window is open there is room for all of it.
        self._make_room(state, 1)
        count = state.num_features + 1
        state.features[count - 1] = feature
        num_inputs = state.num_inputs + 1
        closes = count == settings.pose_window
        is_due = state.num_untold + 1 >= action_interval or num_inputs == settings.window
        # Earlier tokens of the window change too, but nobody asks for them before.
        told = self._window(state, count, count if closes or is_due else 1, num_inputs, is_due)
        if told is None:
            return None
        raw, object_logits, action_prob = told
        state.tokens.append(token)
        state.stamps_ns[num_inputs - 1] = token.stamp_ns
        state.num_features = 0 if closes else count
        state.num_inputs = num_inputs
        state.num_taken += 1
        state.num_untold = 0 if is_due else state.num_untold + 1
        finals = self._rows(tuple(state.tokens), raw, object_logits) if closes else None
        if closes:
            state.tokens.clear()
        return EngineStep(
            told=self._rows((token,), raw, object_logits),
            finals=finals,
            action_prob=action_prob,
            span=self.span(state),
        )

    def finish(self, state: TemporalState) -> EngineStep | None:
        """End the clip; see Engine."""
        if not state.num_taken:
            return None
        finals, action_prob = None, None
        if state.num_features:
            told = self._window(
                state, state.num_features, state.num_features, state.num_inputs, True
            )
            if told is not None:
                finals = self._rows(tuple(state.tokens), told[0], told[1])
                action_prob = told[2]
        else:
            logits = to_host(self._action(state, state.num_inputs))
            action_prob = None if logits is None else softmax(logits[0])
        span = self.span(state, has_ended=True)
        state.start_clip()
        return EngineStep(told=None, finals=finals, action_prob=action_prob, span=span)

    def _window(
        self, state: TemporalState, count: int, num_wanted: int, num_inputs: int, is_due: bool
    ) -> tuple[FloatArray, FloatArray, FloatArray | None] | None:
        """Look at the open pose window anew.

        Args:
            state: with the features of the window in its first ``count`` rows.
            count: tokens of the window.
            num_wanted: how many of its newest tokens are asked for.
            num_inputs: tokens of the action window with those of this window.
            is_due: whether the action is asked for; then all tokens of the window have to be.

        Returns:
            Raw outputs, object logits and the action's probabilities; None: not finite.
        """
        seen = self._network.pose(state.features[None, :count])[0]
        heads = self._network.heads(seen[count - num_wanted :])
        state.action_inputs[num_inputs - num_wanted : num_inputs] = heads.action_inputs
        if not is_due:
            told = to_host(heads.raw, heads.object_logits)
            return None if told is None else (told[0], told[1], None)
        told = to_host(heads.raw, heads.object_logits, self._action(state, num_inputs))
        return None if told is None else (told[0], told[1], softmax(told[2]))


class SlidingEngine(_Blocks):
    """A pose window that ends at the newest token, whatever its number.

    Each pose has t - 1 tokens of context (fewer at the start), ``lookahead`` of them later than
    itself, and is told once. Not the published windows, so not the published numbers.
    """

    def step(
        self, state: TemporalState, feature: Tensor, token: Token, *, action_interval: int
    ) -> EngineStep | None:
        """Add a token; see Engine."""
        settings = self._settings
        if not settings.is_rolling and state.num_taken == settings.window:
            state.start_clip()
        row = state.free_feature_row()
        state.features[row] = feature
        taken = state.num_taken + 1
        is_last = not settings.is_rolling and taken == settings.window
        count = min(settings.pose_window, taken)
        seen = self._network.pose(state.features[None, row + 1 - count : row + 1])[0]
        first = count - 1 - settings.lookahead
        heads = self._network.heads(seen[max(first, 0) : count if is_last else max(first + 1, 0)])
        num_rows = len(heads.raw)
        self._make_room(state, num_rows)
        num_inputs = state.num_inputs + num_rows
        is_due = num_rows > 0 and (
            state.num_untold + num_rows >= action_interval or num_inputs == settings.window
        )
        state.action_inputs[state.num_inputs : num_inputs] = heads.action_inputs
        # The newest token is looked at even where another one is told.
        asked = [seen[-1], heads.raw, heads.object_logits]
        told = to_host(*asked, *([self._action(state, num_inputs)] if is_due else []))
        if told is None:
            return None
        state.tokens.append(token)
        state.num_features = row + 1
        state.num_taken = taken
        rows = self._told(state, told[1], told[2], is_last)
        state.num_untold = 0 if is_due else state.num_untold + num_rows
        return EngineStep(
            told=rows,
            finals=None,
            action_prob=softmax(told[3]) if is_due else None,
            span=self.span(state),
        )

    def finish(self, state: TemporalState) -> EngineStep | None:
        """End the clip; see Engine."""
        settings = self._settings
        if not state.num_taken:
            return None
        count = min(settings.pose_window, state.num_taken)
        end = state.num_features
        seen = self._network.pose(state.features[None, end - count : end])[0]
        num_left = min(settings.lookahead, state.num_taken)
        if state.num_inputs == settings.window and not settings.is_rolling:
            num_left = 0  # the last token of the clip has told them all
        heads = self._network.heads(seen[count - num_left :])
        while state.num_inputs + num_left > settings.window:
            state.drop_oldest(settings.pose_window)
        num_inputs = state.num_inputs + num_left
        state.action_inputs[state.num_inputs : num_inputs] = heads.action_inputs
        told = to_host(heads.raw, heads.object_logits, self._action(state, num_inputs))
        rows = None if told is None else self._told(state, told[0], told[1], True)
        span = self.span(state, has_ended=True)
        state.start_clip()
        action_prob = None if told is None else softmax(told[2])
        return EngineStep(told=rows, finals=None, action_prob=action_prob, span=span)

    def _told(
        self, state: TemporalState, raw: FloatArray, object_logits: FloatArray, is_last: bool
    ) -> Rows | None:
        """Note the tokens that are told and give their rows."""
        tokens = list(state.tokens)
        end = len(tokens) if is_last else len(tokens) - self._settings.lookahead
        told = tokens[end - len(raw) : end] if len(raw) else []
        rows = self._rows(told, raw, object_logits)
        stamps = [token.stamp_ns for token in told]
        state.stamps_ns[state.num_inputs : state.num_inputs + len(told)] = stamps
        state.num_inputs += len(told)
        return rows


def to_host(*tensors: Tensor) -> list[FloatArray] | None:
    """Bring small float32 tensors to the host in one copy; None where a number is not finite."""
    packed = torch.cat([tensor.reshape(-1) for tensor in tensors]).cpu().numpy()
    # Not a number fails every comparison.
    if not bool((np.abs(packed) <= _LARGEST).all()):
        return None
    ends = np.cumsum([tensor.numel() for tensor in tensors])[:-1]
    parts = np.split(packed, ends)
    return [part.reshape(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]


def softmax(logits: FloatArray) -> FloatArray:
    """Turn (..., N) logits into probabilities."""
    powers = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    shares: FloatArray = (powers / powers.sum(-1, keepdims=True)).astype(np.float32)
    return shares
