"""Actions without any download: the hand primitives, told from the joints of followed hands."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from hand_perception.actions import (
    PRIMITIVES,
    ActionEstimate,
    ActionResult,
    LabelMap,
    Ranking,
)
from hand_perception.config import PipelineSettings
from hand_perception.datatypes import Frame, Hand
from hand_perception.models.hand_model import HandModel
from hand_perception.pipeline.primitive_memory import HandMemory
from hand_perception.pipeline.primitive_shapes import measure_shape

BACKEND_NAME: Final = 'primitives'
#: Another hand of the same side takes over when it is surer by this much.
_TAKE_OVER: Final = 0.2
#: HandAction counts images in 16 bits.
_MOST_IMAGES: Final = 2**16 - 1


@dataclass(slots=True)
class _Side:
    """What is known of the left or the right hand.

    Attributes:
        hand: the followed hand; None while none is seen.
        unknown_since_ns: since when none has been seen.
        reason: why, in words.
    """

    hand: HandMemory | None = None
    unknown_since_ns: int = 0
    reason: str = ''


@dataclass(slots=True)
class PrimitiveState:
    """All memory of one camera stream; it does not grow.

    Attributes:
        sides: left, right.
        last_stamp_ns: of the last image; None before the first.
        spacing_ns: time between the last two images; 0 when there were not two.
    """

    sides: tuple[_Side, _Side] = field(default_factory=lambda: (_Side(), _Side()))
    last_stamp_ns: int | None = None
    spacing_ns: int = 0


class PrimitiveRecogniser:
    """Tells open, fist, point, pinch, grasp, release and wave, for the left and the right hand.

    One estimate per side for every image. Its window is the run of images that show the same:
    ``window_start_ns`` is the first of them, ``tokens_seen`` their number, counted up to
    ``tokens_full``, which is how many it takes at the camera's rate until what they show is told.
    ``is_final`` is False while the newest images show something else than what is told: should
    that last, its onset will be the run's first image.
    """

    backend_name: str = BACKEND_NAME
    device_name: str = 'cpu'
    label_map: LabelMap = LabelMap(name=BACKEND_NAME, actions=PRIMITIVES)
    hand_model: HandModel | None = None

    def __init__(self, settings: PipelineSettings) -> None:
        """Take the live settings ``action_min_duration_s`` and ``action_top_k``."""
        self._settings = settings

    @classmethod
    def load(cls, settings: PipelineSettings) -> 'PrimitiveRecogniser':
        """Make a recogniser; there is nothing to load."""
        return cls(settings)

    def with_settings(self, settings: PipelineSettings) -> 'PrimitiveRecogniser':
        """Return a recogniser with other live settings."""
        return PrimitiveRecogniser(settings)

    def new_state(self) -> PrimitiveState:
        """Make the memory for one camera stream."""
        return PrimitiveState()

    def step(self, state: PrimitiveState, frame: Frame, hands: Sequence[Hand]) -> ActionResult:
        """Look at the hands of the next image of a stream.

        Args:
            state: memory of the stream; changed.
            frame: the image. A stamp that goes back, or a gap longer than ``stream_gap_s``,
                starts anew.
            hands: tracked hands of the image. Of several on one side the surest is followed.
        """
        started = time.perf_counter()
        reason = self._start_image(state, frame.stamp_ns)
        estimates = tuple(
            self._step_side(state, frame, hands, is_right=is_right) for is_right in (False, True)
        )
        return ActionResult(
            actions=estimates,
            reset_reason=reason,
            stage_s=((BACKEND_NAME, time.perf_counter() - started),),
        )

    def _start_image(self, state: PrimitiveState, stamp_ns: int) -> str:
        reason = ''
        if state.last_stamp_ns is not None:
            seconds = (stamp_ns - state.last_stamp_ns) * 1e-9
            if seconds < 0:
                reason = f'stamps went back by {-seconds:.3f} s'
            elif seconds > self._settings.stream_gap_s:
                reason = f'no image for {seconds:.3f} s'
            state.spacing_ns = 0 if reason else stamp_ns - state.last_stamp_ns
        if reason:
            state.sides = (_Side(), _Side())
        state.last_stamp_ns = stamp_ns
        return reason

    def _step_side(
        self, state: PrimitiveState, frame: Frame, hands: Sequence[Hand], *, is_right: bool
    ) -> ActionEstimate:
        side, stamp_ns = state.sides[is_right], frame.stamp_ns
        hand = _followed([h for h in hands if h.is_right == is_right], side.hand)
        shape = None if hand is None else measure_shape(hand.keypoints_3d)
        if hand is None or shape is None:
            name = 'right' if is_right else 'left'
            lacking = f'no {name} hand is seen' if hand is None else (
                f'the joints of the {name} hand are not known'
            )  # fmt: skip
            if side.hand is not None or side.reason != lacking:
                side.unknown_since_ns, side.reason = stamp_ns, lacking
            side.hand = None
            return self._lacking(side, state, frame, is_right=is_right)
        if side.hand is None or side.hand.track_id != hand.track_id:
            side.hand, side.reason = HandMemory(hand.track_id, stamp_ns), ''
        memory = side.hand
        memory.follow(shape, stamp_ns, min_duration_s=self._settings.action_min_duration_s)
        return self._estimate(memory, state, frame, is_right=is_right)

    def _estimate(
        self, memory: HandMemory, state: PrimitiveState, frame: Frame, *, is_right: bool
    ) -> ActionEstimate:
        told, full = memory.told, self._images_needed(state)
        return ActionEstimate(
            stamp_ns=frame.stamp_ns,
            frame_id=frame.frame_id,
            window_start_ns=memory.run_start_ns,
            tokens_seen=min(memory.run_count, full),
            tokens_full=full,
            is_final=memory.candidate == told,
            is_right=is_right,
            label='' if told is None else PRIMITIVES[told],
            score=0.0 if told is None else float(memory.scores[told]),
            ranking=self._ranking(memory),
            unknown_reason='' if told is not None else self._why_unknown(memory),
            onset_ns=memory.onset_ns,
            label_map=self.label_map.name,
            backend=BACKEND_NAME,
        )

    def _lacking(
        self, side: _Side, state: PrimitiveState, frame: Frame, *, is_right: bool
    ) -> ActionEstimate:
        return ActionEstimate(
            stamp_ns=frame.stamp_ns,
            frame_id=frame.frame_id,
            window_start_ns=frame.stamp_ns,
            tokens_seen=0,
            tokens_full=self._images_needed(state),
            is_final=True,
            is_right=is_right,
            label='',
            score=0.0,
            ranking=Ranking(),
            unknown_reason=side.reason,
            onset_ns=side.unknown_since_ns,
            label_map=self.label_map.name,
            backend=BACKEND_NAME,
        )

    def _ranking(self, memory: HandMemory) -> Ranking:
        scores = memory.scores
        # Of equal scores an event comes before how the hand looks meanwhile: later in PRIMITIVES.
        order = sorted(range(len(PRIMITIVES)), key=lambda k: (-scores[k], -k))
        order = order[: self._settings.action_top_k]
        return Ranking(
            labels=tuple(PRIMITIVES[k] for k in order),
            scores=tuple(float(scores[k]) for k in order),
        )

    def _why_unknown(self, memory: HandMemory) -> str:
        if memory.candidate is None:
            return 'between primitives'
        return (
            f'{PRIMITIVES[memory.candidate]} is seen for less than '
            f'{self._settings.action_min_duration_s:g} s'
        )

    def _images_needed(self, state: PrimitiveState) -> int:
        """Count the images that a run needs before it is told, at the camera's present rate."""
        if state.spacing_ns <= 0:
            return 1
        needed = self._settings.action_min_duration_s * 1e9 / state.spacing_ns
        return min(1 + int(np.ceil(needed - 0.1)), _MOST_IMAGES)


def _followed(hands: Sequence[Hand], memory: HandMemory | None) -> Hand | None:
    """Choose the hand of one side: the surest, but not to and fro between two alike."""
    if not hands:
        return None
    best = max(hands, key=_sureness)
    if memory is not None:
        for hand in hands:
            if hand.track_id == memory.track_id and _sureness(hand) > _sureness(best) - _TAKE_OVER:
                return hand
    return best


def _sureness(hand: Hand) -> float:
    """How sure a hand and its side are, 0-1; unknown numbers count as nothing."""
    sureness = hand.confidence * hand.handedness_score
    return sureness if np.isfinite(sureness) else 0.0
