"""How large an HTT is, read from the shapes of its weights."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hand_perception.datatypes import NUM_JOINTS
from hand_perception.errors import WeightsError
from hand_perception.models.htt.constants import NUM_HEADS

_NOT_HTT: Final = (
    'this is not an HTT checkpoint; use checkpoint_45.pth of the official release, or what '
    '`hand_perception weights convert` made from it'
)
#: Weights of variants that the publication does not have.
SMOOTHING: Final = 'pose_smoothing.weight'
_BIAS: Final = 'transformer_pose.encoder.layers.0.self_attn.relative_bias'
_LAYER: Final = r'transformer_{}\.encoder\.layers\.(\d+)\.'
#: Hands, objects and actions of the published weights.
_DATASETS: Final = {(1, 26, 45): 'fpha', (2, 8, 36): 'h2o'}

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttSizes:
    """Sizes of one HTT; the published ones have the defaults.

    Attributes:
        num_joints: J, 21 for one (right) hand, 42 for the left hand and then the right one.
        num_objects: classes of objects.
        num_actions: classes of actions.
        width: C, of the tokens and of the backbone's last stage.
        hidden: inner width of the encoder blocks.
        pose_layers: encoder layers of the pose block.
        action_layers: encoder layers of the action block.
        num_positions: rows of the table of positions.
        reach: farthest distance between tokens that relative positions tell apart; 0: positions
            are absolute, as published.
        smoothing: tokens that the smoothing of pose features looks at, the newest and those
            before it; 0: they are not smoothed, as published.
    """

    num_joints: int
    num_objects: int
    num_actions: int
    width: int = 512
    hidden: int = 2048
    pose_layers: int = 2
    action_layers: int = 2
    num_positions: int = 5000
    reach: int = 0
    smoothing: int = 0

    @property
    def num_hands(self) -> int:
        """Hands that are always predicted."""
        return self.num_joints // NUM_JOINTS

    @property
    def dataset(self) -> str:
        """``fpha`` or ``h2o`` where hands and classes are those of the published weights."""
        return _DATASETS.get((self.num_hands, self.num_objects, self.num_actions), '')


def sizes_from_shapes(shapes: Shapes, *, source: str) -> HttSizes:
    """Read the sizes from shapes under the published names.

    Args:
        shapes: of the tensors of the checkpoint.
        source: the checkpoint's name, for messages.

    Raises:
        WeightsError: names from which a size is read are missing or have another rank, or the
            sizes do not belong to an HTT.
    """
    outputs = _size(shapes, 'image_to_hand_pose.mlp.4.weight', 2, 0, source)
    sizes = HttSizes(
        num_joints=outputs // 3,
        num_objects=_size(shapes, 'obj_classification.classifier.weight', 2, 0, source),
        num_actions=_size(shapes, 'action_classification.classifier.weight', 2, 0, source),
        width=_size(shapes, 'action_token', 3, -1, source),
        hidden=_size(shapes, 'transformer_pose.encoder.layers.0.linear1.weight', 2, 0, source),
        pose_layers=_count('pose', shapes),
        action_layers=_count('action', shapes),
        num_positions=_size(shapes, 'transformer_pe.pe', 3, 1, source),
        reach=_size(shapes, _BIAS, 2, 1, source) // 2 if _BIAS in shapes else 0,
        smoothing=_size(shapes, SMOOTHING, 3, 2, source) if SMOOTHING in shapes else 0,
    )
    if outputs not in (3 * NUM_JOINTS, 6 * NUM_JOINTS):
        raise WeightsError(
            f'{source}: the hand head has {outputs} outputs; expected {3 * NUM_JOINTS} (one hand) '
            f'or {6 * NUM_JOINTS} (two hands); {_NOT_HTT}'
        )
    if sizes.width % NUM_HEADS:
        raise WeightsError(
            f'{source}: the tokens have {sizes.width} numbers, which {NUM_HEADS} attention heads '
            f'do not divide; {_NOT_HTT}'
        )
    if not sizes.action_layers:
        raise WeightsError(f'{source} lacks transformer_action.encoder.layers; {_NOT_HTT}')
    return sizes


def _size(shapes: Shapes, name: str, rank: int, axis: int, source: str) -> int:
    shape = shapes.get(name)
    if shape is None:
        raise WeightsError(f'{source} lacks {name}; {_NOT_HTT}')
    if len(shape) != rank or 0 in shape:
        raise WeightsError(
            f'{source}: {name} has shape {tuple(shape)}, expected {rank} axes; {_NOT_HTT}'
        )
    return shape[axis]


def _count(block: str, shapes: Shapes) -> int:
    """Count layers: one more than the highest number, so that a gap shows up as missing names."""
    pattern = re.compile(_LAYER.format(block))
    return 1 + max((int(m[1]) for name in shapes if (m := pattern.match(name))), default=-1)
