"""The learning rate, which follows from the step alone, and the optimizers by name."""

import math
from collections.abc import Iterable
from typing import Any

import torch

from hand_perception.training.settings import OptimizerSettings


def learning_rate_factor(
    settings: OptimizerSettings, *, step: int, steps_per_epoch: float, total_steps: int
) -> float:
    """What the learning rate of a step is multiplied by.

    Args:
        settings: schedule and warm-up.
        step: from 0.
        steps_per_epoch: need not be whole.
        total_steps: of the whole run; where a cosine ends.
    """
    factor = 1.0
    if settings.schedule == 'step':
        # The tiny shift keeps the first step of an epoch in it where the division is not exact.
        falls = math.floor(step / steps_per_epoch / settings.decay_epochs + 1e-9)
        factor = settings.decay_factor**falls
    elif settings.schedule == 'cosine':
        after = max(step - settings.warm_up_steps, 0)
        share = min(after / max(total_steps - settings.warm_up_steps, 1), 1.0)
        low = settings.final_share
        factor = low + (1 - low) * 0.5 * (1 + math.cos(math.pi * share))
    if step < settings.warm_up_steps:
        factor *= (step + 1) / settings.warm_up_steps
    return factor


def make_optimizer(
    settings: OptimizerSettings, parameters: Iterable[Any], *, learning_rate: float | None = None
) -> torch.optim.Optimizer:
    """Make the optimizer that the settings name.

    Args:
        settings: which one.
        parameters: of a module, or groups as torch knows them, with their own ``lr`` if need be.
        learning_rate: another one than the settings'.
    """
    rate = settings.learning_rate if learning_rate is None else learning_rate
    if settings.kind == 'sgd':
        return torch.optim.SGD(
            parameters, lr=rate, weight_decay=settings.weight_decay, momentum=0.9
        )
    kind = torch.optim.AdamW if settings.kind == 'adamw' else torch.optim.Adam
    return kind(parameters, lr=rate, weight_decay=settings.weight_decay)
