"""Make an HTT checkpoint in the official layout with random weights: its answers mean nothing.

    python -m tools.make_htt_checkpoint FOLDER --dataset fpha

For trying the node and the commands without the published weights. FOLDER gets checkpoint_45.pth,
with the optimizer and the pickled scheduler that official files carry, and opt.pkl beside it.
Weights are a function of seed, name and shape alone, whatever the versions of torch and NumPy.
"""

import argparse
import pickle
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from hand_perception.models.htt.module import HttModule
from hand_perception.models.htt.sizes import HttSizes

SIZES: Final = {
    'fpha': HttSizes(num_joints=21, num_objects=26, num_actions=45),
    'h2o': HttSizes(num_joints=42, num_objects=8, num_actions=36),
}
OFFICIAL_NAMES: Final = {'fpha': 'fhbhands', 'h2o': 'h2ohands'}
NOTICE: Final = (
    'NOTE: these weights are random numbers. Every pose, object and action that they give is\n'
    'meaningless; they only show that everything runs. docs/htt.md says where weights come from.'
)
#: Scale of a layer's weights over the square root of its inputs, where it is not 1: attention that
#: tells tokens apart, decided classes, and joints that stay near the image.
_GAINS: Final = (('in_proj_weight', 1.5), ('classifier', 2.0), ('image_to_hand_pose.mlp.4', 0.5))


def main() -> None:
    """Write the two files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path, help='folder to write to')
    parser.add_argument('--dataset', choices=tuple(SIZES), default='fpha', help='one hand or two')
    parser.add_argument('--seed', type=int, default=0, help='other weights')
    parser.add_argument('--window', type=int, default=128, help='action window for opt.pkl')
    parser.add_argument('--pose-window', type=int, default=16, help='pose window for opt.pkl')
    parser.add_argument(
        '--with-moments', action='store_true', help='with the moments of Adam: 312 MB, not 104'
    )
    options = parser.parse_args()
    path = write_official(
        options.folder, random_module(SIZES[options.dataset], seed=options.seed),
        arguments=official_arguments(
            options.dataset, window=options.window, pose_window=options.pose_window
        ),
        with_moments=options.with_moments,
    )  # fmt: skip
    print(f'wrote {path} ({path.stat().st_size / 1e6:,.1f} MB)')
    print(NOTICE)


def random_tensor(name: str, shape: tuple[int, ...], *, seed: int) -> np.ndarray:
    """Draw one float32 tensor of a state_dict; the stream of RandomState never changes."""
    random = np.random.RandomState(zlib.crc32(f'{seed}:{name}'.encode()) & 0xFFFFFFFF)
    leaf = name.rpartition('.')[2]
    if leaf == 'running_var':
        values = 0.75 + 0.5 * random.random_sample(shape)
    elif leaf == 'running_mean':
        values = 0.02 * random.standard_normal(shape)
    elif name == 'action_token':
        values = random.standard_normal(shape)
    elif leaf.endswith('bias'):
        # Small in the backbone, so that its features follow the image.
        values = (0.02 if name.startswith('meshregnet') else 0.05) * random.standard_normal(shape)
    elif len(shape) == 1:
        # The second scale of a block is small, which keeps sums along the shortcuts tame.
        scale = 0.5 if name.endswith('bn2.weight') else 1.0
        values = scale * (1.0 + 0.1 * random.standard_normal(shape))
    elif len(shape) == 4:
        values = random.standard_normal(shape)
        if shape[2] > 1:  # nearly without sum: edges count, brightness hardly
            values -= 0.7 * values.mean(axis=(1, 2, 3), keepdims=True)
        values *= np.sqrt(2.0 / np.prod(shape[1:]))
    else:
        gain = next((gain for part, gain in _GAINS if part in name), 1.0)
        values = random.standard_normal(shape) * (gain / np.sqrt(shape[1]))
    return values.astype(np.float32)


def random_state(sizes: HttSizes, *, seed: int = 0) -> dict[str, Tensor]:
    """Draw all tensors under their published names; the table of positions is computed."""
    return random_module(sizes, seed=seed).state_dict()


def random_module(sizes: HttSizes, *, seed: int = 0) -> HttModule:
    """Make a network with random weights."""
    with torch.device('meta'):
        module = HttModule(sizes)
    module.to_empty(device='cpu')
    table = type(module.transformer_pe)(sizes.width, sizes.num_positions)
    state = {'transformer_pe.pe': table.pe}
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point() and name not in state:
            drawn = random_tensor(name, tuple(tensor.shape), seed=seed)
            state[name] = torch.from_numpy(drawn)
        elif name not in state:
            state[name] = torch.zeros_like(tensor)  # batches counted
    module.load_state_dict(state)
    return module.eval()


def official_content(module: HttModule, *, with_moments: bool = False) -> dict[str, Any]:
    """Put weights into the container of the official training.

    The scheduler is pickled whole, as there, with the optimizer and its parameters in it.
    """
    optimizer = torch.optim.Adam(module.parameters(), lr=0.0 if with_moments else 3e-5)
    if with_moments:  # a step of length 0, which makes moments and leaves the weights alone
        for parameter in module.parameters():
            parameter.grad = torch.full_like(parameter, 1e-3)
        optimizer.step()
        optimizer.zero_grad()
        optimizer.param_groups[0]['lr'] = 3e-5
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 15, gamma=0.5)
    return {
        'epoch': 45, 'network': 'HTT', 'state_dict': module.state_dict(),
        'optimizer': optimizer.state_dict(), 'scheduler': scheduler,
    }  # fmt: skip


def official_arguments(
    dataset: str, *, window: int = 128, pose_window: int = 16
) -> dict[str, Any]:
    """List the arguments that opt.pkl holds, as far as they concern the network."""
    return {
        'experiment_tag': 'random', 'train_dataset': OFFICIAL_NAMES[dataset],
        'ntokens_pose': pose_window, 'ntokens_action': window, 'spacing': 2, 'nheads': 8,
        'hidden_dim': 512, 'dim_feedforward': 2048, 'enc_pose_layers': 2, 'enc_action_layers': 2,
        'trans_factor': 100, 'scale_factor': 0.0001, 'epochs': 45, 'resume_path': None,
    }  # fmt: skip


def write_official(
    folder: Path, module: HttModule, *, arguments: dict[str, Any], with_moments: bool = False
) -> Path:
    """Write checkpoint_45.pth and opt.pkl; returns the checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / 'checkpoint_45.pth'
    torch.save(official_content(module, with_moments=with_moments), path)
    (folder / 'opt.pkl').write_bytes(pickle.dumps(arguments, protocol=4))
    return path


if __name__ == '__main__':
    main()
