"""The perception node with real topics and a pipeline that is told what to see."""

from functools import partial

import cv2
import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from ros_bench import values_of
from ros_fakes import FakePipeline, camera_info, image_message, make_hand, set_stamp
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import SetBool
from visualization_msgs.msg import Marker, MarkerArray

from hand_perception.config import PerceptionSettings
from hand_perception.errors import ConfigError
from hand_perception.msg import HandPose, HandPoseArray
from hand_perception.ros.messages import stamp_ns_of
from hand_perception.ros.perception_node import PerceptionNode

LEFT, RIGHT = make_hand(is_right=False, track_id=3), make_hand(is_right=True, track_id=7)
#: Stamps of an old recording; the tests that mind set max_age_ms themselves.
START_NS = 1_700_000_000_000_000_000
FRAME_NS = 33_333_333


def has_received(node, count):
    return node._statistics.received == count


def stamps(count):
    return [START_NS + FRAME_NS * i for i in range(count)]


def test_one_image_in_one_message_of_each_kind_out(bench):
    pipeline = FakePipeline([LEFT, RIGHT])
    bench.start_perception(pipeline)
    array = bench.listen(HandPoseArray, 'pose')
    left, wrist = bench.listen(HandPose, 'left/pose'), bench.listen(PoseStamped, 'right/wrist')
    sent = image_message(START_NS, frame_id='camera_optical_frame')
    bench.talk(Image, 'image').publish(sent)
    (hands,), (pose,), (right_wrist,) = (box.wait_count(1) for box in (array, left, wrist))
    assert hands.header == pose.header == right_wrist.header == sent.header
    assert [h.handedness for h in hands.hands] == [1, 2]
    assert (hands.frames_processed, hands.frames_dropped) == (1, 0)
    assert str(pose) == str(hands.hands[0])  # NaN is not NaN
    assert right_wrist.pose == hands.hands[1].wrist
    np.testing.assert_array_equal(pipeline.frames[0].image.tobytes(), sent.data.tobytes())
    assert not pipeline.frames[0].is_rgb


def test_images_without_hands_are_said_to_be_empty(bench):
    bench.start_perception(FakePipeline())
    array = bench.listen(HandPoseArray, 'pose')
    sides = [bench.listen(HandPose, f'{side}/pose') for side in ('left', 'right')]
    bench.talk(Image, 'image').publish(image_message(START_NS))
    assert array.wait_count(1)[0].hands == []
    for box, handedness in zip(sides, (1, 2), strict=True):
        (message,) = box.wait_count(1)
        assert (message.tracked, message.handedness) == (False, handedness)
        assert np.isnan(message.wrist.position.x)
        assert stamp_ns_of(message.header) == START_NS


def test_wrist_is_published_only_while_tracked(bench):
    pipeline = FakePipeline([RIGHT])
    bench.start_perception(pipeline)
    array, wrist = bench.listen(HandPoseArray, 'pose'), bench.listen(PoseStamped, 'right/wrist')
    images = bench.talk(Image, 'image')
    for count, (stamp_ns, hands) in enumerate(zip(stamps(3), ([RIGHT], [], [RIGHT]), strict=True)):
        pipeline.hands = tuple(hands)
        images.publish(image_message(stamp_ns))
        array.wait_count(count + 1)
    assert [stamp_ns_of(m.header) for m in wrist.wait_count(2)] == [stamps(3)[0], stamps(3)[2]]


def test_only_the_newest_image_is_processed_and_the_rest_counted(bench):
    pipeline = FakePipeline()
    node = bench.start_perception(pipeline)
    array = bench.listen(HandPoseArray, 'pose')
    pipeline.gate.clear()
    images = bench.talk(Image, 'image')
    for received, stamp_ns in enumerate(stamps(5), start=1):
        images.publish(image_message(stamp_ns))
        bench.wait_until(partial(has_received, node, received), what='the image')
        if received == 1:
            assert pipeline.entered.acquire(timeout=30)
    pipeline.gate.set()
    first, last = array.wait_count(2)
    assert stamp_ns_of(first.header) == stamps(5)[0]
    assert stamp_ns_of(last.header) == stamps(5)[4]
    assert (last.frames_processed, last.frames_dropped) == (2, 3)


def test_markers_come_while_somebody_looks_and_go_with_the_hand(bench):
    pipeline = FakePipeline([LEFT, RIGHT])
    bench.start_perception(pipeline, marker_rate_hz=1000.0)
    markers = bench.listen(MarkerArray, 'markers')
    images = bench.talk(Image, 'image')
    images.publish(image_message(stamps(2)[0]))
    (shown,) = markers.wait_count(1)
    assert {m.action for m in shown.markers} == {Marker.ADD}
    pipeline.hands = (RIGHT,)
    images.publish(image_message(stamps(2)[1]))
    lost = markers.wait_count(2)[1]
    assert {m.ns for m in lost.markers if m.action == Marker.DELETE} == {
        'left_mesh', 'left_skeleton', 'left_label',
    }  # fmt: skip


def test_overlay_is_an_image_of_the_same_stamp(bench):
    bench.start_perception(FakePipeline([RIGHT]))
    overlay = bench.listen(Image, 'overlay')
    sent = image_message(START_NS)
    bench.talk(Image, 'image').publish(sent)
    (drawn,) = overlay.wait_count(1)
    assert drawn.header == sent.header
    assert (drawn.encoding, drawn.height, drawn.width, drawn.step) == ('bgr8', 48, 64, 192)
    assert drawn.data != sent.data


def test_compressed_images_are_taken(bench):
    pipeline = FakePipeline()
    bench.start_perception(pipeline, image_transport='compressed')
    array = bench.listen(HandPoseArray, 'pose')
    message = CompressedImage(format='jpeg')
    message.header.frame_id = 'camera'
    set_stamp(message, START_NS)
    message.data = cv2.imencode('.jpg', np.full((48, 64, 3), (0, 0, 255), np.uint8))[1].tobytes()
    bench.talk(CompressedImage, 'image/compressed').publish(message)
    assert stamp_ns_of(array.wait_count(1)[0].header) == START_NS
    assert pipeline.frames[0].image[20, 20, 2] > 250  # red stays the third channel


def test_depth_of_the_same_stamp_reaches_the_pipeline(bench):
    pipeline = FakePipeline()
    bench.start_perception(pipeline, use_depth=True)
    array = bench.listen(HandPoseArray, 'pose')
    images, depths = bench.talk(Image, 'image'), bench.talk(Image, 'depth')
    depth = Image(height=48, width=64, encoding='32FC1', step=256)
    set_stamp(depth, START_NS + 5_000_000)
    metres = np.full((48, 64), 0.75, np.float32)
    metres[0, 0] = np.nan
    depth.data = metres.tobytes()
    depths.publish(depth)
    images.publish(image_message(START_NS))
    array.wait_count(1)
    np.testing.assert_array_equal(pipeline.frames[0].depth_m, metres)
    images.publish(image_message(START_NS + 10 * FRAME_NS))
    array.wait_count(2)
    assert pipeline.frames[1].depth_m is None


def test_images_wait_for_camera_info_and_then_have_it(bench):
    pipeline = FakePipeline()
    node = bench.start_perception(pipeline, camera_info_timeout_s=60.0)
    array = bench.listen(HandPoseArray, 'pose')
    images, infos = bench.talk(Image, 'image'), bench.talk(CameraInfo, 'camera_info')
    images.publish(image_message(stamps(2)[0]))
    status = bench.diagnostics().wait(
        lambda _, values: values['dropped: waiting for camera_info'] == '1',
        what='a count of the image that waited',
    )
    assert values_of(status)['camera'] == 'none yet'
    infos.publish(camera_info(focal=77.0))
    bench.wait_until(lambda: node._cameras._latched, what='camera_info')
    images.publish(image_message(stamps(2)[1]))
    assert stamp_ns_of(array.wait_count(1)[0].header) == stamps(2)[1]
    assert pipeline.frames[0].camera.fx == 77


def test_disabled_node_drops_images_and_deletes_its_markers(bench):
    bench.start_perception(FakePipeline([RIGHT]), marker_rate_hz=1000.0)
    array, markers = bench.listen(HandPoseArray, 'pose'), bench.listen(MarkerArray, 'markers')
    images, diagnostics = bench.talk(Image, 'image'), bench.diagnostics()
    images.publish(image_message(stamps(3)[0]))
    markers.wait_count(1)
    answer = bench.call(SetBool, 'perception/enable', SetBool.Request(data=False))
    assert (answer.success, answer.message) == (True, 'disabled')
    assert {m.action for m in markers.wait_count(2)[1].markers} == {Marker.DELETE}
    images.publish(image_message(stamps(3)[1]))
    status = diagnostics.wait(
        lambda _, values: values['dropped: disabled'] == '1', what='a count of the dropped image'
    )
    assert status.message == 'disabled by ~/enable' or 'no camera_info' in status.message
    bench.call(SetBool, 'perception/enable', SetBool.Request(data=True))
    images.publish(image_message(stamps(3)[2]))
    assert stamp_ns_of(array.wait_count(2)[1].header) == stamps(3)[2]


def test_a_node_can_start_disabled(bench):
    bench.start_perception(FakePipeline(), start_enabled=False)
    array, images = bench.listen(HandPoseArray, 'pose'), bench.talk(Image, 'image')
    images.publish(image_message(stamps(2)[0]))
    bench.diagnostics().wait(
        lambda _, values: values['dropped: disabled'] == '1', what='a count of the dropped image'
    )
    bench.call(SetBool, 'perception/enable', SetBool.Request(data=True))
    images.publish(image_message(stamps(2)[1]))
    (first,) = array.wait_count(1)
    assert (stamp_ns_of(first.header), first.frames_dropped) == (stamps(2)[1], 1)


def test_live_settings_reach_the_pipeline_between_two_images(bench):
    pipeline = FakePipeline()
    bench.start_perception(pipeline)
    array, images = bench.listen(HandPoseArray, 'pose'), bench.talk(Image, 'image')
    change = [Parameter('hand_scale', value=1.25).to_parameter_msg()]
    answer = bench.call(
        SetParameters, 'perception/set_parameters', SetParameters.Request(parameters=change)
    )
    assert answer.results[0].successful
    images.publish(image_message(START_NS))
    array.wait_count(1)
    assert pipeline.settings.hand_scale == 1.25


def test_another_camera_starts_a_new_stream(bench):
    pipeline = FakePipeline()
    bench.start_perception(pipeline)
    array, images = bench.listen(HandPoseArray, 'pose'), bench.talk(Image, 'image')
    for count, frame_id in enumerate(['camera', 'camera', 'other'], start=1):
        images.publish(image_message(START_NS + count * FRAME_NS, frame_id=frame_id))
        array.wait_count(count)
    assert pipeline.state.resets == 1


def test_age_is_told_by_the_simulated_clock(bench):
    options = bench.node_options(max_age_ms=0.0, camera_info_timeout_s=0.0)
    options['parameter_overrides'].append(Parameter('use_sim_time', value=True))
    node = bench.add(PerceptionNode(lambda _: FakePipeline(), **options))
    array, images = bench.listen(HandPoseArray, 'pose'), bench.talk(Image, 'image')
    clock = bench.talk(Clock, '/clock')
    time = Clock()
    time.clock.sec = 1000
    clock.publish(time)
    bench.wait_until(lambda: node.get_clock().now().nanoseconds, what='simulated time')
    images.publish(image_message(999_750_000_000))
    assert array.wait_count(1)[0].age == pytest.approx(0.25, abs=1e-6)


@pytest.mark.parametrize('reliability', ['best_effort', 'reliable'])
def test_images_are_subscribed_with_the_reliability_asked_for_and_no_queue(bench, reliability):
    bench.start_perception(FakePipeline(), reliability=reliability)
    images = bench.talk(Image, 'image')
    (info,) = bench.node.get_subscriptions_info_by_topic(images.topic_name)
    assert info.qos_profile.reliability == ReliabilityPolicy[reliability.upper()]


def test_subscriber_with_another_quality_of_service_is_named(bench):
    bench.start_perception(FakePipeline())
    latched = QoSProfile(
        depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL,
        reliability=ReliabilityPolicy.RELIABLE,
    )  # fmt: skip
    bench.listen(HandPoseArray, 'pose', qos=latched, wait=False)
    expected = f'a subscriber on {bench.namespace}/pose requests durability that is not offered'
    status = bench.diagnostics().wait(
        lambda status, _: expected in status.message, what='the incompatible subscriber'
    )
    assert int(values_of(status)['errors']) >= 1


def test_publisher_with_another_quality_of_service_is_named(bench):
    bench.start_perception(FakePipeline(), reliability='reliable')
    best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    bench.talk(Image, 'image', qos=best_effort, wait=False)
    expected = f'a publisher on {bench.namespace}/image does not offer the requested reliability'
    silent = f'{bench.namespace}/bench)'
    bench.diagnostics().wait(
        lambda status, _: expected in status.message and silent in status.message,
        what='the incompatible publisher, by topic and by node',
    )


def test_silence_of_the_camera_is_told(bench):
    bench.start_perception(FakePipeline())
    expected = f's on {bench.namespace}/image; publishers: 0'
    status = bench.diagnostics().wait(
        lambda status, _: expected in status.message, what='a warning of the silent input'
    )
    assert status.level == status.WARN


def test_diagnostics_hold_rates_ages_and_names(bench):
    bench.start_perception(FakePipeline([LEFT]))
    diagnostics, images = bench.diagnostics(), bench.talk(Image, 'image')
    images.publish(image_message(START_NS))
    status = diagnostics.wait(
        lambda _, values: values['images processed'] == '1', what='a count of the image'
    )
    values = values_of(status)
    assert (values['back end'], values['device'], values['camera']) == (
        'landmarks', 'cpu', 'assumed',
    )  # fmt: skip
    assert values['left hands'] == '1'
    assert float(values['age p99 (ms)']) > 0
    assert float(values['time fake p50 (ms)']) == 1.0
    assert status.hardware_id == 'camera'


@pytest.mark.parametrize('value', [0, 9, 'many'])
def test_wrong_parameter_value_ends_the_start_with_what_is_allowed(bench, value):
    with pytest.raises(ConfigError, match='max_hands must be 1 to 8, got'):
        PerceptionNode(lambda _: FakePipeline(), **bench.node_options(max_hands=value))


def test_settings_of_the_start_reach_the_pipeline(bench):
    seen = []

    def load(settings):
        seen.append(settings)
        return FakePipeline()

    bench.add(PerceptionNode(load, **bench.node_options(max_hands=4, one_hand_per_side=False)))
    assert seen == [PerceptionSettings(max_hands=4, one_hand_per_side=False)]
