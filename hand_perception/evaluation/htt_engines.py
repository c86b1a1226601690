"""What the engines of a stream say of recorded images: the same code that runs on a camera."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from torch import Tensor

from hand_perception.datatypes import Camera, DoubleArray, FloatArray
from hand_perception.errors import DatasetError
from hand_perception.models.htt.constants import IMAGE_HEIGHT, IMAGE_WIDTH
from hand_perception.models.htt.lift import lift
from hand_perception.models.htt.preprocess import NetworkView
from hand_perception.pipeline.sliding import SlidingEngine
from hand_perception.pipeline.temporal import (
    EngineStep,
    Rows,
    TemporalNetwork,
    TiledEngine,
)
from hand_perception.pipeline.temporal_state import TemporalSettings, Token

#: Tokens that a pose of the sliding engine waits for, where several are compared.
LOOKAHEADS: Final = (0, 4, 8)
#: Nanoseconds from one token to the next; only their order matters.
_STEP_NS: Final = 66_666_667


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineAnswers:
    """What one engine says of n successive tokens; A classes.

    Attributes:
        told: (n, J, 3) metres, camera optical frame, each as it was told first.
        final: (n, J, 3) the same, each as it was told last.
        vote: (A,) probabilities at the end of each action window, added up.
        so_far: (n, A) the vote as if the stream had ended with each token; None: not asked for.
    """

    told: FloatArray
    final: FloatArray
    vote: DoubleArray
    so_far: DoubleArray | None


def run_engine(
    network: TemporalNetwork,
    settings: TemporalSettings,
    features: Tensor,
    K: FloatArray,
    *,
    with_vote_so_far: bool = False,
) -> EngineAnswers:
    """Feed the tokens of one phase of a segment to an engine, one after the other.

    A full action window is left for a new one, as in the published evaluation.

    Args:
        network: with the features' blocks.
        settings: ``tiled`` or ``sliding``, not rolling.
        features: (n, C), n at least 1.
        K: (3, 3) intrinsics of the network images.
        with_vote_so_far: look at the action at every token.

    Raises:
        DatasetError: the network's numbers are not finite.
    """
    is_sliding = settings.engine == 'sliding'
    engine = (SlidingEngine if is_sliding else TiledEngine)(network, settings)
    count = len(features)
    answers = _Answers(count, network.sizes.num_joints, network.sizes.num_actions, K)
    state = engine.new_state()
    interval = 1 if with_vote_so_far else settings.window
    for index, feature in enumerate(features):
        step = engine.step(state, feature, _token(index, K), action_interval=interval)
        answers.take(step, index)
    answers.take(engine.finish(state), count, is_end=True)
    return EngineAnswers(
        told=answers.told,
        final=answers.final,
        vote=answers.closed,
        so_far=answers.so_far if with_vote_so_far else None,
    )


class _Answers:
    """Arrays that fill up step by step."""

    def __init__(self, count: int, num_joints: int, num_actions: int, K: FloatArray) -> None:
        self.told = np.full((count, num_joints, 3), np.nan, np.float32)
        self.final = np.full((count, num_joints, 3), np.nan, np.float32)
        self.closed = np.zeros(num_actions, np.float64)
        self.so_far = np.full((count, num_actions), np.nan, np.float64)
        self._full: FloatArray | None = None  # of a full action window that may still be left
        self._K = K

    def take(self, step: EngineStep | None, index: int, *, is_end: bool = False) -> None:
        """Take in what a token, or the end, changed."""
        if step is None:
            raise DatasetError(
                f'the network said numbers that are not finite at token {index}; look at the '
                'weights'
            )
        self._place(step.told)
        self._place(step.finals)
        if is_end:
            # The end of a window that was full already is told again.
            self._full = None
            self.closed += _known(step.action_prob, index)
            return
        if self._full is not None:
            self.closed += self._full
            self._full = None
        if step.action_prob is not None:
            self.so_far[index] = self.closed + step.action_prob
        if step.span.is_final:
            self._full = _known(step.action_prob, index)

    def _place(self, rows: Rows | None) -> None:
        if rows is None:
            return
        joints = lift(rows.raw, np.repeat(self._K[None], len(rows.tokens), axis=0))[2]
        for token, places in zip(rows.tokens, joints, strict=True):
            if np.isnan(self.told[token.index, 0, 0]):
                self.told[token.index] = places
            self.final[token.index] = places


def _known(action_prob: FloatArray | None, index: int) -> FloatArray:
    if action_prob is None:
        raise DatasetError(f'the engine told no action at token {index}, the end of its window')
    return action_prob


def _token(index: int, K: FloatArray) -> Token:
    camera = Camera(
        width=IMAGE_WIDTH, height=IMAGE_HEIGHT, fx=float(K[0, 0]), fy=float(K[1, 1]),
        cx=float(K[0, 2]), cy=float(K[1, 2]),
    )  # fmt: skip
    view = NetworkView(scale_x=1.0, scale_y=1.0, pad_x=0, pad_y=0)
    return Token(index=index, stamp_ns=(index + 1) * _STEP_NS, camera=camera, view=view)
