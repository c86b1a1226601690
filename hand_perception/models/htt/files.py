"""Find the weights of HTT in the file or folder that the user names."""

from pathlib import Path
from typing import Final

from hand_perception.errors import WeightsError

#: What ``hand_perception weights convert`` writes.
EXPORT: Final = 'htt.safetensors'
#: What is taken of a folder, first to last: our export, the official weights after the last
#: epoch, and the names that the official training gives to the best and to the newest ones.
NAMES: Final = (EXPORT, 'checkpoint_45.pth', 'model_best.pth', 'checkpoint.pth')
#: Command-line arguments that the official training keeps beside its checkpoints.
OPTIONS: Final = 'opt.pkl'

WHERE_HTT: Final = (
    "HTT's weights are not part of this package: get ws.zip from the release assets-v1 of "
    'https://github.com/fylwen/HTT (code MIT; the weights carry no licence of their own and were '
    'trained on FPHA or H2O, data for research), unpack it and set htt_checkpoint to the '
    'checkpoint_45.pth of one data set; see docs/htt.md'
)
LICENCES: Final = (
    'HTT: code MIT, weights without a licence of their own, trained on FPHA or H2O, data for '
    'research with terms of their own; converted weights are the same weights'
)
_MAX_LISTED: Final = 5


def find_checkpoint(given: str | Path) -> Path:
    """Find the checkpoint: the file itself, or the first of NAMES in a folder.

    Raises:
        WeightsError: there is none; the message says where it was looked for, which checkpoints
            lie further down, and where the weights come from.
    """
    if not str(given):
        raise WeightsError(f'htt_checkpoint is empty. {WHERE_HTT}')
    path = Path(given).expanduser()
    if path.is_file():
        return path
    if not path.is_dir():
        raise WeightsError(f'no HTT checkpoint found; {path} does not exist. {WHERE_HTT}')
    found = find_in_folder(path)
    if found is None:
        below = sorted(
            candidate
            for depth in ('*', '*/*', '*/*/*')
            for name in NAMES
            for candidate in path.glob(f'{depth}/{name}')
        )
        listed = ', '.join(str(candidate) for candidate in below[:_MAX_LISTED])
        advice = f'Give one of those further down: {listed}' if below else WHERE_HTT
        raise WeightsError(
            f'no HTT checkpoint found; {path} holds none of {", ".join(NAMES)}. {advice}'
        )
    return found


def find_in_folder(folder: Path) -> Path | None:
    """Find the first of NAMES right in a folder."""
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)
