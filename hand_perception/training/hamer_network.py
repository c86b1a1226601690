"""HaMeR with gradients: the networks as published, MANO and the crop camera in one pass."""

import torch
from torch import Tensor

from hand_perception.models.hamer.head import ManoParameters
from hand_perception.models.hamer.network import HamerOutput
from hand_perception.models.hamer.projection import CropProjection
from hand_perception.models.hamer.weight_files import HamerParts
from hand_perception.models.hand_model import HandModel


class TrainableHamer:
    """Crops to hands through networks that are being trained; what runs fast is HamerNetwork.

    Attributes:
        parts: backbone and head, whose parameters are trained.
        hand: MANO's right hand, which is not.
    """

    def __init__(self, parts: HamerParts, hand: HandModel, *, focal_px: float) -> None:
        """Put the parts together.

        Args:
            parts: the networks, on the device of the hand model.
            hand: MANO.
            focal_px: focal length of the crop camera, pixels of the 256 square.
        """
        self.parts = parts
        self.hand = hand
        self._project = CropProjection(focal_px, torch.device(hand.device))

    def __call__(self, images: Tensor) -> HamerOutput:
        """Reconstruct the hands of (B, 3, 256, 256) normalised RGB crops, left hands mirrored."""
        return self.hands_from_parameters(self.parts.mano_head(self.parts.backbone(images)))

    def hands_from_parameters(self, parameters: ManoParameters) -> HamerOutput:
        """Pose the hand model and project its keypoints into the crop, in float32."""
        rotations, betas = parameters.rotations.float(), parameters.betas.float()
        pred_cam = parameters.pred_cam.float()
        mesh = self.hand.from_rotations(rotations=rotations, betas=betas)
        pred_cam_t, keypoints_2d = self._project(pred_cam, mesh.keypoints)
        return HamerOutput(
            rotations=rotations, betas=betas, pred_cam=pred_cam,
            pred_cam_t=pred_cam_t, vertices=mesh.vertices, keypoints=mesh.keypoints,
            joints=mesh.joints, pred_keypoints_2d=keypoints_2d,
        )  # fmt: skip
