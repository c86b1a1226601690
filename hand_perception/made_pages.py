"""Pages of the documents with parts that are made from the code: write or check them."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path


def write_or_check(
    arguments: Sequence[str] | None, *, module: str, page: str, fill: Callable[[str], str]
) -> int:
    """Run the command of a module that makes parts of a page.

    Args:
        arguments: of the command line; None: those of the process.
        module: name to run with ``python -m``.
        page: file below the root of the repository.
        fill: replaces the made parts of the page's text.

    Returns:
        1 when ``--check`` was given and the page is out of date, else 0.
    """
    parser = argparse.ArgumentParser(prog=module, description=f'Write the made parts of {page}.')
    parser.add_argument('--check', action='store_true', help='change nothing, tell what differs')
    parser.add_argument('--root', type=Path, default=Path(__file__).resolve().parents[1])
    options = parser.parse_args(arguments)
    path = options.root / page
    before = path.read_text(encoding='utf-8')
    after = fill(before)
    if after == before:
        return 0
    if options.check:
        print(f'{path} is out of date; run: python -m {module}')
        return 1
    path.write_text(after, encoding='utf-8')
    print(f'wrote {path}')
    return 0
