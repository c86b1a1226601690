"""What the recorder keeps of a run."""

import numpy as np
import pytest
import yaml
from action_records import STAMP_NS, make_hand_action, make_scene_action, unknown
from rclpy.serialization import serialize_message
from ros_fakes import LABELS

from hand_perception.msg import LabelMap
from hand_perception.ros.action_messages import action_message, label_map_message
from hand_perception.ros.recorder_node import TOPICS, RunSummary


def saved(tmp_path, *actions):
    summary = RunSummary()
    for action in actions:
        summary.add_action(action_message(action, age_s=0.0))
    summary.save(tmp_path / 'hands.npz')
    return np.load(tmp_path / 'hands.npz', allow_pickle=False)


def test_actions_are_kept_in_arrays_of_one_length(tmp_path):
    arrays = saved(
        tmp_path,
        make_scene_action(),
        make_hand_action(is_right=False, onset_ns=STAMP_NS - 5),
        unknown(make_hand_action, 'no hand present', is_right=True),
    )
    assert arrays['action_stamp_ns'].tolist() == [STAMP_NS] * 3
    assert arrays['action_is_right'].tolist() == [-1, 0, 1]
    assert arrays['action_label'].tolist() == ['pour_milk', 'pinch', '']
    assert arrays['action_onset_ns'].tolist()[1] == STAMP_NS - 5
    assert arrays['action_unknown_reason'].tolist() == ['', '', 'no hand present']


def test_a_run_without_actions_has_empty_arrays(tmp_path):
    arrays = saved(tmp_path)
    names = [name for name in arrays.files if name.startswith('action_')]
    assert len(names) == 5
    assert {arrays[name].shape for name in names} == {(0,)}


def test_every_topic_of_actions_is_recorded():
    assert {'action', 'action_labels', 'htt/pose'} <= {topic for topic, *_ in TOPICS}


def test_labels_in_a_bag_are_latched_when_it_is_played(tmp_path):
    pytest.importorskip('rosbags', reason='rosbags is not installed')
    from hand_perception.ros.bag import BagWriter

    bag = BagWriter(tmp_path / 'bag')
    write = bag.connect('/hands/action_labels', LabelMap, is_latched=True)
    write(serialize_message(label_map_message(LABELS)))
    bag.close()
    content = yaml.safe_load((tmp_path / 'bag' / 'metadata.yaml').read_text(encoding='utf-8'))
    (topic,) = content['rosbag2_bagfile_information']['topics_with_message_count']
    (profile,) = topic['topic_metadata']['offered_qos_profiles']
    assert (profile['durability'], profile['reliability']) == ('transient_local', 'reliable')
    assert (profile['history'], profile['depth']) == ('keep_last', 1)
