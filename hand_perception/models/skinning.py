"""Linear blend skinning of a hand in MANO's layout, in few launches.

The formulas are those of SMPL (Loper et al. 2015, section 3) as used by MANO (Romero et al.
2017): shape and pose correctives are added to the flat hand, then every vertex follows the
weighted mean of the rigid motions of 16 bones.
"""

import numpy as np
import torch

from hand_perception.models.hand_arrays import MANO_PARENTS, HandArrays

NUM_FINGERS, BONES_PER_FINGER = 5, 3


class LinearBlendSkinning:
    """Bends a hand model: batched over hands, differentiable, no state but its arrays."""

    def __init__(self, arrays: HandArrays, *, device: torch.device | str = 'cpu') -> None:
        """Copy the arrays to the device as float32, laid out for contiguous work on vertices.

        Vertices of the flat hand, its joints and the bones between them are all linear in shape
        and rotation matrices: one product gives them.
        """
        num_vertices = len(arrays.v_template)
        parents = [0, *MANO_PARENTS[1:]]
        joints, joint_dirs = arrays.joint_template, arrays.joint_shapedirs
        bones, bone_dirs = joints - joints[parents], joint_dirs - joint_dirs[parents]
        base = [arrays.v_template.T.ravel(), joints.ravel(), bones.ravel()]
        matrix = [arrays.shapedirs.transpose(2, 1, 0).reshape(10, -1)]
        matrix += [dirs.transpose(2, 0, 1).reshape(10, -1) for dirs in (joint_dirs, bone_dirs)]
        coefficients = np.concatenate(matrix, 1)  # (10, 3 V + 48 + 48)
        self._has_pose_correctives = arrays.posedirs is not None and bool(arrays.posedirs.any())
        if self._has_pose_correctives:
            assert arrays.posedirs is not None
            posedirs = arrays.posedirs.transpose(2, 1, 0).reshape(135, -1)
            # The correctives belong to rotation less identity: take the identity's share off here.
            base[0] = base[0] - np.tile(np.eye(3).ravel(), 15) @ posedirs
            coefficients = np.concatenate([coefficients, np.pad(posedirs, ((0, 0), (0, 96)))])

        def tensor(array: object) -> torch.Tensor:
            return torch.as_tensor(array, dtype=torch.float32, device=device).contiguous()

        self._sizes = (3 * num_vertices, 48, 48)
        self._base = tensor(np.concatenate(base))
        self._coefficients = tensor(coefficients)
        self._weights = tensor(arrays.weights.T[None])  # (1, 16, V)
        self._last_row = tensor([[[0.0, 0.0, 0.0, 1.0]]])  # of a homogeneous matrix

    def __call__(
        self, rotations: torch.Tensor, betas: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Pose N hands.

        Args:
            rotations: (N, 16, 3, 3) local rotations, MANO order, relative to the flat hand.
            betas: (N, 10) shape.

        Returns:
            (N, V, 3) vertices and (N, 16, 3) joints, metres, hand model frame.
        """
        num_hands, num_vertices = len(rotations), self._weights.shape[2]
        parameters = betas
        if self._has_pose_correctives:
            parameters = torch.cat([betas, rotations[:, 1:].flatten(1)], 1)  # (N, 145)
        flat, joints, bones = torch.addmm(self._base, parameters, self._coefficients).split(
            self._sizes, 1
        )
        rest = joints.view(num_hands, 16, 3, 1)
        motions = self._chain(rotations, rest[:, :1], bones.view(num_hands, 16, 3, 1))
        turns, positions = motions.split((3, 1), -1)  # (N, 16, 3, 3), (N, 16, 3, 1)
        motions = torch.cat([turns, positions - turns @ rest], -1)  # of points of the flat hand
        blended = torch.bmm(
            motions.view(num_hands, 16, 12).transpose(1, 2),
            self._weights.expand(num_hands, -1, -1),
        ).view(num_hands, 3, 4, num_vertices)
        flat = flat.view(num_hands, 1, 3, num_vertices)
        vertices = (blended[:, :, :3] * flat).sum(2) + blended[:, :, 3]  # (N, 3, V)
        return vertices.transpose(1, 2).contiguous(), positions[..., 0]

    def _chain(
        self, rotations: torch.Tensor, root: torch.Tensor, bones: torch.Tensor
    ) -> torch.Tensor:
        """Walk down the five fingers at once.

        Args:
            rotations: (N, 16, 3, 3) local rotations.
            root: (N, 1, 3, 1) position of the wrist.
            bones: (N, 16, 3, 1) from each joint's parent to the joint, flat hand.

        Returns:
            (N, 16, 3, 4) global rotations beside positions.
        """
        num_hands, rows = len(rotations), len(rotations) * NUM_FINGERS
        local = torch.cat([rotations[:, 1:], bones[:, 1:]], -1).view(-1, 3, 4)
        local = torch.cat([local, self._last_row.expand(len(local), -1, -1)], 1)
        local = local.view(rows, BONES_PER_FINGER, 4, 4)
        wrist = torch.cat([rotations[:, :1], root], -1)  # (N, 1, 3, 4)
        at = wrist.expand(-1, NUM_FINGERS, -1, -1).reshape(rows, 3, 4)
        chain = []
        for bone in range(BONES_PER_FINGER):
            at = torch.bmm(at, local[:, bone])
            chain.append(at)
        fingers = torch.stack(chain, 1).view(num_hands, 15, 3, 4)
        return torch.cat([wrist, fingers], 1)
