"""Which of several evaluating processes this one is, as torchrun says, and how they wait."""

import datetime
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import torch
from torch import distributed

from hand_perception.errors import ConfigError
from hand_perception.models.device import select_device

#: One process may be at work for long after the others are done.
_PATIENCE: Final = datetime.timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rank:
    """One of several processes.

    Attributes:
        number: from 0; the first one writes the report.
        count: how many there are, on all machines.
        local: number of the process on its machine.
    """

    number: int = 0
    count: int = 1
    local: int = 0

    @classmethod
    def from_environment(cls) -> 'Rank':
        """Read what torchrun tells every process; alone without it.

        Raises:
            ConfigError: the variables are no numbers or contradict each other.
        """
        names = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK')
        texts = [os.environ.get(name, default) for name, default in zip(names, '010', strict=True)]
        try:
            number, count, local = (int(text) for text in texts)
        except ValueError:
            number, count, local = -1, 0, 0
        if not (0 <= number < count and local >= 0):
            found = ', '.join(f'{n}={t!r}' for n, t in zip(names, texts, strict=True))
            raise ConfigError(f'{found} tell of no group of processes; start them with torchrun')
        return cls(number=number, count=count, local=local)

    @property
    def is_first(self) -> bool:
        """Whether this process writes the report."""
        return self.number == 0

    def device(self, name: str) -> torch.device:
        """Choose the device of this process: ``auto`` and ``cuda`` take one GPU each.

        Raises:
            ConfigError: there is no such device.
        """
        device = select_device(name)
        if device.type == 'cuda' and device.index is None and self.count > 1:
            return torch.device('cuda', self.local % torch.cuda.device_count())
        return device


@contextmanager
def together(rank: Rank) -> Iterator[Callable[[], None]]:
    """Join the other processes and give a function in which each waits for all of them.

    Nothing but the waiting goes through the network: results go through the common folder.
    """
    if rank.count == 1:
        yield _go_on
        return
    distributed.init_process_group(
        'gloo', rank=rank.number, world_size=rank.count, timeout=_PATIENCE
    )
    try:
        yield lambda: distributed.monitored_barrier(timeout=_PATIENCE)
    finally:
        distributed.destroy_process_group()


def _go_on() -> None:
    """Wait for nobody."""
