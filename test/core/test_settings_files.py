"""Generated parameter files and tables match the settings."""

from pathlib import Path

import pytest
import yaml

from hand_perception.config import PerceptionSettings, VideoSourceSettings
from hand_perception.settings_files import PROFILES, fill_tables, main, parameter_file

ROOT = Path(__file__).parents[2]


def test_files_in_the_source_tree_are_up_to_date(capsys):
    assert main(['--check', '--root', str(ROOT)]) == 0, capsys.readouterr().out


@pytest.mark.parametrize('profile', sorted(PROFILES))
def test_parameter_files_load_into_the_settings_they_were_made_from(profile):
    nodes = yaml.safe_load(parameter_file(profile))
    assert {name.removeprefix('/**/') for name in nodes} == set(PROFILES[profile])
    for node, (settings, changes) in PROFILES[profile].items():
        values = nodes[f'/**/{node}']['ros__parameters']
        assert settings.from_mapping(values) == settings.from_mapping(changes)


def test_a_stale_file_is_told_then_written(tmp_path, capsys):
    (tmp_path / 'docs').mkdir()
    page = tmp_path / 'docs' / 'node.md'
    page.write_text(
        '# Node\n<!-- settings:PerceptionSettings -->\nstale rows\n<!-- /settings -->\nend\n'
    )
    assert main(['--check', '--root', str(tmp_path)]) == 1
    assert 'node.md is out of date' in capsys.readouterr().out
    assert main(['--root', str(tmp_path)]) == 0
    assert main(['--check', '--root', str(tmp_path)]) == 0
    assert 'stale rows' not in page.read_text()
    assert all(f'`{s.name}`' in page.read_text() for s in PerceptionSettings.settings())


def test_text_outside_the_blocks_is_kept():
    text = 'a\n<!-- settings:VideoSourceSettings -->\n<!-- /settings -->\nb\n'
    filled = fill_tables(text)
    assert filled.startswith('a\n')
    assert filled.endswith('<!-- /settings -->\nb\n')
    assert VideoSourceSettings.settings()[0].name in filled
