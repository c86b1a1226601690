"""Where a run computes: device, precision and, under torchrun, one of several processes."""

import dataclasses
import datetime
import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from hand_perception.errors import ConfigError
from hand_perception.models.device import select_device
from hand_perception.models.hamer.precision import has_fast_bf16
from hand_perception.optional import require
from hand_perception.training.batches import mapped_tensors
from hand_perception.training.settings import RunSettings

#: The other processes wait while the first one looks at held-out samples and saves.
_PATIENCE: Final = datetime.timedelta(hours=12)
_INSTALL: Final = "pip install 'hand_perception[train]'"


def make_fabric(run: RunSettings) -> Any:
    """Make the ``Fabric`` of lightning-fabric; torchrun's environment tells of other processes.

    Raises:
        ConfigError: there is no such device, or it lacks the precision.
        MissingPackageError: lightning-fabric is not installed.
    """
    purpose = 'training'
    lightning = require('lightning_fabric', purpose=purpose, install=_INSTALL)
    logging.getLogger('lightning_fabric').setLevel(logging.WARNING)
    logging.getLogger('lightning.fabric').setLevel(logging.WARNING)
    device = select_device(run.device)
    kind = device.type
    if kind == 'cpu' and run.precision == '16-mixed':
        raise ConfigError(
            'run.precision 16-mixed needs a GPU; a CPU has 32-true, as exact as it gets, and '
            'bf16-mixed'
        )
    here = int(os.environ.get('LOCAL_WORLD_SIZE', '1'))
    everywhere = int(os.environ.get('WORLD_SIZE', '1'))
    strategy: Any = 'auto'
    if everywhere > 1:
        strategies = require('lightning_fabric.strategies', purpose=purpose, install=_INSTALL)
        strategy = strategies.DDPStrategy(timeout=_PATIENCE)
    fabric = lightning.Fabric(
        accelerator=kind, devices=here, num_nodes=everywhere // here, strategy=strategy,
        precision=precision_on(device, run.precision),
    )  # fmt: skip
    fabric.launch()
    return fabric


def precision_on(device: torch.device, wanted: str) -> str:
    """Say which numbers ``run.precision`` means on a device; ``auto`` is up to it."""
    if wanted != 'auto':
        return wanted
    return 'bf16-mixed' if has_fast_bf16(device) else '32-true'


def seed_step(seed: int, batch: int, rank: int) -> None:
    """Seed what torch draws in a batch (dropout), so that no run has to remember it."""
    words = hashlib.sha256(f'{seed} {batch} {rank}'.encode()).digest()
    torch.manual_seed(int.from_bytes(words[:7], 'big'))


class _Parcel:
    """Arguments or results that lightning-fabric hands through as they are.

    It would refuse our frozen results, and would make inputs as coarse as the precision, among
    them those for which autocast itself keeps 32 bits.
    """

    def __init__(self, *content: Any, **named: Any) -> None:
        self.content, self.named = content, named


class _Parcelled(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, parcel: _Parcel) -> _Parcel:
        return _Parcel(self.module(*parcel.content, **parcel.named))


class Trained:
    """A module as it is trained: with the precision of the run, together with other processes.

    Attributes:
        module: itself, with its plain names of parameters.
        optimizer: of the module; as it was made.
    """

    def __init__(self, fabric: Any, module: nn.Module, optimizer: Optimizer) -> None:
        """Bring a module to its device; its optimizer must know its parameters already."""
        self.module, self.optimizer = module, optimizer
        self._fabric = fabric
        self._wrapped, self._stepper = fabric.setup(_Parcelled(module), optimizer)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Run forward; floating-point results are 32 bits, whatever the precision."""
        (result,) = self._wrapped(_Parcel(*arguments, **named)).content
        return _full(result)

    @staticmethod
    def step(modules: Sequence['Trained'], *, clip_gradients: float) -> None:
        """Change the parameters and forget the gradients."""
        scaler = None
        for one in modules:
            if clip_gradients:
                one._fabric.clip_gradients(
                    one._wrapped, one._stepper, max_norm=clip_gradients, error_if_nonfinite=False
                )
            scaler = getattr(one._fabric.strategy.precision, 'scaler', None)
            if scaler is None:
                one._stepper.step()
            else:
                # Not by lightning-fabric, which would change the scale between two optimizers.
                scaler.step(one.optimizer)
            one.optimizer.zero_grad(set_to_none=True)
        if scaler is not None:
            scaler.update()

    @staticmethod
    @contextmanager
    def gradients_stay(modules: Sequence['Trained'], *, stay: bool) -> Iterator[None]:
        """Keep gradients in each process, as those of later parts of the step are added yet."""
        with ExitStack() as stack:
            for one in modules:
                stack.enter_context(one._fabric.no_backward_sync(one._wrapped, enabled=stay))
            yield


@contextmanager
def looked_at(fabric: Any, modules: Sequence[nn.Module]) -> Iterator[None]:
    """Hold modules in evaluation mode, without gradients, in the precision of the run.

    Afterwards each of their parts is in the mode that it had, such as frozen statistics.
    """
    parts = [part for module in modules for part in module.modules()]
    modes = [part.training for part in parts]
    for module in modules:
        module.eval()
    try:
        with torch.no_grad(), fabric.autocast():
            yield
    finally:
        for part, mode in zip(parts, modes, strict=True):
            part.training = mode


def _full(result: Any) -> Any:
    if isinstance(result, Tensor):
        is_half = result.dtype in (torch.float16, torch.bfloat16)
        return result.float() if is_half else result
    if dataclasses.is_dataclass(result) and not isinstance(result, type):
        return mapped_tensors(result, _full)
    if type(result) in (tuple, list):
        return type(result)(_full(one) for one in result)
    return result
