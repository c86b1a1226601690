"""Folders that are filled in more than one go remember what they were begun with."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hand_perception.errors import DatasetError
from hand_perception.whole_files import write_whole_text


def begin_or_go_on(note: Path, wanted: Mapping[str, Any], *, is_taken: bool) -> None:
    """Note in a folder what it will hold, or compare it with the note that is there.

    Args:
        note: the file, in the folder.
        wanted: what the folder will hold, as JSON has it.
        is_taken: whether the folder holds something already; it must not when there is no note.

    Raises:
        DatasetError: the folder holds something else or was begun with other settings, or the
            note cannot be written or read.
    """
    if not note.exists():
        if is_taken:
            raise DatasetError(f'{note.parent} holds other data; choose another folder')
        write_whole_text(note, json.dumps(wanted, indent=1) + '\n')
    try:
        found = json.loads(note.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise DatasetError(f'{note} cannot be read: {error}') from error
    if found != wanted:
        changed = [
            f'{key} {found.get(key)!r}, now {value!r}'
            for key, value in wanted.items()
            if found.get(key) != value
        ]  # fmt: skip
        raise DatasetError(
            f'{note.parent} was begun with other settings '
            f'({", ".join(changed) or "of another version"}); use the same ones, or another folder'
        )
