"""``hand_perception train``: its words, what it refuses, what it says at the end."""

import re
import signal
import sys
from pathlib import Path

import pytest
import tiny_training

from hand_perception.cli import main as program
from hand_perception.training import networks
from hand_perception.training.run_folder import RunFolder
from hand_perception.training.training_file import training_text


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """The tiny network under the name of HTT; gives a training file of it."""
    monkeypatch.setattr('hand_perception.cli.train.find_network', lambda name: tiny_training.TINY)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'short.yaml'
    path.write_text(training_text(tiny_training.tiny_sections('run.steps=3')), encoding='utf-8')
    return path


def run(*words):
    return program.main(['train', 'htt', *map(str, words)])


def test_both_networks_can_be_trained():
    assert networks.NETWORKS == ('htt', 'hamer')
    for name in networks.NETWORKS:
        assert networks.find_network(name).sections.network == name


def test_settings_may_stand_anywhere(tiny):
    assert run('run.seed=5', '--config', tiny, 'run.batch_size=2', '--export', 'run.steps=2') == 0
    folder = RunFolder(Path('runs/short'))
    text = folder.settings.read_text()
    assert 'seed: 5' in text and 'batch_size: 2' in text and 'steps: 2' in text
    assert (folder.official / 'tiny.txt').exists()


def test_end_of_a_run_says_where_its_weights_are(tiny, capsys):
    assert run('--config', tiny, '--out', 'here') == 0
    said = capsys.readouterr()
    assert '3 steps done; weights: here/last.safetensors' in said.out
    assert re.search(r'held-out samples \(error_m [\d.]+\): here/best.safetensors', said.out)
    assert said.err == ''


def test_run_goes_on_by_its_folder_alone(tiny, capsys):
    assert run('--config', tiny, '--out', 'here', 'model.stop_at=5') == 128 + signal.SIGTERM
    said = capsys.readouterr().out
    assert 'SIGTERM after step 2 of 3; saved' in said
    assert 'hand_perception train htt --resume --out here' in said
    assert run('--resume', '--out', 'here', 'model.stop_at=0') == 0
    assert [line['step'] for line in RunFolder(Path('here')).read_figures()] == [1, 2, 3, 3]


def test_going_on_begins_where_nothing_was_saved_yet(tiny):
    """So that the same command may be given to a cluster again and again."""
    assert run('--config', tiny, '--out', 'here', '--resume') == 0
    assert run('--config', tiny, '--out', 'here', '--resume') == 0


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        ([], 'needs --config NAME|FILE, or --resume --out DIR'),
        (['--resume'], 'needs --config NAME|FILE, or --resume --out DIR'),
        (['--resume', '--out', 'gone'], 'gone holds no run (config.yaml is missing)'),
        (['--config', 'gone.yaml'], 'no training file gone.yaml'),
        (['--config', 'short.yaml', 'run.step=2'], "did you mean 'steps'"),
        (['--config', 'short.yaml', 'steps=2'], 'section.name=value'),
        (['--config', 'short.yaml', '--out', 'short.yaml'], 'cannot be written'),
    ],
)
def test_refusal_is_one_line(tiny, capsys, words, message):
    assert run(*words) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count('\n') == 1


def test_word_that_is_no_setting_is_refused(tiny, capsys):
    with pytest.raises(SystemExit):
        run('--config', tiny, 'fast')
    assert 'unrecognized arguments: fast' in capsys.readouterr().err


def test_missing_trainer_library_is_named(tiny, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'lightning_fabric', None)
    assert run('--config', tiny) == 2
    assert "pip install 'hand_perception[train]'" in capsys.readouterr().err
