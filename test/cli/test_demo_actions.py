import numpy as np

from hand_perception.cli.demo_actions import action_rows, read_actions
from hand_perception.synthetic.truth import load_clip_truth

FRAME_NS = 33_333_333


def recorded(actions):
    """The recorder's arrays of (stamp, side, label, onset)."""
    stamps, sides, labels, onsets = zip(*actions, strict=True)
    return {
        'action_stamp_ns': np.array(stamps, np.int64),
        'action_is_right': np.array(sides, np.int8),
        'action_label': np.array(labels, np.str_),
        'action_onset_ns': np.array(onsets, np.int64),
        'action_unknown_reason': np.array(['' if label else 'why' for label in labels], np.str_),
    }


def clip_truth():
    return [(number * FRAME_NS, hands) for number, hands in enumerate(load_clip_truth().frames)]


def perfect_actions():
    since, actions = {}, []
    for stamp, hands in clip_truth():
        for hand in hands:
            name, onset = since.get(hand.is_right, (None, 0))
            if hand.primitive != name:
                since[hand.is_right] = (hand.primitive, stamp)
                onset = stamp
            actions.append((stamp, int(hand.is_right), hand.primitive, onset))
    return actions


def test_actions_are_read_back_by_the_stamp_of_their_image():
    arrays = recorded([(7, 0, 'open', 3), (7, 1, '', 7), (9, -1, 'pour milk', 9)])
    actions = read_actions(arrays)
    assert [(a.is_right, a.label, a.onset_ns) for a in actions[7]] == [
        (False, 'open', 3), (True, '', 7),
    ]  # fmt: skip
    assert actions[7][1].unknown_reason == 'why'
    assert actions[9][0].is_right is None


def test_a_recording_without_actions_adds_nothing_to_the_table():
    assert read_actions({}) == {}
    assert action_rows({}, clip_truth()) == []


def test_primitives_are_compared_with_the_truth_of_the_clip():
    rows = dict(action_rows(read_actions(recorded(perfect_actions())), clip_truth()))
    assert rows['actions right, of images with a name'] == '100.0%'
    assert rows['onset, median / worst'] == '0 / 0 ms'
    assert rows['told without cause'].startswith('0 of')
    assert 'unknown' in rows['actions'] and 'pinch' in rows['actions told most']


def test_actions_of_the_whole_scene_are_only_counted():
    actions = read_actions(recorded([(0, -1, 'pour milk', 0), (FRAME_NS, -1, '', FRAME_NS)]))
    rows = dict(action_rows(actions, clip_truth()))
    assert rows == {'actions': '2, 50% unknown', 'actions told most': 'pour milk 1'}


def test_actions_without_a_truth_are_only_counted():
    rows = dict(action_rows(read_actions(recorded(perfect_actions()))))
    assert set(rows) == {'actions', 'actions told most'}
