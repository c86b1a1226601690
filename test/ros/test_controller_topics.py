"""What goes out for controllers beside the poses, from hands of the pipeline."""

import dataclasses

import pytest
from ros_fakes import make_hand
from topic_fakes import FakeNode, Topics

from hand_perception.datatypes import FrameResult
from hand_perception.ros.controller_topics import ControllerTopics, surest_of_each_side
from hand_perception.ros.messages import HandMessages, make_header, stamp_ns_of

STAMP_NS = 1_700_000_000_000_000_000
NOW_NS = STAMP_NS + 40_000_000
NAMES = {'backend': 'landmarks', 'hand_model': 'default'}


def result_of(*hands):
    return FrameResult(stamp_ns=STAMP_NS, frame_id='camera', hands=hands, stage_s=())


def messages_of(result):
    header = make_header(result.stamp_ns, result.frame_id)
    return HandMessages(**NAMES).write(result.hands, header, with_vertices=False)


def make_topics(*, num_subscribers=1, now_ns=NOW_NS, target_frame='camera'):
    topics = Topics(num_subscribers=num_subscribers)
    node = FakeNode(now_ns=now_ns)
    made = ControllerTopics(
        node, topics, publish_tf=False, target_frame=target_frame,
        open_buffer=lambda _: None, **NAMES,
    )  # fmt: skip
    return made, topics.sent


def publish(topics, result, **options):
    surest = surest_of_each_side(result, messages_of(result))
    topics.publish(result, surest, counts=(7, 2), **options)


def test_of_several_hands_of_a_side_the_surest_is_given():
    unsure = dataclasses.replace(make_hand(track_id=1), confidence=0.5)
    sure = dataclasses.replace(make_hand(track_id=2), confidence=0.9)
    left = make_hand(is_right=False, track_id=3)
    result = result_of(unsure, sure, left)
    surest = surest_of_each_side(result, messages_of(result))
    assert {side: message.track_id for side, message in surest.items()} == {False: 3, True: 2}


def test_wrists_of_both_sides_come_in_the_target_frame():
    topics, sent = make_topics()
    publish(topics, result_of(make_hand(is_right=False), make_hand()))
    assert len(sent['left/wrist_in_target']) == len(sent['right/wrist_in_target']) == 1


def test_raw_hands_carry_the_stamp_of_the_image_and_no_horizon():
    topics, sent = make_topics()
    raw = make_hand(seed=5)
    publish(topics, result_of(make_hand()), raw_hands=[raw])
    (message,) = sent['pose_raw']
    assert stamp_ns_of(message.header) == STAMP_NS
    assert (message.frames_processed, message.frames_dropped) == (7, 2)
    (hand,) = message.hands
    assert hand.header == message.header
    assert hand.keypoints[8].x == pytest.approx(raw.keypoints_3d[8, 0], abs=1e-9)
    assert (hand.horizon, hand.predicted) == (0.0, False)
    assert hand.age == pytest.approx(0.04, abs=1e-6)


def test_predicted_hands_are_stamped_now_and_tell_how_far_that_is_ahead():
    topics, sent = make_topics()
    asked = []

    def predict(stamp_ns):
        asked.append(stamp_ns)
        return stamp_ns, [dataclasses.replace(make_hand(), is_predicted=True)]

    publish(topics, result_of(make_hand()), predict=predict)
    (message,) = sent['pose_predicted']
    assert asked == [NOW_NS]
    assert stamp_ns_of(message.header) == NOW_NS
    (hand,) = message.hands
    assert hand.predicted
    assert hand.horizon == pytest.approx(0.04, abs=1e-6)
    assert hand.age == 0.0
    assert hand.age + hand.horizon == pytest.approx((NOW_NS - STAMP_NS) * 1e-9, abs=1e-6)


def test_hands_that_are_not_predicted_as_far_as_now_tell_the_rest_as_their_age():
    topics, sent = make_topics()
    reached_ns = STAMP_NS + 25_000_000
    publish(topics, result_of(make_hand()), predict=lambda _: (reached_ns, [make_hand()]))
    (message,) = sent['pose_predicted']
    assert stamp_ns_of(message.header) == reached_ns
    assert message.hands[0].horizon == pytest.approx(0.025, abs=1e-6)
    assert message.hands[0].age == pytest.approx(0.015, abs=1e-6)


def test_nothing_is_predicted_into_the_past_of_an_image():
    topics, sent = make_topics(now_ns=STAMP_NS - 10_000_000)
    publish(topics, result_of(make_hand()), predict=lambda ns: (ns, [make_hand()]))
    assert sent['pose_predicted'][0].hands[0].horizon == 0.0


def test_nothing_is_made_for_nobody():
    topics, sent = make_topics(num_subscribers=0)

    def predict(stamp_ns):
        raise AssertionError('nobody asked')

    publish(topics, result_of(make_hand()), raw_hands=[make_hand()], predict=predict)
    assert sent['pose_raw'] == sent['pose_predicted'] == []


def test_an_image_without_hands_says_so_on_the_further_topics_too():
    topics, sent = make_topics()
    publish(topics, result_of(), raw_hands=[], predict=lambda ns: (ns, []))
    assert len(sent['pose_raw'][0].hands) == len(sent['pose_predicted'][0].hands) == 0
    assert sent['left/wrist_in_target'] == sent['right/wrist_in_target'] == []


def test_diagnostics_name_the_frames():
    topics, _ = make_topics(target_frame='camera')
    assert topics.facts() == {'frames on /tf': 'off', 'target frame': 'camera'}
    assert topics.problem == ''
