"""Start HTT's backbone from a ResNet-18 of ImageNet, as torchvision publishes it."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from hand_perception.errors import WeightsError
from hand_perception.models.htt.resnet import ResNet18
from hand_perception.models.weight_names import check_names

WHERE: Final = (
    'download https://download.pytorch.org/models/resnet18-5c106cde.pth (BSD licence), which HTT '
    'was trained from, or resnet18-f37072fd.pth, and give its path'
)
#: Counted since torch 0.4.1; the file is older.
_COUNTER: Final = 'num_batches_tracked'


def load_backbone(path: str | Path, backbone: ResNet18) -> None:
    """Give a backbone the weights of a file.

    Args:
        path: the file; also one of torch before 1.6. Nothing in it is run.
        backbone: of the published width.

    Raises:
        WeightsError: there is none, or it is damaged, of something else, or of another width.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise WeightsError(f'no backbone found; {path} does not exist; {WHERE}')
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise WeightsError(f'{path} is not a file of weights ({error}); {WHERE}') from error
    if not isinstance(content, Mapping):
        raise WeightsError(f'{path} holds {type(content).__name__}, expected weights; {WHERE}')
    wanted = backbone.state_dict()
    found = {str(name): tensor for name, tensor in content.items() if isinstance(tensor, Tensor)}
    counters = {name for name in wanted if name.endswith(_COUNTER)} - set(found)
    check_names(str(path), set(wanted) - counters, set(found), advice=WHERE)
    for name, tensor in found.items():
        if tensor.shape != wanted[name].shape or not torch.isfinite(tensor).all():
            raise WeightsError(
                f'{path}: {name} has shape {tuple(tensor.shape)} or numbers that are not finite, '
                f'expected {tuple(wanted[name].shape)}; model.width must be 512; {WHERE}'
            )
    backbone.load_state_dict(found | {name: wanted[name] for name in counters})
