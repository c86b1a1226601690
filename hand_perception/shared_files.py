"""Find files that are installed beside the code: parameter files, messages, DDS profile."""

import os
from pathlib import Path


def find_shared(relative: str) -> Path | None:
    """Find a file or folder such as ``config/egocentric.yaml``.

    The share folders of the sourced workspaces are looked at first, in their order, then the
    source tree that this module lies in. None when it is in none of them.
    """
    prefixes = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    folders = [Path(prefix, 'share', 'hand_perception') for prefix in prefixes if prefix]
    folders.append(Path(__file__).resolve().parents[1])
    return next((folder / relative for folder in folders if (folder / relative).exists()), None)
