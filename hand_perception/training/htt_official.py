"""Write HTT's weights as the official program writes and reads them (github.com/fylwen/HTT)."""

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from hand_perception.errors import WeightsError
from hand_perception.models.htt.constants import NUM_HEADS, SCALE_FACTOR, TRANS_FACTOR
from hand_perception.models.htt.files import OPTIONS
from hand_perception.models.htt.module import HttModule
from hand_perception.models.htt.options_file import DATASETS
from hand_perception.models.htt.weight_files import dataset_of
from hand_perception.training.htt_settings import HttSections
from hand_perception.whole_files import whole_file, whole_path

CHECKPOINT: Final = 'checkpoint.pth'
_OFFICIAL_NAMES: Final = {ours: theirs for theirs, ours in DATASETS.items()}


def write_official(
    folder: Path, module: HttModule, optimizer: torch.optim.Optimizer, *, sections: HttSections,
    epoch: int,
) -> list[Path]:  # fmt: skip
    """Write checkpoint.pth and opt.pkl; each is complete or as it was before.

    The checkpoint holds epoch, network, state_dict, the state of Adam and the scheduler, which the
    official program pickles whole, with the optimizer in it; ``weights convert`` leaves it out.

    Args:
        folder: made if it is not there.
        module: on any device; it is left as it is.
        optimizer: of its parameters, in their order.
        sections: of the run.
        epoch: that was finished last.

    Raises:
        WeightsError: the official program has no such network, or a file cannot be written.
    """
    check_official(module)
    content = official_content(module, optimizer, sections=sections, epoch=epoch)
    paths = [folder / CHECKPOINT, folder / OPTIONS]
    with whole_path(paths[0], WeightsError, also=(RuntimeError,)) as path:  # of torch.save
        torch.save(content, path)
    with whole_file(paths[1], WeightsError) as stream:
        stream.write(pickle.dumps(official_arguments(module, sections), protocol=4))
    return paths


def official_content(
    module: HttModule, optimizer: torch.optim.Optimizer, *, sections: HttSections, epoch: int
) -> dict[str, Any]:
    """Gather what the official checkpoint holds, on the CPU."""
    settings = sections.optimizer
    state = OrderedDict(
        (name, tensor.detach().cpu().clone()) for name, tensor in module.state_dict().items()
    )
    # A copy, which the scheduler may change and take along. A table of positions that is learned
    # is none of the official parameters, whose places tell their moments.
    official = [
        p for name, p in module.named_parameters() if not name.startswith('transformer_pe')
    ]
    adam = torch.optim.Adam(
        [nn.Parameter(p.detach().cpu().clone()) for p in official], lr=settings.learning_rate
    )
    moments = optimizer.state_dict()
    if isinstance(optimizer, torch.optim.Adam) and len(
        moments['param_groups'][0]['params']
    ) == len(official):
        adam.load_state_dict(moments)
    gamma = settings.decay_factor if settings.schedule == 'step' else 1.0
    every = max(round(settings.decay_epochs), 1)
    adam.param_groups[0]['lr'] = settings.learning_rate
    scheduler = torch.optim.lr_scheduler.StepLR(adam, every, gamma=gamma)
    # As after a step of it at the end of each epoch.
    rate = settings.learning_rate * gamma ** (epoch // every)
    adam.param_groups[0]['lr'] = rate
    scheduler.load_state_dict(
        {
            **scheduler.state_dict(),
            'last_epoch': epoch,
            '_last_lr': [rate],
            '_step_count': epoch + 1,
        }
    )
    return {
        'epoch': epoch, 'network': 'HTT', 'state_dict': state, 'optimizer': adam.state_dict(),
        'scheduler': scheduler,
    }  # fmt: skip


def official_arguments(module: HttModule, sections: HttSections) -> dict[str, Any]:
    """Tell the official command line of a run, as far as there is one."""
    data, run, losses, sizes = sections.data, sections.run, sections.losses, module.sizes
    return {
        'experiment_tag': 'hand_perception', 'train_dataset': _OFFICIAL_NAMES[dataset_of(sizes)],
        'train_split': data.train_split, 'dataset_folder': data.root,
        'ntokens_pose': data.pose_window, 'ntokens_action': data.window, 'spacing': data.spacing,
        'nheads': NUM_HEADS, 'hidden_dim': sizes.width, 'dim_feedforward': sizes.hidden,
        'enc_pose_layers': sizes.pose_layers, 'enc_action_layers': sizes.action_layers,
        'trans_factor': TRANS_FACTOR, 'scale_factor': SCALE_FACTOR, 'pose_loss': losses.norm,
        'lambda_hand_2d': losses.joints_2d, 'lambda_hand_z': losses.depth,
        'lambda_action_loss': losses.labels, 'manual_seed': run.seed, 'epochs': run.epochs,
        'batch_size': run.batch_size, 'lr': sections.optimizer.learning_rate,
        'lr_decay_step': sections.optimizer.decay_epochs,
        'lr_decay_gamma': sections.optimizer.decay_factor, 'resume_path': None,
    }  # fmt: skip


def check_official(module: HttModule) -> None:
    """Refuse a network that the official program has not.

    Raises:
        WeightsError: it is a variant.
    """
    sizes = module.sizes
    if sizes.reach or sizes.smoothing:
        raise WeightsError(
            'the official program has no relative positions and no smoothing, so weights with '
            'them have no official layout; leave out --export'
        )
