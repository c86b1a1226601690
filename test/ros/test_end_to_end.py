"""The built-in clip through the real nodes, against its truth."""

import numpy as np
import pytest
from rclpy.qos import QoSProfile
from rclpy.task import Future
from ros_bench import values_of
from sensor_msgs.msg import CameraInfo

from hand_perception.datatypes import DepthSource
from hand_perception.evaluation.clip_errors import evaluate_clip
from hand_perception.msg import HandPose, HandPoseArray
from hand_perception.pipeline.stream import HandPipeline
from hand_perception.ros.messages import hand_from_message, stamp_ns_of
from hand_perception.ros.perception_node import PerceptionNode
from hand_perception.ros.video_source_node import VideoSourceNode
from hand_perception.synthetic.truth import load_clip_truth

#: Slower than the clip: on two busy cores all images are to be processed, not most.
RATE_HZ = 12.0


@pytest.mark.slow
def test_hands_of_the_synthetic_clip_are_found_where_they_are(bench):
    everything = QoSProfile(depth=200)
    hands = bench.listen(HandPoseArray, 'pose', qos=everything, wait=False)
    left = bench.listen(HandPose, 'left/pose', qos=everything, wait=False)
    infos = bench.listen(CameraInfo, 'camera_info', qos=everything, wait=False)
    bench.add(PerceptionNode(HandPipeline.load, **bench.node_options(reliability='reliable')))
    hands.wait_matched()
    done = Future()
    bench.add(VideoSourceNode(done, **bench.node_options(
        source='synthetic', loop=False, rate_hz=RATE_HZ, wait_for_subscribers=1)))  # fmt: skip
    truth = load_clip_truth()
    bench.wait_until(done.done, what='the end of the clip')
    assert done.result() == 0
    # camera_info carries the stamp of every image, so it numbers the images of the clip.
    infos.wait_count(len(truth.frames))
    number_of = {stamp_ns_of(m.header): number for number, m in enumerate(infos.messages)}
    hands.wait(lambda m: stamp_ns_of(m.header) == max(number_of), what='the last image')

    stamps = [stamp_ns_of(message.header) for message in hands.messages]
    assert stamps == sorted(set(stamps))
    # Images may be dropped on a machine that cannot keep up; nearly all must be there.
    assert len(stamps) >= 0.9 * len(truth.frames)
    errors = evaluate_clip(
        [truth.frames[number_of[stamp]] for stamp in stamps],
        [[hand_from_message(hand) for hand in message.hands] for message in hands.messages],
    )
    # Palms are fully inside all images of the clip; the rest is what users are promised.
    assert errors.recall >= 0.98
    assert errors.side_accuracy == 1
    assert errors.num_false == 0
    assert np.median(errors.error_2d_ratio) <= 0.06
    assert np.median(np.abs(errors.wrist_depth_error_m)) <= 0.040  # 40 mm of 0.3 to 0.6 m
    all_hands = [hand for message in hands.messages for hand in message.hands]
    assert {hand.depth_source for hand in all_hands} == {DepthSource.MONO}
    assert len({hand.track_id for hand in all_hands}) == 2
    assert len(left.messages) == len(hands.messages)
    for hand in all_hands:
        check_promises(hand, truth.camera)


def check_promises(hand, camera):
    """What messages.md promises of every tracked hand."""
    back = hand_from_message(hand)
    for name in ('keypoints_3d', 'keypoints_2d', 'flexion', 'bbox_xyxy', 'wrist_rotation'):
        assert np.isfinite(getattr(back, name)).all(), name
    points = back.keypoints_3d @ camera.K.T
    projected = points[:, :2] / points[:, 2:]
    # 2 px is the promise of the messages.
    assert np.abs(projected - back.keypoints_2d).max() <= 2
    assert 0 <= hand.age < 30


def test_diagnostics_of_the_real_pipeline_name_its_parts(bench):
    bench.add(PerceptionNode(HandPipeline.load, **bench.node_options()))
    status = bench.diagnostics().wait(lambda *_: True, what='diagnostics')
    values = values_of(status)
    assert (values['back end'], values['hand model']) == ('landmarks', 'default')
