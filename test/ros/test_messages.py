"""Hands to messages and back."""

import dataclasses

import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from ros_fakes import make_hand

from hand_perception.msg import HandPose
from hand_perception.ros.messages import (
    HandMessages,
    hand_from_message,
    hand_message,
    make_header,
    stamp_ns_of,
    untracked_message,
    wrist_message,
)

HEADER = make_header(1_700_000_000_123_456_789, 'camera_optical_frame')
NAMES = {'backend': 'landmarks', 'hand_model': 'default'}


def sent(hand, *, with_vertices=True):
    """A hand as a message that went through its wire format."""
    message = hand_message(hand, HEADER, with_vertices=with_vertices, **NAMES)
    return deserialize_message(serialize_message(message), HandPose)


@pytest.mark.parametrize('is_right', [False, True])
def test_hand_round_trips_through_its_message(is_right):
    hand = make_hand(is_right=is_right, track_id=2**32 - 1, num_vertices=1159)
    back = hand_from_message(sent(hand))
    for field in dataclasses.fields(hand):
        if field.name in ('parameters', 'hamer'):  # the message has no details of HaMeR
            continue
        # Numbers travel as float32; the rotation as a quaternion in float64.
        np.testing.assert_allclose(
            getattr(back, field.name), getattr(hand, field.name), atol=1e-9, err_msg=field.name
        )
    for field in dataclasses.fields(hand.parameters):
        ours, theirs = getattr(hand.parameters, field.name), getattr(back.parameters, field.name)
        np.testing.assert_array_equal(theirs, ours.astype(np.float32), err_msg=field.name)


def test_header_is_copied_and_names_are_written():
    message = sent(make_hand())
    assert message.header == HEADER
    assert stamp_ns_of(message.header) == 1_700_000_000_123_456_789
    assert (message.backend, message.hand_model) == ('landmarks', 'default')
    assert message.tracked


def test_wrist_stands_on_the_first_keypoint_with_a_unit_quaternion():
    message = sent(make_hand())
    position, turn = message.wrist.position, message.wrist.orientation
    assert position == message.keypoints[0]
    assert turn.x**2 + turn.y**2 + turn.z**2 + turn.w**2 == pytest.approx(1, abs=1e-12)


def test_vertices_are_left_out_when_not_asked_for():
    message = sent(make_hand(), with_vertices=False)
    assert len(message.vertices) == 0
    assert hand_from_message(message).vertices.shape == (0, 3)


def test_every_number_of_an_untracked_side_is_nan_and_every_whole_number_zero():
    message = untracked_message(is_right=False, **NAMES)
    message = deserialize_message(serialize_message(message), HandPose)
    assert message.handedness == HandPose.HANDEDNESS_LEFT
    assert not message.tracked
    assert (message.track_id, message.depth_source, message.predicted) == (0, 0, False)
    numbers = [
        message.handedness_score, message.confidence, message.pinch_distance, message.pinch,
        message.grasp, message.depth_stddev, message.age,
        *(getattr(message.wrist.position, axis) for axis in 'xyz'),
        *(getattr(message.wrist.orientation, axis) for axis in 'xyzw'),
        *(getattr(point, axis) for point in message.keypoints for axis in 'xyz'),
    ]  # fmt: skip
    for name, length in {
        'keypoints_2d': 42, 'keypoint_confidence': 21, 'bbox': 4, 'global_orient': 3,
        'hand_pose': 45, 'betas': 10, 'transl': 3, 'flexion': 15,
    }.items():  # fmt: skip
        assert len(getattr(message, name)) == length
        numbers.extend(getattr(message, name))
    assert np.isnan(numbers).all()


def test_an_untracked_message_is_no_hand():
    with pytest.raises(ValueError, match='not tracked'):
        hand_from_message(untracked_message(is_right=True, **NAMES))


def test_messages_that_are_used_again_hold_nothing_of_the_hands_before():
    writer = HandMessages(**NAMES)
    hands = [make_hand(is_right=False, track_id=5), make_hand(is_right=True, track_id=6)]
    writer.write(hands, make_header(1, 'other'), with_vertices=True)
    for with_vertices in (True, False):
        written = writer.write(hands[::-1], HEADER, with_vertices=with_vertices)
        for hand, message in zip(hands[::-1], written, strict=True):
            fresh = hand_message(hand, HEADER, with_vertices=with_vertices, **NAMES)
            assert str(message) == str(fresh)  # NaN is not NaN, and padding holds anything
    assert writer.write([], HEADER, with_vertices=False) == []


def test_wrist_message_is_the_wrist():
    message = sent(make_hand())
    wrist = wrist_message(message)
    assert (wrist.header, wrist.pose) == (message.header, message.wrist)
