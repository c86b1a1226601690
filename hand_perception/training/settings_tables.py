"""Write the tables of training settings in ``docs/training.md``.

``python -m hand_perception.training.settings_tables`` writes them, ``--check`` tells whether they
are out of date. A table lies between ``<!-- training:NETWORK.SECTION -->`` and
``<!-- /training -->``.
"""

import json
import re
import sys
from collections.abc import Sequence
from typing import Final

from hand_perception.made_pages import write_or_check
from hand_perception.settings_base import Settings
from hand_perception.training.networks import find_network
from hand_perception.training.training_file import Sections

_TABLE: Final = re.compile(
    r'(<!-- training:(?P<network>\w+)\.(?P<section>\w+) -->\n).*?(<!-- /training -->)', re.DOTALL
)


def fill_tables(text: str) -> str:
    """Fill every table of a Markdown text."""

    def table(match: re.Match[str]) -> str:
        name = match['network']
        sections = Sections if name == 'every' else find_network(name).sections
        return f'{match[1]}{_markdown(getattr(sections(), match["section"]))}{match[4]}'

    return _TABLE.sub(table, text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the page; return 1 when it was checked and is out of date."""
    return write_or_check(
        arguments,
        module='hand_perception.training.settings_tables',
        page='docs/training.md',
        fill=fill_tables,
    )


def _markdown(group: Settings) -> str:
    rows = ['| setting | default | allowed | meaning |', '| --- | --- | --- | --- |']
    rows += [
        f'| `{setting.name}` | `{json.dumps(getattr(group, setting.name))}` | {setting.allowed} '
        f'| {setting.sentence} |'
        for setting in group.settings()
    ]
    return '\n'.join(rows) + '\n'


if __name__ == '__main__':
    sys.exit(main())
