"""What batches have in common: tensors that are sent on together."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

TensorChange = Callable[[Tensor], Tensor]
RecordT = TypeVar('RecordT')


def mapped_tensors(record: RecordT, change: TensorChange) -> RecordT:
    """Return a copy of a dataclass with every tensor in it changed; inner dataclasses as well."""
    changed: dict[str, Any] = {}
    for field in dataclasses.fields(record):  # type: ignore[arg-type]  # a dataclass, not a type
        value = getattr(record, field.name)
        if isinstance(value, Tensor):
            changed[field.name] = change(value)
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            changed[field.name] = mapped_tensors(value, change)
    return dataclasses.replace(record, **changed)  # type: ignore[type-var]  # the same


def sent_to(record: RecordT, device: torch.device) -> RecordT:
    """Return a copy on a device; from pinned memory without waiting for it."""
    return mapped_tensors(record, lambda tensor: tensor.to(device, non_blocking=True))


def pinned(record: RecordT) -> RecordT:
    """Return a copy in memory from which a GPU fetches by itself."""
    return mapped_tensors(record, lambda tensor: tensor.pin_memory())
