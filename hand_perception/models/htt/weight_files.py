"""Turn named tensors into an HTT: nothing missing, nothing left over, all numbers finite."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from hand_perception.actions import LabelMap
from hand_perception.errors import ConfigError, WeightsError
from hand_perception.models.htt.checkpoint import HttCheckpoint, read_checkpoint
from hand_perception.models.htt.module import HttModule
from hand_perception.models.htt.options_file import HttOptions
from hand_perception.models.htt.sizes import HttSizes, sizes_from_shapes
from hand_perception.models.weight_names import check_names

_logger = logging.getLogger(__name__)
_FLOATS: Final = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
#: Images per second that spacings count in, as both data sets have, and the share by which other
#: tokens may miss theirs.
VIDEO_HZ: Final = 30.0
_RATE_TOLERANCE: Final = 0.1
#: Hands that each data set has labels of.
_HANDS: Final = {'fpha': 1, 'h2o': 2}
_DAMAGED: Final = (
    'the file is damaged or its training went wrong: compare its sha256 with the original, or use '
    'another checkpoint'
)
_ADVICE: Final = (
    'use checkpoint_45.pth of the official release, or rerun `hand_perception weights convert`'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedHtt:
    """A network with the weights of a file, and what the file says of them.

    Attributes:
        module: in evaluation mode on the CPU; its weights are its own, not views of the file.
        sizes: of the module.
        dataset: ``fpha`` or ``h2o``: what the weights were trained on, which decides how images
            are made smaller and, where nothing else does, the labels.
        labels: names of the classes in the file; None where it has none, as the official ones.
        options: how they were trained, as far as it is known.
        path: the file.
        how: how it was read, for people.
        notes: other things that the file says of itself.
    """

    module: HttModule
    sizes: HttSizes
    dataset: str
    labels: LabelMap | None
    options: HttOptions
    path: Path
    how: str
    notes: dict[str, str]


def load_module(path: str | Path, *, dataset: str = 'auto') -> LoadedHtt:
    """Load weights from an official checkpoint, from our export, or from a folder with one.

    Args:
        path: the file or folder.
        dataset: the setting htt_dataset: ``fpha``, ``h2o`` or ``auto``.

    Raises:
        WeightsError: the file is missing, damaged, unsafe or of something else; tensors are
            missing, unknown, of the wrong shape, or not finite; or it is of the other data set.
        MissingPackageError: our export without safetensors.
    """
    checkpoint = read_checkpoint(path)
    module = build_module(checkpoint)
    found = dataset_of(module.sizes)
    if dataset in _HANDS and dataset != found:
        sizes = module.sizes
        raise WeightsError(
            f'htt_dataset is {dataset} ({_words(_HANDS[dataset])}), but {checkpoint.path} has '
            f'{_words(sizes.num_hands)} ({sizes.num_joints} joints, {sizes.num_actions} actions, '
            f'{sizes.num_objects} objects): set htt_dataset to {found} or auto, or give the '
            f'checkpoint of {dataset}'
        )
    return LoadedHtt(
        module=module, sizes=module.sizes, dataset=found, labels=checkpoint.labels,
        options=fitting_options(checkpoint, module.sizes), path=checkpoint.path,
        how=checkpoint.how, notes=checkpoint.notes,
    )  # fmt: skip


def build_module(checkpoint: HttCheckpoint) -> HttModule:
    """Build the network and give it a copy of the tensors, in evaluation mode.

    Raises:
        WeightsError: tensors are missing, unknown, of the wrong shape or type, or not finite;
            the message names them.
    """
    source, tensors = str(checkpoint.path), checkpoint.tensors
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    sizes = sizes_from_shapes(shapes, source=source)
    with torch.device('meta'):  # no time spent on random weights
        module = HttModule(sizes)
    expected = module.state_dict()
    check_names(source, set(expected), set(tensors), advice=_ADVICE)
    state = {
        name: _checked_copy(source, name, tensors[name], wanted)
        for name, wanted in expected.items()
    }
    module.load_state_dict(state, assign=True)
    return module.eval()


def dataset_of(sizes: HttSizes) -> str:
    """Tell ``fpha`` or ``h2o`` from the number of hands."""
    return next(name for name, hands in _HANDS.items() if hands == sizes.num_hands)


def fitting_options(checkpoint: HttCheckpoint, sizes: HttSizes) -> HttOptions:
    """Give the options of a checkpoint, or none where they are of the other data set."""
    options, found = checkpoint.options, dataset_of(sizes)
    if options.dataset in ('', found):
        return options
    _logger.warning(
        '%s has %s, but what was read beside it is of %s; how it was trained is not known',
        checkpoint.path, _words(sizes.num_hands), options.dataset,
    )  # fmt: skip
    return HttOptions()


def check_windows(
    loaded: LoadedHtt, *, window: int, pose_window: int, token_rate_hz: float, engine: str = '',
    lookahead: int = 0,
) -> tuple[str, ...]:  # fmt: skip
    """Compare windows and rate of the settings with those of the weights.

    Args:
        loaded: the weights.
        window: tokens in the action window.
        pose_window: tokens in a pose window.
        token_rate_hz: tokens per second; 0 takes every image, whatever its time.
        engine: how tokens are put together; empty: not asked.
        lookahead: of the engine ``sliding``.

    Returns:
        Sentences for people where the weights were trained with other ones: it runs, with less
        good results.

    Raises:
        ConfigError: the windows do not fit into each other or into the table of positions.
    """
    longest = loaded.sizes.num_positions - 1  # the class token takes the first position
    if window % pose_window or window > longest:
        raise ConfigError(
            f'htt_window is {window} and htt_pose_window {pose_window}: the first must be a '
            f'multiple of the second and at most {longest} for {loaded.path}'
        )
    trained = loaded.options
    pairs = (
        ('htt_window', window, trained.window),
        ('htt_pose_window', pose_window, trained.pose_window),
    )
    sentences = [
        f'{name} is {found}, but {loaded.path} was trained with {wanted}: set it to {wanted}'
        for name, found, wanted in pairs
        if wanted and wanted != found
    ]
    told = (engine, lookahead) if engine == 'sliding' else (engine, 0)
    if engine and trained.engine and told != (trained.engine, trained.lookahead):
        sentences.append(
            f'htt_engine is {engine} with htt_lookahead {lookahead}, but {loaded.path} was '
            f'trained with {trained.engine} and {trained.lookahead}: set them to these'
        )
    if trained.spacing and token_rate_hz:
        wanted_hz = VIDEO_HZ / trained.spacing
        if abs(token_rate_hz - wanted_hz) > _RATE_TOLERANCE * wanted_hz:
            sentences.append(
                f'token_rate_hz is {token_rate_hz:g}, but {loaded.path} was trained with spacing '
                f'{trained.spacing} on video of {VIDEO_HZ:g} Hz: set it to {wanted_hz:g}'
            )
    return tuple(sentences)


def _checked_copy(source: str, name: str, tensor: Tensor, wanted: Tensor) -> Tensor:
    """Copy a tensor, so that a node survives when the file is written anew under it."""
    is_right = tensor.dtype in _FLOATS if wanted.is_floating_point() else not tensor.is_complex()
    if tensor.shape != wanted.shape or not is_right:
        raise WeightsError(
            f'{source}: {name} is {tensor.dtype} of shape {tuple(tensor.shape)}, expected '
            f'{wanted.dtype} of shape {tuple(wanted.shape)}; {_ADVICE}'
        )
    copy = tensor.to(wanted.dtype, copy=True)
    if not torch.isfinite(copy).all():
        raise WeightsError(f'{source}: {name} has values that are not finite; {_DAMAGED}')
    return copy


def _words(num_hands: int) -> str:
    return 'one hand' if num_hands == 1 else f'{num_hands} hands'
