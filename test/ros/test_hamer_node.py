"""The perception node with HaMeR: a tiny network with random weights, everything else real.

Its hands are meaningless; that they come, with right stamps, sizes and projections, is not.
"""

import math
from itertools import islice

import cv2
import hamer_files
import numpy as np
import pytest
from ros_bench import values_of
from ros_fakes import box_message, boxes_message, camera_info, set_stamp
from sensor_msgs.msg import CameraInfo, Image
from std_srvs.srv import Trigger

from hand_perception.msg import HandBoxArray, HandPoseArray
from hand_perception.pipeline.stream import HandPipeline
from hand_perception.ros.messages import hand_from_message, stamp_ns_of
from hand_perception.ros.perception_node import PerceptionNode
from hand_perception.synthetic.truth import load_clip_truth
from hand_perception.video import open_source

START_NS = 1_700_000_000_000_000_000
FRAME_NS = 33_333_333


@pytest.fixture(scope='module')
def hamer_dir(tmp_path_factory):
    return hamer_files.write_flat(tmp_path_factory.mktemp('hamer'), with_hand_file=True)


class HamerNode:
    """A node with HaMeR, the images of the built-in clip for it, and its answers."""

    def __init__(self, bench, hamer_dir, **parameters):
        defaults = {
            'backend': 'hamer', 'hamer_dir': str(hamer_dir), 'device': 'cpu', 'precision': 'fp32',
            'reliability': 'reliable', 'max_age_ms': 0.0, 'camera_info_timeout_s': 60.0,
            'publish_vertices': True,
        }  # fmt: skip
        options = bench.node_options(**{**defaults, **parameters})
        self.node = bench.add(PerceptionNode(HandPipeline.load, **options))
        self.hands = bench.listen(HandPoseArray, 'pose')
        self.diagnostics = bench.diagnostics()
        self.images = bench.talk(Image, 'image')
        self.camera = load_clip_truth().camera
        infos = bench.talk(CameraInfo, 'camera_info')
        camera = self.camera
        info = camera_info(width=camera.width, height=camera.height, frame_id='head')
        info.k = camera.K.ravel()
        infos.publish(info)
        bench.wait_until(lambda: self.node._cameras._latched, what='camera_info')

    def show(self, number):
        """Publish an image of the clip; return its stamp."""
        image = next(islice(open_source('synthetic').frames(), number, None)).image_bgr
        height, width = image.shape[:2]
        message = Image(height=height, width=width, encoding='bgr8', step=3 * width)
        set_stamp(message, START_NS + number * FRAME_NS)
        message.header.frame_id = 'head'
        message.data = image.tobytes()
        self.images.publish(message)
        return stamp_ns_of(message.header)

    def answer(self, stamp_ns):
        return self.hands.wait(lambda m: stamp_ns_of(m.header) == stamp_ns, what='the hands')


def test_hamer_reconstructs_the_hands_of_the_built_in_clip(bench, hamer_dir):
    node = HamerNode(bench, hamer_dir)
    for number in (0, 2, 4):
        message = node.answer(node.show(number))
        assert message.header.frame_id == 'head'
        assert [hand.handedness for hand in message.hands] == [1, 2]
        for hand in message.hands:
            assert hand.header == message.header
            assert (hand.backend, hand.hand_model) == ('hamer', 'mano')
            check_hand(hand, node.camera)
    ids = {tuple(hand.track_id for hand in m.hands) for m in node.hands.messages}
    assert len(ids) == 1
    status = node.diagnostics.wait(
        lambda _, values: values['images processed'] == '3', what='a count of the images'
    )
    values = values_of(status)
    assert values['back end'] == 'hamer'
    assert values['device'] == 'cpu fp32, boxes on cpu'
    assert (values['hand model'], values['box source']) == ('mano', 'detector')
    assert (values['left hands'], values['right hands']) == ('3', '3')


def check_hand(message, camera):
    """What messages promise of every tracked hand, whatever the weights."""
    hand = hand_from_message(message)
    assert hand.vertices.shape == (778, 3)
    for name in ('keypoints_3d', 'keypoints_2d', 'vertices', 'wrist_rotation', 'bbox_xyxy'):
        assert np.isfinite(getattr(hand, name)).all(), name
    assert hand.keypoints_3d[:, 2].min() > 0
    projected, _ = cv2.projectPoints(
        hand.keypoints_3d.astype(np.float64), np.zeros(3), np.zeros(3), camera.K, None
    )
    # 2 px is the promise of the messages.
    assert np.abs(projected[:, 0] - hand.keypoints_2d).max() <= 2
    assert hand.parameters.betas.any()


def test_boxes_from_the_topic_are_reconstructed_and_shapes_forgotten_on_request(bench, hamer_dir):
    node = HamerNode(bench, hamer_dir, box_source='topic')
    boxes = bench.talk(HandBoxArray, 'boxes')
    corners = {False: (200, 220, 300, 330), True: (350, 200, 450, 330)}
    for number in (0, 1):
        stamp_ns = node.show(number)
        entries = [box_message(corners[side], is_right=side, score=0.9) for side in (True, False)]
        boxes.publish(boxes_message(stamp_ns, *entries))
        message = node.answer(stamp_ns)
        assert [hand.handedness for hand in message.hands] == [1, 2]
        for hand in message.hands:
            check_hand(hand, node.camera)
            assert hand.confidence > 0
    status = node.diagnostics.wait(lambda *_: True, what='diagnostics')
    assert values_of(status)['box source'] == 'topic'
    reset = [bench.call(Trigger, 'perception/reset_shapes', Trigger.Request()) for _ in range(2)]
    assert [(a.success, a.message) for a in reset] == [
        (True, 'shapes of 2 hands forgotten'),
        (True, 'shapes of 0 hands forgotten'),
    ]


def test_an_image_whose_boxes_are_all_bad_has_no_hands_and_the_next_one_has(bench, hamer_dir):
    node = HamerNode(bench, hamer_dir, box_source='topic')
    boxes = bench.talk(HandBoxArray, 'boxes')
    stamp_ns = node.show(0)
    boxes.publish(boxes_message(stamp_ns, box_message((math.nan,) * 4, is_right=True)))
    assert node.answer(stamp_ns).hands == []
    stamp_ns = node.show(1)
    boxes.publish(boxes_message(stamp_ns, box_message((350, 200, 450, 330), is_right=True)))
    assert [hand.handedness for hand in node.answer(stamp_ns).hands] == [2]
