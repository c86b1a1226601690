"""Settings that no arm should get are refused, with what to do about it."""

import numpy as np
import pytest

from hand_perception.errors import ConfigError
from hand_perception.teleop.settings import TeleopSettings


def test_defaults_are_allowed_and_every_setting_has_a_sentence():
    made = TeleopSettings()
    for setting in made.settings():
        assert setting.check(getattr(made, setting.name)) == setting.default
        assert setting.sentence.endswith('.')


@pytest.mark.parametrize(
    ('changes', 'told'),
    [
        ({'axis_map': '1 0 0 0 1 0 0 0 -1'}, 'mirror'),
        ({'axis_map': '1 0 0 0 2 0 0 0 1'}, 'Use scale for a scale'),
        ({'axis_map': '1 0.1 0 0 1 0 0 0 1'}, 'at right angles'),
        ({'axis_map': '1 0 0 0 1 0 0 0'}, '9 finite numbers'),
        ({'axis_map': '1 0 0 0 1 0 0 0 nan'}, '9 finite numbers'),
        ({'axis_map': 'front'}, '9 finite numbers'),
        ({'axis_map': '0 0 0 0 0 0 0 0 0'}, 'must be a rotation'),
        ({'box_min': '0.5 0 0', 'box_max': '0.4 1 1'}, 'must lie below box_max'),
        ({'box_max': '1 1'}, '3 finite numbers'),
        ({'start_pose': '0 0 0 0 0 0 0'}, 'unit quaternion'),
        ({'pinch_open': 0.9}, 'pinch_open must be less than pinch_close'),
        ({'gripper_open_at': 0.95}, 'gripper_open_at must be less'),
        ({'clutch': 'pinch', 'pinch_hand': 'same'}, 'gripper_source to grasp'),
        ({'dead_man': 'pinch', 'pinch_hand': 'same'}, 'gripper_source to grasp'),
        ({'clutch': 'pinch', 'sides': 'both'}, 'gripper_source to grasp'),
        ({'loss_stop': 'brake', 'max_speed': 2.0}, 'longer than hold_timeout_s'),
        ({'rate_hz': 20.0}, 'at least two periods of rate_hz'),
        ({'max_speed': 0.0}, '0.001 to 5'),
        ({'clutch': 'voice'}, "'service' or 'button' or 'pinch'"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_name_and_what_to_do(changes, told):
    with pytest.raises(ConfigError) as error:
        TeleopSettings(**changes)
    assert told in str(error.value)


def test_typed_digits_become_the_exact_rotation_that_was_meant():
    rotation = TeleopSettings(axis_map='0.707 -0.707 0, 0.707 0.707 0, 0 0 1').axis_rotation
    assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-15)
    assert rotation[0, 0] == pytest.approx(np.sqrt(0.5))


def test_sides_are_told_left_first():
    assert TeleopSettings(sides='both').active_sides == ('left', 'right')
    assert TeleopSettings().active_sides == ('right',)
