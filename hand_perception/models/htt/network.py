"""HTT as it runs on a stream: pieces without memory, each exact on sequences of any length.

Masked padding and shorter sequences give the same numbers, so that a stream needs no padding:
what is known after n images is the result for sequences of n.
"""

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from hand_perception.errors import ConfigError, ImageError
from hand_perception.models.htt.constants import IMAGE_HEIGHT, IMAGE_WIDTH
from hand_perception.models.htt.encoder import with_first_seen
from hand_perception.models.htt.folded_backbone import DTYPES, FoldedBackbone
from hand_perception.models.htt.folded_heads import FoldedHeads
from hand_perception.models.htt.fused_encoder import FusedEncoder
from hand_perception.models.htt.module import HttHeads, HttModule, HttOutput, run_clips, smoothed
from hand_perception.models.htt.packed import Linear
from hand_perception.models.htt.sizes import HttSizes

#: Images that go through the backbone at once: more do not fit into the caches of a CPU.
_PIECE: Final = {'cpu': 2, 'cuda': 64}
_IMAGE_SHAPE: Final = (IMAGE_HEIGHT, IMAGE_WIDTH, 3)


class HttNetwork:
    """Backbone, pose block, heads and action block with loaded weights.

    Attributes:
        sizes: what the weights have room for.
        device: where it runs.
        precision: of the backbone: fp32 or bf16; the rest is float32.
    """

    def __init__(
        self,
        *,
        sizes: HttSizes,
        backbone: FoldedBackbone,
        pose: FusedEncoder,
        heads: FoldedHeads,
        action: FusedEncoder,
        action_token: Tensor,
        action_classifier: Linear,
        smoothing: Tensor | None,
        device: torch.device,
        precision: str,
    ) -> None:
        """Put the parts together; :meth:`from_module` is the usual way."""
        self.sizes = sizes
        self.device = device
        self.precision = precision
        self._backbone = backbone
        self._pose = pose
        self._heads = heads
        self._action = action
        self._action_token = action_token
        self._action_classifier = action_classifier
        self._smoothing = smoothing

    @classmethod
    def from_module(
        cls, module: HttModule, *, device: torch.device, precision: str
    ) -> 'HttNetwork':
        """Prepare loaded weights for running.

        Args:
            module: with its weights, which are copied; it is left as it is.
            device: where to run.
            precision: of the backbone: ``fp32`` or ``bf16``.

        Raises:
            ConfigError: the precision is neither.
        """
        if precision not in DTYPES:
            raise ConfigError(f'precision must be {" or ".join(DTYPES)}, got {precision!r}')
        with torch.inference_mode():
            table = module.transformer_pe.pe[0]
            if module.sizes.reach:
                table = torch.zeros_like(table)
            smoothing = module.pose_smoothing
            classifier = module.action_classification.classifier
            return cls(
                sizes=module.sizes,
                backbone=FoldedBackbone(
                    module.meshregnet.base_net, device=device, precision=precision
                ),
                pose=FusedEncoder(module.transformer_pose.encoder, table, device),
                heads=FoldedHeads(module, device),
                action=FusedEncoder(
                    module.transformer_action.encoder, table, device, first_only=True
                ),
                action_token=module.action_token.detach().to(device, torch.float32, copy=True),
                action_classifier=Linear(classifier.weight, classifier.bias, device),
                smoothing=None if smoothing is None else smoothing.weight.detach().to(
                    device, torch.float32, copy=True
                ),
                device=device,
                precision=precision,
            )  # fmt: skip

    @property
    def device_name(self) -> str:
        """The device in words, for reports."""
        if self.device.type == 'cuda':
            return torch.cuda.get_device_name(self.device)
        return str(self.device)

    def features(self, images_u8: Tensor) -> Tensor:
        """Map (N, 270, 480, 3) uint8 RGB images, on any device, to (N, C) float32 features.

        Raises:
            ImageError: the images have another shape or type.
        """
        if images_u8.shape[1:] != _IMAGE_SHAPE or images_u8.dtype != torch.uint8:
            raise ImageError(
                f'images for HTT must be uint8 of shape (N, {", ".join(map(str, _IMAGE_SHAPE))}), '
                f'got {images_u8.dtype} of shape {tuple(images_u8.shape)}; make them with '
                'network_image'
            )
        with torch.inference_mode():
            pieces = images_u8.split(_PIECE[self.device.type])
            # An empty tensor splits into one empty piece.
            return torch.cat([self._backbone(piece.to(self.device)) for piece in pieces])

    def pose(self, features: Tensor, is_padding: Tensor | None = None) -> Tensor:
        """Let the images of each pose window see each other.

        Args:
            features: (B, L, C) float32, B windows, on the device.
            is_padding: (B, L) bool, images that do not count; the first of each window always
                does. None: all count.

        Returns:
            (B, L, C).
        """
        with torch.inference_mode():
            if is_padding is not None:
                is_padding = with_first_seen(is_padding)
            return self._pose(features, is_padding)

    def smooth(self, pose_features: Tensor, before: Tensor | None = None) -> Tensor:
        """Smooth features of :meth:`pose` over time where the weights do; see HttModule."""
        if self._smoothing is None:
            return pose_features
        with torch.inference_mode():
            return smoothed(pose_features, self._smoothing, before)

    def heads(self, pose_features: Tensor) -> HttHeads:
        """Read (N, C) features of :meth:`pose`, smoothed where the weights do."""
        with torch.inference_mode():
            return self._heads(pose_features)

    def action(self, action_inputs: Tensor, is_padding: Tensor | None = None) -> Tensor:
        """Tell the action of each clip.

        Args:
            action_inputs: (B, L, C) of :meth:`heads`, on the device.
            is_padding: (B, L) bool, images that do not count; None: all count.

        Returns:
            (B, actions) logits.
        """
        with torch.inference_mode():
            token = self._action_token.expand(len(action_inputs), -1, -1)
            x = torch.cat((token, action_inputs), dim=1)  # (B, 1 + L, C)
            if is_padding is not None:
                is_padding = functional.pad(is_padding, (1, 0))  # the token is no padding
            return self._action_classifier(self._action(x, is_padding)[:, 0])

    def clip(
        self, images_u8: Tensor, not_padding: Tensor, *, window: int, pose_window: int,
        lookahead: int | None = None,
    ) -> HttOutput:  # fmt: skip
        """Run whole clips.

        Args:
            images_u8: (B * T, 270, 480, 3) uint8 RGB, clip after clip.
            not_padding: (B * T,) not 0 for images that count, any type.
            window: T, a multiple of ``pose_window``.
            pose_window: images in a pose window.
            lookahead: as in HttModule.forward.

        Raises:
            ImageError: the images have another shape or type.
            ConfigError: the windows do not fit into each other or into the images.
        """
        with torch.inference_mode():
            return run_clips(
                self,
                self.features(images_u8),
                not_padding,
                window=window,
                pose_window=pose_window,
                lookahead=lookahead,
            )
