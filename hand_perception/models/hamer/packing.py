"""One buffer for everything HaMeR says of a hand, so that one copy brings it to the host."""

import math
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import torch
from torch import Tensor

from hand_perception.datatypes import FloatArray
from hand_perception.models.hamer.network import HamerOutput

#: Fields of HamerOutput and the shape of each for one hand, in the order of the buffer; -1 stands
#: for the number of vertices.
_SHAPES: Final[dict[str, tuple[int, ...]]] = {
    'rotations': (16, 3, 3),
    'betas': (10,),
    'pred_cam': (3,),
    'pred_cam_t': (3,),
    'vertices': (-1, 3),
    'keypoints': (21, 3),
    'joints': (16, 3),
    'pred_keypoints_2d': (21, 2),
}
MANO_VERTICES: Final = 778


def packed_size(num_vertices: int) -> int:
    """Count the numbers of a hand: 10.6 kB as float32 for MANO."""
    return _OTHERS + 3 * num_vertices


_OTHERS: Final = sum(math.prod(shape) for name, shape in _SHAPES.items() if name != 'vertices')
PACKED_SIZE: Final = packed_size(MANO_VERTICES)


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
    """Write all fields of B hands into a (B, packed size) float32 buffer."""
    torch.cat([getattr(output, name).flatten(1) for name in _SHAPES], 1, out=out)


def unpack(rows: FloatArray) -> HamerHands:
    """View (B, packed size) numbers as the fields they are."""
    num_vertices = (rows.shape[1] - _OTHERS) // 3
    shapes = {**_SHAPES, 'vertices': (num_vertices, 3)}
    starts = np.cumsum([math.prod(shape) for shape in shapes.values()])[:-1]
    parts = np.split(rows, starts, axis=1)
    return HamerHands(
        **{
            name: part.reshape(len(rows), *shape)
            for (name, shape), part in zip(shapes.items(), parts, strict=True)
        }
    )


assert tuple(_SHAPES) == tuple(field.name for field in fields(HamerHands))
