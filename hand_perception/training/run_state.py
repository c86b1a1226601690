"""The state of a run that goes on exactly where it stopped: one safetensors file, no pickle."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from torch import Tensor, nn
from torch.optim import Optimizer

from hand_perception.errors import WeightsError
from hand_perception.models.safetensors_file import read_export_file, write_export_file

_MODEL: Final = 'training of {}'
_PROGRESS: Final = 'progress'
_OPTIMIZERS: Final = 'optimizers'
_ADVICE: Final = 'take the training file and the state of the same run, or begin another run'


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run has come.

    Attributes:
        step: steps done.
        best: lowest of the watched figures so far; None before the first.
        watched: name of that figure.
        losses: of the steps since the last line of the log, by name.
        scaler: of the gradients at 16-mixed.
        settings: by section and name, as the run had them.
    """

    step: int = 0
    best: float | None = None
    watched: str = ''
    losses: Sequence[Mapping[str, float]] = ()
    scaler: Mapping[str, Any] | None = None
    settings: Mapping[str, Mapping[str, Any]] | None = None


def write_run_state(
    path: Path,
    network: str,
    modules: Mapping[str, nn.Module],
    optimizers: Mapping[str, Optimizer],
    progress: Progress,
) -> None:
    """Write the state; the file is complete or as it was before.

    Raises:
        WeightsError: it cannot be written, such as on a full disk.
        MissingPackageError: safetensors is not installed.
    """
    tensors = {
        f'{name}/{key}': tensor
        for name, module in modules.items()
        for key, tensor in module.state_dict().items()
    }
    plain: dict[str, dict[str, Any]] = {}
    for name, optimizer in optimizers.items():
        for place, values in optimizer.state_dict()['state'].items():
            for key, value in values.items():
                if isinstance(value, Tensor):
                    tensors[f'{_OPTIMIZERS}/{name}/{place}/{key}'] = value
                else:
                    plain.setdefault(name, {})[f'{place}/{key}'] = value
    described = {name: getattr(progress, name) for name in Progress.__slots__}
    write_export_file(
        path,
        _apart(tensors),
        model=_MODEL.format(network),
        metadata={_PROGRESS: json.dumps(described), _OPTIMIZERS: json.dumps(plain)},
    )


def read_run_state(
    path: Path,
    network: str,
    modules: Mapping[str, nn.Module],
    optimizers: Mapping[str, Optimizer],
) -> Progress:
    """Read the state into modules and optimizers, which are as they were when they cannot be.

    Raises:
        WeightsError: the file is damaged, or of other modules; the first of them are named.
        MissingPackageError: safetensors is not installed.
    """
    tensors, metadata = read_export_file(path, model=_MODEL.format(network))
    try:
        progress = Progress(**json.loads(metadata[_PROGRESS]))
        plain = json.loads(metadata[_OPTIMIZERS])
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f'{path} is no state of a run: {error!r}; {_ADVICE}') from error
    states = {name: module.state_dict() for name, module in modules.items()}
    wanted = {f'{name}/{key}': value for name, state in states.items() for key, value in
              state.items()}  # fmt: skip
    found = {key: value for key, value in tensors.items()
             if not key.startswith(f'{_OPTIMIZERS}/')}  # fmt: skip
    _compare(path, found, wanted)
    moments = {
        name: _moments(path, name, optimizer, tensors, plain.get(name, {}))
        for name, optimizer in optimizers.items()
    }
    for name, module in modules.items():
        module.load_state_dict({key: found[f'{name}/{key}'] for key in states[name]})
    for name, optimizer in optimizers.items():
        groups = optimizer.state_dict()['param_groups']
        optimizer.load_state_dict({'state': moments[name], 'param_groups': groups})
    return progress


def _compare(path: Path, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    problems = [f'lacks {key}' for key in wanted if key not in found]
    problems += [f'has {key} too many' for key in found if key not in wanted]
    problems += [
        f'{key} is {tuple(found[key].shape)}, expected {tuple(value.shape)}'
        for key, value in wanted.items()
        if key in found and found[key].shape != value.shape
    ]
    if problems:
        raise WeightsError(
            f'{path} is of another network: {"; ".join(problems[:3])}'
            f'{f" and {len(problems) - 3} more" if len(problems) > 3 else ""}; {_ADVICE}'
        )


def _moments(
    path: Path,
    name: str,
    optimizer: Optimizer,
    tensors: Mapping[str, Tensor],
    plain: Mapping[str, Any],
) -> dict[int, dict[str, Any]]:
    parameters = [one for group in optimizer.param_groups for one in group['params']]
    values: dict[str, Any] = {
        key.removeprefix(f'{_OPTIMIZERS}/{name}/'): value
        for key, value in tensors.items()
        if key.startswith(f'{_OPTIMIZERS}/{name}/')
    }
    moments: dict[int, dict[str, Any]] = {}
    for key, value in (values | dict(plain)).items():
        place, _, what = key.partition('/')
        number = int(place)
        shape = parameters[number].shape if number < len(parameters) else None
        is_whole = isinstance(value, Tensor) and value.ndim > 0
        if shape is None or (is_whole and value.shape != shape):
            raise WeightsError(
                f'{path}: {what} of parameter {number} of the optimizer {name} does not fit '
                f'({len(parameters)} parameters'
                f'{"" if shape is None else f", this one {tuple(shape)}"}); {_ADVICE}'
            )
        moments.setdefault(number, {})[what] = value
    return moments


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Bring tensors to the CPU; those that share memory, which the format has not, are copied."""
    seen: set[int] = set()
    apart = {}
    for name, tensor in tensors.items():
        one = tensor.detach().cpu()
        place = one.untyped_storage().data_ptr()
        apart[name] = one.clone() if place in seen else one
        seen.add(place)
    return apart
