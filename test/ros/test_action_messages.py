"""Actions and label maps to messages and back."""

import pytest
from action_records import STAMP_NS, make_hand_action, make_scene_action, unknown
from rclpy.serialization import deserialize_message, serialize_message

from hand_perception.actions import LabelMap
from hand_perception.msg import HandAction
from hand_perception.msg import LabelMap as LabelMapMessage
from hand_perception.ros.action_messages import (
    action_from_message,
    action_message,
    label_map_from_message,
    label_map_message,
)
from hand_perception.ros.messages import stamp_ns_of, time_ns_of


def sent(action, *, age_s=0.25):
    """An action as a message that went through its wire format."""
    return deserialize_message(serialize_message(action_message(action, age_s=age_s)), HandAction)


@pytest.mark.parametrize(
    'action',
    [
        make_scene_action(),
        make_scene_action(is_final=True, object_label='', object_score=0.0),
        make_hand_action(is_right=False),
        make_hand_action(is_right=True),
        unknown(make_scene_action, 'window too short'),
        unknown(make_hand_action, 'no hand present'),
    ],
)
def test_action_round_trips_through_its_message(action):
    assert action_from_message(sent(action)) == action  # its scores are exact in float32


def test_stamps_are_those_of_the_images_and_age_is_told():
    message = sent(make_scene_action())
    assert (stamp_ns_of(message.header), message.header.frame_id) == (STAMP_NS, 'camera')
    assert STAMP_NS - time_ns_of(message.window_start) == 2_000_000_000
    assert STAMP_NS - time_ns_of(message.onset) == 500_000_000
    assert message.age == 0.25


@pytest.mark.parametrize(
    ('is_right', 'handedness'),
    [
        (None, HandAction.HANDEDNESS_UNKNOWN),
        (False, HandAction.HANDEDNESS_LEFT),
        (True, HandAction.HANDEDNESS_RIGHT),
    ],
)
def test_side_is_written_as_in_hand_pose(is_right, handedness):
    assert sent(make_scene_action(is_right=is_right)).handedness == handedness


def test_what_is_unknown_has_no_label_but_its_reason_and_the_ranking():
    message = sent(unknown(make_scene_action, 'margin below threshold'))
    assert (message.unknown, message.unknown_reason) == (True, 'margin below threshold')
    assert (message.label, message.score) == ('', 0)
    assert message.labels == ['pour_milk', 'open_milk', 'drink']
    told = sent(make_scene_action())
    assert (told.unknown, told.unknown_reason, told.label) == (False, '', 'pour_milk')


def test_counts_beyond_the_field_stay_at_its_end():
    message = sent(make_scene_action(tokens_seen=100_000, tokens_full=70_000))
    assert (message.tokens_seen, message.tokens_full) == (65535, 65535)


@pytest.mark.parametrize('objects', [(), ('milk', 'cup')])
def test_label_map_round_trips_through_its_message(objects):
    labels = LabelMap(name='mine', actions=('pour_milk', 'drink'), objects=objects)
    wire = serialize_message(label_map_message(labels))
    assert label_map_from_message(deserialize_message(wire, LabelMapMessage)) == labels
