"""Read weights from .npz files: no pickle, no renames, nothing missing, nothing left over."""

import zipfile
import zlib
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import torch
from torch import nn

from hand_perception.errors import WeightsError

WEIGHTS_DIR: Final = Path(__file__).parent / 'weights'
_HINT = 'rerun `python -m tools.convert_mediapipe` or reinstall the package'
_MAX_NAMES = 5

NetworkT = TypeVar('NetworkT', bound=nn.Module)


def load_network(network_class: type[NetworkT], path: Path) -> NetworkT:
    """Make a network in evaluation mode, on the CPU, with the float32 weights of a file.

    Raises:
        WeightsError: the file is missing or corrupt, or its arrays are not those of the network.
    """
    arrays = _read_arrays(path)
    with torch.device('meta'):  # no time spent on random weights
        network = network_class()
    expected = network.state_dict()
    _check_names(path, set(expected), set(arrays))
    for name, parameter in expected.items():
        array = arrays[name]
        if array.shape != tuple(parameter.shape):
            raise WeightsError(
                f'{path}: {name} has shape {array.shape}, expected {tuple(parameter.shape)}; '
                f'{_HINT}'
            )
        if array.dtype.kind != 'f' or not np.isfinite(array).all():
            raise WeightsError(f'{path}: {name} ({array.dtype}) is not all finite floats; {_HINT}')
    state = {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False)


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise WeightsError(f'{path} is missing; {_HINT}')
    try:
        with path.open('rb') as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError('not an archive of arrays')
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise WeightsError(f'{path} cannot be read ({error}); {_HINT}') from error


def _check_names(path: Path, expected: set[str], found: set[str]) -> None:
    problems = []
    for word, names in (('lacks', expected - found), ('has unknown', found - expected)):
        if names:
            listed = ', '.join(sorted(names)[:_MAX_NAMES])
            more = f' and {len(names) - _MAX_NAMES} more' if len(names) > _MAX_NAMES else ''
            problems.append(f'{word} {listed}{more}')
    if problems:
        raise WeightsError(f'{path} {"; ".join(problems)}; {_HINT}')
