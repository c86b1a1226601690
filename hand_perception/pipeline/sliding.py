"""HTT with a pose window that slides along the stream and ends at the newest token."""

from torch import Tensor

from hand_perception.datatypes import FloatArray
from hand_perception.pipeline.temporal import EngineBlocks, EngineStep, Rows, softmax, to_host
from hand_perception.pipeline.temporal_state import TemporalState, Token


class SlidingEngine(EngineBlocks):
    """A pose window that ends at the newest token, whatever its number.

    Each pose has t - 1 tokens of context (fewer at the start), ``lookahead`` of them later than
    itself, and is told once. Not the published windows, so not the published numbers.
    """

    def step(
        self, state: TemporalState, feature: Tensor, token: Token, *, action_interval: int
    ) -> EngineStep | None:
        """Add a token; see Engine."""
        settings = self._settings
        begins_clip = self._begins_clip(state)
        row = state.free_feature_row()
        state.features[row] = feature
        taken = 1 if begins_clip else state.num_taken + 1
        is_last = not settings.is_rolling and taken == settings.window
        count = min(settings.pose_window, taken)
        seen = self._network.pose(state.features[None, row + 1 - count : row + 1])[0]
        first = count - 1 - settings.lookahead
        told_now = seen[max(first, 0) : count if is_last else max(first + 1, 0)]
        heads = self._network.heads(self._smoothed(state, told_now))
        num_rows = len(heads.raw)
        left = self._num_leaving(state, num_rows)
        end = state.num_inputs + num_rows
        is_due = num_rows > 0 and (
            state.num_untold + num_rows >= action_interval or end - left == settings.window
        )
        state.action_inputs[state.num_inputs : end] = heads.action_inputs
        # The newest token is looked at even where another one is told.
        asked = [seen[-1], heads.raw, heads.object_logits]
        told = to_host(*asked, *([self._action(state, left, end)] if is_due else []))
        if told is None:
            return None
        self._let_go(state, left, num_rows)
        state.tokens.append(token)
        state.num_features = row + 1
        state.num_taken = taken
        state.before = state.after
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
        heads = self._network.heads(self._smoothed(state, seen[count - num_left :]))
        while state.num_inputs + num_left > settings.window:
            state.drop_oldest(settings.pose_window)
        num_inputs = state.num_inputs + num_left
        state.action_inputs[state.num_inputs : num_inputs] = heads.action_inputs
        told = to_host(heads.raw, heads.object_logits, self._action(state, 0, num_inputs))
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
