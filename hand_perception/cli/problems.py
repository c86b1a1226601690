"""What checks of data sets say of many problems of one kind: how many, and the first in words."""

from dataclasses import dataclass, field
from typing import Final

NOT_COMPARABLE: Final = 'results do not compare with published ones'
#: Problems of one kind that are told one by one.
_MAX_TOLD: Final = 3


@dataclass(slots=True)
class Problems:
    """What is wrong, the first few in words."""

    count: int = 0
    told: list[str] = field(default_factory=list)

    def add(self, text: str, *, count: int = 1) -> None:
        """Take a problem down, which stands for ``count`` of them."""
        self.count += count
        if len(self.told) < _MAX_TOLD:
            self.told.append(text)

    def __str__(self) -> str:
        """The first few, and dots for others."""
        return '; '.join(self.told) + ('; ...' if self.count > len(self.told) else '')


def count(number: int, what: str) -> str:
    """Say ``1 hand`` or ``2 hands``."""
    return f'{number:,} {what}{"" if number == 1 else "s"}'
