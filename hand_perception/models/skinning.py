"""Linear blend skinning of a hand in MANO's layout, in few launches.

The formulas are those of SMPL (Loper et al. 2015, section 3) as used by MANO (Romero et al.
2017): shape and pose correctives are added to the flat hand, then every vertex follows the
weighted mean of the rigid motions of 16 bones.
"""

import torch

from hand_perception.models.hand_arrays import HandArrays

NUM_FINGERS, BONES_PER_FINGER = 5, 3


class LinearBlendSkinning:
    """Bends a hand model: batched over hands, differentiable, no state but its arrays."""

    def __init__(self, arrays: HandArrays, *, device: torch.device | str = 'cpu') -> None:
        """Copy the arrays to the device as float32, laid out for contiguous work on vertices."""

        def tensor(array: object) -> torch.Tensor:
            return torch.as_tensor(array, dtype=torch.float32, device=device).contiguous()

        num_vertices = len(arrays.v_template)
        self._template = tensor(arrays.v_template.T.reshape(1, 3 * num_vertices))
        self._shapedirs = tensor(arrays.shapedirs.transpose(2, 1, 0).reshape(10, -1))
        self._joint_template = tensor(arrays.joint_template.reshape(1, 48))
        self._joint_shapedirs = tensor(arrays.joint_shapedirs.reshape(48, 10).T)
        self._weights = tensor(arrays.weights.T)  # (16, V)
        self._posedirs = None
        if arrays.posedirs is not None and arrays.posedirs.any():
            self._posedirs = tensor(arrays.posedirs.transpose(2, 1, 0).reshape(135, -1))
        self._identity = torch.eye(3, device=device)

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
        num_hands, num_vertices = len(rotations), self._weights.shape[1]
        joints = torch.addmm(self._joint_template, betas, self._joint_shapedirs)
        joints = joints.view(num_hands, 16, 3)
        flat = torch.addmm(self._template, betas, self._shapedirs)  # (N, 3 V)
        if self._posedirs is not None:
            feature = (rotations[:, 1:] - self._identity).reshape(num_hands, 135)
            flat = torch.addmm(flat, feature, self._posedirs)
        flat = flat.view(num_hands, 1, 3, num_vertices)  # (N, 1, 3, V)

        turns, positions = _chain(rotations, joints)
        shift = positions - (turns @ joints[..., None])[..., 0]
        motions = torch.cat([turns, shift[..., None]], -1).reshape(num_hands, 16, 12)
        blended = motions.transpose(1, 2) @ self._weights  # (N, 12, V)
        blended = blended.view(num_hands, 3, 4, num_vertices)
        vertices = (blended[:, :, :3] * flat).sum(2) + blended[:, :, 3]  # (N, 3, V)
        return vertices.transpose(1, 2).contiguous(), positions


def _chain(rotations: torch.Tensor, joints: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Walk down the five fingers at once: global rotations (N, 16, 3, 3), positions (N, 16, 3)."""
    num_hands = len(rotations)
    root = rotations[:, :1]  # (N, 1, 3, 3)
    local = rotations[:, 1:].reshape(num_hands, NUM_FINGERS, BONES_PER_FINGER, 3, 3)
    rest = joints[:, 1:].reshape(num_hands, NUM_FINGERS, BONES_PER_FINGER, 3)
    before, at, rest_at = root, joints[:, :1], joints[:, :1]
    turns, positions = [], []
    for bone in range(BONES_PER_FINGER):
        at = at + (before @ (rest[:, :, bone] - rest_at)[..., None])[..., 0]  # (N, 5, 3)
        before = before @ local[:, :, bone]  # (N, 5, 3, 3)
        rest_at = rest[:, :, bone]
        turns.append(before)
        positions.append(at)
    all_turns = torch.stack(turns, 2).reshape(num_hands, 15, 3, 3)
    all_positions = torch.stack(positions, 2).reshape(num_hands, 15, 3)
    return torch.cat([root, all_turns], 1), torch.cat([joints[:, :1], all_positions], 1)
