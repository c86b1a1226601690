"""What the shapes of weights do not tell: windows, spacing, and the numbers that are fixed here.

The official training keeps its command line beside the checkpoints, as a pickled dict (opt.pkl).
It is read by the unpickler for checkpoints: nothing in it is run.
"""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from hand_perception.errors import WeightsError
from hand_perception.models.checkpoint_records import InertRecord, load_checkpoint_records
from hand_perception.models.htt.constants import NUM_HEADS, SCALE_FACTOR, TRANS_FACTOR

#: The official names of the data sets and ours.
DATASETS: Final = {'fhbhands': 'fpha', 'h2ohands': 'h2o'}
#: Numbers that this package has as constants; other ones make other networks.
_FIXED: Final = {
    'nheads': NUM_HEADS, 'trans_factor': TRANS_FACTOR, 'scale_factor': SCALE_FACTOR,
}  # fmt: skip
_MAX_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class HttOptions:
    """How weights were trained, as far as their file or its neighbours tell; 0 or '' if not.

    Attributes:
        window: tokens in the action window.
        pose_window: tokens in a pose window.
        spacing: images of the video per token.
        dataset: ``fpha`` or ``h2o``.
        engine: ``sliding`` where pose windows slid along the clips; the publication's lie side by
            side.
        lookahead: of ``sliding``: images of a pose window that lie after the one that it is for.
    """

    window: int = 0
    pose_window: int = 0
    spacing: int = 0
    dataset: str = ''
    engine: str = ''
    lookahead: int = 0

    def __str__(self) -> str:
        """Say it to people."""
        told = (
            (self.window, f'action window {self.window} tokens'),
            (self.pose_window, f'pose window {self.pose_window} tokens'),
            (self.spacing, f'one image of {self.spacing}'),
            (self.dataset, f'data set {self.dataset}'),
            (self.engine, f'engine {self.engine} with a lookahead of {self.lookahead}'),
        )
        return ', '.join(text for value, text in told if value) or 'not told'


def read_options_file(path: Path) -> Mapping[object, object]:
    """Read the arguments in opt.pkl.

    Raises:
        WeightsError: it cannot be read, is damaged, or asks for something to be run.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise WeightsError(f'{path} is too large for the arguments of a command line')
        content = load_checkpoint_records(path.read_bytes(), _no_storage)
    except OSError as error:
        raise WeightsError(f'{path} cannot be read: {error}') from error
    except pickle.UnpicklingError as error:
        raise WeightsError(f'refused to read {path}: {error}') from error
    if isinstance(content, InertRecord):
        content = content.state  # an argparse.Namespace
    if not isinstance(content, Mapping):
        kind = type(content).__name__
        raise WeightsError(f'{path} holds {kind}, expected the arguments of a command line')
    return content


def options_from(arguments: Mapping[object, object], *, source: str) -> HttOptions:
    """Take what matters here from the arguments; what is not among them is left open.

    Raises:
        WeightsError: they tell of a network that this package does not have.
    """
    for key, wanted in _FIXED.items():
        found = arguments.get(key, wanted)
        if isinstance(found, int | float) and found != wanted:
            raise WeightsError(
                f'{source} says {key} {found}; this package runs weights with {wanted} only'
            )
    return HttOptions(
        window=_count(arguments, 'ntokens_action'),
        pose_window=_count(arguments, 'ntokens_pose'),
        spacing=_count(arguments, 'spacing'),
        dataset=DATASETS.get(str(arguments.get('train_dataset')), ''),
    )


def _count(arguments: Mapping[object, object], key: str) -> int:
    value = arguments.get(key)
    return value if type(value) is int and value > 0 else 0


def _no_storage(key: str, dtype: torch.dtype, count: int) -> torch.UntypedStorage:
    raise pickle.UnpicklingError('it holds tensors')
