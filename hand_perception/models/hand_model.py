"""One face for every hand mesh: MANO-style parameters in, vertices, joints and keypoints out.

All hands here are right hands in the frame of docs/frames.md; whoever has a left hand mirrors
parameters before and points after, and flips the faces with ``faces[:, ::-1]``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hand_perception.datatypes import DoubleArray
from hand_perception.errors import ConfigError
from hand_perception.models.hand_arrays import (
    KEYPOINT_SOURCES,
    TIP_VERTICES,
    HandArrays,
    RestPose,
    load_default_arrays,
)
from hand_perception.models.rotations import rotation_from_axis_angle
from hand_perception.models.skinning import LinearBlendSkinning

#: Poses N hands: (N, 16, 3, 3) rotations and (N, 10) betas to (N, V, 3) vertices and (N, 16, 3)
#: joints.
Skinning = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True, slots=True, kw_only=True)
class HandMesh:
    """N posed right hands, metres, in the frame that the root rotation leads to.

    Attributes:
        vertices: (N, V, 3).
        joints: (N, 16, 3), MANO order.
        keypoints: (N, 21, 3), order of ``datatypes.JOINT_NAMES``; tips are mesh vertices.
    """

    vertices: torch.Tensor
    joints: torch.Tensor
    keypoints: torch.Tensor


class HandModel:
    """A right hand mesh that takes MANO's parameters.

    Attributes:
        name: ``default`` or ``mano``.
        arrays: the model's numbers.
        faces: (F, 3) uint32, counter-clockwise seen from outside a right hand.
        device: where tensors have to be and will be.
    """

    def __init__(
        self, *, name: str, arrays: HandArrays, skinning: Skinning, device: torch.device | str
    ) -> None:
        """Put a model together; :func:`load_hand_model` is the usual way."""
        self.name = name
        self.arrays = arrays
        self.faces: NDArray[np.uint32] = arrays.faces
        self.device = torch.device(device)
        self._skinning = skinning
        # Of 16 joints followed by all vertices.
        behind = [*range(16), *(16 + tip for tip in TIP_VERTICES)]
        self._sources = torch.tensor([behind[i] for i in KEYPOINT_SOURCES], device=device)

    @property
    def num_vertices(self) -> int:
        """V, the number of vertices."""
        return len(self.arrays.v_template)

    def __call__(
        self,
        *,
        global_orient: torch.Tensor,
        hand_pose: torch.Tensor,
        betas: torch.Tensor,
        transl: torch.Tensor,
    ) -> HandMesh:
        """Pose N hands from axis-angle vectors.

        Args:
            global_orient: (N, 3) radians, about the wrist joint.
            hand_pose: (N, 45) radians, relative to the flat hand, MANO order.
            betas: (N, 10) shape.
            transl: (N, 3) metres, added after posing.
        """
        axis_angle = torch.cat([global_orient, hand_pose], 1).view(-1, 16, 3)
        rotations = rotation_from_axis_angle(axis_angle)
        return self.from_rotations(rotations=rotations, betas=betas, transl=transl)

    def from_rotations(
        self, *, rotations: torch.Tensor, betas: torch.Tensor, transl: torch.Tensor | None = None
    ) -> HandMesh:
        """Pose N hands from matrices: the same, with (N, 16, 3, 3) local rotations, root first.

        Without ``transl`` the hands stay where the model has them.
        """
        vertices, joints = self._skinning(rotations, betas)
        if transl is not None:
            vertices = vertices + transl[:, None]
            joints = joints + transl[:, None]
        keypoints = torch.cat([joints, vertices], 1).index_select(1, self._sources)
        return HandMesh(vertices=vertices, joints=joints, keypoints=keypoints)

    def rest(self, betas: DoubleArray) -> RestPose:
        """Give joints and finger tips of the flat hand of shape ``betas`` (10,)."""
        return self.arrays.rest(betas)

    def betas_for_scale(self, scale: float) -> DoubleArray:
        """Give the (10,) betas of a hand ``scale`` times the size of the mean hand.

        Exact for the default hand, whose first shape direction is size; the nearest shape (least
        squares over the vertices, free translation) for MANO.
        """
        return (scale - 1) * self.arrays.betas_per_scale


def load_hand_model(
    name: str, *, mano_dir: str | Path = '', device: torch.device | str = 'cpu'
) -> HandModel:
    """Load a hand model.

    Args:
        name: ``default``, which ships with the package, or ``mano``.
        mano_dir: for ``mano``: the folder with MANO_RIGHT.pkl, or the file.
        device: where the model works.

    Raises:
        ConfigError: ``name`` is not known.
        WeightsError: a file is missing, damaged, or not safe to read.
        MissingPackageError: ``mano`` without smplx.
    """
    if name == 'default':
        arrays = load_default_arrays()
        skinning: Skinning = LinearBlendSkinning(arrays, device=device)
    elif name == 'mano':
        from hand_perception.models.mano import load_mano  # needs smplx

        arrays, skinning = load_mano(mano_dir, device=device)
    else:
        raise ConfigError(f"hand_model must be 'default' or 'mano', got {name!r}")
    return HandModel(name=name, arrays=arrays, skinning=skinning, device=device)
