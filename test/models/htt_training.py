"""Small trainings of HTT: data, settings, and a fabric that does nothing."""

import contextlib

import torch

from hand_perception.synthetic.data_set import write_data_set
from hand_perception.synthetic.people import DataSpec
from hand_perception.training.htt_settings import HttSections

#: Two people of two recordings to learn from, one to validate on, one to test on.
SPEC = DataSpec(subjects=2, held_out=1, recordings=2, frames=8)
#: A network that takes milliseconds an image.
MODEL = {'width': 64, 'hidden': 128, 'pose_layers': 1, 'action_layers': 1, 'batch_norm': 'learned'}
DATA = {'kind': 'synthetic', 'window': 4, 'pose_window': 2, 'spacing': 1}


class PlainFabric:
    """What a task wants of lightning-fabric, on one device in full precision."""

    def backward(self, loss):
        loss.backward()


def write_synthetic(root, spec=SPEC):
    """Render a small synthetic data set."""
    for _ in write_data_set(spec, root):
        pass
    return root


def sections(root, **groups):
    """Settings of a small run on a folder; groups change some of them."""
    given = {
        'run': {'batch_size': 2, 'steps': 4, 'workers': 0, 'device': 'cpu', 'log_every': 1},
        'data': {**DATA, 'root': str(root)},
        'model': MODEL,
        'augmentation': dict.fromkeys(
            ('shift', 'blur', 'brightness', 'contrast', 'saturation', 'hue'), 0.0
        ),
        'optimizer': {'learning_rate': 1e-3, 'schedule': 'constant'},
    }
    merged = {name: {**given.get(name, {}), **groups.get(name, {})} for name in {*given, *groups}}
    return HttSections.from_mapping(merged)


def overrides(settings):
    """Words for the command line that make these settings out of any file's."""
    return [
        f'{section}.{name}={value}'
        for section, named in settings.to_mapping().items()
        for name, value in named.items()
        if value != ''
    ]


@contextlib.contextmanager
def one_thread():
    """So that sums are the same in every process."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
