"""Write the tables of published numbers in ``docs/results.md``.

``python -m hand_perception.evaluation.published_tables`` writes them, ``--check`` tells whether
they are out of date.
"""

import re
import sys
from collections.abc import Sequence
from typing import Final

from hand_perception.errors import ConfigError
from hand_perception.evaluation.figures import KINDS
from hand_perception.evaluation.published import PUBLISHED, SOURCES, Published, published_for
from hand_perception.made_pages import write_or_check

PAGE: Final = 'docs/results.md'
_BLOCK: Final = re.compile(
    r'(<!-- published:(?P<benchmark>[\w/-]+) -->\n)(?P<table>.*?)(<!-- /published -->)', re.DOTALL
)
_WORDS: Final = {
    'paper': 'paper', 'abstract': 'abstract', 'second-hand': 'second hand',
    'unchecked': 'not checked',
}  # fmt: skip


def markdown_table(benchmark: str) -> str:
    """Write the numbers of a benchmark as a Markdown table, methods as rows.

    Raises:
        ConfigError: there are none.
    """
    published = published_for(benchmark)
    if not published:
        known = ', '.join(dict.fromkeys(entry.benchmark for entry in PUBLISHED))
        raise ConfigError(f'{PAGE} asks for {benchmark!r}; there are numbers of {known}')
    figures = tuple(dict.fromkeys(entry.figure for entry in published))
    methods = dict.fromkeys(entry.method for entry in published)
    rows = [
        ('method', *(KINDS[key].heading for key in figures), 'from'),
        ('---',) * (len(figures) + 2),
        *(_row(method, figures, published) for method in methods),
    ]
    return ''.join(f'| {" | ".join(row)} |\n' for row in rows)


def sources_table() -> str:
    """Write where numbers were read as a Markdown table."""
    rows = [('name', 'what'), ('---', '---'), *SOURCES.items()]
    return ''.join(f'| {" | ".join(row)} |\n' for row in rows)


def fill_page(text: str) -> str:
    """Replace all tables in a page by what they should be."""

    def filled(match: re.Match[str]) -> str:
        name = match['benchmark']
        return (
            match[1] + (sources_table() if name == 'sources' else markdown_table(name)) + match[4]
        )

    return _BLOCK.sub(filled, text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the page; return 1 when a checked page is out of date."""
    return write_or_check(
        arguments, module='hand_perception.evaluation.published_tables', page=PAGE, fill=fill_page
    )


def _row(method: str, figures: Sequence[str], published: Sequence[Published]) -> tuple[str, ...]:
    mine = {entry.figure: entry for entry in published if entry.method == method}
    cells = (_cell(mine.get(key)) for key in figures)
    origins = dict.fromkeys(
        _WORDS[entry.certainty] + ('' if entry.source == 'memory' else f', {entry.source}')
        for entry in mine.values()
    )
    return (method, *cells, '; '.join(origins))


def _cell(entry: Published | None) -> str:
    if entry is None:
        return ''
    return KINDS[entry.figure].text(entry.value) + '?' * (entry.certainty == 'unchecked')


if __name__ == '__main__':
    sys.exit(main())
