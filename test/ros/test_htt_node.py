"""The perception node with HTT from a checkpoint in the official layout, on the built-in clip.

The checkpoint always says the same hands, action and object; everything else is real.
"""

from functools import partial

import htt_scripted
import numpy as np
import pytest
from clip_node import FRAME_ID, FRAME_NS, START_NS, ClipNode
from htt_scripted import ACTION, ACTION_PROB, LABELS, OBJECT
from ros_bench import values_of
from test_action_node import LATCHED

from hand_perception.errors import ConfigError, HandPerceptionError
from hand_perception.msg import HandAction, HandPoseArray
from hand_perception.msg import LabelMap as LabelMapMessage
from hand_perception.ros.action_messages import label_map_from_message
from hand_perception.ros.messages import hand_from_message, stamp_ns_of, time_ns_of
from hand_perception.synthetic.truth import load_clip_truth

#: Told from this token on, and action_min_duration_s (0.1 s) later: two tokens.
MIN_TOKENS = 4


def true_joints(number):
    """(42, 3) joints of both hands of an image of the clip, left then right."""
    hands = sorted(load_clip_truth().frames[number], key=lambda hand: hand.is_right)
    return np.concatenate([hand.keypoints_3d for hand in hands])


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """Says the hands of the first image, whatever it sees."""
    folder = tmp_path_factory.mktemp('htt')
    return htt_scripted.write(folder, true_joints(0), load_clip_truth().camera)


class HttNode(ClipNode):
    """A node with HTT, its hands and its actions."""

    def __init__(self, bench, checkpoint, **parameters):
        htt = {
            'action_source': 'htt', 'htt_checkpoint': str(checkpoint), 'htt_precision': 'fp32',
            'htt_window': 32, 'htt_pose_window': 8, 'action_min_tokens': MIN_TOKENS,
        }  # fmt: skip
        super().__init__(bench, **{**htt, **parameters})
        self.bench = bench
        self.actions = bench.listen(HandAction, 'action', qos=500)

    def play(self, count, *, interval_ns=FRAME_NS, still=False, start=0):
        """Show images and wait for each to be done; give their stamps."""
        stamps = []
        for place in range(start, start + count):
            done = self.node._statistics.num_images()
            stamps.append(
                self.show(0 if still else place, stamp_ns=START_NS + place * interval_ns)
            )
            self.bench.wait_until(partial(self._is_past, done), what='the image')
        return stamps

    def _is_past(self, count):
        return self.node._statistics.num_images() > count

    def told(self, count):
        """Give the first ``count`` actions."""
        return self.actions.wait_count(count)


def test_actions_and_hands_of_htt_come_beside_those_of_the_landmarks(bench, checkpoint):
    node = HttNode(bench, checkpoint, publish_vertices=True)
    htt = bench.listen(HandPoseArray, 'htt/pose', qos=500)
    labels = bench.listen(LabelMapMessage, 'action_labels', qos=LATCHED)
    stamps = node.play(12)
    tokens = stamps[::2]  # 15 of 30 images per second
    actions = node.told(6)
    assert [stamp_ns_of(m.header) for m in actions] == tokens
    assert {m.header.frame_id for m in actions} == {FRAME_ID}
    assert [m.tokens_seen for m in actions] == [1, 2, 3, 4, 5, 6]
    assert {m.tokens_full for m in actions} == {32}
    assert {time_ns_of(m.window_start) for m in actions} == {tokens[0]}
    for message in actions[: MIN_TOKENS - 1]:
        assert (message.unknown, message.label) == (True, '')
        assert message.unknown_reason.startswith('too few images')
    last = actions[-1]
    assert (last.unknown, last.label) == (False, LABELS.actions[ACTION])
    assert last.score == pytest.approx(ACTION_PROB, abs=1e-5)
    assert (last.labels[0], len(last.labels)) == (last.label, 5)
    assert last.object_label == LABELS.objects[OBJECT]
    assert (last.handedness, last.backend, last.label_map) == (0, 'htt', 'h2o')
    assert not last.final
    assert label_map_from_message(labels.wait_count(1)[0]) == LABELS

    arrays = htt.wait_count(6)
    assert [stamp_ns_of(m.header) for m in arrays] == tokens
    assert [hand.handedness for hand in arrays[0].hands] == [1, 2]
    for hand, joints in zip(arrays[0].hands, np.split(true_joints(0), 2), strict=True):
        assert (hand.backend, hand.hand_model) == ('htt', 'default')
        back = hand_from_message(hand)
        np.testing.assert_allclose(back.keypoints_3d, joints, atol=2e-4)  # 0.2 mm: float32, lift
        assert len(back.vertices) == 1159
        # The mesh lies on the joints: 5 cm covers the flesh around them.
        nearest = np.linalg.norm(back.vertices[:, None] - back.keypoints_3d, axis=-1).min(0)
        assert nearest.max() < 0.05
    ours = node.answer(tokens[0])
    assert {hand.backend for hand in ours.hands} == {'landmarks'}
    assert [hand.track_id for hand in ours.hands] == [h.track_id for h in arrays[0].hands]
    assert len(node.hands.messages) == 12


def test_hands_of_htt_may_be_the_ones_that_are_published(bench, checkpoint):
    node = HttNode(bench, checkpoint, pose_source='htt')
    stamps = node.play(6)
    arrays = node.hands.wait_count(3)
    assert [stamp_ns_of(m.header) for m in arrays] == stamps[::2]
    assert {hand.backend for m in arrays for hand in m.hands} == {'htt'}
    status = node.diagnostics.wait(
        lambda _, values: values['dropped: between tokens of HTT'] == '3', what='the drops'
    )
    assert values_of(status)['pose source'] == 'htt'
    assert status.level == status.OK


def test_diagnostics_say_where_htt_runs_and_what_its_window_holds(bench, checkpoint):
    node = HttNode(bench, checkpoint, htt_engine='sliding')
    node.play(7)
    status = node.diagnostics.wait(
        lambda _, values: values['actions: images looked at'] == '4', what='the tokens'
    )
    values = values_of(status)
    expected = {
        'action source': 'htt', 'action labels': 'h2o', 'HTT engine': 'sliding',
        'action device': 'cpu fp32', 'actions: images in window': '4 of 32',
        'actions: images lost to errors': '0',
    }  # fmt: skip
    assert {name: values[name] for name in expected} == expected
    assert float(values['time action htt_backbone p50 (ms)']) > 0


@pytest.mark.parametrize(
    ('rate_hz', 'count', 'num_tokens'),
    [
        (120, 49, 7),  # every eighth image
        (60, 25, 7),
        (5, 7, 7),  # all of them, and that is too few
    ],
)
def test_tokens_are_chosen_by_stamp(bench, checkpoint, rate_hz, count, num_tokens):
    node = HttNode(bench, checkpoint)
    node.play(count, interval_ns=round(1e9 / rate_hz))
    actions = node.told(num_tokens)
    assert len(node.actions.messages) == num_tokens
    if rate_hz == 5:
        assert actions[-1].unknown_reason.startswith('images come too slowly: 5.0 per second')
    else:
        assert actions[-1].label == LABELS.actions[ACTION]


def test_a_frozen_image_is_unknown_with_its_reason(bench, checkpoint):
    node = HttNode(bench, checkpoint)
    node.play(36, still=True)  # 1.2 s
    actions = node.told(18)
    assert actions[MIN_TOKENS + 1].label == LABELS.actions[ACTION]
    assert actions[-1].unknown_reason.startswith('the image has not changed for')
    assert actions[-1].labels[0] == LABELS.actions[ACTION]  # what it would have been


def test_a_gap_starts_anew(bench, checkpoint):
    node = HttNode(bench, checkpoint)
    node.play(10)
    node.show(20, stamp_ns=START_NS + 40 * FRAME_NS)
    last = node.told(6)[5]
    assert (last.tokens_seen, last.unknown) == (1, True)
    status = node.diagnostics.wait(
        lambda _, values: values['actions: resets'] == '1', what='the reset'
    )
    assert 'for 1.0' in values_of(status)['actions: last reset']  # seconds


def test_a_camera_without_intrinsics_gives_hands_whose_distance_is_a_guess(bench, checkpoint):
    node = HttNode(bench, checkpoint, with_camera_info=False)
    htt = bench.listen(HandPoseArray, 'htt/pose', qos=500)
    node.play(3)
    hands = [hand for array in htt.wait_count(2) for hand in array.hands]
    assert hands
    assert {hand.depth_source for hand in hands} == {hand.DEPTH_ASSUMED_CAMERA for hand in hands}
    assert min(hand.depth_stddev for hand in hands) > 0.05  # metres, at half a metre
    node.told(2)


@pytest.mark.parametrize(
    ('parameters', 'error', 'text'),
    [
        ({'htt_checkpoint': ''}, ConfigError, 'set htt_checkpoint'),
        ({'htt_checkpoint': '/nowhere/checkpoint_45.pth'}, HandPerceptionError, 'nowhere'),
        ({'htt_dataset': 'fpha'}, HandPerceptionError, 'h2o|hands|joints'),
        ({'htt_labels': 'fpha'}, ConfigError, 'set htt_labels'),
        ({'action_source': 'primitives', 'pose_source': 'htt'}, ConfigError, 'action_source'),
    ],
)
def test_settings_that_contradict_the_weights_end_the_start(
    bench, checkpoint, parameters, error, text
):
    with pytest.raises(error, match=text):
        HttNode(bench, checkpoint, **parameters)
