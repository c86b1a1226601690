"""Read a file of torch.save safely, whatever a training run left in it beside the weights."""

import logging
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from hand_perception.errors import WeightsError
from hand_perception.models.checkpoint_records import TensorRecord
from hand_perception.models.container import read_container

_logger = logging.getLogger(__name__)
_AGAIN: Final = 'copy or download it again and compare its size with the original'
_START_BYTES: Final = 4096
_ZIP_START: Final = b'PK\x03\x04'
#: The number that torch before 1.6 begins its files with, as its pickle writes it.
_OLD_TORCH_START: Final = b'\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.'
#: Words that stand near the start of the hand model's file, MANO_RIGHT.pkl.
_MANO_WORDS: Final = (b'chumpy', b'hands_components', b'hands_mean', b'J_regressor')


def read_checkpoint_file(path: Path) -> tuple[object, str]:
    """Read what torch.save wrote: with torch's own unpickler for weights, else with ours.

    Tensors are on the CPU wherever they were, as views of the mapped file.

    Returns:
        The content, in which objects of other libraries are inert records and tensors may be
        TensorRecord (see ``tensors_in``); and how it was read, for people.

    Raises:
        WeightsError: the file cannot be read, is no file of torch.save, is damaged, or asks for
            something that no checkpoint needs; the message says which.
    """
    try:
        with path.open('rb') as stream:
            start = stream.read(_START_BYTES)
    except OSError as error:
        raise WeightsError(f'{path} cannot be read: {error}') from error
    if not start.startswith(_ZIP_START):
        raise WeightsError(f'{path} is not a file of torch.save (1.6 or newer); {_guess(start)}')
    try:
        content = torch.load(path, map_location='cpu', weights_only=True, mmap=True)
        return content, 'torch.load(weights_only=True)'
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, KeyError) as error:
        # It is damaged or holds more than weights; the reader below says which.
        _logger.debug('torch.load(weights_only=True) refuses %s: %s', path, error)
    try:
        return read_container(path), 'restricted unpickler: it holds objects beside weights'
    except pickle.UnpicklingError as error:
        raise WeightsError(f'refused to read {path}: {error}; {_AGAIN}') from error
    except OSError as error:
        raise WeightsError(f'{path} cannot be read: {error}') from error


def tensors_in(state: Mapping[object, object]) -> dict[str, Tensor]:
    """Take the tensors out of a state_dict; entries that are none are left out."""
    tensors = {}
    for name, value in state.items():
        if isinstance(value, TensorRecord):
            value = value.tensor()
        if isinstance(name, str) and isinstance(value, Tensor):
            tensors[name] = value.detach()
    return tensors


def _guess(start: bytes) -> str:
    """Say what a file seems to be that is no container, and what to do."""
    if _OLD_TORCH_START in start[:32]:
        return (
            'torch before 1.6 wrote it, and reading that runs what is in it: if you trust where '
            'it is from, load and save it again with a newer torch'
        )
    if start.startswith((b'<', b'\n<')):
        return 'it is a web page; download the file itself'
    if start.startswith(b'version https://git-lfs'):
        return 'it is a pointer of git-lfs; fetch the file itself with git lfs pull'
    if start[8:10] == b'{"':
        return 'it seems to be a safetensors file; let its name end in .safetensors'
    if any(word in start for word in _MANO_WORDS):
        return 'it seems to be the hand model MANO, which goes to mano_dir'
    if start.startswith(b'\x80'):
        return 'it is a plain pickle, which can run code when it is loaded'
    return _AGAIN
