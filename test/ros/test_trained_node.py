"""The perception node with weights that were trained a moment ago, by the command line."""

import ego_trees
import pytest
import small_runs
from clip_node import FRAME_NS, START_NS, ClipNode
from ros_bench import values_of
from test_action_node import LATCHED

from hand_perception.labels import load_label_map
from hand_perception.msg import HandAction, HandPoseArray
from hand_perception.msg import LabelMap as LabelMapMessage
from hand_perception.ros.action_messages import label_map_from_message
from hand_perception.ros.messages import hand_from_message, stamp_ns_of

TREES = {'fpha': ego_trees.fpha, 'h2o': ego_trees.h2o}


@pytest.mark.parametrize('kind', ['fpha', 'h2o'])
def test_node_tells_actions_by_an_htt_that_was_trained_here(bench, tmp_path, kind):
    tree, run = TREES[kind](tmp_path / 'data'), tmp_path / 'run'
    assert small_runs.train_htt(run, kind, tree) == 0
    node = ClipNode(
        bench, action_source='htt', htt_checkpoint=str(run / 'best.safetensors'),
        htt_precision='fp32', htt_window=8, htt_pose_window=4,
    )  # fmt: skip
    actions = bench.listen(HandAction, 'action', qos=500)
    poses = bench.listen(HandPoseArray, 'htt/pose', qos=500)
    labels = bench.listen(LabelMapMessage, 'action_labels', qos=LATCHED)
    stamps = []
    for number in range(4):
        stamps.append(node.show(number, stamp_ns=START_NS + number * FRAME_NS))
        node.answer(stamps[-1])
    told = actions.wait_count(2)
    assert [stamp_ns_of(message.header) for message in told] == stamps[::2]  # 15 of 30 a second
    assert [stamp_ns_of(array.header) for array in poses.wait_count(2)] == stamps[::2]
    assert {message.tokens_full for message in told} == {8}
    known = load_label_map(kind)
    assert label_map_from_message(labels.wait_count(1)[0]).actions == known.actions
    assert set(told[-1].labels) < set(known.actions)
    assert {message.label_map for message in told} == {kind}


def test_node_reconstructs_hands_with_a_hamer_of_the_default_hand(bench, tmp_path):
    synthetic, run = small_runs.make_synthetic(tmp_path / 'synthetic'), tmp_path / 'run'
    assert small_runs.train_hamer(run, f'synthetic:{synthetic}') == 0
    node = ClipNode(
        bench, backend='hamer', hamer_dir=str(run / 'last.safetensors'), precision='fp32',
        publish_vertices=True,
    )  # fmt: skip
    message = node.answer(node.show(0))
    assert [hand.handedness for hand in message.hands] == [1, 2]
    for hand in message.hands:
        assert (hand.backend, hand.hand_model) == ('hamer', 'default')
        assert hand_from_message(hand).vertices.shape == (1159, 3)
    status = node.diagnostics.wait(
        lambda _, values: values['images processed'] == '1', what='a count of the images'
    )
    assert values_of(status)['back end'] == 'hamer'
