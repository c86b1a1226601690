"""The camera of HaMeR's crops: from the weak-perspective prediction to keypoints in the crop."""

from typing import Final

import torch
from torch import Tensor

from hand_perception.models.hamer.config_file import IMAGE_SIZE_PX

#: Keeps the division below from zero; as officially there is no guard for negative scales.
_EPS: Final = 1e-9


class CropProjection:
    """A pinhole camera of fixed focal length that looks at the whole 256 square."""

    def __init__(self, focal_px: float, device: torch.device) -> None:
        """Keep the constants on the device.

        Args:
            focal_px: EXTRA.FOCAL_LENGTH of the configuration, pixels of the 256 square.
            device: where keypoints will be.
        """
        self._focal = focal_px / IMAGE_SIZE_PX
        self._eps = torch.tensor(_EPS, device=device)
        self._twice_focal = torch.tensor(2 * focal_px, device=device)

    def __call__(self, pred_cam: Tensor, keypoints: Tensor) -> tuple[Tensor, Tensor]:
        """Translate and project.

        Args:
            pred_cam: (B, 3) scale, tx, ty.
            keypoints: (B, 21, 3) metres.

        Returns:
            pred_cam_t (B, 3) metres, and keypoints (B, 21, 2) in crop units, 0 at the centre and
            +-0.5 at the edges.
        """
        depth = self._twice_focal / torch.add(self._eps, pred_cam[:, :1], alpha=IMAGE_SIZE_PX)
        translation = torch.cat([pred_cam[:, 1:], depth], 1)
        points = keypoints + translation[:, None]
        return translation, points[..., :2] / points[..., 2:] * self._focal
