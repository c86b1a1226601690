"""HaMeR from a crop to a hand: weights loaded, tensors in, tensors out, no memory of images."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hand_perception.models.device import select_device
from hand_perception.models.hamer.checkpoint import read_checkpoint
from hand_perception.models.hamer.config_file import HamerConfig, parse_config
from hand_perception.models.hamer.files import find_files
from hand_perception.models.hamer.folded_head import FoldedManoHead
from hand_perception.models.hamer.hand_files import load_hand
from hand_perception.models.hamer.head import ManoParameters
from hand_perception.models.hamer.precision import (
    Backbone,
    choose_precision,
    prepare_backbone,
)
from hand_perception.models.hamer.projection import CropProjection
from hand_perception.models.hamer.weight_files import build_parts
from hand_perception.models.hand_model import HandModel


@dataclass(frozen=True, slots=True, kw_only=True)
class HamerOutput:
    """What HaMeR says of B crops; every hand is a right hand, in the axes of the crop camera.

    Attributes:
        rotations: (B, 16, 3, 3) local rotations, MANO order, relative to the flat hand; the first
            is the global orientation.
        betas: (B, 10) shape.
        pred_cam: (B, 3) weak-perspective camera: scale, tx, ty.
        pred_cam_t: (B, 3) metres, translation in the crop camera of 5000 pixels focal length.
        vertices: (B, V, 3) metres, MANO's frame, not translated; V is 778 for MANO.
        keypoints: (B, 21, 3) metres, the same frame, order of ``datatypes.JOINT_NAMES``.
        joints: (B, 16, 3) metres, the same frame, MANO order.
        pred_keypoints_2d: (B, 21, 2) crop units: 0 at the centre, +-0.5 at the edges.
    """

    rotations: Tensor
    betas: Tensor
    pred_cam: Tensor
    pred_cam_t: Tensor
    vertices: Tensor
    keypoints: Tensor
    joints: Tensor
    pred_keypoints_2d: Tensor


class HamerNetwork:
    """Backbone, head, hand model and crop camera.

    Attributes:
        config: what the checkpoint's configuration says.
        hand: MANO's right hand, or the one that the weights were trained on.
        device: where it runs.
        precision: of the backbone: fp32, bf16, fp16 or int8.
    """

    def __init__(
        self,
        *,
        backbone: Backbone,
        head: FoldedManoHead,
        hand: HandModel,
        config: HamerConfig,
        device: torch.device,
        precision: str,
    ) -> None:
        """Put the parts together; :meth:`load` is the usual way."""
        self.config = config
        self.hand = hand
        self.device = device
        self.precision = precision
        self._backbone = backbone
        self._head = head
        self._project = CropProjection(config.focal_length, device)
        mean = torch.tensor(config.image_mean) * 255
        std = torch.tensor(config.image_std) * 255
        self._mean, self._std = mean.to(device), std.to(device)

    @classmethod
    def load(
        cls,
        hamer_dir: str | Path,
        *,
        mano_dir: str | Path = '',
        device: str = 'auto',
        precision: str = 'fp32',
        use_compile: bool = False,
    ) -> 'HamerNetwork':
        """Load from the user's files.

        Args:
            hamer_dir: the folder of the official release, a folder with the files side by side,
                or the checkpoint.
            mano_dir: folder of MANO_RIGHT.pkl, when it lies elsewhere; not used where the
                checkpoint has the hand model in it.
            device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
            precision: of the backbone: auto, fp32, bf16, fp16, or int8 (CPU).
            use_compile: run the backbone through torch.compile.

        Raises:
            WeightsError: files are missing, damaged, unsafe, or do not belong together.
            ConfigError: device or precision are not known or not there.
        """
        target = select_device(device)
        precision = choose_precision(precision, target)
        files = find_files(hamer_dir)
        checkpoint = read_checkpoint(files)
        config = parse_config(checkpoint.config, source=checkpoint.config_source)
        parts = build_parts(checkpoint, config, mean_params=files.mean_params)
        hand = load_hand(checkpoint, files, mano_dir=mano_dir, device=target)
        head = FoldedManoHead(parts.mano_head, target)
        with torch.inference_mode():
            backbone = prepare_backbone(parts.backbone, precision, target, use_compile=use_compile)
        return cls(
            backbone=backbone, head=head, hand=hand, config=config, device=target,
            precision=precision,
        )  # fmt: skip

    def normalize(self, crops_rgb: Tensor) -> Tensor:
        """Turn (B, 256, 256, 3) grey levels, any type, into (B, 3, 256, 256) normalised float32.

        The result is a view with the channels last in memory.
        """
        return ((crops_rgb - self._mean) / self._std).permute(0, 3, 1, 2)

    def features(self, images: Tensor) -> Tensor:
        """Map (B, 3, 256, 256) normalised images to (B, 192, C) features, 16 rows of 12."""
        with torch.inference_mode():
            return self._backbone(images)

    def parameters_from_features(self, features: Tensor) -> ManoParameters:
        """Map (B, 192, C) features to MANO's parameters."""
        with torch.inference_mode():
            return self._head(features)

    def hands_from_parameters(self, parameters: ManoParameters) -> HamerOutput:
        """Pose the hand model and project its keypoints into the crop."""
        with torch.inference_mode():
            mesh = self.hand.from_rotations(rotations=parameters.rotations, betas=parameters.betas)
            pred_cam_t, keypoints_2d = self._project(parameters.pred_cam, mesh.keypoints)
        return HamerOutput(
            rotations=parameters.rotations,
            betas=parameters.betas,
            pred_cam=parameters.pred_cam,
            pred_cam_t=pred_cam_t,
            vertices=mesh.vertices,
            keypoints=mesh.keypoints,
            joints=mesh.joints,
            pred_keypoints_2d=keypoints_2d,
        )

    def __call__(self, images: Tensor) -> HamerOutput:
        """Reconstruct the hands of B crops.

        Args:
            images: (B, 3, 256, 256) float32 RGB, normalised, on ``device``; left hands mirrored.
        """
        return self.hands_from_parameters(self.parameters_from_features(self.features(images)))
