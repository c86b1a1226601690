"""Frames of hands on /tf and wrists in a target frame: with fakes, and with the real tf2."""

import importlib.util
import math
import sys
import types
from dataclasses import dataclass

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped, TransformStamped
from rclpy.node import Node
from ros_fakes import make_hand, set_stamp
from topic_fakes import FakeNode, Topics

from hand_perception.geometry import rotation_from_axis_angle
from hand_perception.msg import HandPose
from hand_perception.ros.messages import hand_message, make_header, untracked_message
from hand_perception.ros.target_frame import (
    FrameLookup,
    TargetWrists,
    TfBuffer,
    transformed_pose,
)
from hand_perception.ros.transforms import HandFrames, frame_name, hand_transforms

STAMP_NS = 1_700_000_000_123_456_789
NAMES = {'backend': 'landmarks', 'hand_model': 'default', 'with_vertices': False}

needs_tf = pytest.mark.skipif(
    importlib.util.find_spec('tf2_ros') is None,
    reason='needs the packages tf2_msgs and tf2_ros, which are not among the wheels',
)


def seen(*, is_right=True, stamp_ns=STAMP_NS, frame_id='camera', seed=0):
    """A tracked hand as a message."""
    hand = make_hand(is_right=is_right, seed=seed)
    message = hand_message(hand, make_header(stamp_ns, frame_id), **NAMES)
    message.age = 0.02
    return message


def lost(*, is_right=True):
    message = untracked_message(is_right=is_right, backend='landmarks', hand_model='default')
    message.header = make_header(STAMP_NS, 'camera')
    return message


def translation(transform):
    t = transform.transform.translation
    return np.array([t.x, t.y, t.z])


@dataclass
class FakeTFMessage:
    transforms: list


@pytest.fixture
def fake_tf2_msgs(monkeypatch):
    """Let `from tf2_msgs.msg import TFMessage` work with a record of our own."""
    module = types.ModuleType('tf2_msgs.msg')
    module.TFMessage = FakeTFMessage
    monkeypatch.setitem(sys.modules, 'tf2_msgs', types.ModuleType('tf2_msgs'))
    monkeypatch.setitem(sys.modules, 'tf2_msgs.msg', module)


# Frames on /tf.


@pytest.mark.parametrize(
    ('namespace', 'name'),
    [('/hands', 'hands/left_wrist'), ('/', 'left_wrist'), ('/robot/a', 'robot/a/left_wrist')],
)
def test_frames_carry_the_namespace_without_a_slash_in_front(namespace, name):
    assert frame_name(namespace, 'left', 'wrist') == name


@pytest.mark.parametrize(('is_right', 'side'), [(False, 'left'), (True, 'right')])
def test_a_hand_has_a_wrist_and_a_palm_frame_with_the_header_of_the_image(is_right, side):
    message = seen(is_right=is_right)
    wrist, palm = hand_transforms(message, '/hands')
    assert wrist.child_frame_id == f'hands/{side}_wrist'
    assert palm.child_frame_id == f'hands/{side}_palm'
    for transform in (wrist, palm):
        assert transform.header == message.header
        assert transform.transform.rotation == message.wrist.orientation
    points = np.array([(p.x, p.y, p.z) for p in message.keypoints])
    np.testing.assert_array_equal(translation(wrist), points[0])
    middle = (points[0] + points[[5, 9, 13, 17]].mean(0)) / 2
    np.testing.assert_allclose(translation(palm), middle, rtol=1e-12)


def test_a_hand_that_is_not_tracked_has_no_frame():
    assert hand_transforms(lost(), '/hands') == []


def test_an_extrapolated_hand_has_no_frame():
    message = seen()
    message.predicted = True
    assert hand_transforms(message, '/hands') == []


def test_a_hand_of_no_known_side_has_no_frame():
    message = seen()
    message.handedness = HandPose.HANDEDNESS_UNKNOWN
    assert hand_transforms(message, '/hands') == []


def test_a_hand_without_frame_id_has_no_frame():
    assert hand_transforms(seen(frame_id=''), '/hands') == []


def test_a_hand_with_a_number_that_is_none_has_no_frame():
    message = seen()
    message.wrist.orientation.x = math.nan
    assert hand_transforms(message, '/hands') == []


def test_frames_of_both_sides_go_out_in_one_message_on_tf(fake_tf2_msgs):
    topics = Topics()
    frames = HandFrames(FakeNode(), topics, is_wanted=True)
    assert frames.publish([seen(is_right=False), seen(is_right=True)]) == 4
    (message,) = topics.sent['/tf']
    assert [t.child_frame_id for t in message.transforms] == [
        'hands/left_wrist', 'hands/left_palm', 'hands/right_wrist', 'hands/right_palm',
    ]  # fmt: skip


def test_nothing_goes_out_on_tf_while_nothing_is_tracked(fake_tf2_msgs):
    topics = Topics()
    frames = HandFrames(FakeNode(), topics, is_wanted=True)
    assert frames.publish([lost(is_right=False), lost()]) == 0
    assert topics.sent['/tf'] == []


def test_without_tf2_msgs_it_is_said_once_and_nothing_breaks(monkeypatch):
    monkeypatch.setitem(sys.modules, 'tf2_msgs', None)
    node, topics = FakeNode(), Topics()
    frames = HandFrames(node, topics, is_wanted=True)
    assert frames.publish([seen()]) == 0
    assert frames.publish([seen()]) == 0
    (line,) = node.log.lines
    assert 'tf2_msgs is not installed' in line
    assert 'tf2_msgs' in frames.status
    assert topics.sent == {}


def test_frames_that_are_not_wanted_make_no_topic_and_no_line(fake_tf2_msgs):
    node, topics = FakeNode(), Topics()
    frames = HandFrames(node, topics, is_wanted=False)
    assert frames.publish([seen()]) == 0
    assert (topics.sent, node.log.lines, frames.status) == ({}, [], 'off')


# Poses in a target frame, with a fake of tf2_ros.


class TransformError(Exception):
    """Stands for tf2_ros.TransformException."""


class UnknownFrameError(TransformError):
    """A frame that nobody knows, or a loop."""


class OtherTimeError(TransformError):
    """A time before or after everything known."""


class FakeTf:
    """Answers look-ups with ``answer``, or raises it."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    def open(self, node):
        return TfBuffer(self._look_up, TransformError)

    def _look_up(self, target, source, time):
        self.asked.append((target, source, time.nanoseconds))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def quarter_turn():
    """Base from camera: a quarter turn about z, a metre up."""
    made = TransformStamped(child_frame_id='camera')
    made.header.frame_id = 'base'
    made.transform.translation.z = 1.0
    made.transform.rotation.z = made.transform.rotation.w = math.sqrt(0.5)
    return made


def make_wrists(tf, target='base'):
    node, topics = FakeNode(), Topics()
    return TargetWrists(node, topics, target, open_buffer=tf.open), node, topics


def test_a_pose_is_turned_and_moved_into_the_parent_frame():
    rng = np.random.default_rng(3)
    pose = PoseStamped()
    pose.header.frame_id = 'camera'
    set_stamp(pose, STAMP_NS)
    p, q = pose.pose.position, pose.pose.orientation
    p.x, p.y, p.z = rng.normal(size=3)
    q.x, q.y, q.z, q.w = (0.5, -0.5, 0.5, 0.5)
    moved = transformed_pose(quarter_turn(), pose)
    assert moved.header.frame_id == 'base'
    assert moved.header.stamp == pose.header.stamp
    at = moved.pose.position
    np.testing.assert_allclose([at.x, at.y, at.z], [-p.y, p.x, p.z + 1], atol=1e-12)
    # The x axis of the pose in the camera is (0, 0, -1), its y axis (-1, 0, 0): see the rotation.
    turn = moved.pose.orientation
    matrix = rotation_from_axis_angle(
        2 * math.acos(turn.w) * np.array([turn.x, turn.y, turn.z]) / math.sqrt(1 - turn.w**2)
    )
    rotation = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]]) @ np.array(
        [[0, -1, 0], [0, 0, -1], [1, 0, 0]]
    )
    np.testing.assert_allclose(matrix, rotation, atol=1e-12)


def test_wrists_are_published_in_the_target_frame_at_the_stamp_of_the_image():
    tf = FakeTf(quarter_turn())
    wrists, _, topics = make_wrists(tf)
    message = seen()
    assert wrists.publish(message)
    (pose,) = topics.sent['right/wrist_in_target']
    assert pose.header.frame_id == 'base'
    assert pose.header.stamp == message.header.stamp
    assert pose.pose.position.z == message.wrist.position.z + 1
    assert tf.asked == [('base', 'camera', STAMP_NS)]
    assert topics.sent['left/wrist_in_target'] == []


def test_both_hands_of_an_image_are_looked_up_once():
    tf = FakeTf(quarter_turn())
    wrists, _, _ = make_wrists(tf)
    assert wrists.publish(seen(is_right=False))
    assert wrists.publish(seen(is_right=True))
    assert len(tf.asked) == 1


@pytest.mark.parametrize('error', [UnknownFrameError('it loops'), OtherTimeError('too old')])
def test_a_pose_without_a_transform_is_withheld_said_once_and_counted(error):
    wrists, node, topics = make_wrists(FakeTf(error))
    for number in range(3):
        assert not wrists.publish(seen(stamp_ns=STAMP_NS + number))
    assert topics.sent['right/wrist_in_target'] == []
    (line,) = node.log.lines
    assert str(error) in line and "'camera'" in line and "'base'" in line
    assert wrists.facts() == {
        'target frame': 'base', f'withheld: no transform ({type(error).__name__})': '3',
    }  # fmt: skip
    assert str(error) in wrists.problem


def test_poses_come_again_when_the_transform_does():
    tf = FakeTf(UnknownFrameError('not yet'))
    wrists, _, topics = make_wrists(tf)
    assert not wrists.publish(seen())
    tf.answer = quarter_turn()
    assert wrists.publish(seen(stamp_ns=STAMP_NS + 1))
    assert len(topics.sent['right/wrist_in_target']) == 1
    assert wrists.problem == ''


def test_an_error_that_is_none_of_tf_is_not_swallowed():
    wrists, _, _ = make_wrists(FakeTf(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        wrists.publish(seen())


def test_an_image_stamped_zero_never_gets_the_newest_transform():
    tf = FakeTf(quarter_turn())
    wrists, node, _ = make_wrists(tf)
    assert not wrists.publish(seen(stamp_ns=0))
    assert tf.asked == []
    assert 'stamped 0' in node.log.lines[0]


def test_an_image_without_frame_id_is_withheld():
    tf = FakeTf(quarter_turn())
    wrists, _, _ = make_wrists(tf)
    assert not wrists.publish(seen(frame_id=''))
    assert tf.asked == []
    assert 'no frame_id' in wrists.problem


def test_the_camera_frame_itself_needs_no_transform():
    tf = FakeTf(UnknownFrameError('asked for nothing'))
    wrists, _, topics = make_wrists(tf, target='camera')
    message = seen()
    assert wrists.publish(message)
    (pose,) = topics.sent['right/wrist_in_target']
    assert pose.header == message.header
    assert pose.pose.position == message.wrist.position


@pytest.mark.parametrize('change', ['untracked', 'predicted', 'unknown side'])
def test_only_tracked_measured_hands_of_a_side_are_given(change):
    wrists, _, topics = make_wrists(FakeTf(quarter_turn()))
    message = lost() if change == 'untracked' else seen()
    message.predicted = change == 'predicted'
    if change == 'unknown side':
        message.handedness = HandPose.HANDEDNESS_UNKNOWN
    assert not wrists.publish(message)
    assert not any(topics.sent.values())


def test_without_a_target_frame_there_is_no_topic():
    wrists, node, topics = make_wrists(FakeTf(quarter_turn()), target='')
    assert not wrists.publish(seen())
    assert (topics.sent, node.log.lines, wrists.facts()) == ({}, [], {})


def test_without_tf2_ros_it_is_said_once_and_poses_are_withheld(monkeypatch):
    monkeypatch.setitem(sys.modules, 'tf2_ros', None)
    node = FakeNode()
    lookup = FrameLookup(node, '/base')
    assert [lookup.find('camera', STAMP_NS + n) for n in range(2)] == [None, None]
    (line,) = node.log.lines
    assert 'tf2_ros' in line and "'base'" in line
    assert 'tf2_ros' in lookup.problem


# With the real tf2 where it is installed.


@pytest.fixture
def tf_node(ros_context):
    node = Node('tf_test', context=ros_context, namespace='/tf_test')
    yield node
    node.destroy_node()


def feed(bench, lookup, transforms):
    """Send transforms on /tf and wait until the listener has them all."""
    from tf2_msgs.msg import TFMessage

    publisher = bench.talk(TFMessage, '/tf', qos=100)
    publisher.publish(TFMessage(transforms=transforms))
    buffer = lookup._tf.lookup.__self__
    last = transforms[-1].child_frame_id
    bench.wait_until(lambda: last in buffer.all_frames_as_yaml(), what=f'the frame {last}')


def tf_of(parent, child, stamp_ns, *, z=1.0):
    made = TransformStamped(child_frame_id=child)
    made.header = make_header(stamp_ns, parent)
    made.transform.translation.z = z
    return made


@needs_tf
def test_real_tf_gives_the_transform_at_the_time_of_the_image(bench, tf_node):
    bench.add(tf_node)
    lookup = FrameLookup(tf_node, 'base')
    feed(bench, lookup, [
        tf_of('base', 'camera', STAMP_NS - 50_000_000, z=1.0),
        tf_of('base', 'camera', STAMP_NS + 50_000_000, z=2.0),
    ])  # fmt: skip
    # Half-way between the two in time, so half-way in place.
    found = lookup.find('camera', STAMP_NS)
    assert found.transform.translation.z == pytest.approx(1.5, abs=1e-6)
    assert found.header.frame_id == 'base'


@needs_tf
@pytest.mark.parametrize(
    ('transforms', 'kind'),
    [
        ([tf_of('base', 'other', STAMP_NS)], 'LookupException'),
        ([tf_of('camera', 'camera', STAMP_NS), tf_of('base', 'b', STAMP_NS)], 'LookupException'),
        (
            [tf_of('x', 'camera', STAMP_NS), tf_of('camera', 'x', STAMP_NS),
             tf_of('base', 'b', STAMP_NS)],
            'LookupException',
        ),
        ([tf_of('base', 'camera', STAMP_NS - 2_000_000_000)], 'ExtrapolationException'),
        ([tf_of('base', 'camera', STAMP_NS + 2_000_000_000)], 'ExtrapolationException'),
        ([tf_of('y', 'camera', STAMP_NS), tf_of('base', 'b', STAMP_NS)], 'ConnectivityException'),
    ],
    ids=['unknown', 'its own parent', 'loop', 'old', 'of the future', 'not connected'],
)  # fmt: skip
def test_real_tf_without_an_answer_withholds(bench, tf_node, transforms, kind):
    bench.add(tf_node)
    lookup = FrameLookup(tf_node, 'base')
    feed(bench, lookup, transforms)
    assert lookup.find('camera', STAMP_NS) is None
    assert lookup.counts == {f'no transform ({kind})': 1}


@needs_tf
def test_real_tf_messages_of_hands_are_heard_by_a_real_listener(bench, tf_node):
    bench.add(tf_node)
    lookup = FrameLookup(bench.node, 'hands/right_wrist')
    frames = HandFrames(FakeNode(), tf_node.create_publisher, is_wanted=True)
    buffer = lookup._tf.lookup.__self__
    bench.wait_until(
        lambda: tf_node.count_subscribers('/tf') and frames.publish([seen()])
        and 'hands/right_palm' in buffer.all_frames_as_yaml(),
        what='the frames',
    )  # fmt: skip
    found = lookup.find('camera', STAMP_NS)
    message = seen()
    at = transformed_pose(
        found, PoseStamped(header=message.header, pose=message.wrist)
    ).pose.position
    np.testing.assert_allclose([at.x, at.y, at.z], 0, atol=1e-6)  # a wrist is at its own origin
