"""HaMeR "eager, as published": the yardstick of the benchmarks.

Written from the description of the networks to do what the published code does, operation by
operation: attention in separate products with a softmax, self-attention over the one token, key
and value projections layer by layer, and the hand posed joint by joint with 4 x 4 matrices as
smplx poses it. ``benchmarks.op_count`` holds the number of its operations against the published
790, the accuracy guard its results against ours.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from hand_perception.models.hamer.sizes import HamerSizes
from hand_perception.models.hand_arrays import KEYPOINT_SOURCES, MANO_PARENTS, TIP_VERTICES

_FOCAL_PX, _IMAGE_PX = 5000.0, 256


class ReferenceHamer:
    """Normalised crops to hands, from tensors under their published names."""

    def __init__(self, state: Mapping[str, Tensor], sizes: HamerSizes) -> None:
        """Keep the tensors; they are used where and as they are."""
        self._state = state
        self._sizes = sizes
        device = state['mano.v_template'].device
        self._tips = torch.tensor(TIP_VERTICES, device=device)
        self._order = torch.tensor(KEYPOINT_SOURCES, device=device)

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Map (B, 3, 256, 256) normalised images to the outputs of the published model."""
        return self.hands(*self.readouts(self.features(images)))

    def features(self, images: Tensor) -> Tensor:
        """Run the ViT: (B, 192, C)."""
        s, heads = self._state, self._sizes.backbone.num_heads
        x = functional.conv2d(
            images[:, :, :, 32:-32], s['backbone.patch_embed.proj.weight'],
            s['backbone.patch_embed.proj.bias'], stride=16, padding=2,
        )  # fmt: skip
        x = x.flatten(2).transpose(1, 2)
        x = x + s['backbone.pos_embed'][:, 1:] + s['backbone.pos_embed'][:, :1]
        for i in range(self._sizes.backbone.depth):
            block = f'backbone.blocks.{i}.'
            x = x + self._vit_attention(self._norm(x, f'{block}norm1', 1e-6), block, heads)
            hidden = functional.gelu(
                self._linear(self._norm(x, f'{block}norm2', 1e-6), f'{block}mlp.fc1')
            )
            x = x + self._linear(hidden, f'{block}mlp.fc2')
        return self._norm(x, 'backbone.last_norm', 1e-6)

    def _vit_attention(self, x: Tensor, block: str, heads: int) -> Tensor:
        batch, length, width = x.shape
        qkv = self._linear(x, f'{block}attn.qkv').reshape(batch, length, 3, heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        query = query * (width // heads) ** -0.5
        shares = (query @ key.transpose(-2, -1)).softmax(dim=-1)
        mixed = (shares @ value).transpose(1, 2).reshape(batch, length, width)
        return self._linear(mixed, f'{block}attn.proj')

    def readouts(self, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run the decoder: rotations (B, 16, 3, 3), betas (B, 10), camera (B, 3)."""
        s, batch = self._state, len(context)
        zero = torch.zeros(batch, 1, 1, device=context.device, dtype=context.dtype)
        x = self._linear(zero, 'mano_head.transformer.to_token_embedding')
        x = x + s['mano_head.transformer.pos_embedding'][:, :1]
        for i in range(self._sizes.decoder.depth):
            layer = f'mano_head.transformer.transformer.layers.{i}.'
            normed = self._norm(x, f'{layer}0.norm', 1e-5)
            qkv = self._linear(normed, f'{layer}0.fn.to_qkv').chunk(3, dim=-1)
            x = self._linear(self._attend(*qkv), f'{layer}0.fn.to_out.0') + x
            normed = self._norm(x, f'{layer}1.norm', 1e-5)
            key, value = self._linear(context, f'{layer}1.fn.to_kv').chunk(2, dim=-1)
            mixed = self._attend(self._linear(normed, f'{layer}1.fn.to_q'), key, value)
            x = self._linear(mixed, f'{layer}1.fn.to_out.0') + x
            normed = self._norm(x, f'{layer}2.norm', 1e-5)
            hidden = functional.gelu(self._linear(normed, f'{layer}2.fn.net.0'))
            x = self._linear(hidden, f'{layer}2.fn.net.3') + x
        token = x.squeeze(1)
        pose = self._linear(token, 'mano_head.decpose') + s['mano_head.init_hand_pose'].expand(
            batch, -1
        )
        betas = self._linear(token, 'mano_head.decshape') + s['mano_head.init_betas'].expand(
            batch, -1
        )
        cam = self._linear(token, 'mano_head.deccam') + s['mano_head.init_cam'].expand(batch, -1)
        six = pose.reshape(-1, 2, 3).permute(0, 2, 1).contiguous()
        first, second = six[:, :, 0], six[:, :, 1]
        b1 = functional.normalize(first)
        along = (b1 * second).sum(-1)
        b2 = functional.normalize(second - along.unsqueeze(-1) * b1)
        b3 = torch.linalg.cross(b1, b2)
        return torch.stack((b1, b2, b3), dim=-1).view(batch, 16, 3, 3), betas, cam

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        sizes = self._sizes.decoder
        query, key, value = (
            x.view(*x.shape[:2], sizes.num_heads, sizes.head_width).transpose(1, 2)
            for x in (query, key, value)
        )
        scores = torch.matmul(query, key.transpose(-1, -2)) * sizes.head_width**-0.5
        mixed = torch.matmul(scores.softmax(dim=-1), value)
        return mixed.transpose(1, 2).flatten(2)

    def hands(self, rotations: Tensor, betas: Tensor, cam: Tensor) -> dict[str, Tensor]:
        """Pose the hand as smplx does, and project it."""
        vertices, joints = self._skin(rotations, betas)
        keypoints = torch.cat([joints, vertices.index_select(1, self._tips)], dim=1)
        keypoints = keypoints[:, self._order]
        depth = 2 * _FOCAL_PX / (_IMAGE_PX * cam[:, 0] + 1e-9)
        translation = torch.stack([cam[:, 1], cam[:, 2], depth], dim=-1)
        points = keypoints + translation.unsqueeze(1)
        points = points / points[:, :, -1].unsqueeze(-1)
        intrinsics = torch.zeros(len(cam), 3, 3, device=cam.device)
        intrinsics[:, 0, 0] = _FOCAL_PX / _IMAGE_PX
        intrinsics[:, 1, 1] = _FOCAL_PX / _IMAGE_PX
        intrinsics[:, 2, 2] = 1.0
        projected = torch.einsum('bij,bkj->bki', intrinsics, points)
        return {
            'rotations': rotations, 'betas': betas, 'pred_cam': cam, 'pred_cam_t': translation,
            'vertices': vertices, 'keypoints': keypoints,
            'pred_keypoints_2d': projected[:, :, :-1],
        }  # fmt: skip

    def _skin(self, rotations: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]:
        s, batch, device = self._state, len(betas), betas.device
        template = s['mano.v_template']
        shaped = template + torch.einsum('bl,mkl->bmk', betas, s['mano.shapedirs'])
        rest = torch.einsum('bik,ji->bjk', shaped, s['mano.J_regressor'])
        feature = (rotations[:, 1:] - torch.eye(3, device=device)).view(batch, -1)
        posed = shaped + torch.matmul(feature, s['mano.posedirs']).view(batch, -1, 3)
        transforms, joints = self._rigid_transforms(rotations, rest)
        weights = s['mano.lbs_weights'].unsqueeze(0).expand(batch, -1, -1)
        blended = torch.matmul(weights, transforms.view(batch, 16, 16)).view(batch, -1, 4, 4)
        ones = torch.ones(batch, posed.shape[1], 1, device=device)
        homogeneous = torch.cat([posed, ones], dim=2)
        moved = torch.matmul(blended, homogeneous.unsqueeze(-1))
        return moved[:, :, :3, 0], joints

    def _rigid_transforms(self, rotations: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
        batch, parents = len(rotations), list(MANO_PARENTS[1:])
        joints = rest.unsqueeze(-1)
        relative = joints.clone()
        relative[:, 1:] -= joints[:, parents]
        local = torch.cat(
            [
                functional.pad(rotations.reshape(-1, 3, 3), [0, 0, 0, 1]),
                functional.pad(relative.reshape(-1, 3, 1), [0, 0, 0, 1], value=1),
            ],
            dim=2,
        ).reshape(batch, 16, 4, 4)
        chain = [local[:, 0]]
        for joint, parent in enumerate(parents, 1):
            chain.append(torch.matmul(chain[parent], local[:, joint]))
        transforms = torch.stack(chain, dim=1)
        homogeneous = functional.pad(joints, [0, 0, 0, 1])
        moved = torch.matmul(transforms, homogeneous)
        return transforms - functional.pad(moved, [3, 0, 0, 0, 0, 0]), transforms[:, :, :3, 3]

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return functional.linear(x, self._state[f'{name}.weight'], self._state.get(f'{name}.bias'))

    def _norm(self, x: Tensor, name: str, eps: float) -> Tensor:
        weight, bias = self._state[f'{name}.weight'], self._state[f'{name}.bias']
        return functional.layer_norm(x, weight.shape, weight, bias, eps)
