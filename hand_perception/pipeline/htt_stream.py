"""One stream of images through HTT: which are looked at, what they say, and why they may not."""

import contextlib
import zlib
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import torch
from torch import Tensor

from hand_perception.datatypes import FloatArray, Frame, ImageArray
from hand_perception.models.htt.preprocess import network_image
from hand_perception.pipeline.sliding import SlidingEngine
from hand_perception.pipeline.stream_state import Stopwatch
from hand_perception.pipeline.temporal import (
    Engine,
    EngineStep,
    Span,
    TemporalNetwork,
    TiledEngine,
)
from hand_perception.pipeline.temporal_results import TokenResult, token_results
from hand_perception.pipeline.temporal_state import TemporalSettings, Token
from hand_perception.pipeline.tokens import TokenClock
from hand_perception.pipeline.two_phase import TwoPhaseEngine

#: A live image is never the same bytes again for so long: its noise changes.
_FROZEN_S: Final = 1.0


class StreamNetwork(TemporalNetwork, Protocol):
    """An HttNetwork."""

    def features(self, images_u8: Tensor) -> Tensor:
        """Map (N, 270, 480, 3) uint8 RGB images to (N, C) float32 features."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttStep:
    """What one image changed.

    Attributes:
        stamp_ns: of the image; at the end of a clip, of its last token.
        reset_reason: why the stream began anew with this image; empty when it did not.
        ended: what the end of the clip before added, when the stream began anew and this was
            asked for.
        problem: why nothing that is told now should be believed; empty when nothing is wrong.
        is_left_out: the image is no token after all: numbers were not finite.
        tokens: poses that are told for the first time: that of this image, of an earlier one
            (``lookahead``), of none, or of several at the end of a clip.
        finals: poses that are told again, with all of their pose window known. A pose that is
            final when it is told for the first time is not told again.
        action_prob: (actions,) 0-1; None where the action was not asked for.
        span: the action window.
        stage_s: seconds spent per stage, in order.
    """

    stamp_ns: int
    reset_reason: str = ''
    ended: 'HttStep | None' = None
    problem: str = ''
    is_left_out: bool = False
    tokens: tuple[TokenResult, ...] = ()
    finals: tuple[TokenResult, ...] = ()
    action_prob: FloatArray | None = None
    span: Span
    stage_s: tuple[tuple[str, float], ...] = ()


@dataclass(slots=True)
class _Stillness:
    """Since when the images are the same bytes."""

    checksum: int = -1
    since_ns: int = 0

    def look(self, image: ImageArray, stamp_ns: int) -> str:
        """Take in the next image; tell what is wrong."""
        checksum = zlib.crc32(image.data)
        if checksum != self.checksum:
            self.checksum, self.since_ns = checksum, stamp_ns
        still_s = (stamp_ns - self.since_ns) * 1e-9
        if still_s < _FROZEN_S:
            return ''
        return f'the image has not changed for {still_s:.1f} s'


def make_engine(network: TemporalNetwork, settings: TemporalSettings) -> Engine:
    """Make the engine that the settings name."""
    if settings.engine == 'two_phase':
        return TwoPhaseEngine(network, settings)
    if settings.engine == 'sliding':
        return SlidingEngine(network, settings)
    return TiledEngine(network, settings)


class HttStream:
    """Images in, tokens out; its memory does not grow.

    Attributes:
        action_interval: the action is told at every n-th token; may be changed at any time.
        num_left_out: images whose numbers were not finite.
    """

    def __init__(
        self,
        network: StreamNetwork,
        settings: TemporalSettings,
        *,
        kernel: str,
        token_rate_hz: float,
        token_gap_s: float,
        action_interval: int = 1,
        tells_ended: bool = False,
        cuda_stream: 'torch.cuda.Stream | None' = None,
    ) -> None:
        """Start with no images.

        Args:
            network: loaded.
            settings: how tokens are put together.
            kernel: how images are made smaller: ``antialias`` (FPHA) or ``linear`` (H2O).
            token_rate_hz: images looked at per second, chosen by stamp; 0 looks at every image.
            token_gap_s: a longer time without a token starts anew.
            action_interval: the action is told at every n-th token.
            tells_ended: a stream that begins anew computes what the end of the clip before adds.
            cuda_stream: where work is queued on a GPU; None: on the current stream.
        """
        self._network = network
        self._kernel = kernel
        self._engine = make_engine(network, settings)
        self._num_phases = settings.num_phases
        self._clock = TokenClock(token_rate_hz, gap_s=token_gap_s, num_phases=self._num_phases)
        self._stillness = _Stillness()
        self._cuda_stream = cuda_stream
        # Where it is written later: another stream would have to be waited for.
        with self._on_device():
            self._memory: Any = self._engine.new_state()
        self._tells_ended = tells_ended
        self._num_tokens = 0
        self._last_stamp_ns = 0
        self.action_interval = action_interval
        self.num_left_out = 0

    def step(self, frame: Frame) -> HttStep | None:
        """Look at the next image of the stream.

        Returns:
            None for an image that is no token.

        Raises:
            ImageError: the image is grey or not of bytes.
        """
        choice = self._clock.choose(frame.stamp_ns)
        if not choice.is_token:
            return None
        watch = Stopwatch()
        ended = None
        if choice.reset_reason:
            ended = self._end_clip()
            self._stillness = _Stillness()
        view, image = network_image(frame.image, is_rgb=frame.is_rgb, kernel=self._kernel)
        problem = self._stillness.look(image, frame.stamp_ns) or self._clock.slow_reason
        watch.lap('htt_image')
        token = Token(
            index=self._num_tokens, stamp_ns=frame.stamp_ns, camera=frame.camera, view=view,
            phase=choice.phase,
        )  # fmt: skip
        with torch.inference_mode(), self._on_device():
            feature = self._network.features(torch.from_numpy(image)[None])[0]
            watch.lap('htt_backbone')
            done = self._engine.step(
                self._memory, feature, token, action_interval=self.action_interval
            )
        if done is None:
            self.num_left_out += 1
            problem = (
                'the network gave numbers that are not finite (images left out so far: '
                f'{self.num_left_out})'
            )
        else:
            self._num_tokens += 1
        self._last_stamp_ns = frame.stamp_ns
        step = self._told(frame.stamp_ns, done)
        watch.lap('htt_temporal')
        return replace(
            step, reset_reason=choice.reset_reason, ended=ended, problem=problem,
            is_left_out=done is None, stage_s=tuple(watch.stages),
        )  # fmt: skip

    def finish(self) -> HttStep | None:
        """End the clip: tell what is still open. The next image begins another clip.

        Returns:
            None when there were no tokens since the last clip ended.
        """
        with torch.inference_mode(), self._on_device():
            done = self._engine.finish(self._memory)
        return None if done is None else self._told(self._last_stamp_ns, done)

    def _end_clip(self) -> HttStep | None:
        """End the clip, without computing what nobody asks for."""
        if self._tells_ended:
            return self.finish()
        self._engine.forget(self._memory)
        return None

    def _told(self, stamp_ns: int, done: EngineStep | None) -> HttStep:
        if done is None:
            return HttStep(stamp_ns=stamp_ns, span=self._engine.span(self._memory))
        # Sliding windows tell a pose once; at its end a clip tells nothing for the first time
        # that could still change.
        has_revisions = not isinstance(self._engine, SlidingEngine)
        return HttStep(
            stamp_ns=stamp_ns,
            tokens=token_results(
                done.told, is_final=not has_revisions, action_prob=done.action_prob
            ),
            finals=token_results(
                done.finals,
                is_final=True,
                action_prob=done.action_prob if done.told is None else None,
            ),
            action_prob=done.action_prob,
            span=done.span,
        )

    def _on_device(self) -> AbstractContextManager[object]:
        """Queue work where the hands' networks do not wait for it."""
        if self._cuda_stream is None:
            return contextlib.nullcontext()
        return torch.cuda.stream(self._cuda_stream)
