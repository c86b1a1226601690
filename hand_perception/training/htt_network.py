"""HTT as it is trained: the module with the switches of a run, started from what it says."""

import logging
from collections.abc import Mapping
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hand_perception.datatypes import DoubleArray
from hand_perception.errors import ConfigError
from hand_perception.models.htt.constants import (
    DEPTH_OFFSET_M,
    IMAGE_HEIGHT,
    IMAGE_OFFSET,
    IMAGE_WIDTH,
    SCALE_FACTOR,
    TRANS_FACTOR,
)
from hand_perception.models.htt.module import HttHeads, HttModule, HttOutput, run_clips
from hand_perception.models.htt.resnet import ResNet18
from hand_perception.models.htt.resnet_file import load_backbone
from hand_perception.models.htt.sizes import HttSizes
from hand_perception.models.htt.weight_files import load_module
from hand_perception.training.htt_places import PlacesHead
from hand_perception.training.htt_settings import HttModelSettings

_logger = logging.getLogger(__name__)
#: Channels of the first stage from which images go through the backbone channels last, which is
#: faster. With 8 of them torch 2.13's gradient of the next convolution writes beyond its memory
#: on CPUs.
_LAST_FROM: Final = 16
#: Ending of weights of HTT as a training writes them.
_OURS: Final = '.safetensors'
#: Layers whose shapes follow from the classes.
_OF_CLASSES: Final = (
    'obj_classification.', 'olabel_to_action_input.', 'action_classification.',
)  # fmt: skip
#: Raw joints, object logits, action logits, places (empty without them): what losses look at.
Answers = tuple[Tensor, Tensor, Tensor, Tensor]


class TrainableHtt(nn.Module):
    """Grey levels to what the losses look at; padded images cost nothing.

    Attributes:
        module: what is trained.
        places: trained along with it and dropped afterwards; None: there is none.
        num_batches: that it was trained on; part of its state.
    """

    num_batches: Tensor

    def __init__(
        self, module: HttModule, *, window: int, pose_window: int, lookahead: int | None = None,
        images_at_once: int = 0, has_places: bool = False,
    ) -> None:  # fmt: skip
        """Say how clips are run.

        Args:
            module: with its weights.
            window: images of a clip.
            pose_window: images of a pose window.
            lookahead: as in HttModule.forward.
            images_at_once: images whose backbone is run backward at once; 0: all.
            has_places: tell of the places of hands, too.
        """
        super().__init__()
        sizes = module.sizes
        self.module = module
        self.places = PlacesHead(sizes.width, sizes.num_hands) if has_places else None
        self.register_buffer('num_batches', torch.zeros((), dtype=torch.int64))
        self.window = window
        self.pose_window = pose_window
        self.lookahead = lookahead
        self.images_at_once = images_at_once

    def forward(self, images: Tensor, not_padding: Tensor) -> Answers:
        """Run whole clips.

        Args:
            images: (B * T, 270, 480, 3) uint8 RGB.
            not_padding: (B * T,) not 0 for images that count.

        Returns:
            (B * T, J, 3), (B * T, objects), (B, actions); of M images that count (M, 67, S, h, w).
        """
        # Nothing depends on features of padded images: they are masked everywhere.
        seen = not_padding.nonzero()[:, 0]
        told, found = self._features(images[seen])
        features = told.new_zeros(len(images), told.shape[1]).index_copy(0, seen, told)
        # The backbone takes nearly all of the time; what follows tells hundreds of pixels to parts
        # of one, which 16 bits do not hold.
        with torch.autocast(images.device.type, enabled=False):
            output = run_clips(
                self.module, features, not_padding, window=self.window,
                pose_window=self.pose_window, lookahead=self.lookahead,
            )  # fmt: skip
        return output.hand_raw, output.object_logits, output.action_logits, found

    def forget_gradients_of_heads(self) -> None:
        """Leave all but the backbone as it is at the next step.

        Gradients of 0 would not do: Adam takes them for small ones and then leaps at the first.
        """
        for name, parameter in self.module.named_parameters():
            if not name.startswith('meshregnet.'):
                parameter.grad = None

    def _features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        if not self.images_at_once or not torch.is_grad_enabled():
            return self._piece(images)
        pieces = [
            checkpoint(self._piece, piece, use_reentrant=False)
            for piece in images.split(self.images_at_once)
        ]
        features, found = (torch.cat(parts) for parts in zip(*pieces, strict=True))
        return features, found

    def _piece(self, images: Tensor) -> tuple[Tensor, Tensor]:
        backbone = self.module.meshregnet.base_net
        planes = images.permute(0, 3, 1, 2)
        if backbone.conv1.out_channels < _LAST_FROM:
            planes = planes.contiguous()
        cells = backbone.cells(planes.float() / 255 - IMAGE_OFFSET).float()
        with torch.autocast(images.device.type, enabled=False):
            found = cells.new_zeros(0) if self.places is None else self.places(cells)
            return cells.mean((2, 3)), found


def as_output(answers: Answers) -> HttOutput:
    """Put answers into the form that losses take; features are not among them."""
    raw, object_logits, action_logits, _ = answers
    nothing = raw.new_zeros(len(raw), 0)
    return HttOutput(
        feat_resnet=nothing, feat_pose=nothing, action_logits=action_logits,
        heads=HttHeads(raw=raw, object_logits=object_logits, action_inputs=nothing),
    )  # fmt: skip


def start_module(
    settings: HttModelSettings, *, num_joints: int, num_objects: int, num_actions: int,
    window: int, pose_window: int,
) -> HttModule:  # fmt: skip
    """Make the network, in the mode in which it is trained.

    Args:
        settings: section ``model``.
        num_joints: of all hands of the data set.
        num_objects: its classes.
        num_actions: its classes.
        window: images of a clip.
        pose_window: images of a pose window.

    Raises:
        ConfigError: settings contradict each other, or weights are of other hands or variants.
        WeightsError: a file of weights is missing, damaged, or of something else.
    """
    _check(settings, pose_window)
    sizes = HttSizes(
        num_joints=num_joints, num_objects=num_objects, num_actions=num_actions,
        width=settings.width, hidden=settings.hidden, pose_layers=settings.pose_layers,
        action_layers=settings.action_layers, smoothing=settings.smoothing,
        reach=window if settings.positions == 'relative' else 0,
    )  # fmt: skip
    module = HttModule(sizes)
    if settings.weights:
        _go_on(module, settings.weights)
    else:
        start_backbone(module.meshregnet.base_net)
        if settings.backbone.endswith(_OURS):
            _take_backbone(settings.backbone, module.meshregnet.base_net)
        elif settings.backbone:
            load_backbone(settings.backbone, module.meshregnet.base_net)
    if settings.positions == 'learned':
        module.transformer_pe.learn()
    # A part of every checkpoint that nothing uses; officially it stays as it is, too.
    module.meshregnet.base_net.fc.requires_grad_(False)
    if settings.freeze == 'backbone':
        module.meshregnet.requires_grad_(False)
    if settings.batch_norm == 'learned':
        module.meshregnet.base_net.learn_statistics()
        return module.train()
    return module.eval()


def start_backbone(backbone: ResNet18) -> None:
    """Draw weights that keep the size of what passes through (He et al., 2015)."""
    for layer in backbone.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode='fan_out', nonlinearity='relu')


def begin_with_pose(module: HttModule, joints_m: DoubleArray, K: DoubleArray) -> None:
    """Let a fresh hand head say a pose, whatever it sees, plus what its random weights add.

    Args:
        module: as ``start_module`` makes it.
        joints_m: (J, 3) metres, camera optical frame.
        K: (3, 3) intrinsics of the network image.
    """
    points = joints_m @ K.T
    middle = (IMAGE_WIDTH / 2, IMAGE_HEIGHT / 2)
    in_image = (points[:, :2] / points[:, 2:] - middle) / TRANS_FACTOR  # (J, 2)
    depth = (joints_m[:, 2:] - DEPTH_OFFSET_M) / (K[0, 0] * SCALE_FACTOR)
    raw = np.concatenate((in_image, depth), axis=1)
    last = module.image_to_hand_pose.mlp[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.bias.copy_(torch.from_numpy(raw.ravel()))


def _go_on(module: HttModule, path: str) -> None:
    """Take over weights; heads of other classes are drawn anew."""
    loaded = load_module(path)
    found, wanted = loaded.module.state_dict(), module.state_dict()
    shapes = _shapes(found), _shapes(wanted)
    other = {name for name, shape in shapes[1].items() if shapes[0].get(name) != shape}
    # A variant that begins as the identity, or that nothing depends on at the start.
    new = {name for name in other if 'relative_bias' in name or name.startswith('pose_smoothing')}
    of_classes = {name for name in other if name.startswith(_OF_CLASSES)}
    rest = sorted(other - new - of_classes)
    lost = sorted(set(found) - set(wanted))
    if rest or lost:
        raise ConfigError(
            f'{loaded.path} is of another network than this run ({loaded.sizes}, expected '
            f'{module.sizes}): {", ".join((rest + lost)[:5])} differ; give section model the '
            'sizes of the weights, and data the same hands'
        )
    if of_classes:
        _logger.warning(
            '%s has %d actions and %d objects, the data set %d and %d: what tells them is drawn '
            'anew', loaded.path, loaded.sizes.num_actions, loaded.sizes.num_objects,
            module.sizes.num_actions, module.sizes.num_objects,
        )  # fmt: skip
    module.load_state_dict({name: found[name] for name in wanted if name not in other} | {
        name: wanted[name] for name in other
    })  # fmt: skip


def _take_backbone(path: str, backbone: ResNet18) -> None:
    """Begin with the backbone of weights of HTT."""
    loaded = load_module(path)
    found, width = loaded.module.meshregnet.base_net, backbone.fc.in_features
    if loaded.sizes.width != width:
        raise ConfigError(
            f'the backbone of {loaded.path} has width {loaded.sizes.width} and model.width is '
            f'{width}; set it to {loaded.sizes.width}'
        )
    backbone.load_state_dict(found.state_dict())


def _check(settings: HttModelSettings, pose_window: int) -> None:
    if settings.width % 8:
        raise ConfigError(f'model.width must be a multiple of 8, got {settings.width}')
    if settings.weights and settings.mean_pose:
        raise ConfigError('model.mean_pose is for networks that start anew, without model.weights')
    if settings.weights and settings.backbone:
        raise ConfigError('give model.weights or model.backbone, not both')
    if settings.freeze == 'backbone' and not settings.weights and not settings.backbone:
        raise ConfigError(
            'model.freeze is backbone, which would stay random: give model.backbone or '
            'model.weights'
        )
    if settings.batch_norm == 'learned' and settings.images_at_once:
        raise ConfigError(
            'model.images_at_once cuts batches into pieces, which batch_norm learned must not be: '
            'set it to 0 or batch_norm to stored'
        )
    if settings.lookahead and settings.pose_windows == 'tiled':
        raise ConfigError('model.lookahead is for pose_windows sliding')
    if settings.lookahead >= pose_window:
        raise ConfigError(
            f'model.lookahead is {settings.lookahead} and must be below data.pose_window, '
            f'{pose_window}'
        )


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}
