"""What a hand is said to do, image after image: evidence, events, hysteresis, onsets."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from hand_perception.actions import PRIMITIVES, RELEASE_S
from hand_perception.datatypes import DoubleArray
from hand_perception.pipeline.primitive_shapes import HandShape, score_shapes
from hand_perception.pipeline.primitive_wave import WaveMemory

_OPEN, _FIST, _POINT, _PINCH, _GRASP, _RELEASE, _WAVE = range(len(PRIMITIVES))
_CLOSED: Final = (_FIST, _PINCH, _GRASP)
_EVENTS: Final = (_RELEASE, _WAVE)
#: Score from which a primitive is seen: all its conditions hold.
SEEN: Final = 0.5
#: One that is told stays down to this score, unless another is seen that scores higher: half of
#: the way that a condition's ramp takes below its limit.
KEPT: Final = 0.3
#: A hand that opens later than this after it was last seen closed releases nothing.
RELEASE_WITHIN_S: Final = 0.5
#: How far a hand must open to release, from what it was like while it was closed: extension of
#: middle, ring and little finger (grasp to rest is 0.13, fist to open 0.65); of a pinch the
#: extension of the index finger (to rest 0.2) and thumb to index in palms (to rest 0.35 to 0.5).
_OPENED_FINGERS: Final = 0.06
_OPENED_INDEX: Final = 0.08
_OPENED_GAP: Final = 0.15
#: Pinching fingers that close into a fist let the thumb go as well; that releases nothing.
_STILL_OPEN: Final = -0.08
#: Share of that from which the opening has begun: where the onset of a release lies.
_BEGINS: Final = 0.2
#: Memory of how open the hand was, for waves, whose fingers blur: seconds.
_OPENNESS_S: Final = 0.3
#: Stamps of cameras wander about their period by some milliseconds.
_STAMP_JITTER_NS: Final = 5_000_000


@dataclass(slots=True)
class _Closure:
    """How the hand was while it was last closed.

    Attributes:
        primitive: fist, pinch or grasp; None when it was not.
        last_ns: last image of it.
        means: thumb to index, extension of the index finger, mean extension of the others.
        count: images in the means.
    """

    primitive: int | None = None
    last_ns: int = 0
    means: DoubleArray = field(default_factory=lambda: np.zeros(3))
    count: int = 0


@dataclass(slots=True)
class HandMemory:
    """All memory of one followed hand: a few numbers, however long it is followed.

    Attributes:
        track_id: of the hand.
        told: primitive that is told; None while none is.
        onset_ns: stamp since which ``told`` (or none) has held.
        candidate: primitive that the newest images show; None between primitives.
        run_start_ns: first image of the run that shows ``candidate``.
        run_count: images of that run.
        shape: still primitive of the newest images, whatever happens meanwhile.
        shape_since_ns: first image of them.
        scores: (7,) of the newest image.
    """

    track_id: int
    first_ns: int
    told: int | None = None
    onset_ns: int = 0
    candidate: int | None = None
    run_start_ns: int = 0
    run_count: int = 0
    shape: int | None = None
    shape_since_ns: int = 0
    scores: DoubleArray = field(default_factory=lambda: np.zeros(len(PRIMITIVES)))
    _last_ns: int = 0
    _openness: float = 0.0
    _closure: _Closure = field(default_factory=_Closure)
    _opening_ns: int | None = None
    _release_ns: int | None = None
    _release_score: float = 0.0
    _wave: WaveMemory = field(default_factory=WaveMemory)

    def __post_init__(self) -> None:
        """Begin with nothing told."""
        self.onset_ns = self.run_start_ns = self._last_ns = self.first_ns

    def follow(self, shape: HandShape, stamp_ns: int, *, min_duration_s: float) -> None:
        """Take in the next image of the hand."""
        shapes = score_shapes(shape)
        wave = self._follow_wave(shape, shapes, stamp_ns)
        release = self._follow_release(shape, shapes, stamp_ns)
        # What happens outweighs how the hand looks meanwhile.
        calm = 1 - max(release if release >= SEEN else 0.0, wave if wave >= SEEN else 0.0)
        self.scores = np.concatenate([shapes * calm, [release, wave]])
        seen_shape = self._choose(shapes)
        if seen_shape != self.shape:
            self.shape, self.shape_since_ns = seen_shape, stamp_ns
        event = _RELEASE if release >= SEEN else _WAVE if wave >= SEEN else None
        self._take_candidate(seen_shape if event is None else event, stamp_ns)
        self._tell(stamp_ns, min_duration_s)
        self._last_ns = stamp_ns

    def _tell(self, stamp_ns: int, min_duration_s: float) -> None:
        """Tell what has been seen for long enough."""
        if self.candidate == self.told:
            return
        since_ns = self.run_start_ns
        if self.told in _EVENTS and self.candidate == self.shape:
            since_ns = self.shape_since_ns  # it was seen while the event still was told
        if stamp_ns - since_ns >= min_duration_s * 1e9 - _STAMP_JITTER_NS:
            self.told, self.onset_ns = self.candidate, self.run_start_ns

    def _choose(self, shapes: DoubleArray) -> int | None:
        """Say how the newest image looks, staying with what it was where that still holds."""
        best = int(np.argmax(shapes))
        held = 0.0 if self.shape is None else float(shapes[self.shape])
        if held >= KEPT and (shapes[best] < SEEN or shapes[best] <= held):
            return self.shape
        return best if shapes[best] >= SEEN else None

    def _take_candidate(self, candidate: int | None, stamp_ns: int) -> None:
        if candidate == self.candidate:
            self.run_count += 1
            return
        self.candidate, self.run_start_ns, self.run_count = candidate, stamp_ns, 1
        # It takes a while to see an event: it has lasted since it began.
        if candidate == _WAVE:
            self.run_start_ns = max(self._wave.onset_ns, self.first_ns)
        elif candidate == _RELEASE and self._release_ns is not None:
            self.run_start_ns = self._release_ns

    def _follow_wave(self, shape: HandShape, shapes: DoubleArray, stamp_ns: int) -> float:
        elapsed_s = (stamp_ns - self._last_ns) * 1e-9
        keep = np.exp(-elapsed_s / _OPENNESS_S)
        self._openness = float(keep * self._openness + (1 - keep) * shapes[_OPEN])
        self._wave.follow(shape, stamp_ns)
        is_open = self._openness >= SEEN and shapes[_OPEN + 1 :].max() < SEEN
        return self._wave.score() if is_open else 0.0

    def _follow_release(self, shape: HandShape, shapes: DoubleArray, stamp_ns: int) -> float:
        """Score the opening of a hand that was closed; remember how it was while it is."""
        opening = self._opening(shape, shapes)
        if opening < _BEGINS:
            self._opening_ns = None
        elif self._opening_ns is None:
            self._opening_ns = stamp_ns
        closed = max(_CLOSED, key=lambda k: float(shapes[k]))
        if shapes[closed] >= SEEN:
            self._release_ns = None
            self._remember_closure(closed, shape, stamp_ns)
            return 0.0
        if self._release_ns is not None:
            if stamp_ns - self._release_ns < RELEASE_S * 1e9:
                self._release_score = max(self._release_score, opening)
                return self._release_score
            self._release_ns, self._closure = None, _Closure()
            return 0.0
        since_ns = stamp_ns - self._closure.last_ns
        if opening >= SEEN and since_ns <= RELEASE_WITHIN_S * 1e9:
            self._release_ns, self._release_score = self._opening_ns, opening
        return opening

    def _remember_closure(self, closed: int, shape: HandShape, stamp_ns: int) -> None:
        closure = self._closure
        if closure.primitive != closed or stamp_ns - closure.last_ns > RELEASE_WITHIN_S * 1e9:
            closure = self._closure = _Closure(primitive=closed)
        closure.count += 1
        closure.means = closure.means + (_closedness(shape) - closure.means) / closure.count
        closure.last_ns = stamp_ns

    def _opening(self, shape: HandShape, shapes: DoubleArray) -> float:
        """0-1: how far the hand has opened since it was closed; 0.5 is enough for a release."""
        closure = self._closure
        if closure.primitive is None or shapes[_POINT] >= SEEN:
            return 0.0
        gap, index, others = _closedness(shape) - closure.means
        if closure.primitive != _PINCH:
            opened = others / _OPENED_FINGERS
        elif others < _STILL_OPEN:
            opened = 0.0
        else:
            opened = min(gap / _OPENED_GAP, index / _OPENED_INDEX)
        return float(min(max(opened / 2, 0.0), 1.0))


def _closedness(shape: HandShape) -> DoubleArray:
    return np.array([shape.gap, shape.extension[0], shape.extension[1:].mean()])
