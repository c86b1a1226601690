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

    def smooth(self, pose_features: Tensor, before: Tensor | None = None) -> Tensor:
        """Smooth (B, L, C) features of :meth:`pose` over time, where the weights do."""

    def heads(self, pose_features: Tensor) -> HttHeads:
        """Read (N, C) features of :meth:`pose`, smoothed where the weights do."""

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

    def forget(self, state: Any) -> None:
        """End the clip without telling anything; the next token begins another clip."""

    def span(self, state: Any) -> Span:
        """Say what the action window holds."""


class EngineBlocks:
    """What the engines share: network, sizes, and the action window."""

    def __init__(self, network: TemporalNetwork, settings: TemporalSettings) -> None:
        """Take the network and how tokens are put together."""
        self._network = network
        self._settings = settings

    def new_state(self) -> TemporalState:
        """Make the memory for one stream."""
        network = self._network
        return TemporalState(
            self._settings, width=network.sizes.width, device=network.device,
            smoothing=network.sizes.smoothing,
        )  # fmt: skip

    def span(self, state: TemporalState, *, has_ended: bool = False) -> Span:
        """Say what the action window holds."""
        return Span(
            start_ns=int(state.stamps_ns[0]) if state.num_inputs else 0,
            num_tokens=state.num_inputs,
            num_full=self._settings.window,
            is_final=has_ended or state.num_inputs == self._settings.window,
        )

    def forget(self, state: TemporalState) -> None:
        """End the clip without telling anything; see Engine."""
        if state.num_taken:
            state.start_clip()

    def _begins_clip(self, state: TemporalState) -> bool:
        """Whether the next token leaves a full window for a new one."""
        return not self._settings.is_rolling and state.num_taken == self._settings.window

    def _num_leaving(self, state: TemporalState, num_rows: int) -> int:
        """Say how many of the oldest action inputs have no room beside ``num_rows`` more."""
        if self._begins_clip(state):
            return state.num_inputs
        is_full = state.num_inputs + num_rows > self._settings.window
        return self._settings.pose_window if is_full else 0

    def _let_go(self, state: TemporalState, num_leaving: int, num_rows: int) -> None:
        """Make room for a token that is taken, whose rows lie behind those in use."""
        begins_clip = self._begins_clip(state)
        if num_leaving:
            state.drop_oldest(num_leaving, num_more=num_rows)
        if begins_clip:
            state.start_clip()

    def _smoothed(self, state: TemporalState, seen: Tensor) -> Tensor:
        """Smooth (n, C) answers of the pose block, which follow those told before; notes them."""
        if not len(state.before):
            return seen
        before = torch.zeros_like(state.before) if self._begins_clip(state) else state.before
        state.after = torch.cat((before, seen))[-len(before) :]
        return self._network.smooth(seen[None], before[None])[0] if len(seen) else seen

    def _action(self, state: TemporalState, first: int, end: int) -> Tensor:
        return self._network.action(state.action_inputs[None, first:end])[0]

    def _rows(
        self, tokens: Sequence[Token], raw: FloatArray, object_logits: FloatArray
    ) -> Rows | None:
        if not tokens:
            return None
        count = len(tokens)
        return Rows(tokens=tuple(tokens), raw=raw[-count:], object_logits=object_logits[-count:])


class TiledEngine(EngineBlocks):
    """The published windows: token k belongs to pose window k // t.

    Each token's pose is told at once from the tokens of its window so far, and again when the
    window closes. Equals the network on the clip, at the end and after every token.
    """

    def step(
        self, state: TemporalState, feature: Tensor, token: Token, *, action_interval: int
    ) -> EngineStep | None:
        """Add a token; see Engine."""
        settings = self._settings
        # While a pose window is open there is room for all of it.
        left = self._num_leaving(state, 1)
        count = state.num_features + 1
        state.features[count - 1] = feature
        end = state.num_inputs + 1
        closes = count == settings.pose_window
        is_due = state.num_untold + 1 >= action_interval or end - left == settings.window
        # Earlier tokens of the window change too, but nobody asks for them before.
        num_wanted = count if closes or is_due else 1
        told = self._window(state, count, num_wanted, slice(left, end), is_due)
        if told is None:
            return None
        self._let_go(state, left, 1)
        raw, object_logits, action_prob = told
        state.tokens.append(token)
        state.stamps_ns[state.num_inputs] = token.stamp_ns
        state.num_features = 0 if closes else count
        state.before = state.after if closes else state.before
        state.num_inputs += 1
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
            count = state.num_features
            told = self._window(state, count, count, slice(0, state.num_inputs), True)
            if told is not None:
                finals = self._rows(tuple(state.tokens), told[0], told[1])
                action_prob = told[2]
        else:
            logits = to_host(self._action(state, 0, state.num_inputs))
            action_prob = None if logits is None else softmax(logits[0])
        span = self.span(state, has_ended=True)
        state.start_clip()
        return EngineStep(told=None, finals=finals, action_prob=action_prob, span=span)

    def _window(
        self, state: TemporalState, count: int, num_wanted: int, window: slice, is_due: bool
    ) -> tuple[FloatArray, FloatArray, FloatArray | None] | None:
        """Look at the open pose window anew.

        Args:
            state: with the features of the window in its first ``count`` rows.
            count: tokens of the window.
            num_wanted: how many of its newest tokens are asked for.
            window: rows of the action window, those of this pose window at its end.
            is_due: whether the action is asked for; then all tokens of the window have to be.

        Returns:
            Raw outputs, object logits and the action's probabilities; None: not finite.
        """
        seen = self._smoothed(state, self._network.pose(state.features[None, :count])[0])
        heads = self._network.heads(seen[count - num_wanted :])
        state.action_inputs[window.stop - num_wanted : window.stop] = heads.action_inputs
        if not is_due:
            told = to_host(heads.raw, heads.object_logits)
            return None if told is None else (told[0], told[1], None)
        action = self._action(state, window.start, window.stop)
        told = to_host(heads.raw, heads.object_logits, action)
        return None if told is None else (told[0], told[1], softmax(told[2]))


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
