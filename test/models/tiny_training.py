"""A network of a few numbers that is trained in seconds, and how to train it in other processes.

Run as a program: ``tiny_training.py OUT [--resume] [section.name=value ...]``.
"""

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from hand_perception.errors import DatasetError, WeightsError
from hand_perception.models.safetensors_file import write_export_file
from hand_perception.settings_base import Settings, make_setting
from hand_perception.training.batches import sent_to
from hand_perception.training.learning_rate import make_optimizer
from hand_perception.training.networks import Network
from hand_perception.training.run import run_training
from hand_perception.training.task import Validation
from hand_perception.training.training_file import Sections, training_text


@dataclass(frozen=True, kw_only=True)
class TinySettings(Settings):
    width: int = make_setting(8, 'Hidden numbers.', minimum=1)
    samples: int = make_setting(32, 'Samples of an epoch.', minimum=1)
    kill_at: int = make_setting(0, 'Sample whose reading in the second epoch kills the process.')
    stop_at: int = make_setting(0, 'The same, with SIGTERM to oneself, in the first process.')
    slow_s: float = make_setting(0.0, 'Seconds that reading a sample takes.')
    damaged_epoch: int = make_setting(-1, 'Epoch whose samples cannot be read.')
    nan_epoch: int = make_setting(-1, 'Epoch whose truth is not finite.')


@dataclass(frozen=True, kw_only=True)
class TinySections(Sections):
    network = 'tiny'

    model: TinySettings = TinySettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class TinyBatch:
    inputs: torch.Tensor
    truth: torch.Tensor

    def to(self, device):
        return sent_to(self, device)


@dataclass(frozen=True, slots=True, kw_only=True)
class TinyOutput:
    values: torch.Tensor


class TinyData:
    def __init__(self, settings, seed):
        self.settings, self.seed, self.reads = settings, seed, 0

    def __len__(self):
        return self.settings.samples

    def __getitem__(self, draw):
        self.reads += 1
        if self.settings.kill_at and draw.epoch == 1 and self.reads % self.settings.kill_at == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.settings.slow_s)
        is_first = os.environ.get('RANK', '0') == '0'
        if self.settings.stop_at and self.reads == self.settings.stop_at and is_first:
            os.kill(os.getpid(), signal.SIGTERM)
        if draw.epoch == self.settings.damaged_epoch:
            raise DatasetError('cut_off.jpg ends in the middle')
        rng = np.random.default_rng((self.seed, *draw))
        fixed = np.random.default_rng(draw.number).normal(size=4)
        truth = np.array([fixed.sum(), np.nan if draw.epoch == self.settings.nan_epoch else 1.0])
        return (fixed + rng.normal(scale=0.01, size=4)).astype(np.float32), truth


def collate(samples):
    inputs, truth = zip(*samples, strict=True)
    return TinyBatch(
        inputs=torch.from_numpy(np.stack(inputs)),
        truth=torch.from_numpy(np.stack(truth)).float(),
    )


class TinyNetwork(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first, self.drop = nn.Linear(4, width), nn.Dropout(0.2)
        self.norm, self.last = nn.BatchNorm1d(width), nn.Linear(width, 2)
        self.norm.eval()  # with its statistics frozen, as in HTT

    def forward(self, inputs):
        hidden = self.drop(torch.relu(self.norm(self.first(inputs))))
        return TinyOutput(values=self.last(hidden))


class TinyTask:
    network_name = 'tiny'

    def __init__(self, sections):
        network = TinyNetwork(sections.model.width)
        if sections.run.seed == 99:  # without dropout, so that the count of processes is alike
            network.drop.p = 0.0
        self.modules = {'tiny': network, 'judge': nn.Linear(2, 1)}
        self.optimizers = {
            name: make_optimizer(sections.optimizer, module.parameters())
            for name, module in self.modules.items()
        }
        self.data, self.collate = TinyData(sections.model, sections.run.seed), collate
        self.pictures = 0

    def backward(self, fabric, modules, batch, *, share):
        output = modules['tiny'](batch.inputs)
        assert output.values.dtype == torch.float32
        loss = (output.values - batch.truth).square().mean()
        judged = modules['judge'](output.values.detach()).square().mean()
        fabric.backward(loss * share)
        fabric.backward(judged * share)
        return {'total': loss.detach(), 'judged': judged.detach()}

    def validate(self, modules, device):
        assert not modules['tiny'].training and not torch.is_grad_enabled()
        inputs = torch.from_numpy(np.random.default_rng(5).normal(size=(16, 4))).float()
        values = modules['tiny'](inputs.to(device)).values.float()
        error = (values[:, 0] - inputs.to(device).sum(-1)).abs().mean()
        return Validation(figures={'error_m': float(error)}, watched='error_m')

    def picture(self, modules, batch):
        self.pictures += 1
        return np.full((8, 8, 3), 128, np.uint8)

    def save(self, path, *, step):
        tensors = self.modules['tiny'].state_dict()
        write_export_file(path, tensors, model='tiny', metadata={'step': str(step)})

    def check_export(self):
        if self.data.settings.width == 5:
            raise WeightsError('the official program knows no width of 5')

    def export_official(self, folder, *, step, epoch):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / 'tiny.txt').write_text(f'{step} {epoch}', encoding='utf-8')
        return [folder / 'tiny.txt']


TINY = Network(sections=TinySections, make_task=TinyTask)


def tiny_sections(*overrides):
    """Settings of a short run; ``section.name=value`` changes them."""
    import tempfile

    from hand_perception.training.training_file import read_training_file

    start = TinySections.from_mapping(
        {
            'run': {
                'steps': 12, 'batch_size': 4, 'workers': 0, 'log_every': 1, 'save_every': 4,
                'picture_every': 0, 'device': 'cpu',
            },
            'optimizer': {'learning_rate': 0.01},
        }
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'tiny.yaml')
        path.write_text(training_text(start), encoding='utf-8')
        return read_training_file(str(path), TinySections, overrides=overrides)


def main(arguments):
    torch.set_num_threads(1)
    words = [word for word in arguments if '=' in word]
    done = run_training(
        TINY, tiny_sections(*words), Path(arguments[0]), resume='--resume' in arguments,
        show_progress=False,
    )  # fmt: skip
    if done.is_first:
        print(done.outcome.step, done.outcome.signal)


if __name__ == '__main__':
    main(sys.argv[1:])
