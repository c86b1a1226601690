"""Trouble that comes with every message: counted each time, logged now and then."""

import time
from collections import Counter
from typing import Any, Final

#: The same trouble is logged again after this time.
_REPEAT_LOG_S: Final = 10.0
#: Trouble is part of the status for this long after it was seen.
RECENT_S: Final = 5.0


class Complaints:
    """Counts and logs what is wrong, one line for each subject. Use it from one thread."""

    def __init__(self, logger: Any) -> None:
        """Log to a node's logger."""
        self.counts: Counter[str] = Counter()
        self._logger = logger
        self._logged_s: dict[str, float] = {}
        self._seen: dict[str, tuple[float, str]] = {}

    def add(self, subject: str, text: str) -> None:
        """Take one case of trouble; ``subject`` is what is counted, ``text`` what is told."""
        now = time.monotonic()
        self.counts[subject] += 1
        self._seen[subject] = (now, text)
        if now - self._logged_s.get(subject, float('-inf')) > _REPEAT_LOG_S:
            self._logged_s[subject] = now
            self._logger.warning(f'{subject}: {text}')

    def recent(self) -> list[str]:
        """Give what was wrong not long ago."""
        since = time.monotonic() - RECENT_S
        return [f'{subject}: {text}' for subject, (at, text) in self._seen.items() if at > since]
