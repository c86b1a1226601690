"""Counts and times of a running node, written by its threads and read once a second."""

import enum
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from hand_perception.datatypes import FrameResult

#: Images whose ages and stage times percentiles are taken of: 10 s at 30 Hz.
_WINDOW: Final = 300


class DropCause(enum.Enum):
    """Why an image that came was not processed."""

    OVERWRITTEN = 'overwritten by a newer image'
    TOO_OLD = 'too old'
    STAMP_STILL = 'stamp standing still'
    BAD_IMAGE = 'bad image'
    WAITING_FOR_CAMERA = 'waiting for camera_info'
    DISABLED = 'disabled'
    NO_BOXES = 'no boxes came'
    BETWEEN_TOKENS = 'between tokens of HTT'
    ERROR = 'error while processing'


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state of :class:`Statistics` at one moment; rates are since the snapshot before.

    Attributes:
        ages_s: (M,) seconds from stamp to publication of the last images.
        stage_s: (M,) seconds per stage of the last images.
        silence_s: seconds since the last image came, or since the start.
        since_error_s: seconds since the last error; infinite without one.
    """

    received: int
    processed: int
    drops: Mapping[DropCause, int]
    new_drops: Mapping[DropCause, int]
    hands: Mapping[str, int]
    resets: int
    rate_in_hz: float
    rate_out_hz: float
    ages_s: np.ndarray
    stage_s: Mapping[str, np.ndarray]
    silence_s: float
    errors: int
    last_error: str
    since_error_s: float

    @property
    def dropped(self) -> int:
        """Images that came and were not processed."""
        return sum(self.drops.values())


@dataclass(slots=True)
class Statistics:
    """Counters of one node; every method may be called from any thread."""

    received: int = 0
    processed: int = 0
    errors: int = 0
    resets: int = 0
    last_error: str = ''
    _last_error_s: float = -np.inf
    _drops: Counter[DropCause] = field(default_factory=Counter)
    _hands: Counter[str] = field(default_factory=Counter)
    _ages_s: deque[float] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    _stages: dict[str, deque[float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _last_received_s: float = field(default_factory=time.monotonic)
    _before: tuple[float, int, int, Counter[DropCause]] = field(
        default_factory=lambda: (time.monotonic(), 0, 0, Counter())
    )

    def add_received(self) -> None:
        """Count an image that came."""
        with self._lock:
            self.received += 1
            self._last_received_s = time.monotonic()

    def add_drop(self, cause: DropCause, count: int = 1) -> None:
        """Count images that are not processed."""
        with self._lock:
            self._drops[cause] += count

    def add_error(self, text: str) -> None:
        """Count something that went wrong and remember what it was."""
        with self._lock:
            self.errors += 1
            self.last_error = text
            self._last_error_s = time.monotonic()

    def add_processed(self) -> tuple[int, int]:
        """Count a processed image; return how many were processed and dropped so far."""
        with self._lock:
            self.processed += 1
            return self.processed, self._drops.total()

    def num_images(self) -> int:
        """Count the images that were processed or dropped so far."""
        with self._lock:
            return self.processed + self._drops.total()

    def add_result(self, result: FrameResult, *, age_s: float) -> None:
        """Count what a processed image gave, and the age of its keypoints at publication."""
        with self._lock:
            self._ages_s.append(age_s)
            self.resets += bool(result.reset_reason)
            for hand in result.hands:
                self._hands['right' if hand.is_right else 'left'] += 1
            for stage, seconds in result.stage_s:
                self._add_stage(stage, seconds)

    def add_stage(self, stage: str, seconds: float) -> None:
        """Remember how long a stage of the node's own took."""
        with self._lock:
            self._add_stage(stage, seconds)

    def _add_stage(self, stage: str, seconds: float) -> None:
        self._stages.setdefault(stage, deque(maxlen=_WINDOW)).append(seconds)

    def snapshot(self) -> Snapshot:
        """Read everything at once and start new rates."""
        with self._lock:
            now = time.monotonic()
            then, received, processed, drops = self._before
            self._before = (now, self.received, self.processed, self._drops.copy())
            seconds = max(now - then, 1e-9)
            return Snapshot(
                received=self.received,
                processed=self.processed,
                drops=dict(self._drops),
                new_drops=self._drops - drops,
                hands=dict(self._hands),
                resets=self.resets,
                rate_in_hz=(self.received - received) / seconds,
                rate_out_hz=(self.processed - processed) / seconds,
                ages_s=np.array(self._ages_s),
                stage_s={name: np.array(times) for name, times in self._stages.items()},
                silence_s=now - self._last_received_s,
                errors=self.errors,
                last_error=self.last_error,
                since_error_s=now - self._last_error_s,
            )
