"""Counts of what is said of actions, written by the worker and read once a second."""

import re
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from hand_perception.actions import ActionResult

#: Different kinds of reasons that are counted one by one; more of them are counted together.
_MAX_REASONS: Final = 16
_OTHER_REASONS: Final = 'other reasons'


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionSnapshot:
    """The state of :class:`ActionStatistics` at one moment; rates are since the snapshot before.

    Attributes:
        looked_at: images that the recogniser looked at.
        told: messages with an action.
        unknown: messages without one, by the kind of their reason.
        window: images seen of those in a full window, as text; empty before the first action.
        resets: times that the recogniser started anew.
        last_reset: why it did so last.
        errors: images whose actions were lost.
        new_errors: those since the snapshot before.
        rate_hz: images looked at per second.
    """

    looked_at: int
    told: int
    unknown: Mapping[str, int]
    window: str
    resets: int
    last_reset: str
    errors: int
    new_errors: int
    rate_hz: float

    def pairs(self) -> dict[str, str]:
        """Give keys and values for diagnostics."""
        return {
            'actions: images looked at': str(self.looked_at),
            'actions: rate (Hz)': f'{self.rate_hz:.1f}',
            'actions: told': str(self.told),
            'actions: unknown': str(sum(self.unknown.values())),
            **{f'actions: unknown, {why}': str(n) for why, n in sorted(self.unknown.items())},
            'actions: images in window': self.window,
            'actions: resets': str(self.resets),
            'actions: last reset': self.last_reset,
            'actions: images lost to errors': str(self.errors),
        }


class ReasonKinds:
    """Tells reasons apart by their words, not by the numbers and labels in them."""

    def __init__(self, labels: Sequence[str]) -> None:
        """Know the labels that may stand in a reason."""
        longest_first = sorted(map(re.escape, labels), key=len, reverse=True)
        names = '|'.join(longest_first)
        self._label = re.compile(rf'(?<!\w)(?:{names})(?!\w)') if names else None

    def kind(self, reason: str) -> str:
        """Give a reason with ``<action>`` for labels and ``#`` for numbers."""
        text = reason if self._label is None else self._label.sub('<action>', reason)
        return re.sub(r'\d+(?:\.\d+)?', '#', text)


@dataclass(slots=True)
class ActionStatistics:
    """Counters of the recogniser of one node; every method may be called from any thread."""

    labels: Sequence[str] = ()
    looked_at: int = 0
    told: int = 0
    resets: int = 0
    errors: int = 0
    _window: str = ''
    _last_reset: str = ''
    _unknown: Counter[str] = field(default_factory=Counter)
    _kinds: ReasonKinds = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _before: tuple[float, int, int] = field(default_factory=lambda: (time.monotonic(), 0, 0))

    def __post_init__(self) -> None:
        """Know the labels."""
        self._kinds = ReasonKinds(self.labels)

    def add_result(self, result: ActionResult, *, stream_reset: str = '') -> None:
        """Count what was said of an image; nothing is said of one that was not looked at.

        Args:
            result: what was said.
            stream_reset: why the whole stream started anew before it; empty when it did not.
        """
        with self._lock:
            if reason := result.reset_reason or stream_reset:
                self.resets += 1
                self._last_reset = reason
            self.looked_at += bool(result.actions or result.hands is not None)
            for action in result.actions:
                self._window = f'{action.tokens_seen} of {action.tokens_full}'
                if action.is_unknown:
                    self._add_unknown(action.unknown_reason)
                else:
                    self.told += 1

    def _add_unknown(self, reason: str) -> None:
        kind = self._kinds.kind(reason)
        is_known = kind in self._unknown or len(self._unknown) < _MAX_REASONS
        self._unknown[kind if is_known else _OTHER_REASONS] += 1

    def add_error(self) -> None:
        """Count an image whose actions were lost."""
        with self._lock:
            self.errors += 1

    def snapshot(self) -> ActionSnapshot:
        """Read everything at once and start new rates."""
        with self._lock:
            now = time.monotonic()
            then, looked_at, errors = self._before
            self._before = (now, self.looked_at, self.errors)
            return ActionSnapshot(
                looked_at=self.looked_at,
                told=self.told,
                unknown=dict(self._unknown),
                window=self._window,
                resets=self.resets,
                last_reset=self._last_reset,
                errors=self.errors,
                new_errors=self.errors - errors,
                rate_hz=(self.looked_at - looked_at) / max(now - then, 1e-9),
            )
