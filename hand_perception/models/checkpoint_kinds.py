"""Tell from the names of its tensors of which network a checkpoint is."""

from collections.abc import Collection, Mapping
from typing import Final

from torch import Tensor

HAMER: Final = 'hamer'
HTT: Final = 'htt'
_WORDS: Final = {
    HAMER: 'a checkpoint of HaMeR, which goes to hamer_dir',
    HTT: 'a checkpoint of HTT, which goes to htt_checkpoint',
}
_SIGNS: Final = {
    HAMER: ('backbone.blocks.', 'mano_head.'),
    HTT: ('meshregnet.', 'transformer_pose.', 'transformer_action.', 'image_to_hand_pose.'),
}
_PREFIX: Final = 'module.'
_MAX_NAMES: Final = 3


def kind_of(names: Collection[str]) -> str:
    """Tell ``hamer`` or ``htt`` from names of tensors; empty when they are neither's."""
    for kind, signs in _SIGNS.items():
        if any(name.removeprefix(_PREFIX).startswith(signs) for name in names):
            return kind
    return ''


def wrong_kind(content: Mapping[object, object], names: Collection[str], *, wanted: str) -> str:
    """Say what a checkpoint is if it is not of the wanted network; empty if it is.

    Args:
        content: of the file.
        names: of the tensors that were found in it.
        wanted: ``hamer`` or ``htt``.
    """
    found = kind_of(names)
    if found == wanted:
        return ''
    expected = f'expected {_WORDS[wanted]}'
    if found:
        return f'is {_WORDS[found]}; {expected}'
    is_optimizer = 'param_groups' in content or ('optimizer' in content and not names)
    if is_optimizer:
        return f'holds the state of an optimizer and no weights; {expected}'
    if not names:
        return f'holds no tensors; {expected}'
    if {'conv1.weight', 'layer1.0.conv1.weight'} <= set(names):
        return f'is a plain ResNet, such as training starts from; {expected}'
    if {'v_template', 'shapedirs'} <= set(names):
        return f'is a hand model, which goes to mano_dir; {expected}'
    some = ', '.join(sorted(names)[:_MAX_NAMES])
    return f'holds weights of another network ({some}, ...); {expected}'


def without_module_prefix(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Drop the ``module.`` that training on several GPUs puts before every name."""
    if not all(name.startswith(_PREFIX) for name in tensors):
        return dict(tensors)
    return {name.removeprefix(_PREFIX): tensor for name, tensor in tensors.items()}
