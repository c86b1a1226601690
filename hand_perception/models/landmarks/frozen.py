"""Make a network run faster on the CPU: convolution, bias and ReLU6 as one oneDNN call each."""

import logging
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

Network = Callable[[Tensor], Tensor]

#: Input pixels: how far the frozen network may be from the network itself.
_TOLERANCE_PX = 1e-3

_logger = logging.getLogger(__name__)


def freeze_for_cpu(network: nn.Module, example: Tensor) -> Network:
    """Return a network with constant weights and fused layers; the network itself if that fails.

    torch.jit is deprecated (torch 2.13 warns) in favour of torch.compile. That one needs a C++
    compiler on the user's machine and compiles for long, so as long as torch.jit is there it is
    used; when a release drops it, the back end still runs, only slower. The result is compared
    with the network before it is trusted.

    Args:
        network: in evaluation mode, on the CPU; batch size and nothing else may vary.
        example: an input.
    """
    try:
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter('ignore', DeprecationWarning)
            traced = torch.jit.trace(network, example, check_trace=False)
            frozen: Network = torch.jit.optimize_for_inference(torch.jit.freeze(traced))
            difference = float((frozen(example) - network(example)).abs().max())
    except (AttributeError, RuntimeError, NotImplementedError) as error:
        _logger.warning('networks run slower than they could: torch.jit failed (%s)', error)
        return network
    if not difference <= _TOLERANCE_PX:
        _logger.warning(
            'networks run slower than they could: torch.jit changed a result by %g', difference
        )
        return network
    return frozen
