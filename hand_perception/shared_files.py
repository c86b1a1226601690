"""Find files that are installed beside the code: parameter files, labels, DDS profile."""

import os
from pathlib import Path
from typing import Final

_SHARE: Final = Path('share', 'hand_perception')


def find_shared(relative: str) -> Path | None:
    """Find a file or folder such as ``config/egocentric.yaml``.

    The share folders of the sourced workspaces are looked at first, in their order, then the
    source tree that this module lies in, then the share folder that colcon or pip installed with
    this module: beside it (``pip install --target``) or some folders above it (below the prefix,
    the modules lie in ``lib/python3.x/site-packages``). None when it is in none of them.
    """
    prefixes = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    folders = [prefix / _SHARE for prefix in map(Path, filter(None, prefixes))]
    above = Path(__file__).resolve().parents[1:5]
    folders += [above[0], *(folder / _SHARE for folder in above)]
    return next((folder / relative for folder in folders if (folder / relative).exists()), None)
