"""HaMeR in training: synthetic hands, small networks, and runs in other processes.

Run as a program: ``hamer_training.py DATA OUT [--resume] [die=STEP] [section.name=value ...]``;
``die`` kills the process without warning when that step begins.
"""

import os
import signal
import sys
from pathlib import Path

import torch

from hand_perception.datasets.hands import open_hands
from hand_perception.synthetic.data_set import write_data_set
from hand_perception.synthetic.people import DataSpec
from hand_perception.training.hamer_batches import HandCrops
from hand_perception.training.hamer_data import HamerData, SomeHands
from hand_perception.training.hamer_settings import HamerModelSettings, HamerSections
from hand_perception.training.hamer_task import NETWORK, HamerRecipe, HamerTask
from hand_perception.training.hamer_weights import make_weights
from hand_perception.training.hand_statistics import hand_statistics
from hand_perception.training.run import run_training

#: The smallest network with all that a small one has: convolutions, blocks, decoder.
SMALL = {
    'hand_model': 'default', 'width': 64, 'depth': 1, 'heads': 2, 'mlp_hidden': 128,
    'stem': '8 16 32 64', 'stochastic_depth': 0.0, 'decoder_width': 128, 'decoder_depth': 2,
    'decoder_heads': 4, 'decoder_head_width': 32, 'decoder_mlp': 128, 'start_scale': 7.0,
}  # fmt: skip


def write_hands(folder, *, subjects=1, held_out=1, recordings=2, frames=2, **spec):
    """Render a few people at few moments that are far apart."""
    made = DataSpec(
        subjects=subjects, held_out=held_out, recordings=recordings, frames=frames, rate_hz=4.0,
        **spec,
    )  # fmt: skip
    for _ in write_data_set(made, folder):
        pass
    return folder


def small_sections(folder, **sections):
    """Settings of a short run on the CPU."""
    values = {
        'run': {'steps': 4, 'batch_size': 4, 'precision': '32-true', 'device': 'cpu',
                'workers': 0, 'log_every': 1, 'picture_every': 2, 'save_every': 2},
        'optimizer': {'learning_rate': 1e-3},
        'model': SMALL,
        'data': {'train': f'synthetic:{folder}', 'validation': f'synthetic:{folder}',
                 'validation_hands': 8},
    }  # fmt: skip
    for name, changed in sections.items():
        values[name] = {**values.get(name, {}), **changed}
    return HamerSections.from_mapping(values)


def small_task(folder, numbers, *, recipe=None, **model):
    """A task on some training hands, seen as they are, which are also those it is measured on."""
    hands = open_hands('synthetic', folder, 'train')
    some, statistics = SomeHands(hands, numbers), hand_statistics(hands, limit=100)
    data = HamerData(
        crops=HandCrops(some), poses=statistics.poses, mean_joints=statistics.mean_joints,
        mean_orientation=statistics.mean_orientation, held_out=HandCrops(some), words='test',
        seed=0,
    )  # fmt: skip
    torch.manual_seed(0)
    weights = make_weights(
        HamerModelSettings.from_mapping({**SMALL, **model}), statistics.poses,
        orientation=statistics.mean_orientation,
    )  # fmt: skip
    return HamerTask(weights, data, recipe or HamerRecipe())


class PlainFabric:
    """Stands for lightning-fabric where nothing is special."""

    def backward(self, loss):
        loss.backward()


class PlainModule:
    """Stands for ``processes.Trained``."""

    def __init__(self, module):
        self.module = module

    def __call__(self, *arguments):
        return self.module(*arguments)


def plain_backward(task, batch, *, share=1.0):
    """Run a task's step without a loop, up to the gradients."""
    modules = {name: PlainModule(module) for name, module in task.modules.items()}
    return task.backward(PlainFabric(), modules, batch, share=share)


def die_at(step):
    """Kill this process when a step begins; what it has not brought to the disk is lost."""
    plain, begun = HamerTask.backward, []

    def backward(*arguments, **named):
        begun.append(1)
        if len(begun) == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(*arguments, **named)

    HamerTask.backward = backward


def main():
    data, out, *words = sys.argv[1:]
    torch.set_num_threads(1)
    changes = {}
    for word in words:
        if word.startswith('die='):
            die_at(int(word.removeprefix('die=')))
        elif '=' in word:
            key, value = word.split('=')
            section, name = key.split('.')
            changes.setdefault(section, {})[name] = int(value)
    run_training(
        NETWORK, small_sections(data, **changes), Path(out), resume='--resume' in words,
        show_progress=False,
    )  # fmt: skip


if __name__ == '__main__':
    main()
