"""The primitives through the real node and pipeline, on the built-in clip."""

from collections import defaultdict

import pytest
from clip_node import FRAME_NS, START_NS, ClipNode
from ros_bench import values_of
from test_action_node import LATCHED

from hand_perception.actions import PRIMITIVES
from hand_perception.msg import HandAction
from hand_perception.msg import LabelMap as LabelMapMessage
from hand_perception.ros.messages import stamp_ns_of, time_ns_of
from hand_perception.synthetic.truth import load_clip_truth

#: Time that a new primitive may take until it is told.
ONSET_NS = 200_000_000
#: Primitives that last; release and wave are events.
SHAPES = PRIMITIVES[:5]
SIDES = {HandAction.HANDEDNESS_LEFT: False, HandAction.HANDEDNESS_RIGHT: True}


def play(bench, node, numbers, *, interval_ns=FRAME_NS):
    """Show images one after another, none dropped; give the actions by stamp."""
    inbox = bench.listen(HandAction, 'action', qos=500)
    stamps = []
    for place, number in enumerate(numbers):
        stamps.append(node.show(number, stamp_ns=START_NS + place * interval_ns))
        node.answer(stamps[-1])
    came = defaultdict(dict)
    for message in inbox.wait_count(2 * len(stamps)):
        came[stamp_ns_of(message.header)][message.handedness] = message
    assert list(came) == stamps
    return [came[stamp] for stamp in stamps]


@pytest.mark.slow
def test_primitives_of_the_built_in_clip_are_told_for_both_hands(bench):
    truth = load_clip_truth().frames
    actions = play(bench, ClipNode(bench), range(len(truth)))
    shown_since = {}  # side: primitive that it shows, first image of it
    num_shown = num_told = 0
    for number, (hands, messages) in enumerate(zip(truth, actions, strict=True)):
        assert set(messages) == set(SIDES)
        for message in messages.values():
            check_promises(message)
        for hand in hands:
            primitive, since = shown_since.get(hand.is_right, ('', 0))
            if hand.primitive != primitive:
                primitive, since = hand.primitive, number
                shown_since[hand.is_right] = (primitive, since)
            if primitive in SHAPES and (number - since) * FRAME_NS >= ONSET_NS:
                (message,) = (m for side, m in messages.items() if SIDES[side] == hand.is_right)
                num_shown += 1
                num_told += message.label == primitive
    assert num_shown > 50
    # At the end an opened hand still counts as just released for some images.
    assert num_told / num_shown > 0.9


def check_promises(message):
    """What docs/actions.md promises of every message of the primitives."""
    assert (message.backend, message.label_map) == ('primitives', 'primitives')
    assert message.unknown == bool(message.unknown_reason) == (message.label == '')
    assert (message.score > 0) <= (not message.unknown)
    assert set(message.labels) <= set(PRIMITIVES)
    assert list(message.scores) == sorted(message.scores, reverse=True)
    assert (message.object_label, list(message.object_labels)) == ('', [])
    stamp_ns = stamp_ns_of(message.header)
    assert START_NS <= time_ns_of(message.onset) <= stamp_ns
    assert START_NS <= time_ns_of(message.window_start) <= stamp_ns
    assert message.tokens_seen <= message.tokens_full
    assert 0 <= message.age < 30 or message.age > 1e6  # stamps of an old recording


@pytest.mark.parametrize('rate_hz', [5, 120])
def test_slow_and_fast_cameras_are_told_by_their_stamps(bench, rate_hz):
    # The right hand of the clip stays open for its first dozen images.
    node = ClipNode(bench)
    numbers = [i // 2 for i in range(24)] if rate_hz == 120 else range(0, 12, 2)
    actions = play(bench, node, numbers, interval_ns=round(1e9 / rate_hz))
    right = [messages[HandAction.HANDEDNESS_RIGHT] for messages in actions]
    told = [m for m in right if m.label == 'open']
    assert told
    # 0.1 s (action_min_duration_s): a slow camera needs two images, a fast one more.
    first = right.index(told[0])
    assert first <= (2 if rate_hz == 5 else 14)
    assert time_ns_of(told[0].onset) < stamp_ns_of(told[0].header)


def test_a_frozen_image_keeps_what_is_told_and_its_onset(bench):
    node = ClipNode(bench)
    actions = play(bench, node, [0] * 12)
    right = [messages[HandAction.HANDEDNESS_RIGHT] for messages in actions]
    told = [m for m in right if not m.unknown]
    assert {m.label for m in told} == {'open'}
    assert len({time_ns_of(m.onset) for m in told}) == 1


def test_a_camera_without_intrinsics_is_no_hindrance(bench):
    node = ClipNode(bench, with_camera_info=False)
    actions = play(bench, node, range(8))
    assert actions[-1][HandAction.HANDEDNESS_RIGHT].label == 'open'


def test_labels_and_diagnostics_name_the_primitives(bench):
    node = ClipNode(bench)
    labels = bench.listen(LabelMapMessage, 'action_labels', qos=LATCHED)
    (message,) = labels.wait_count(1)
    assert (message.name, tuple(message.actions)) == ('primitives', PRIMITIVES)
    play(bench, node, range(3))
    status = node.diagnostics.wait(
        lambda _, values: values['actions: images looked at'] == '3', what='the images counted'
    )
    values = values_of(status)
    assert (values['action source'], values['action labels']) == ('primitives', 'primitives')
    assert int(values['actions: told']) + int(values['actions: unknown']) == 6
    assert float(values['time action primitives p50 (ms)']) > 0
