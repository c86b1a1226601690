"""The perception node beside /hands/pose: raw and predicted hands, the size of hands."""

import math
import threading
from functools import partial

import pytest
from ros_fakes import FakePipeline, image_message, make_hand
from sensor_msgs.msg import Image

from hand_perception.msg import HandPose, HandPoseArray
from hand_perception.ros.messages import stamp_ns_of
from hand_perception.srv import CalibrateHand

SMOOTH, RAW = make_hand(track_id=7, seed=1), make_hand(track_id=7, seed=2)


class Measurement:
    """Complete after two images."""

    hint = 'hold the hand flat and still'

    def __init__(self):
        self.seen = []

    def add(self, result):
        self.seen.append(result)
        return len(self.seen) == 2

    def outcome(self):
        return 1.125, 0.0625


def has_processed(node, count):
    return node._statistics.processed >= count


def show(bench, node, images, count=1):
    """Send images with the stamps of now; return the stamps."""
    stamps = []
    for _ in range(count):
        stamps.append(node.get_clock().now().nanoseconds)
        wanted = node._statistics.processed + 1
        images.publish(image_message(stamps[-1]))
        bench.wait_until(partial(has_processed, node, wanted), what='the result')
    return stamps


def test_raw_hands_are_those_before_smoothing(bench):
    pipeline = FakePipeline([SMOOTH])
    pipeline.raw_hands = (RAW,)
    node = bench.start_perception(pipeline)
    smooth, raw = bench.listen(HandPoseArray, 'pose'), bench.listen(HandPoseArray, 'pose_raw')
    show(bench, node, bench.talk(Image, 'image'))
    (published,), (before,) = smooth.wait_count(1), raw.wait_count(1)
    assert before.header == published.header
    assert before.hands[0].track_id == published.hands[0].track_id == 7
    assert before.hands[0].keypoints[0].x == pytest.approx(float(RAW.keypoints_3d[0, 0]))
    assert published.hands[0].keypoints[0].x == pytest.approx(float(SMOOTH.keypoints_3d[0, 0]))


def test_predicted_hands_tell_how_far_they_are_ahead_of_their_image(bench):
    pipeline = FakePipeline([SMOOTH])
    pipeline.horizon_ns = 1_000  # reached before the hands are out
    node = bench.start_perception(pipeline)
    measured, predicted = (bench.listen(HandPoseArray, t) for t in ('pose', 'pose_predicted'))
    (stamp_ns,) = show(bench, node, bench.talk(Image, 'image'))
    (image,), (ahead,) = measured.wait_count(1), predicted.wait_count(1)
    assert stamp_ns_of(image.header) == stamp_ns
    assert stamp_ns_of(ahead.header) == stamp_ns + 1_000
    assert ahead.hands[0].predicted
    assert ahead.hands[0].horizon == pytest.approx(1e-6)
    assert not image.hands[0].predicted
    assert image.hands[0].horizon == 0.0


def test_a_side_that_is_not_seen_has_no_horizon(bench):
    node = bench.start_perception(FakePipeline())
    left = bench.listen(HandPose, 'left/pose')
    show(bench, node, bench.talk(Image, 'image'))
    assert math.isnan(left.wait_count(1)[0].horizon)


def test_a_measured_hand_sets_the_parameter_while_images_go_on(bench):
    pipeline = FakePipeline([SMOOTH])
    pipeline.measurement = Measurement()
    node = bench.start_perception(pipeline)
    images = bench.talk(Image, 'image')
    answers = []
    asking = threading.Thread(
        target=lambda: answers.append(
            bench.call(CalibrateHand, 'perception/calibrate_hand', CalibrateHand.Request())
        )
    )
    asking.start()
    bench.wait_until(lambda: node._calibration._measurement is not None, what='the start')
    stamps = show(bench, node, images, 2)
    asking.join(30)
    assert answers[0].success
    assert (answers[0].hand_scale, answers[0].stddev) == (1.125, 0.0625)
    assert [result.stamp_ns for result in pipeline.measurement.seen] == stamps
    assert node.get_parameter('hand_scale').value == 1.125
    show(bench, node, images)
    assert pipeline.settings.hand_scale == 1.125


def test_frames_and_target_are_told_in_diagnostics(bench):
    bench.start_perception(FakePipeline([SMOOTH]))
    bench.diagnostics().wait(
        lambda _, values: 'not installed' in values['frames on /tf'], what='TF'
    )
