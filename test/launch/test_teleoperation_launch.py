"""What is particular to teleoperation.launch.py. Needs neither launch nor ROS."""

import ast

import yaml
from launch_sources import ROOT, declared_arguments, keywords
from test_launch_files import rviz_topics

from hand_perception.teleop.node_settings import TeleopNodeSettings

PATH = ROOT / 'launch' / 'teleoperation.launch.py'


def table(name):
    """A table at the top of the launch file."""
    (value,) = [
        ast.literal_eval(node.value)
        for node in ast.parse(PATH.read_text(encoding='utf-8')).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
    ]
    return value


def text_of(*names):
    """Source of modules in ros/."""
    folder = ROOT / 'hand_perception' / 'ros'
    return ''.join((folder / f'{name}.py').read_text(encoding='utf-8') for name in names)


def test_the_node_has_its_public_name():
    (node,) = keywords(PATH, 'Node')
    assert (node['name'], node['executable']) == ('teleop', 'teleop')


def test_choices_of_arguments_are_those_of_the_settings():
    settings = {setting.name: setting for setting in TeleopNodeSettings.settings()}
    for name, choices, _ in table('TELEOP_ARGUMENTS'):
        assert settings[name].kind is str  # given to the node as text
        assert tuple(choices or ()) == settings[name].choices, name


def test_every_remapped_topic_is_one_of_the_node():
    source = text_of('teleop_inputs', 'teleop_outputs')
    topics = {topic for _, topic, _ in table('TOPIC_ARGUMENTS')}
    for side in ('left', 'right'):
        for topic in ('arm_pose', 'target', 'twist'):
            assert f'~/{side}/{topic}' in topics
            assert f"f'~/{{side}}/{topic}'" in source
    for topic in topics - {t for t in topics if t.startswith('~/')} | {'hands/{side}/pose'}:
        assert f"'{topic}'" in source
    text = PATH.read_text(encoding='utf-8')
    assert "('hands/left/pose'" in text and "('hands/right/pose'" in text


def test_the_rviz_view_shows_the_targets_of_both_arms():
    teleop = {topic for topic in rviz_topics() if topic.startswith('/teleop/')}
    assert teleop == {'/teleop/left/target', '/teleop/right/target'}


def test_it_takes_the_arguments_that_it_passes_on_to_perception():
    own = declared_arguments(PATH)
    for name in ('egocentric.launch.py', 'robot.launch.py'):
        included = declared_arguments(ROOT / 'launch' / name)
        assert {'params_file', 'namespace', 'use_sim_time', 'dds_profile'} <= own & included


def test_perception_drops_images_before_the_teleoperation_would_not_use_their_hands():
    content = yaml.safe_load((ROOT / 'config' / 'teleoperation.yaml').read_text(encoding='utf-8'))
    perception = content['/**/perception']['ros__parameters']
    teleop = content['/**/teleop']['ros__parameters']
    assert perception['max_age_ms'] * 1e-3 < teleop['max_age_s']


def test_nothing_engages_by_itself_with_the_shipped_parameters():
    content = yaml.safe_load((ROOT / 'config' / 'teleoperation.yaml').read_text(encoding='utf-8'))
    teleop = content['/**/teleop']['ros__parameters']
    assert teleop['clutch'] == 'service'
    assert teleop['arm_feedback'] is True
