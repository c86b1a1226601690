"""HTT's heads as they run: linear layers that follow each other are one.

Three products stand between the features and the action inputs of an image beside those of the
hand; folded (in float64) one is left, and it shares its input with the first layer of the hand.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from hand_perception.models.htt.constants import HAND_HEAD_SLOPE
from hand_perception.models.htt.module import HttHeads, HttModule
from hand_perception.models.htt.packed import Linear

_Doubled = tuple[Tensor, Tensor]


class FoldedHeads:
    """Features of the pose block to hands, objects and action inputs."""

    def __init__(self, module: HttModule, device: torch.device) -> None:
        """Fold and copy the weights; the module is left as it is."""
        width, sizes = module.sizes.width, module.sizes
        first, second, third = (
            _doubled(layer)
            for layer in module.image_to_hand_pose.mlp
            if isinstance(layer, nn.Linear)
        )
        embed = _doubled(module.image_to_olabel_embed)
        classify = _doubled(module.obj_classification.classifier)
        hands = _doubled(module.hand_pose3d_to_action_input)
        objects = _doubled(module.olabel_to_action_input)
        joined_weight, joined_bias = _doubled(module.concat_to_action_input)
        of_features, of_hands, of_objects = joined_weight.split(width, dim=1)
        object_weight, object_bias = _after(classify, embed)
        constant = joined_bias + of_hands @ hands[1] + of_objects @ objects[1]
        self._splits = [width, sizes.num_objects, width]
        self._first = Linear(
            torch.cat((first[0], object_weight, of_features)),
            torch.cat((first[1], object_bias, constant)),
            device,
        )
        self._second = Linear(*second, device)
        self._third = Linear(*third, device)
        # One product for 2D outputs and object probabilities.
        weight = torch.cat((of_hands @ hands[0], of_objects @ objects[0]), dim=1)
        self._additions = weight.t().to(device=device, dtype=torch.float32).contiguous()

    def __call__(self, pose_features: Tensor) -> HttHeads:
        """Read (N, C) features."""
        mixed = self._first(pose_features)
        hidden, object_logits, partial = mixed.split(self._splits, dim=-1)
        hidden = functional.leaky_relu(hidden, HAND_HEAD_SLOPE)
        hidden = functional.leaky_relu_(self._second(hidden), HAND_HEAD_SLOPE)
        raw = self._third(hidden).unflatten(-1, (-1, 3))  # (N, J, 3)
        told = torch.cat((raw[..., :2].flatten(1), object_logits.softmax(-1)), dim=-1)
        return HttHeads(
            raw=raw,
            object_logits=object_logits,
            action_inputs=torch.addmm(partial, told, self._additions),
        )


def _doubled(layer: nn.Linear) -> _Doubled:
    return layer.weight.detach().double(), layer.bias.detach().double()


def _after(second: _Doubled, first: _Doubled) -> _Doubled:
    """Fold two layers with nothing between them into one."""
    return second[0] @ first[0], second[0] @ first[1] + second[1]
