"""``hand_perception train ablation``: variants side by side."""

import htt_training
import pytest
import yaml

from hand_perception.cli.main import main
from hand_perception.errors import ConfigError
from hand_perception.training.ablation import read_ablation
from hand_perception.training.run_folder import RunFolder
from hand_perception.training.training_file import find_training_file, training_text

VARIANTS = {'published': [], 'no 2D': ['losses.joints_2d=0']}


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return htt_training.write_synthetic(tmp_path_factory.mktemp('synthetic'))


@pytest.fixture
def write(tmp_path, root):
    """Write a comparison of runs of one step."""

    def write(**changes):
        settings = htt_training.sections(
            root, run={'steps': 1}, data={'validation_split': 'val', 'validation_clips': 1}
        )
        (tmp_path / 'base.yaml').write_text(training_text(settings), encoding='utf-8')
        content = {
            'network': 'htt', 'base': str(tmp_path / 'base.yaml'), 'common': ['run.seed=3'],
            'variants': VARIANTS, **changes,
        }  # fmt: skip
        path = tmp_path / 'ablation.yaml'
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding='utf-8')
        return path

    return write


def test_variants_are_trained_and_told_in_a_table(write, tmp_path, capsys):
    out = tmp_path / 'runs'
    words = ['train', 'ablation', '--config', str(write()), '--out', str(out)]
    assert main([*words, 'run.log_every=1']) == 0
    said = capsys.readouterr().out
    lines = said.splitlines()
    assert lines[0] == '2 variants: published, no 2D'
    table = [line for line in lines if line.startswith('|')]
    assert [row.split('|')[1].strip() for row in table] == [
        'variant', '---------', 'published', 'no 2D',
    ]  # fmt: skip
    assert [cell.strip() for cell in table[0].split('|')[2:5]] == ['MEPE', 'MEPE-RA', 'actions']
    for row, folder in zip(table[2:], ('published', 'no_2D'), strict=True):
        figures = RunFolder(out / folder).read_figures()[-1]
        assert row.split('|')[2].strip() == f'{figures["mepe_mm"]:.1f} mm'
        assert 'seed: 3' in RunFolder(out / folder).settings.read_text()
    totals = [RunFolder(out / name).read_figures()[0]['total'] for name in ('published', 'no_2D')]
    assert totals[0] > totals[1] + 1  # pixels
    # A second time nothing is trained again.
    states = [(out / name / 'state.safetensors').stat().st_mtime_ns for name in ('published',)]
    assert main([*words, '--resume', 'run.log_every=1']) == 0
    assert capsys.readouterr().out == said
    assert [(out / 'published' / 'state.safetensors').stat().st_mtime_ns] == states


def test_runs_are_not_written_over(write, tmp_path, capsys):
    words = ['train', 'ablation', '--config', str(write()), '--out', str(tmp_path / 'runs')]
    assert main(words) == 0
    assert main(words) == 2
    assert 'holds a run already' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('changes', 'match'),
    [
        ({'network': 'hat'}, "network is 'hat', expected one of htt, hamer"),
        ({'variants': {}}, 'common or variants are not as expected'),
        ({'variants': {'a': 'b=1'}}, "the words of 'a' are 'b=1'"),
        ({'variants': {'a': ['model.widht=1']}}, "a: .*'widht'.*did you mean 'width'"),
        ({'extra': 1}, 'is no comparison; expected network, base'),
    ],
)
def test_comparison_of_another_form_is_refused(write, changes, match):
    with pytest.raises(ConfigError, match=match):
        read_ablation(str(write(**changes)))


def test_comparison_that_comes_with_the_package_has_every_variant():
    variants = read_ablation('htt_ablation', overrides=['data.root=here']).variants
    published = variants['published']
    changed = set()
    for sections in variants.values():
        for group, named in sections.to_mapping().items():
            before = published.to_mapping()[group]
            changed |= {f'{group}.{name}' for name in named if named[name] != before[name]}
    assert changed == {
        'model.pose_windows', 'model.lookahead', 'data.pose_window', 'model.positions',
        'model.smoothing', 'losses.joints_3d',
    }  # fmt: skip
    assert find_training_file('htt_ablation').name == 'htt_ablation.yaml'
