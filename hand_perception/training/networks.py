"""Which networks can be trained, and what each one brings to ``hand_perception train``."""

import importlib
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from hand_perception.training.task import TrainingTask
from hand_perception.training.training_file import Sections

NETWORKS: Final = ('htt', 'hamer')


class Network(NamedTuple):
    """What training a network needs.

    Attributes:
        sections: all its settings; ``sections.network`` is its name.
        make_task: makes network, losses, data and optimizers from the settings. Called once in
            each process, after torch was seeded with ``run.seed``; leaves everything on the CPU
            and in the mode (training or evaluation) in which it is to be trained, since the loop
            restores that mode after each look at held-out samples.
    """

    sections: type[Sections]
    make_task: Callable[[Any], TrainingTask]


def find_network(name: str) -> Network:
    """Return ``NETWORK`` of ``training/<name>_task.py``, which nothing else has to know."""
    network: Network = importlib.import_module(f'hand_perception.training.{name}_task').NETWORK
    return network
