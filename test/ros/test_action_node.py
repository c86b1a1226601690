"""The perception node and its actions, with a pipeline that is told what to say."""

from itertools import count

import pytest
from action_records import make_hand_action, make_scene_action, unknown
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from ros_bench import values_of
from ros_fakes import LABELS, FakePipeline, image_message, make_hand
from sensor_msgs.msg import Image
from visualization_msgs.msg import Marker, MarkerArray

from hand_perception.actions import ActionResult
from hand_perception.msg import HandAction, HandPose, HandPoseArray
from hand_perception.msg import LabelMap as LabelMapMessage
from hand_perception.ros.action_messages import label_map_from_message
from hand_perception.ros.messages import stamp_ns_of

START_NS = 1_700_000_000_000_000_000
FRAME_NS = 33_333_333
LATCHED = QoSProfile(
    depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL, reliability=ReliabilityPolicy.RELIABLE
)
HAND = make_hand(is_right=True, track_id=7)


def image(number):
    return image_message(START_NS + number * FRAME_NS)


def scene(frame, **changes):
    """What HTT says of a frame that it looks at."""
    return make_scene_action(stamp_ns=frame.stamp_ns, frame_id=frame.frame_id, **changes)


def told_of_every_image(frame):
    return ActionResult(actions=(scene(frame),), hands=(), stage_s=(('backbone', 0.002),))


def topics_of(bench):
    """Topics below the namespace of the test."""
    prefix = f'{bench.namespace}/'
    names = [name for name, _ in bench.node.get_topic_names_and_types()]
    return {name.removeprefix(prefix) for name in names if name.startswith(prefix)}


def test_actions_come_with_the_stamp_of_their_image_and_their_age(bench):
    actions = (make_hand_action(is_right=False), make_hand_action(is_right=True))
    pipeline = FakePipeline([HAND], recogniser='primitives')
    pipeline.told = lambda frame: ActionResult(
        actions=tuple(scene(frame, is_right=a.is_right, label=a.label) for a in actions)
    )
    bench.start_perception(pipeline)
    inbox = bench.listen(HandAction, 'action')
    sent = image(0)
    bench.talk(Image, 'image').publish(sent)
    left, right = inbox.wait_count(2)
    assert left.header == right.header == sent.header
    assert [left.handedness, right.handedness] == [1, 2]
    assert (right.label, right.unknown) == ('pinch', False)
    assert right.age > 0


def test_hands_are_published_before_their_actions_are_recognised(bench):
    pipeline = FakePipeline([HAND], recogniser='htt')
    poses = bench.listen(HandPoseArray, 'pose', wait=False)

    def recognise(frame):
        poses.wait_count(1)  # arrives while the worker is here
        return told_of_every_image(frame)

    pipeline.told = recognise
    bench.start_perception(pipeline)
    actions = bench.listen(HandAction, 'action')
    poses.wait_matched()
    bench.talk(Image, 'image').publish(image(0))
    actions.wait_count(1)
    assert poses.wait_count(1)[0].header == actions.messages[0].header


def test_labels_reach_a_subscriber_that_comes_late(bench):
    bench.start_perception(FakePipeline(recogniser='htt'))
    bench.diagnostics().wait(lambda *_: True, what='a node that runs')
    labels = bench.listen(LabelMapMessage, 'action_labels', qos=LATCHED)
    assert label_map_from_message(labels.wait_count(1)[0]) == LABELS


def test_without_a_recogniser_there_are_no_topics_of_actions(bench):
    pipeline = FakePipeline([HAND], recogniser='none')
    bench.start_perception(pipeline)
    poses = bench.listen(HandPoseArray, 'pose')
    bench.talk(Image, 'image').publish(image(0))
    poses.wait_count(1)
    assert not {'action', 'action_labels', 'htt/pose', 'htt/markers'} & topics_of(bench)
    assert not pipeline.recognised


@pytest.mark.parametrize(
    ('recogniser', 'pose_source'), [('primitives', 'backend'), ('htt', 'htt')]
)
def test_hands_of_htt_have_topics_of_their_own_only_beside_another_back_end(
    bench, recogniser, pose_source
):
    bench.start_perception(FakePipeline(recogniser=recogniser), pose_source=pose_source)
    bench.listen(HandAction, 'action')
    assert not {'htt/pose', 'htt/markers'} & topics_of(bench)


def test_hands_of_htt_come_beside_those_of_the_back_end(bench):
    theirs = (make_hand(is_right=False, track_id=1), make_hand(is_right=True, track_id=2))
    pipeline = FakePipeline([HAND], recogniser='htt')
    earlier_ns = START_NS - 2 * FRAME_NS
    pipeline.told = lambda frame: ActionResult(
        actions=(scene(frame),), hands=theirs, hands_stamp_ns=earlier_ns
    )
    bench.start_perception(pipeline, publish_vertices=True)
    poses = bench.listen(HandPoseArray, 'htt/pose')
    ours = bench.listen(HandPoseArray, 'pose')
    markers = bench.listen(MarkerArray, 'htt/markers')
    sent = image(0)
    bench.talk(Image, 'image').publish(sent)
    (array,) = poses.wait_count(1)
    assert stamp_ns_of(array.header) == earlier_ns  # HTT waited for what came after
    assert array.header.frame_id == sent.header.frame_id
    assert [hand.track_id for hand in array.hands] == [1, 2]
    assert {hand.backend for hand in array.hands} == {'htt'}
    assert all(hand.age == array.age > 0 for hand in array.hands)
    assert len(array.hands[0].vertices) == 12
    assert [hand.track_id for hand in ours.wait_count(1)[0].hands] == [7]
    assert {m.action for m in markers.wait_count(1)[0].markers} == {Marker.ADD}


def test_images_that_htt_does_not_look_at_are_counted_in_its_own_array(bench):
    numbers = count()
    pipeline = FakePipeline([HAND], recogniser='htt')

    def every_second(frame):
        return ActionResult() if next(numbers) % 2 else told_of_every_image(frame)

    pipeline.told = every_second
    bench.start_perception(pipeline)
    htt, ours = bench.listen(HandPoseArray, 'htt/pose'), bench.listen(HandPoseArray, 'pose')
    actions, images = bench.listen(HandAction, 'action'), bench.talk(Image, 'image')
    for number in range(5):
        images.publish(image(number))
        ours.wait_count(number + 1)
    last = htt.wait_count(3)[2]
    assert (last.frames_processed, last.frames_dropped) == (3, 2)
    assert last.hands == []  # looked at, and no hand there
    stamps = [stamp_ns_of(m.header) - START_NS for m in actions.wait_count(3)]
    assert stamps == [0, 2 * FRAME_NS, 4 * FRAME_NS]


def test_images_between_tokens_are_counted_as_such_and_have_no_hands(bench):
    pipeline = FakePipeline([HAND], recogniser='htt')
    pipeline.is_between_tokens = True  # HAND stands for what HTT reconstructs
    bench.start_perception(pipeline, pose_source='htt')
    poses, sides = bench.listen(HandPoseArray, 'pose'), bench.listen(HandPose, 'right/pose')
    images = bench.talk(Image, 'image')
    images.publish(image(0))
    bench.diagnostics().wait(
        lambda _, values: values['dropped: between tokens of HTT'] == '1', what='the drop'
    )
    pipeline.is_between_tokens = False
    images.publish(image(1))
    (array,) = poses.wait_count(1)
    assert stamp_ns_of(array.header) == START_NS + FRAME_NS
    assert (array.frames_processed, array.frames_dropped) == (1, 1)
    assert [hand.backend for hand in array.hands] == ['htt']
    assert [stamp_ns_of(m.header) for m in sides.wait_count(1)] == [START_NS + FRAME_NS]


def test_an_error_of_the_recogniser_costs_the_actions_of_one_image(bench):
    pipeline = FakePipeline([HAND], recogniser='htt', told=told_of_every_image)
    pipeline.action_error = RuntimeError('features are not finite')
    bench.start_perception(pipeline)
    poses, actions = bench.listen(HandPoseArray, 'pose'), bench.listen(HandAction, 'action')
    overlay, images = bench.listen(Image, 'overlay'), bench.talk(Image, 'image')
    diagnostics = bench.diagnostics()
    images.publish(image(0))
    status = diagnostics.wait(
        lambda _, values: values['actions: images lost to errors'] == '1', what='the lost actions'
    )
    assert status.level == status.ERROR
    assert 'actions of 1 images lost to an error' in status.message
    assert 'actions: RuntimeError: features are not finite' in status.message
    values = values_of(status)
    assert (values['images processed'], values['images dropped']) == ('1', '0')
    assert len(poses.wait_count(1)[0].hands) == 1
    assert overlay.wait_count(1)
    images.publish(image(1))
    assert stamp_ns_of(actions.wait_count(1)[0].header) == START_NS + FRAME_NS


def test_diagnostics_tell_what_recognises_and_how_it_goes(bench):
    reasons = iter(['', 'no hand present', 'no hand present', 'window too short'])
    pipeline = FakePipeline(recogniser='htt')

    def tell(frame):
        reason = next(reasons)
        action = unknown(make_scene_action, reason) if reason else make_scene_action()
        reset = '' if reason else 'no token for 0.700 s'
        return ActionResult(actions=(action,), reset_reason=reset, stage_s=(('backbone', 0.002),))

    pipeline.told = tell
    bench.start_perception(pipeline, htt_engine='sliding')
    actions, images = bench.listen(HandAction, 'action'), bench.talk(Image, 'image')
    for number in range(4):
        images.publish(image(number))
        actions.wait_count(number + 1)
    status = bench.diagnostics().wait(
        lambda _, values: values['actions: images looked at'] == '4', what='the count of images'
    )
    values = values_of(status)
    expected = {
        'action source': 'htt',
        'action device': 'cpu, fake',
        'action labels': 'fpha',
        'HTT engine': 'sliding',
        'pose source': 'backend',
        'actions: told': '1',
        'actions: unknown': '3',
        'actions: unknown, no hand present': '2',
        'actions: unknown, window too short': '1',
        'actions: images in window': '31 of 128',
        'actions: resets': '1',
        'actions: last reset': 'no token for 0.700 s',
        'time action backbone p50 (ms)': '2.00',
    }
    assert {name: values[name] for name in expected} == expected


def test_overlay_shows_what_was_said_last_on_images_between_tokens(bench):
    numbers = count()
    pipeline = FakePipeline(recogniser='htt')
    pipeline.told = lambda frame: (
        ActionResult() if next(numbers) else ActionResult(actions=(scene(frame),), hands=())
    )
    bench.start_perception(pipeline, overlay_rate_hz=1000.0)
    overlay, images = bench.listen(Image, 'overlay'), bench.talk(Image, 'image')

    def bar(stamp_ns):
        """How much darker the lowest row is than the image."""
        sent = image_message(stamp_ns, width=320, height=240)
        images.publish(sent)
        drawn = overlay.wait(lambda m: m.header == sent.header, what='the overlay')
        bottom = -320 * 3
        shown, plain = list(drawn.data[bottom:]), list(sent.data[bottom:])
        return sum(plain) / max(1, sum(shown))

    assert bar(START_NS) > 2  # looked at
    assert bar(START_NS + FRAME_NS) > 2  # between two tokens
    assert bar(START_NS + 30 * FRAME_NS) == 1  # a second later nobody knows


def test_live_settings_of_actions_reach_the_pipeline(bench):
    from rcl_interfaces.srv import SetParameters
    from rclpy.parameter import Parameter

    pipeline = FakePipeline(recogniser='htt', told=told_of_every_image)
    bench.start_perception(pipeline)
    actions, images = bench.listen(HandAction, 'action'), bench.talk(Image, 'image')
    change = [Parameter('action_min_score', value=0.75).to_parameter_msg()]
    answer = bench.call(
        SetParameters, 'perception/set_parameters', SetParameters.Request(parameters=change)
    )
    assert answer.results[0].successful
    images.publish(image(0))
    actions.wait_count(1)
    assert pipeline.settings.action_min_score == 0.75
