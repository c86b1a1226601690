"""ROS parameters made from settings: declared, read, refused, changed live."""

from dataclasses import dataclass

import pytest
from rcl_interfaces.msg import ParameterType
from rclpy.node import Node
from rclpy.parameter import Parameter

from hand_perception.config import PerceptionSettings, VideoSourceSettings
from hand_perception.errors import ConfigError
from hand_perception.ros.params import NodeParameters, descriptor
from hand_perception.settings_base import Settings, make_setting


@dataclass(frozen=True, kw_only=True)
class SomeSettings(Settings):
    """One setting of each kind."""

    size: int = make_setting(2, 'How many.', minimum=1, maximum=8)
    scale: float = make_setting(1.0, 'How large.', minimum=0.5, maximum=1.5, live=True)
    mode: str = make_setting('slow', 'How fast.', choices=('slow', 'fast'), live=True)
    folder: str = make_setting('', 'Where.')
    is_open: bool = make_setting(True, 'Whether.')


@pytest.fixture
def make(ros_context):
    nodes = []

    def make(**overrides):
        node = Node(
            'parameters', context=ros_context,
            automatically_declare_parameters_from_overrides=True,
            parameter_overrides=[Parameter(k, value=v) for k, v in overrides.items()],
        )  # fmt: skip
        nodes.append(node)
        changes = []
        return node, NodeParameters(node, SomeSettings, on_change=changes.append), changes

    yield make
    for node in nodes:
        node.destroy_node()


def test_defaults_are_declared_with_their_descriptors(make):
    node, parameters, _ = make()
    assert parameters.settings == SomeSettings()
    described = node.describe_parameter('size')
    assert described.description == 'How many.'
    assert (described.integer_range[0].from_value, described.integer_range[0].to_value) == (1, 8)
    assert described.read_only
    assert not node.describe_parameter('scale').read_only
    assert "'slow' or 'fast'" in node.describe_parameter('mode').additional_constraints


def test_values_of_files_and_command_line_are_read(make):
    node, parameters, _ = make(size=5, mode='fast', is_open=False)
    assert parameters.settings == SomeSettings(size=5, mode='fast', is_open=False)
    assert node.get_parameter('size').value == 5


def test_a_whole_number_is_a_number(make):
    node, parameters, _ = make(scale=1)
    assert parameters.settings.scale == 1.0
    assert node.get_parameter('scale').type_ == Parameter.Type.DOUBLE


@pytest.mark.parametrize(
    ('overrides', 'message'),
    [
        ({'size': 9}, 'size must be 1 to 8, got 9'),
        ({'size': 0}, 'size must be 1 to 8, got 0'),
        ({'size': 'two'}, r"size must be 1 to 8, got 'two' \(str\)"),
        ({'scale': float('nan')}, 'scale must be 0.5 to 1.5, got nan'),
        ({'mode': 'hasty'}, "mode must be 'slow' or 'fast', got 'hasty'"),
        ({'is_open': 1}, r'is_open must be true or false, got 1 \(int\)'),
        ({'folder': 3.5}, r'folder must be text, got 3.5 \(float\)'),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(make, overrides, message):
    with pytest.raises(ConfigError, match=message):
        make(**overrides)


def test_unknown_parameters_are_found_and_those_of_rclpy_are_not(make):
    _, parameters, _ = make(sise=3, use_sim_time=False)
    assert parameters.unknown_names == ['sise']


def test_a_live_change_reaches_the_node(make):
    node, parameters, changes = make()
    (result,) = node.set_parameters([Parameter('scale', value=1.25)])
    assert result.successful
    assert changes == [SomeSettings(scale=1.25)]
    assert parameters.settings.scale == 1.25


@pytest.mark.parametrize(
    ('name', 'value', 'reason'),
    [
        ('scale', 2.0, '1.5'),
        ('mode', 'hasty', "mode must be 'slow' or 'fast', got 'hasty'"),
        ('size', 3, 'read-only'),
        ('folder', '/tmp', 'read-only'),
    ],
)
def test_a_wrong_change_is_refused_with_a_reason(make, name, value, reason):
    node, parameters, changes = make()
    (result,) = node.set_parameters([Parameter(name, value=value)])
    assert not result.successful
    assert reason in result.reason
    assert not changes
    assert parameters.settings == SomeSettings()


def test_a_refused_change_takes_none_of_a_set_along(make):
    node, parameters, changes = make()
    result = node.set_parameters_atomically(
        [Parameter('scale', value=1.2), Parameter('mode', value='hasty')]
    )
    assert not result.successful
    assert not changes
    assert parameters.settings.scale == 1.0


@pytest.mark.parametrize('settings', [PerceptionSettings, VideoSourceSettings])
def test_every_setting_of_the_nodes_can_be_described(settings):
    types = {
        bool: ParameterType.PARAMETER_BOOL, int: ParameterType.PARAMETER_INTEGER,
        float: ParameterType.PARAMETER_DOUBLE, str: ParameterType.PARAMETER_STRING,
    }  # fmt: skip
    for setting in settings.settings():
        described = descriptor(setting)
        assert described.type == types[setting.kind]
        assert described.read_only == (not setting.is_live)
        assert setting.allowed in described.additional_constraints
