"""What papers report on the benchmarks, each number with where it was read and how sure that is.

``docs/results.md`` is made from it (:mod:`published_tables`), and reports set these numbers beside
those measured. Most papers' PDFs were not at hand: what comes from a later paper's table or from a
listing says so, and what nobody looked up again is marked and never called a bar.
"""

from dataclasses import dataclass
from typing import Final, Literal

#: paper: read in the text of a paper, its own or a later one's table. abstract: of its own
#: abstract. second-hand: of a listing or a later write-up. unchecked: from memory.
Certainty = Literal['paper', 'abstract', 'second-hand', 'unchecked']


@dataclass(frozen=True, slots=True)
class Published:
    """One number.

    Attributes:
        benchmark: data set and split, such as ``h2o/test``.
        method: whose, with the year.
        figure: a key of ``figures.KINDS``.
        value: in the unit of that kind.
        source: where it was read: a key of ``SOURCES``.
        certainty: how sure it is.
    """

    benchmark: str
    method: str
    figure: str
    value: float
    source: str
    certainty: Certainty


def published_for(benchmark: str) -> tuple[Published, ...]:
    """Give all numbers of a benchmark, in the order of the table."""
    return tuple(entry for entry in PUBLISHED if entry.benchmark == benchmark)


PUBLISHED: Final[tuple[Published, ...]] = ()
