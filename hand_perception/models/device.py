"""Choose where the networks run: the one place that does."""

import torch

from hand_perception.errors import ConfigError


def select_device(name: str) -> torch.device:
    """Return the torch device for ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        ConfigError: the name is not known or torch finds no such device.
    """
    if name == 'auto':
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f'device must be auto, cpu or cuda, got {name!r}') from error
    if device.type not in ('cpu', 'cuda'):
        raise ConfigError(f'device must be auto, cpu or cuda, got {name!r}')
    if device.type == 'cuda' and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f'device {name!r} was asked for, torch {torch.__version__} finds '
            f'{torch.cuda.device_count()} CUDA devices; install a CUDA build of torch and the '
            'driver, or set device to auto or cpu'
        )
    return device
