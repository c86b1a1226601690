"""Training on people who are rendered when asked for: a plan in the place of a data set."""

import json

import pytest
import small_runs
import torch
from small_runs import command

from hand_perception.datasets.synthetic_files import TABLE
from hand_perception.errors import ConfigError, DatasetError
from hand_perception.models.htt.weight_files import load_module
from hand_perception.synthetic.people import DataSpec
from hand_perception.synthetic.spec_file import SPEC_FILE, read_spec
from hand_perception.training.run_folder import RunFolder


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """A data set of files, with the plan in it."""
    return small_runs.make_synthetic(tmp_path_factory.mktemp('data') / 'synthetic')


def looks(out):
    return [line for line in RunFolder(out).read_figures() if line['kind'] == 'validation']


def test_plan_becomes_a_data_set_later(tmp_path, capsys):
    words = ('--subjects', 1, '--held-out', 1, '--recordings', 1, '--frames', 1, '--seed', 5)
    make = ('data', 'make-synthetic', tmp_path / 'plan', *words)
    assert command(*make, '--plan-only') == 0
    assert str(tmp_path / 'plan' / SPEC_FILE) in capsys.readouterr().out
    assert [path.name for path in (tmp_path / 'plan').iterdir()] == [SPEC_FILE]
    spec = read_spec(tmp_path / 'plan' / SPEC_FILE)
    assert spec == DataSpec(subjects=1, held_out=1, recordings=1, frames=1, seed=5)
    assert command(*make, '--processes', 1) == 0
    assert (tmp_path / 'plan' / TABLE).exists()
    assert command(*make, '--plan-only', '--frames', 2) == 2
    assert 'was begun with other settings (frames 1, now 2)' in capsys.readouterr().err


@pytest.mark.parametrize('workers', [0, 1])
def test_htt_learns_the_same_from_a_plan_as_from_its_files(root, tmp_path, workers):
    more = ('run.log_every=1', 'model.mean_pose=true', f'run.workers={workers}')
    for name, place in (('files', root), ('plan', root / SPEC_FILE)):
        assert small_runs.train_htt(tmp_path / name, 'synthetic', place, *more) == 0
    weights = [
        load_module(tmp_path / name / 'last.safetensors').module.state_dict()
        for name in ('files', 'plan')
    ]
    for name, tensor in weights[0].items():
        assert torch.equal(tensor, weights[1][name]), name
    assert looks(tmp_path / 'files') == looks(tmp_path / 'plan') != []


def test_hamer_learns_from_a_plan(root, tmp_path):
    out, data = tmp_path / 'run', f'synthetic:{root / SPEC_FILE}'
    more = ('data.max_real_poses=4', f'data.validation={data}', 'data.validation_hands=2')
    assert small_runs.train_hamer(out, data, 'run.log_every=1', *more) == 0
    assert looks(out)[-1]['mpjpe_mm'] > 0


@pytest.mark.parametrize(
    ('content', 'error', 'match'),
    [
        ('', DatasetError, 'make-synthetic DIR --plan-only` writes one'),
        ('[]', DatasetError, 'does not say what a synthetic data set holds; expected seed'),
        ('{"seed": 1}', DatasetError, 'does not say what a synthetic data set holds'),
        ({'frames': 0}, ConfigError, 'frames must be 1 or more'),
        ({'frames': 'many'}, ConfigError, r'spec\.json: .*not supported between'),
    ],
)
def test_damaged_plan_is_refused_by_name(root, tmp_path, content, error, match):
    path = tmp_path / SPEC_FILE
    if isinstance(content, dict):
        content = json.dumps({**json.loads((root / SPEC_FILE).read_text()), **content})
    path.write_text(content)
    with pytest.raises(error, match=match):
        read_spec(path)


def test_plan_that_is_not_there_ends_the_command(tmp_path, capsys):
    assert small_runs.train_htt(tmp_path / 'run', 'synthetic', tmp_path / 'none.json') == 2
    assert 'none.json cannot be read' in capsys.readouterr().err
