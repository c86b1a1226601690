"""HTT as one module: the names of the published weights, differentiable pieces, no losses.

Source: Wen et al., "Hierarchical Temporal Transformer for 3D Hand Pose Estimation and Action
Recognition from Egocentric RGB Videos" (CVPR 2023). :mod:`network` runs it fast; this module is
what weights are loaded into and what training changes. It behaves the same in every mode: there
is no dropout, and batch normalisation uses its stored statistics unless it is told to learn.

Variants for research, none of which published weights have: relative positions and smoothing are
sizes, a learned table of positions is :meth:`PositionTable.learn`, sliding pose windows are a way
to run clips.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from hand_perception.errors import ConfigError
from hand_perception.models.htt.constants import HAND_HEAD_SLOPE
from hand_perception.models.htt.encoder import PositionTable, Transformer, with_first_seen
from hand_perception.models.htt.resnet import ResNet18
from hand_perception.models.htt.sizes import HttSizes
from hand_perception.models.htt.sliding_windows import slide_pose


@dataclass(frozen=True, slots=True, kw_only=True)
class HttHeads:
    """What is said of N images.

    Attributes:
        raw: (N, J, 3) 2D and depth in the units of the network; ``lift`` makes metres of them.
        object_logits: (N, objects).
        action_inputs: (N, C) tokens for the action block.
    """

    raw: Tensor
    object_logits: Tensor
    action_inputs: Tensor

    @property
    def object_prob(self) -> Tensor:
        """(N, objects) probabilities."""
        return self.object_logits.softmax(-1)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttOutput:
    """All of B clips of T images, N = B * T images in the order of the clips.

    Attributes:
        feat_resnet: (N, C) features of the images.
        feat_pose: (N, C) features after the pose block.
        heads: of the N images.
        action_logits: (B, actions).
    """

    feat_resnet: Tensor
    feat_pose: Tensor
    heads: HttHeads
    action_logits: Tensor

    @property
    def hand_raw(self) -> Tensor:
        """(N, J, 3) in the units of the network."""
        return self.heads.raw

    @property
    def object_logits(self) -> Tensor:
        """(N, objects)."""
        return self.heads.object_logits

    @property
    def object_prob(self) -> Tensor:
        """(N, objects) probabilities."""
        return self.heads.object_prob

    @property
    def action_prob(self) -> Tensor:
        """(B, actions) probabilities."""
        return self.action_logits.softmax(-1)


class HttPieces(Protocol):
    """What follows the features of images: HttModule and HttNetwork have it."""

    def pose(self, features: Tensor, is_padding: Tensor | None = None) -> Tensor:
        """Map (B, L, C) features of B windows to the same shape."""

    def smooth(self, pose_features: Tensor, before: Tensor | None = None) -> Tensor:
        """Smooth (B, L, C) features of the pose block over time, where the weights do."""

    def heads(self, pose_features: Tensor) -> HttHeads:
        """Read (N, C) features of the pose block."""

    def action(self, action_inputs: Tensor, is_padding: Tensor | None = None) -> Tensor:
        """Map (B, L, C) action inputs of B clips to (B, actions) logits."""


class ImageNetwork(nn.Module):
    """The backbone under the name that the published weights have it by."""

    def __init__(self, width: int) -> None:
        """Make the backbone."""
        super().__init__()
        self.base_net = ResNet18(width)


class HandHead(nn.Module):
    """Three linear layers from a token to the joints of one or two hands."""

    def __init__(self, width: int, num_joints: int) -> None:
        """Make the layers."""
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(width, width),
            nn.LeakyReLU(HAND_HEAD_SLOPE),
            nn.Linear(width, width),
            nn.LeakyReLU(HAND_HEAD_SLOPE),
            nn.Linear(width, 3 * num_joints),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C) to (N, J, 3)."""
        return self.mlp(x).unflatten(-1, (-1, 3))


class Classifier(nn.Module):
    """One linear layer under the name that the published weights have it by."""

    def __init__(self, width: int, num_classes: int) -> None:
        """Make the layer."""
        super().__init__()
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C) to (N, classes)."""
        return self.classifier(x)


class Smoothing(nn.Module):
    """A filter per channel over the newest tokens, across pose windows; begins as the identity."""

    def __init__(self, width: int, length: int) -> None:
        """Make the filters, ``length`` tokens long, the newest last."""
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width, 1, length))
        with torch.no_grad():
            self.weight[:, :, -1] = 1

    def forward(self, x: Tensor, before: Tensor | None = None) -> Tensor:
        """Map (B, L, C) tokens to the same shape; see HttModule.smooth."""
        return smoothed(x, self.weight, before)


class HttModule(nn.Module):
    """Images to poses, objects and actions.

    Attributes:
        sizes: what the weights have room for.
    """

    def __init__(self, sizes: HttSizes) -> None:
        """Make the layers with the initial weights of the publication, but for the backbone."""
        super().__init__()
        width = sizes.width
        self.sizes = sizes
        self.meshregnet = ImageNetwork(width)
        self.transformer_pe = PositionTable(width, sizes.num_positions)
        self.transformer_pose = Transformer(width, sizes.hidden, sizes.pose_layers, sizes.reach)
        self.image_to_hand_pose = HandHead(width, sizes.num_joints)
        self.image_to_olabel_embed = nn.Linear(width, width)
        self.obj_classification = Classifier(width, sizes.num_objects)
        self.hand_pose3d_to_action_input = nn.Linear(2 * sizes.num_joints, width)
        self.olabel_to_action_input = nn.Linear(sizes.num_objects, width)
        self.concat_to_action_input = nn.Linear(3 * width, width)
        self.action_token = nn.Parameter(torch.randn(1, 1, width))
        self.transformer_action = Transformer(
            width, sizes.hidden, sizes.action_layers, sizes.reach
        )
        self.action_classification = Classifier(width, sizes.num_actions)
        self.pose_smoothing = Smoothing(width, sizes.smoothing) if sizes.smoothing else None

    def features(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) RGB images from -0.5 to 0.5 to (N, C) features."""
        return self.meshregnet.base_net(images)

    def pose(self, features: Tensor, is_padding: Tensor | None = None) -> Tensor:
        """Let the images of each pose window see each other.

        Args:
            features: (B, L, C), B windows.
            is_padding: (B, L) bool, images that do not count; the first of each window always
                does. None: all count.
        """
        if is_padding is not None:
            is_padding = with_first_seen(is_padding)
        positions = self._positions(features.shape[1])
        return self.transformer_pose.encoder(features, positions, is_padding)

    def smooth(self, pose_features: Tensor, before: Tensor | None = None) -> Tensor:
        """Smooth (B, L, C) features of :meth:`pose` over time, where the weights do.

        Args:
            pose_features: of successive images.
            before: (B, smoothing - 1, C) of the images before these; None: a clip begins.
        """
        if self.pose_smoothing is None:
            return pose_features
        return self.pose_smoothing(pose_features, before)

    def heads(self, pose_features: Tensor) -> HttHeads:
        """Read (N, C) features of :meth:`pose`, smoothed where the weights do."""
        raw = self.image_to_hand_pose(pose_features)  # (N, J, 3)
        object_logits = self.obj_classification(self.image_to_olabel_embed(pose_features))
        # The 2D outputs as they are, in spite of the published name.
        hands = self.hand_pose3d_to_action_input(raw[..., :2].flatten(1))
        objects = self.olabel_to_action_input(object_logits.softmax(-1))
        joined = torch.cat((pose_features, hands, objects), dim=-1)  # (N, 3 C)
        return HttHeads(
            raw=raw,
            object_logits=object_logits,
            action_inputs=self.concat_to_action_input(joined),
        )

    def action(self, action_inputs: Tensor, is_padding: Tensor | None = None) -> Tensor:
        """Tell the action of each clip.

        Args:
            action_inputs: (B, L, C) of :meth:`heads`.
            is_padding: (B, L) bool, images that do not count; None: all count.

        Returns:
            (B, actions) logits.
        """
        # Flat first, so that its gradient lies in memory as it does, which DDP wants.
        token = self.action_token.flatten().expand(len(action_inputs), 1, -1)
        x = torch.cat((token, action_inputs), dim=1)  # (B, 1 + L, C)
        if is_padding is not None:
            is_padding = torch.cat((is_padding.new_zeros(len(x), 1), is_padding), dim=1)
        positions = self._positions(x.shape[1])
        encoded = self.transformer_action.encoder(x, positions, is_padding)
        return self.action_classification(encoded[:, 0])

    def _positions(self, length: int) -> Tensor:
        """Say what marks the places of tokens: (L, C), nothing where positions are relative."""
        positions = self.transformer_pe(length)
        return torch.zeros_like(positions) if self.sizes.reach else positions

    def forward(
        self, images: Tensor, not_padding: Tensor, *, window: int, pose_window: int,
        lookahead: int | None = None,
    ) -> HttOutput:  # fmt: skip
        """Run whole clips.

        Args:
            images: (B * T, 3, H, W) RGB from -0.5 to 0.5, clip after clip.
            not_padding: (B * T,) not 0 for images that count, any type.
            window: T, a multiple of ``pose_window``.
            pose_window: images in a pose window.
            lookahead: None: pose windows lie side by side, as published. Otherwise each image has
                one of its own, of which so many images lie after it.

        Raises:
            ConfigError: the windows do not fit into each other or into the images.
        """
        return run_clips(
            self, self.features(images), not_padding, window=window, pose_window=pose_window,
            lookahead=lookahead,
        )  # fmt: skip


def run_clips(
    network: HttPieces, features: Tensor, not_padding: Tensor, *, window: int, pose_window: int,
    lookahead: int | None = None,
) -> HttOutput:  # fmt: skip
    """Run all that follows the features of whole clips; arguments as in HttModule.forward."""
    count, width = features.shape
    if window % pose_window or not count or count % window or len(not_padding) != count:
        raise ConfigError(
            f'{count} images with {len(not_padding)} marks do not make clips of {window} images '
            f'in pose windows of {pose_window}; the images must be a multiple of the window, and '
            'the window of the pose window'
        )
    is_padding = not_padding.to(features.device) == 0
    is_padding_of_clip = is_padding.view(-1, window)
    if lookahead is None:
        feat_pose = network.pose(
            features.view(-1, pose_window, width), is_padding.view(-1, pose_window)
        )
    else:
        feat_pose = slide_pose(
            network, features.view(-1, window, width), is_padding_of_clip,
            pose_window=pose_window, lookahead=lookahead,
        )  # fmt: skip
    feat_pose = network.smooth(feat_pose.reshape(-1, window, width)).flatten(0, 1)  # (N, C)
    heads = network.heads(feat_pose)
    action_logits = network.action(heads.action_inputs.view(-1, window, width), is_padding_of_clip)
    return HttOutput(
        feat_resnet=features, feat_pose=feat_pose, heads=heads, action_logits=action_logits
    )


def smoothed(x: Tensor, weight: Tensor, before: Tensor | None = None) -> Tensor:
    """Filter tokens over time; nothing is seen of later ones.

    Args:
        x: (B, L, C) successive tokens.
        weight: (C, 1, k), the newest token last.
        before: (B, k - 1, C) tokens before these; None: zeros.
    """
    length = weight.shape[2]
    if before is None:
        before = x.new_zeros(len(x), length - 1, x.shape[2])
    whole = torch.cat((before, x), dim=1).transpose(1, 2)  # (B, C, k - 1 + L)
    return functional.conv1d(whole, weight, groups=len(weight)).transpose(1, 2)
