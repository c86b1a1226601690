"""Boxes from a topic through a node with real topics, and a pipeline that is told what to see."""

import math

import numpy as np
import pytest
from ros_bench import values_of
from ros_fakes import (
    FakePipeline,
    box_message,
    boxes_message,
    image_message,
    make_hand,
)
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool, Trigger

from hand_perception.datatypes import Box
from hand_perception.errors import ConfigError
from hand_perception.msg import HandBoxArray, HandPoseArray
from hand_perception.ros.messages import stamp_ns_of
from hand_perception.ros.perception_node import PerceptionNode

START_NS = 1_700_000_000_000_000_000
FRAME_NS = 33_333_333
GOOD = box_message((10, 5, 40, 45), is_right=True, score=0.5)
GOOD_BOX = Box(xyxy=(10, 5, 40, 45), is_right=True, score=0.5)


class Detector:
    """A node that waits for boxes, a camera and the detector of a user."""

    def __init__(self, bench):
        self.pipeline = FakePipeline([make_hand()])
        self.node = bench.start_perception(self.pipeline, backend='hamer', box_source='topic')
        self.hands = bench.listen(HandPoseArray, 'pose')
        self.images = bench.talk(Image, 'image')
        self.boxes = bench.talk(HandBoxArray, 'boxes')
        self.diagnostics = bench.diagnostics()
        self._bench = bench
        self._shown = 0

    def show(self, number):
        """Publish an image and wait until the node holds it; return its stamp."""
        stamp_ns = START_NS + number * FRAME_NS
        self.images.publish(image_message(stamp_ns))
        self._shown += 1
        self._bench.wait_until(
            lambda: self.node._statistics.received == self._shown, what='the image'
        )
        return stamp_ns

    def answer(self, stamp_ns):
        return self.hands.wait(lambda m: stamp_ns_of(m.header) == stamp_ns, what='the hands')

    def wait_error(self, text):
        return self.diagnostics.wait(lambda status, _: text in status.message, what=repr(text))


def test_an_image_is_processed_when_boxes_of_its_stamp_come(bench):
    detector = Detector(bench)
    stamps = [detector.show(number) for number in range(3)]
    detector.boxes.publish(boxes_message(stamps[1], GOOD))
    message = detector.answer(stamps[1])
    assert (message.frames_processed, message.frames_dropped) == (1, 1)
    assert detector.pipeline.frames[0].boxes == (GOOD_BOX,)
    detector.boxes.publish(boxes_message(stamps[2]))
    detector.answer(stamps[2])
    assert detector.pipeline.frames[1].boxes == ()
    status = detector.diagnostics.wait(
        lambda _, values: values['dropped: no boxes came'] == '1', what='a count of the older one'
    )
    assert values_of(status)['images processed'] == '2'


def test_boxes_that_overtake_their_image_are_used_for_it(bench):
    detector = Detector(bench)
    stamp_ns = START_NS + 7 * FRAME_NS
    detector.boxes.publish(boxes_message(stamp_ns, GOOD))
    bench.wait_until(lambda: detector.node._boxes._early, what='the boxes')
    detector.show(7)
    detector.answer(stamp_ns)
    assert detector.pipeline.frames[0].boxes == (GOOD_BOX,)


def test_images_without_boxes_are_counted_and_what_is_missing_told(bench):
    detector = Detector(bench)
    for number in range(18):
        detector.show(number)
    status = detector.wait_error('2 images dropped, none processed: no boxes came for them')
    assert status.level == status.WARN
    assert 'HandBoxArray with the header of each image' in status.message
    assert values_of(status)['dropped: no boxes came'] == '2'
    assert detector.pipeline.frames == []


def test_boxes_of_no_image_are_told_and_the_next_image_is_processed(bench):
    detector = Detector(bench)
    stamps = [detector.show(number) for number in range(2)]
    detector.boxes.publish(boxes_message(stamps[0] + 1, GOOD))
    status = detector.wait_error('no image waits for boxes of stamp 1700000000.000000001')
    assert int(values_of(status)['errors']) >= 1
    detector.boxes.publish(boxes_message(stamps[1], GOOD))
    detector.answer(stamps[1])


@pytest.mark.parametrize(
    ('bad', 'problem'),
    [
        (box_message((100, 5, 140, 45), is_right=True), 'box 0 [100, 5, 140, 45] lies outside'),
        (box_message((math.nan,) * 4, is_right=True), 'has numbers that are not finite'),
        (box_message((10, 5, 10, 5), is_right=True), 'is empty'),
        (box_message((0, 0, 1e6, 1e6), is_right=True), 'is larger than 256 pixels'),
        (box_message((10, 5, 10.5, 45), is_right=True), 'is less than 2 pixels'),
    ],
)
def test_a_bad_box_is_left_out_and_told_and_the_good_one_used(bench, bad, problem):
    detector = Detector(bench)
    stamp_ns = detector.show(0)
    detector.boxes.publish(boxes_message(stamp_ns, bad, GOOD))
    detector.answer(stamp_ns)
    assert detector.pipeline.frames[0].boxes == (GOOD_BOX,)
    status = detector.wait_error(problem)
    assert values_of(status)['errors'] == '1'


def test_a_box_of_unknown_side_is_refused_with_what_to_send(bench):
    detector = Detector(bench)
    stamp_ns = detector.show(0)
    unknown = box_message((10, 5, 40, 45), is_right=True)
    unknown.handedness = unknown.HANDEDNESS_UNKNOWN
    detector.boxes.publish(boxes_message(stamp_ns, unknown))
    detector.answer(stamp_ns)
    assert detector.pipeline.frames[0].boxes == ()
    detector.wait_error('box 0 has handedness 0; expected HANDEDNESS_LEFT (1) or')


def test_images_that_wait_when_the_node_is_disabled_are_counted(bench):
    detector = Detector(bench)
    stamps = [detector.show(number) for number in range(3)]
    bench.call(SetBool, 'perception/enable', SetBool.Request(data=False))
    detector.diagnostics.wait(
        lambda _, values: values['dropped: disabled'] == '3', what='a count of the images'
    )
    bench.call(SetBool, 'perception/enable', SetBool.Request(data=True))
    stamp_ns = detector.show(3)
    detector.boxes.publish(boxes_message(stamp_ns, GOOD))
    detector.answer(stamp_ns)
    assert [frame.stamp_ns for frame in detector.pipeline.frames] == [stamp_ns]
    assert stamp_ns > stamps[-1]


def test_boxes_for_the_back_end_landmarks_end_the_start(bench):
    with pytest.raises(ConfigError, match="set backend to 'hamer' or box_source to 'detector'"):
        PerceptionNode(lambda _: FakePipeline(), **bench.node_options(box_source='topic'))


def test_shapes_are_forgotten_between_two_images(bench):
    detector = Detector(bench)
    shapes = detector.pipeline.state.shapes
    shapes.step([1, 2], np.ones((2, 10)), [True, True], hold_after=5)
    answer = bench.call(Trigger, 'perception/reset_shapes', Trigger.Request())
    assert (answer.success, answer.message) == (True, 'shapes of 2 hands forgotten')
    assert len(shapes) == 0


def test_shapes_that_cannot_be_forgotten_in_time_are_so_after_the_image(bench, monkeypatch):
    monkeypatch.setattr('hand_perception.ros.shape_reset.TIMEOUT_S', 0.0)
    detector = Detector(bench)
    shapes = detector.pipeline.state.shapes
    shapes.step([1], np.ones((1, 10)), [True], hold_after=5)
    detector.pipeline.gate.clear()
    stamp_ns = detector.show(0)
    detector.boxes.publish(boxes_message(stamp_ns, GOOD))
    assert detector.pipeline.entered.acquire(timeout=30)
    answer = bench.call(Trigger, 'perception/reset_shapes', Trigger.Request())
    assert not answer.success
    assert 'the image at work takes longer than 0 s' in answer.message
    assert len(shapes) == 1
    detector.pipeline.gate.set()
    bench.wait_until(lambda: len(shapes) == 0, what='the reset')
    detector.answer(stamp_ns)


def test_a_back_end_without_shapes_says_so(bench):
    bench.start_perception(FakePipeline())
    answer = bench.call(Trigger, 'perception/reset_shapes', Trigger.Request())
    assert (answer.success, answer.message) == (True, 'the back end landmarks holds no shapes')
