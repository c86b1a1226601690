"""Stochastic depth: in training, blocks are left out at random, more often the deeper they are.

Source: Huang et al., "Deep Networks with Stochastic Depth" (2016), as in ViTPose and HaMeR. The
random numbers come from outside, so that a run can be repeated; the network has nothing of it.
"""

import torch
from torch import Tensor


def depth_factors(uniforms: Tensor, *, rate: float) -> Tensor:
    """Say how much each block adds to each sample.

    Args:
        uniforms: (blocks, 2, B) numbers in [0, 1); 2 for attention and MLP of a block.
        rate: share of the samples that the last block is left out for; the first block is never
            left out, those between evenly. HaMeR: 0.55.

    Returns:
        (blocks, 2, B): 0 where a block is left out, else so much that the mean is 1.
    """
    rates = torch.linspace(0, rate, len(uniforms), device=uniforms.device)[:, None, None]
    return (uniforms >= rates).to(uniforms.dtype) / (1 - rates)
