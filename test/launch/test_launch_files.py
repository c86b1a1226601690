"""Everything that the launch files name exists. Needs neither launch nor ROS."""

import ast
import os
import re

import pytest
import yaml
from launch_sources import (
    LAUNCH_FILES,
    ROOT,
    declared_arguments,
    keywords,
    remapped_names,
    texts,
)

from hand_perception.config import PerceptionSettings

EGOCENTRIC = ROOT / 'launch' / 'egocentric.launch.py'
RVIZ_CONFIG = ROOT / 'config' / 'hands.rviz'
OWN_NODES = {'perception', 'video_source'}

each_launch_file = pytest.mark.parametrize('path', LAUNCH_FILES, ids=lambda path: path.name)


def installed_programs():
    """Executables that CMakeLists.txt installs into lib/hand_perception."""
    text = (ROOT / 'CMakeLists.txt').read_text(encoding='utf-8')
    block = re.search(r'install\(PROGRAMS(.*?)DESTINATION lib/', text, re.DOTALL)
    return [ROOT / line for line in block.group(1).split()]


def topics_named_in_nodes():
    """Every text in the nodes' modules, the names of their topics among them."""
    names = set()
    for path in (ROOT / 'hand_perception' / 'ros').glob('*.py'):
        names |= texts(path)
    return names


def rviz_topics():
    """Topics that the displays of hands.rviz show."""
    config = yaml.safe_load(RVIZ_CONFIG.read_text(encoding='utf-8'))
    displays = config['Visualization Manager']['Displays']
    return {display['Topic']['Value'] for display in displays if 'Topic' in display}


def test_all_launch_files_are_there():
    assert [path.name for path in LAUNCH_FILES] == [
        'egocentric.launch.py', 'robot.launch.py', 'teleoperation.launch.py',
    ]  # fmt: skip


def test_every_installed_program_is_an_executable_python_program():
    programs = installed_programs()
    assert sorted(path.name for path in programs) == [
        'hand_perception', 'perception', 'recorder', 'simulated_operator', 'simulated_robot',
        'teleop', 'video_source',
    ]  # fmt: skip
    for path in programs:
        assert os.access(path, os.X_OK), f'chmod +x {path}'
        assert path.read_text(encoding='utf-8').startswith('#!/usr/bin/env python3\n')


def test_every_program_calls_a_main_that_exists():
    for path in installed_programs():
        imports = [
            node
            for node in ast.walk(ast.parse(path.read_text(encoding='utf-8')))
            if isinstance(node, ast.ImportFrom)
        ]
        (module,) = [node.module for node in imports]
        source = ROOT / (module.replace('.', '/') + '.py')
        functions = [
            node.name
            for node in ast.parse(source.read_text(encoding='utf-8')).body
            if isinstance(node, ast.FunctionDef)
        ]
        assert 'main' in functions, f'{source} has no main()'


@each_launch_file
def test_every_started_executable_of_ours_is_installed(path):
    started = {node['executable'] for node in keywords(path, 'Node')} - {'rviz2'}
    assert started <= {program.name for program in installed_programs()}


def test_egocentric_starts_source_and_perception_under_their_public_names():
    nodes = {node['name']: node['executable'] for node in keywords(EGOCENTRIC, 'Node')}
    assert {name: nodes[name] for name in OWN_NODES} == {name: name for name in OWN_NODES}


@each_launch_file
def test_every_named_file_is_in_the_package(path):
    named = {
        text for text in texts(path) if re.fullmatch(r'[\w.]+\.(yaml|xml|rviz|launch\.py)', text)
    }
    assert named
    for name in named:
        folder = 'launch' if name.endswith('.launch.py') else 'config'
        assert (ROOT / folder / name).is_file(), f'{path.name} names {folder}/{name}'


@pytest.mark.parametrize(
    ('profile', 'nodes'),
    [
        ('egocentric', OWN_NODES),
        ('robot', {'perception'}),
        ('teleoperation', OWN_NODES | {'teleop'}),
    ],
)
def test_parameter_file_addresses_the_nodes_in_any_namespace(profile, nodes):
    content = yaml.safe_load((ROOT / 'config' / f'{profile}.yaml').read_text(encoding='utf-8'))
    assert set(content) == {f'/**/{node}' for node in nodes}


def test_every_remapped_topic_of_our_nodes_is_one_that_they_use():
    own = {name for name in remapped_names(EGOCENTRIC) if not name.startswith('/')}
    assert own == {'image', 'image/compressed', 'camera_info', 'depth'}
    assert own <= topics_named_in_nodes()


def test_every_topic_in_the_rviz_view_is_remapped_and_published():
    topics = {topic for topic in rviz_topics() if topic.startswith('/hands/')}
    assert topics == {
        '/hands/image', '/hands/markers', '/hands/htt/markers', '/hands/overlay',
    }  # fmt: skip
    assert topics <= remapped_names(EGOCENTRIC)
    assert {topic.removeprefix('/hands/') for topic in topics} <= topics_named_in_nodes()


def test_rviz_view_is_fixed_to_the_frame_of_the_video_source():
    source = yaml.safe_load((ROOT / 'config' / 'egocentric.yaml').read_text(encoding='utf-8'))
    frame_id = source['/**/video_source']['ros__parameters']['frame_id']
    config = yaml.safe_load(RVIZ_CONFIG.read_text(encoding='utf-8'))
    assert config['Visualization Manager']['Global Options']['Fixed Frame'] == frame_id


def test_robot_passes_every_argument_on_that_egocentric_takes():
    robot = declared_arguments(ROOT / 'launch' / 'robot.launch.py')
    assert declared_arguments(EGOCENTRIC) - robot == {'source'}  # which it sets to none
    assert robot <= declared_arguments(EGOCENTRIC)


def test_choices_of_arguments_are_those_of_the_settings():
    (table,) = [
        ast.literal_eval(node.value)
        for node in ast.parse(EGOCENTRIC.read_text(encoding='utf-8')).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).endswith('ARGUMENTS')
    ]
    settings = {setting.name: setting for setting in PerceptionSettings.settings()}
    assert {'action_source', 'htt_checkpoint', 'pose_source'} <= {name for name, *_ in table}
    for name, choices, _ in table:
        assert settings[name].kind is str  # given to the node as text
        assert tuple(choices or ()) == settings[name].choices, name


@each_launch_file
def test_documentation_lists_exactly_the_arguments(path):
    page = (ROOT / 'docs' / 'launch.md').read_text(encoding='utf-8')
    section = page.split(f'## {path.name}\n')[1].split('\n## ')[0]
    listed = set(re.findall(r'^\| `(\w+)`', section, re.MULTILINE))
    assert listed == declared_arguments(path)
