"""One buffer for everything HaMeR says of a hand, so that one copy brings it to the host."""

import math
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import torch
from torch import Tensor

from hand_perception.datatypes import FloatArray
from hand_perception.models.hamer.network import HamerOutput

#: Fields of HamerOutput and the shape of each for one hand, in the order of the buffer.
_SHAPES: Final[dict[str, tuple[int, ...]]] = {
    'rotations': (16, 3, 3),
    'betas': (10,),
    'pred_cam': (3,),
    'pred_cam_t': (3,),
    'vertices': (778, 3),
    'keypoints': (21, 3),
    'joints': (16, 3),
    'pred_keypoints_2d': (21, 2),
}
#: Numbers per hand: 10.6 kB as float32.
PACKED_SIZE: Final = sum(math.prod(shape) for shape in _SHAPES.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class HamerHands:
    """The fields of ``HamerOutput`` as NumPy arrays on the host, float32, one row per hand."""

    rotations: FloatArray
    betas: FloatArray
    pred_cam: FloatArray
    pred_cam_t: FloatArray
    vertices: FloatArray
    keypoints: FloatArray
    joints: FloatArray
    pred_keypoints_2d: FloatArray

    def __len__(self) -> int:
        """Return the number of hands."""
        return len(self.betas)


def pack(output: HamerOutput, *, out: Tensor) -> None:
    """Write all fields of B hands into a (B, PACKED_SIZE) float32 buffer."""
    torch.cat([getattr(output, name).flatten(1) for name in _SHAPES], 1, out=out)


def unpack(rows: FloatArray) -> HamerHands:
    """View (B, PACKED_SIZE) numbers as the fields they are."""
    starts = np.cumsum([math.prod(shape) for shape in _SHAPES.values()])[:-1]
    parts = np.split(rows, starts, axis=1)
    return HamerHands(
        **{
            name: part.reshape(len(rows), *shape)
            for (name, shape), part in zip(_SHAPES.items(), parts, strict=True)
        }
    )


assert tuple(_SHAPES) == tuple(field.name for field in fields(HamerHands))
