"""Tells poses and shapes that hands have from those that a network makes up.

Sources: Kanazawa et al., "End-to-end Recovery of Human Shape and Pose" (CVPR 2018), for bodies;
Pavlakos et al., "Reconstructing Hands in 3D with Transformers" (HaMeR, CVPR 2024), for hands.
Parameters carry the names of the published checkpoint, below ``discriminator.``.
"""

from typing import Final

import torch
from torch import Tensor, nn

NUM_POSES: Final = 15  # joints without the wrist
NUM_BETAS: Final = 10
_ROTATION_NUMBERS: Final = 9
_CHANNELS: Final = 32
_BETAS_HIDDEN: Final = 5
_ALL_JOINTS_WIDTH: Final = 1024


class HamerDiscriminator(nn.Module):
    """Judges each joint, the shape, and all joints together; 1 is real."""

    def __init__(self) -> None:
        """Make the layers with the initial weights of the publication."""
        super().__init__()
        self.D_conv1 = nn.Conv2d(_ROTATION_NUMBERS, _CHANNELS, 1)
        self.D_conv2 = nn.Conv2d(_CHANNELS, _CHANNELS, 1)
        self.pose_out = nn.ModuleList(nn.Linear(_CHANNELS, 1) for _ in range(NUM_POSES))
        self.betas_fc1 = nn.Linear(NUM_BETAS, NUM_BETAS)
        self.betas_fc2 = nn.Linear(NUM_BETAS, _BETAS_HIDDEN)
        self.betas_out = nn.Linear(_BETAS_HIDDEN, 1)
        self.D_alljoints_fc1 = nn.Linear(_CHANNELS * NUM_POSES, _ALL_JOINTS_WIDTH)
        self.D_alljoints_fc2 = nn.Linear(_ALL_JOINTS_WIDTH, _ALL_JOINTS_WIDTH)
        self.D_alljoints_out = nn.Linear(_ALL_JOINTS_WIDTH, 1)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
            else:
                nn.init.zeros_(parameter)

    def forward(self, rotations: Tensor, betas: Tensor) -> Tensor:
        """Judge B hands.

        Args:
            rotations: (B, 15, 3, 3) local rotations of the joints without the wrist.
            betas: (B, 10) shape.

        Returns:
            (B, 17): 15 joints, shape, all joints.
        """
        x = rotations.flatten(2).transpose(1, 2).unsqueeze(-1)  # (B, 9, 15, 1)
        x = self.D_conv2(self.D_conv1(x).relu()).relu().squeeze(-1)  # (B, 32, 15)
        joints = [layer(x[:, :, number]) for number, layer in enumerate(self.pose_out)]
        shape = self.betas_out(self.betas_fc2(self.betas_fc1(betas).relu()).relu())
        together = self.D_alljoints_fc1(x.flatten(1)).relu()  # channel by channel
        together = self.D_alljoints_out(self.D_alljoints_fc2(together).relu())
        return torch.cat([*joints, shape, together], 1)
