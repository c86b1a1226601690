"""Rotations in torch; shapes lead with any batch axes."""

import torch


def rotation_from_axis_angle(axis_angle: torch.Tensor) -> torch.Tensor:
    """Turn (..., 3) axis-angle vectors, radians, into (..., 3, 3) matrices (Rodrigues).

    Differentiable everywhere, the zero rotation included.
    """
    square = (axis_angle * axis_angle).sum(-1)[..., None, None]
    is_small = square < 1e-8
    safe = torch.where(is_small, torch.ones_like(square), square).sqrt()
    # Below 1e-4 rad the next terms of the series are under 1e-17.
    sine = torch.where(is_small, 1 - square / 6, safe.sin() / safe)
    half = (safe / 2).sin()
    cosine = torch.where(is_small, 0.5 - square / 24, 2 * half * half / (safe * safe))
    x, y, z = axis_angle.unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1)
    skew = skew.view(*skew.shape[:-1], 3, 3)  # (..., 3, 3)
    identity = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    rotation: torch.Tensor = identity + sine * skew + cosine * (skew @ skew)
    return rotation


def rotation_from_6d(six: torch.Tensor) -> torch.Tensor:
    """Turn (..., 6) numbers into (..., 3, 3) matrices by Gram-Schmidt.

    The first three numbers become the first column, the next three the second (Zhou et al., "On
    the Continuity of Rotation Representations", 2019); zero vectors give zeros, not NaN.
    """
    first, second = six[..., :3], six[..., 3:]
    x = torch.nn.functional.normalize(first, dim=-1)
    along = (x * second).sum(-1, keepdim=True)
    y = torch.nn.functional.normalize(torch.addcmul(second, along, x, value=-1), dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y, dim=-1)], -1)
