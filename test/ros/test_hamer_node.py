"""The perception node with HaMeR: a tiny network with random weights, everything else real.

Its hands are meaningless; that they come, with right stamps, sizes and projections, is not.
"""

import math

import cv2
import hamer_files
import numpy as np
import pytest
from clip_node import FRAME_ID, ClipNode
from ros_bench import values_of
from ros_fakes import box_message, boxes_message
from std_srvs.srv import Trigger

from hand_perception.msg import HandBoxArray
from hand_perception.ros.messages import hand_from_message


@pytest.fixture(scope='module')
def hamer_dir(tmp_path_factory):
    return hamer_files.write_flat(tmp_path_factory.mktemp('hamer'), with_hand_file=True)


class HamerNode(ClipNode):
    """A node with HaMeR."""

    def __init__(self, bench, hamer_dir, **parameters):
        hamer = {'backend': 'hamer', 'hamer_dir': str(hamer_dir), 'precision': 'fp32'}
        super().__init__(bench, publish_vertices=True, **{**hamer, **parameters})


def test_hamer_reconstructs_the_hands_of_the_built_in_clip(bench, hamer_dir):
    node = HamerNode(bench, hamer_dir)
    for number in (0, 2, 4):
        message = node.answer(node.show(number))
        assert message.header.frame_id == FRAME_ID
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
