"""HTT learns: eight clips by heart, people it has not seen, and the same after a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import htt_training
import numpy as np
import pytest
import torch

from hand_perception.synthetic.people import DataSpec
from hand_perception.training.htt_batches import collate_clips
from hand_perception.training.htt_places import places
from hand_perception.training.htt_task import MODULE, make_task
from hand_perception.training.run_folder import RunFolder
from hand_perception.training.task import Draw

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Eight people of two images each."""
    spec = DataSpec(subjects=8, held_out=1, recordings=1, frames=2, rate_hz=4.0)
    return htt_training.write_synthetic(tmp_path_factory.mktemp('synthetic'), spec)


def test_eight_clips_are_learned_by_heart(root):
    torch.manual_seed(0)
    task = make_task(
        htt_training.sections(
            root, data={'window': 2, 'pose_window': 2}, losses={'depth': 700.0},
            model={'hidden': 256}, optimizer={'learning_rate': 3e-3},
        )
    )  # fmt: skip
    batch = task.collate([task.data[Draw(0, 2 * number)] for number in range(8)])
    assert len(set(batch.segments)) == 8
    assert batch.not_padding.all()
    optimizer, errors_m = task.optimizers[MODULE], []
    steps = 160
    with htt_training.one_thread():
        for step in range(steps):
            rate = min(1.0, (step + 1) / 10, 2 * (1 - step / steps))
            optimizer.param_groups[0]['lr'] = 3e-3 * rate
            losses = task.backward(htt_training.PlainFabric(), task.modules, batch, share=1.0)
            optimizer.step()
            optimizer.zero_grad()
            errors_m.append(float(losses['joints_3d']))
    assert errors_m[0] > 0.05  # per coordinate: it began without an idea
    assert errors_m[-1] < errors_m[0] / 10


def test_where_hands_of_people_are_that_were_never_seen_is_learned(tmp_path):
    """What the recipe without ImageNet's weights begins with; all of it takes 40 minutes."""
    spec = DataSpec(subjects=16, held_out=4, recordings=1, frames=2, rate_hz=2.0)
    root = htt_training.write_synthetic(tmp_path, spec)
    torch.manual_seed(0)
    given = {'window': 1, 'pose_window': 1, 'validation_split': 'val'}
    task = make_task(
        htt_training.sections(
            root, data=given,
            losses={'places': 1000.0, 'places_joints': 0.0, 'places_first': 1000},
            augmentation={'shift': 0.1}, optimizer={'learning_rate': 3e-3},
        )
    )  # fmt: skip
    network, optimizer = task.modules[MODULE], task.optimizers[MODULE]
    held_out = collate_clips([task.held_out[number] for number in range(len(task.held_out))])
    rng = np.random.default_rng(0)
    truths, steps = [], 90
    with htt_training.one_thread():
        for step in range(steps):
            numbers = rng.choice(len(task.data), 16, replace=False).tolist()
            batch = task.collate([task.data[Draw(step, number)] for number in numbers])
            truths.append(places(batch.targets, 9, 15))
            optimizer.param_groups[0]['lr'] = 3e-3 * min(
                1.0, (step + 1) / 10, 2 - 2 * step / steps
            )
            task.backward(htt_training.PlainFabric(), task.modules, batch, share=1.0)
            optimizer.step()
            optimizer.zero_grad()
        with torch.no_grad():
            found = network.eval()(held_out.images, held_out.not_padding)[3]
    mean = torch.cat(truths).mean(0).expand_as(found)
    # The first of the four numbers: whether a hand is in a cell.
    true = places(held_out.targets, 9, 15)[:, 0]
    error, mean_error = (float((told[:, 0] - true).square().mean()) for told in (found, mean))
    assert error < 0.8 * mean_error  # 0.67 when it was written


def run_apart(arguments, said):
    """Start ``hand_perception train htt`` as another program; what it says goes to a file."""
    environment = os.environ | {'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    with said.open('w') as stream:
        return subprocess.Popen(
            [sys.executable, '-m', 'hand_perception.cli', 'train', 'htt', *map(str, arguments)],
            env=environment, stdout=stream, stderr=subprocess.STDOUT, cwd=ROOT,
        )  # fmt: skip


def finish(process, said):
    process.wait(timeout=300)
    assert process.returncode == 0, said.read_text()


def curve(folder):
    """Losses and held-out figures by step, to the bit."""
    lines = RunFolder(folder).read_figures()
    untold = ('samples_per_s', 'waiting_share')
    return [{k: v for k, v in line.items() if k not in untold} for line in lines]


def test_training_that_was_killed_goes_on_as_if_it_had_not(root, tmp_path):
    settings = htt_training.sections(
        root, run={'steps': 6, 'save_every': 2, 'validate_every': 3, 'workers': 1},
        data={'window': 2, 'pose_window': 2, 'validation_split': 'val'},
        augmentation={'shift': 0.1, 'brightness': 0.2, 'blur': 0.5},
    )  # fmt: skip
    words = ['--config', 'htt_synthetic', *htt_training.overrides(settings)]
    said = [tmp_path / f'{number}.txt' for number in range(3)]
    whole = run_apart([*words, '--out', tmp_path / 'whole'], said[0])
    killed = run_apart([*words, '--out', tmp_path / 'killed', 'run.steps=10000'], said[1])
    folder = RunFolder(tmp_path / 'killed')
    deadline = time.monotonic() + 240
    while not (folder.figures.exists() and len(folder.read_figures()) >= 4):
        assert killed.poll() is None, said[1].read_text()
        assert time.monotonic() < deadline
        os.sched_yield()
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert killed.returncode == -signal.SIGKILL
    finish(whole, said[0])
    again = [*words, '--out', folder.path, '--resume']
    finish(run_apart(again, said[2]), said[2])
    assert len(curve(tmp_path / 'whole')) == 8  # six steps, two looks
    assert curve(folder.path) == curve(tmp_path / 'whole')
    starts = json.loads(folder.record.read_text())['starts']
    assert [start['from_step'] for start in starts][0] == 0
    assert starts[1]['from_step'] >= 2
