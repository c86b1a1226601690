"""Training files: sections, changed values, mistakes named with what was meant."""

import math
from pathlib import Path

import pytest
import yaml
from tiny_training import TinySections

from hand_perception.errors import ConfigError
from hand_perception.training import settings_tables
from hand_perception.training.learning_rate import learning_rate_factor, make_optimizer
from hand_perception.training.networks import NETWORKS, find_network
from hand_perception.training.settings import OptimizerSettings
from hand_perception.training.training_file import read_training_file, shipped, training_text

ROOT = Path(__file__).resolve().parents[2]


def read(tmp_path, text, *overrides):
    path = tmp_path / 'training.yaml'
    path.write_text(text, encoding='utf-8')
    return read_training_file(str(path), TinySections, overrides=overrides)


def test_values_come_from_the_file_and_words_change_them(tmp_path):
    text = 'network: tiny\nrun: {seed: 4, steps: 9}\noptimizer: {learning_rate: 1e-3}\nmodel:\n'
    sections = read(tmp_path, text, 'run.steps=7', 'optimizer.learning_rate=3e-05')
    assert (sections.run.seed, sections.run.steps, sections.model.width) == (4, 7, 8)
    assert sections.optimizer.learning_rate == 3e-5  # YAML 1.1 reads both numbers as text


def test_settings_of_a_run_are_written_and_read_again(tmp_path):
    sections = read(tmp_path, 'network: tiny', 'run.seed=3', 'optimizer.schedule=cosine')
    assert read(tmp_path, training_text(sections)) == sections


@pytest.mark.parametrize(
    ('text', 'words', 'message'),
    [
        ('network: tiny\nrum: {}', [], "unknown section 'rum', did you mean 'run'"),
        ('network: tiny\nrun: {bach_size: 2}', [], r"training.yaml: .*did you mean 'batch_size'"),
        ('network: tiny', ['optimizer.learnin_rate=1'], "did you mean 'learning_rate'"),
        (
            'network: tiny',
            ['run.zzzzzz=1'],
            "unknown setting 'zzzzzz' in section run; known: seed",
        ),
        ('network: tiny', ['steps=1'], "section.name=value, such as run.seed=1, got 'steps=1'"),
        ('network: tiny', ['run.steps=-1'], r'section run: steps must be 0 to inf, got -1'),
        ('network: tiny', ['run.steps=[1'], "value of 'run.steps=\\[1' is not YAML"),
        ('network: tiny', ['run.steps=1.5'], r'steps must be 0 to inf, got 1.5 \(float\)'),
        ('network: tiny', ['run.precision=fp8'], "must be '32-true' or 'bf16-mixed'"),
        ('network: htt', [], 'for the network \'htt\', expected "network: tiny"'),
        ('run: {}', [], 'for the network None'),
        ('network: tiny\nrun: 5', [], 'section run must hold settings, .* got 5'),
        ('network: [', [], 'cannot be read as YAML'),
        ('- 1', [], 'must hold sections'),
    ],
)
def test_mistake_is_named(tmp_path, text, words, message):
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, text, *words)


def test_missing_file_names_those_that_there_are(tmp_path):
    with pytest.raises(ConfigError, match='no training file .*gone.yaml'):
        read_training_file(str(tmp_path / 'gone.yaml'), TinySections)
    near = shipped()[0]
    with pytest.raises(ConfigError, match=f"did you mean '{near}'.*{near}"):
        read_training_file(f'{near}x', TinySections)


RECIPES = [path for path in sorted((ROOT / 'config' / 'train').glob('*.yaml'))
           if not path.stem.endswith('_ablation')]  # fmt: skip # comparisons of several


@pytest.mark.parametrize('path', RECIPES, ids=lambda path: path.stem)
def test_every_training_file_that_comes_with_the_package_is_understood(path):
    name = yaml.safe_load(path.read_text(encoding='utf-8'))['network']
    assert name in NETWORKS
    assert path.stem in shipped()
    assert read_training_file(path.stem, find_network(name).sections).run.batch_size > 0


def factors(steps, **settings):
    return [
        learning_rate_factor(
            OptimizerSettings(**settings), step=step, steps_per_epoch=2.5, total_steps=10
        )
        for step in steps
    ]


def test_steps_of_the_learning_rate_fall_at_epochs():
    values = factors(range(10), schedule='step', decay_epochs=2.0, decay_factor=0.5)
    assert values == [1.0] * 5 + [0.5] * 5


def test_official_schedule_of_htt_halves_every_15_epochs():
    settings = OptimizerSettings(schedule='step')
    per_epoch = 9382
    at = [0, 15 * per_epoch - 1, 15 * per_epoch, 30 * per_epoch - 1, 30 * per_epoch]
    values = [
        learning_rate_factor(
            settings, step=step, steps_per_epoch=per_epoch, total_steps=45 * per_epoch
        )
        for step in at
    ]
    assert values == [1.0, 1.0, 0.5, 0.5, 0.25]


def test_cosine_begins_after_the_warm_up_and_ends_at_its_share():
    values = factors([0, 1, 2, 6, 10], schedule='cosine', warm_up_steps=2, final_share=0.1)
    assert values[0] == 0.5
    assert values[1:3] == [1.0, 1.0]
    assert math.isclose(values[3], 0.55)  # half of the way
    assert math.isclose(values[4], 0.1)


@pytest.mark.parametrize('kind', ['adam', 'adamw', 'sgd'])
def test_optimizer_has_the_name_and_rate_that_were_asked_for(kind):
    import torch

    settings = OptimizerSettings(kind=kind, learning_rate=0.3, weight_decay=0.2)
    parameters = [torch.nn.Parameter(torch.zeros(1))]
    optimizer = make_optimizer(settings, parameters)
    assert type(optimizer).__name__.lower() == kind
    group = optimizer.param_groups[0]
    assert (group['lr'], group['weight_decay']) == (0.3, 0.2)
    assert make_optimizer(settings, parameters, learning_rate=0.1).param_groups[0]['lr'] == 0.1


def test_page_on_training_lists_every_setting(capsys):
    assert settings_tables.main(['--check']) == 0, capsys.readouterr().out
