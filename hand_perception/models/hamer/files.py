"""Find the files of HaMeR in the folder that the user names."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hand_perception.errors import WeightsError

CHECKPOINT: Final = 'hamer.ckpt'
EXPORT: Final = 'hamer.safetensors'
CONFIG: Final = 'model_config.yaml'
MEAN_PARAMS: Final = 'mano_mean_params.npz'
MANO: Final = 'MANO_RIGHT.pkl'

#: Where a file may lie below the folder: all files side by side, or as in the official release,
#: whose root is the folder itself, its ``_DATA``, or its ``hamer_ckpts``.
_PLACES: Final[dict[str, tuple[str, ...]]] = {
    CHECKPOINT: ('', 'checkpoints', 'hamer_ckpts/checkpoints', '_DATA/hamer_ckpts/checkpoints'),
    EXPORT: ('', 'hamer_ckpts', '_DATA/hamer_ckpts'),
    CONFIG: ('', '..', 'hamer_ckpts', '_DATA/hamer_ckpts'),
    MEAN_PARAMS: ('', 'data', '_DATA/data', '../data', '../../data'),
    MANO: ('', 'mano', 'data/mano', '_DATA/data/mano', '../data/mano', '../../data/mano'),
}

WHERE_HAMER: Final = (
    "HaMeR's weights are not part of this package: get hamer_demo_data.tar.gz as the README of "
    'https://github.com/geopavlakos/hamer says (fetch_demo_data.sh; code MIT, the weights carry '
    'no licence of their own and were trained on research data) and set hamer_dir to its _DATA '
    'folder; see docs/hamer.md'
)
LICENCES: Final = (
    'HaMeR: code MIT, weights without a licence of their own, trained on data for research; MANO: '
    'non-commercial research only, not to be passed on, not even inside converted weights'
)
WHERE_MANO: Final = (
    'register at https://mano.is.tue.mpg.de, accept its licence (non-commercial research), '
    f'download the models and put {MANO} beside the checkpoint or set mano_dir to its folder'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HamerFiles:
    """What was found; None where a file is not there.

    Attributes:
        checkpoint: hamer.ckpt or our export, which is taken where both are there.
        config: model_config.yaml; not needed beside our export, which carries it.
        mean_params: mano_mean_params.npz; needed where the checkpoint lacks the means.
        mano: MANO_RIGHT.pkl; needed where the checkpoint has no hand model in it.
    """

    checkpoint: Path
    config: Path | None
    mean_params: Path | None
    mano: Path | None

    @property
    def is_export(self) -> bool:
        """Whether the checkpoint is what ``hand_perception weights convert`` writes."""
        return self.checkpoint.suffix == '.safetensors'


def find_files(hamer_dir: str | Path) -> HamerFiles:
    """Find the files below a folder, or beside a checkpoint.

    Args:
        hamer_dir: the folder of the official release (or its ``_DATA`` or ``hamer_ckpts``), a
            folder with the files side by side, or the checkpoint itself.

    Raises:
        WeightsError: there is no checkpoint; the message says where it was looked for and where
            the weights come from.
    """
    if not str(hamer_dir):
        raise WeightsError(f'hamer_dir is empty. {WHERE_HAMER}')
    given = Path(hamer_dir).expanduser()
    folder = given.parent if given.is_file() else given
    checkpoint = given if given.is_file() else _find(folder, EXPORT) or _find(folder, CHECKPOINT)
    if checkpoint is None:
        looked = [str(folder / place / CHECKPOINT) for place in _PLACES[CHECKPOINT]]
        looked.append(str(folder / EXPORT))
        where = ', '.join(looked) if folder.is_dir() else f'{folder} (does not exist)'
        raise WeightsError(f'no HaMeR checkpoint found; looked at {where}. {WHERE_HAMER}')
    beside = checkpoint.parent
    return HamerFiles(
        checkpoint=checkpoint,
        config=_find(beside, CONFIG) or _find(folder, CONFIG),
        mean_params=_find(beside, MEAN_PARAMS) or _find(folder, MEAN_PARAMS),
        mano=_find(beside, MANO) or _find(folder, MANO),
    )


def _find(folder: Path, name: str) -> Path | None:
    for place in _PLACES[name]:
        candidate = (folder / place / name).resolve()
        if candidate.is_file():
            return candidate
    return None
