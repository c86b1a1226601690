"""The folder that the demos write to."""

import shutil
from pathlib import Path
from typing import Final

from hand_perception.errors import ConfigError

#: What a demo leaves; an old recording is removed before a new one.
_RECORDED: Final = ('bag', 'overlay.mp4', 'hands.npz', 'contact_sheet.png', 'teleop.png')
#: The clip of the teleoperation: it takes a minute to render and is used again.
CLIP_FOLDER: Final = 'clip'


def prepare_folder(folder: Path) -> None:
    """Make the output folder; remove an old recording, and nothing else.

    Raises:
        ConfigError: it holds something else.
    """
    if folder.exists():
        names = {path.name for path in folder.iterdir() if path.suffix != '.log'}
        others = sorted(names - {*_RECORDED, CLIP_FOLDER})
        if others:
            raise ConfigError(
                f'{folder} holds files that are not a recording of the demo '
                f'({", ".join(others[:3])}); choose another --out'
            )
        shutil.rmtree(folder / 'bag', ignore_errors=True)
        for name in _RECORDED[1:]:
            (folder / name).unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
