"""``hand_perception demo`` runs real nodes and leaves what it promises."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from hand_perception.cli.main import main

PHOTO = Path(__file__).parents[1] / 'data' / 'photos' / 'nocurl.jpg'
NUM_IMAGES = 12

pytestmark = pytest.mark.ros


@pytest.fixture(scope='module')
def demo(tmp_path_factory, ros_environment):
    """A demo on a folder of equal photos, slow enough for any machine."""
    images = tmp_path_factory.mktemp('images')
    for number in range(NUM_IMAGES):
        shutil.copy(PHOTO, images / f'{number}.jpg')
    out = tmp_path_factory.mktemp('demo') / 'out'
    code = main(['demo', '--images', str(images), '--rate', '4', '--out', str(out)])
    return code, out


def test_the_demo_succeeds_and_says_what_happened(demo, capsys):
    code, out = demo
    assert code == 0, [p.read_text() for p in out.glob('*.log')]


def test_every_image_was_recorded_and_its_hand_found(demo):
    hands = np.load(demo[1] / 'hands.npz')
    assert len(hands['image_stamp_ns']) == NUM_IMAGES
    processed, dropped = hands['frames_processed'][-1], hands['frames_dropped'][-1]
    assert processed + dropped == NUM_IMAGES
    assert len(hands['stamp_ns']) == processed
    assert not hands['is_right'].any()
    assert len(set(hands['track_id'])) == 1
    assert (np.diff(hands['pose_stamp_ns']) > 0).all()
    assert (hands['age_s'] > 0).all()


def test_the_bag_holds_all_topics_with_messages_that_can_be_read(demo):
    rosbag2 = pytest.importorskip('rosbags.rosbag2', reason='rosbags is not installed')
    with rosbag2.Reader(demo[1] / 'bag') as bag:
        counts = {connection.topic: connection.msgcount for connection in bag.connections}
        types = {connection.topic: connection.msgtype for connection in bag.connections}
    assert types['/hands/pose'] == 'hand_perception/msg/HandPoseArray'
    processed = np.load(demo[1] / 'hands.npz')['frames_processed'][-1]
    for topic in ('pose', 'left/pose', 'right/pose', 'left/wrist', 'markers'):
        assert counts[f'/hands/{topic}'] == processed, topic
    assert counts['/hands/action'] == 2 * processed  # one per side
    assert counts['/hands/action_labels'] == 1
    assert counts['/hands/htt/pose'] == 0
    assert counts['/hands/right/wrist'] == 0
    assert counts['/hands/image/compressed'] == NUM_IMAGES
    assert counts['/diagnostics'] >= 1


def test_actions_of_both_sides_are_recorded_for_every_image(demo):
    arrays = np.load(demo[1] / 'hands.npz')
    stamps, sides = arrays['action_stamp_ns'], arrays['action_is_right']
    for side in (0, 1):
        np.testing.assert_array_equal(stamps[sides == side], arrays['pose_stamp_ns'])
    right = arrays['action_unknown_reason'][sides == 1]
    assert set(right) == {'no right hand is seen'}  # the photo shows a left one
    is_unknown = arrays['action_unknown_reason'] != ''
    np.testing.assert_array_equal(arrays['action_label'] == '', is_unknown)
    assert (arrays['action_onset_ns'] <= stamps).all()


def test_messages_of_the_bag_hold_the_hand(demo):
    rosbags = pytest.importorskip('rosbags.highlevel', reason='rosbags is not installed')
    with rosbags.AnyReader([demo[1] / 'bag']) as bag:
        connections = [c for c in bag.connections if c.topic == '/hands/left/pose']
        _, _, cdr = list(bag.messages(connections))[-1]
        hand = bag.deserialize(cdr, connections[0].msgtype)
    assert hand.tracked
    assert hand.handedness == hand.HANDEDNESS_LEFT
    assert hand.depth_source == hand.DEPTH_ASSUMED_CAMERA
    assert np.isfinite(hand.keypoints_2d).all()


def test_the_overlay_video_and_the_contact_sheet_show_the_hand(demo):
    photo = cv2.imread(str(PHOTO)).astype(int)
    capture = cv2.VideoCapture(str(demo[1] / 'overlay.mp4'))
    frames = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    image = capture.read()[1].astype(int)
    capture.release()
    assert frames >= NUM_IMAGES // 2
    assert (np.abs(image - photo[: image.shape[0], : image.shape[1]]).max(-1) > 40).mean() > 0.02
    assert cv2.imread(str(demo[1] / 'contact_sheet.png')) is not None


def test_a_second_demo_replaces_the_first_and_nothing_else(demo, tmp_path, capsys):
    (tmp_path / 'thesis.txt').write_text('important')
    assert main(['demo', '--images', str(PHOTO.parent), '--out', str(tmp_path)]) == 2
    assert 'thesis.txt' in capsys.readouterr().err
    assert (tmp_path / 'thesis.txt').exists()


def test_a_source_that_is_not_there_is_refused_before_any_node_starts(tmp_path, capsys):
    assert main(['demo', '--video', 'nowhere.mp4', '--out', str(tmp_path / 'out')]) == 2
    assert "'nowhere.mp4' is no file" in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()
