"""Speed modes of the backbone: one switch, and where each mode runs.

The backbone has 98 % of the arithmetic; the head, the hand model and the projections stay in
float32 in every mode, since halving their precision costs most of the accuracy and saves nothing.
"""

import logging
from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from hand_perception.errors import ConfigError
from hand_perception.models.hamer.backbone import VisionTransformer
from hand_perception.models.hamer.fused_backbone import FusedBackbone
from hand_perception.models.hamer.int8 import quantize_linears

_logger = logging.getLogger(__name__)

#: ``auto`` is bf16 where the device multiplies in it, else fp32.
PRECISIONS: Final = ('auto', 'fp32', 'bf16', 'fp16', 'int8')
_DTYPES: Final = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}

Backbone = Callable[[Tensor], Tensor]


def choose_precision(name: str, device: torch.device) -> str:
    """Resolve ``auto`` and refuse what the device cannot do.

    Raises:
        ConfigError: the name is not known, or int8 was asked for on a GPU.
    """
    if name not in PRECISIONS:
        raise ConfigError(f'precision must be one of {", ".join(PRECISIONS)}, got {name!r}')
    if name == 'int8' and device.type != 'cpu':
        raise ConfigError('precision int8 runs on the CPU only; on a GPU use bf16 or fp16')
    if name == 'auto':
        return 'bf16' if has_fast_bf16(device) else 'fp32'
    if device.type == 'cpu' and name == 'fp16':
        _logger.warning('precision fp16 is slower than fp32 on most CPUs; use bf16, int8 or fp32')
    if name == 'bf16' and not has_fast_bf16(device):
        _logger.warning('%s has no fast bf16: precision bf16 will be slow; use fp32', device)
    return name


def has_fast_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bf16 numbers in hardware."""
    if device.type == 'cuda':
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return _cpu_has_bf16()


def _cpu_has_bf16() -> bool:
    """Look for bf16 in the kernel's list of CPU features; torch has no public question for it."""
    try:
        with open('/proc/cpuinfo', encoding='ascii', errors='replace') as file:
            flags = set(file.read(1 << 16).split())
    except OSError:
        return False
    return not flags.isdisjoint({'avx512_bf16', 'amx_bf16', 'bf16'})


def prepare_backbone(
    backbone: VisionTransformer, precision: str, device: torch.device, *, use_compile: bool = False
) -> Backbone:
    """Put the backbone on its device in its precision, and choose how it is run.

    Args:
        backbone: float32 on the CPU; it is changed and becomes part of the result.
        precision: one of ``PRECISIONS`` but ``auto``.
        device: where to run.
        use_compile: run through torch.compile, which takes minutes at the first image.

    Returns:
        (B, 3, 256, 256) float32 images to (B, 192, C) float32 features.
    """
    if precision == 'int8':
        quantize_linears(backbone.blocks)
        return _compiled(backbone) if use_compile else backbone
    backbone.to(device=device, dtype=_DTYPES[precision])
    backbone.last_norm.float()  # the features are float32
    return _compiled(backbone) if use_compile else FusedBackbone(backbone)


def _compiled(backbone: VisionTransformer) -> Backbone:
    # Not the mode that captures graphs by itself: the engine captures everything as one graph.
    return torch.compile(backbone, dynamic=False)
