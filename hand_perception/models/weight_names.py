"""Names of tensors: those of a file against those that a network has."""

from collections.abc import Iterable
from typing import Final

from hand_perception.errors import WeightsError

_MAX_NAMES: Final = 5


def check_names(source: str, expected: set[str], found: set[str], *, advice: str) -> None:
    """Refuse tensors that are missing or unknown.

    Args:
        source: the file, for people.
        expected: names that the network has.
        found: names in the file.
        advice: what to do.

    Raises:
        WeightsError: there are some; the message names the first of them.
    """
    problems = [
        f'{word} {listed(names)}'
        for word, names in (('lacks', expected - found), ('has unknown', found - expected))
        if names
    ]
    if problems:
        raise WeightsError(f'{source} {"; ".join(problems)}; {advice}')


def listed(names: Iterable[str]) -> str:
    """Give the first names in their order, and the number of the others."""
    ordered = sorted(names)
    more = len(ordered) - _MAX_NAMES
    return ', '.join(ordered[:_MAX_NAMES]) + (f' and {more} more' if more > 0 else '')
