"""Settings check themselves and say what they allow."""

import dataclasses

import pytest

from hand_perception.config import PerceptionSettings, PipelineSettings, VideoSourceSettings
from hand_perception.errors import ConfigError


@pytest.mark.parametrize('settings', [PipelineSettings, PerceptionSettings, VideoSourceSettings])
def test_defaults_are_allowed_and_every_setting_has_a_sentence(settings):
    made = settings()
    for setting in settings.settings():
        assert setting.check(getattr(made, setting.name)) == setting.default
        assert setting.sentence.endswith('.')


@pytest.mark.parametrize(
    ('name', 'value', 'told'),
    [
        ('hand_scale', 7.0, '0.5 to 1.5'),
        ('hand_scale', float('nan'), '0.5 to 1.5'),
        ('hand_scale', '1', 'str'),
        ('max_hands', 0, '1 to 8'),
        ('max_hands', True, 'bool'),
        ('device', 'tpu', "'auto' or 'cpu' or 'cuda'"),
        ('one_hand_per_side', 1, 'true or false'),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_and_what_is_allowed(name, value, told):
    with pytest.raises(ConfigError) as error:
        PipelineSettings(**{name: value})
    assert name in str(error.value)
    assert told in str(error.value)


def test_whole_numbers_are_taken_for_float_settings():
    assert PipelineSettings(hand_scale=1).hand_scale == 1.0
    assert type(PipelineSettings(hand_scale=1).hand_scale) is float


def test_a_whole_number_is_taken_for_text_such_as_a_camera_number():
    assert VideoSourceSettings(source=0).source == '0'


def test_an_unknown_name_is_refused_and_the_known_ones_are_told():
    with pytest.raises(ConfigError, match=r'max_hand;.*max_hands'):
        PipelineSettings.from_mapping({'max_hand': 1})


def test_replacing_values_checks_them_and_leaves_the_first_settings_alone():
    first = PipelineSettings()
    assert first.replace(max_hands=1).max_hands == 1
    assert first.max_hands == 2
    with pytest.raises(ConfigError):
        first.replace(max_hands=99)
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.max_hands = 3
