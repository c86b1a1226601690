"""Prediction files hold what the pipeline said, also when the run was cut short."""

import json

import numpy as np
import pytest

from hand_perception.actions import ActionEstimate, Ranking
from hand_perception.datatypes import Camera, DepthSource, Frame, FrameResult, Hand, ManoParameters
from hand_perception.errors import ConfigError
from hand_perception.predictions import check_writable, open_predictions

FACES = np.array([[0, 1, 2]], np.uint32)
NUM_VERTICES = 4


def make_hand(seed):
    rng = np.random.default_rng(seed)

    def numbers(*shape):
        return rng.normal(size=shape).astype(np.float32)

    return Hand(
        track_id=seed,
        is_right=bool(seed % 2),
        handedness_score=0.9,
        confidence=0.8,
        bbox_xyxy=numbers(4),
        keypoints_3d=numbers(21, 3),
        keypoints_2d=numbers(21, 2),
        keypoint_confidence=np.full(21, np.nan, np.float32),
        vertices=numbers(NUM_VERTICES, 3),
        wrist_rotation=np.eye(3),
        parameters=ManoParameters(
            global_orient=numbers(3), hand_pose=numbers(45), betas=numbers(10), transl=numbers(3)
        ),
        flexion=numbers(15),
        pinch_distance_m=0.05,
        pinch=0.5,
        grasp=0.25,
        depth_source=DepthSource.MONO,
        depth_stddev_m=0.04,
    )


def make_action(i, *, is_right, reason=''):
    return ActionEstimate(
        stamp_ns=i, frame_id='camera', window_start_ns=0, tokens_seen=i + 1, tokens_full=8,
        is_final=False, is_right=is_right, label='' if reason else 'pinch',
        score=0.0 if reason else 0.75,
        ranking=Ranking(labels=('pinch', 'fist'), scores=(0.75, 0.25)),
        unknown_reason=reason, onset_ns=i, label_map='primitives', backend='primitives',
    )  # fmt: skip


ACTIONS = [
    (make_action(0, is_right=False), make_action(0, is_right=True, reason='no hand')),
    (),
    (make_action(2, is_right=None),),
]


def frames():
    camera = Camera.assumed(64, 48)
    for i, hands in enumerate([(make_hand(1), make_hand(2)), (), (make_hand(3),)]):
        frame = Frame(
            image=np.zeros((48, 64, 3), np.uint8),
            is_rgb=True,
            stamp_ns=i,
            frame_id='camera',
            camera=camera,
        )
        result = FrameResult(stamp_ns=i, frame_id='camera', hands=hands)
        yield f'{i}.jpg', frame, result, ACTIONS[i]


def write(path):
    with open_predictions(path, faces=FACES, num_vertices=NUM_VERTICES) as predictions:
        for item in frames():
            predictions.add(*item)


def test_npz_holds_every_hand_with_its_image(tmp_path):
    write(tmp_path / 'hands.npz')
    read = np.load(tmp_path / 'hands.npz', allow_pickle=False)
    assert read['frame'].tolist() == [0, 0, 2]
    assert read['track_id'].tolist() == [1, 2, 3]
    assert read['is_right'].tolist() == [True, False, True]
    assert read['frame_name'].tolist() == ['0.jpg', '1.jpg', '2.jpg']
    shapes = {name: read[name].shape for name in read.files}
    assert shapes['vertices'] == (3, NUM_VERTICES, 3)
    assert shapes['keypoints_3d'] == (3, 21, 3)
    assert shapes['keypoints_2d'] == (3, 21, 2)
    assert shapes['bbox_xyxy'] == (3, 4)
    assert shapes['hand_pose'] == (3, 45)
    assert shapes['betas'] == (3, 10)
    assert shapes['global_orient'] == shapes['transl'] == (3, 3)
    assert shapes['confidence'] == (3,)
    np.testing.assert_array_equal(read['faces'], FACES)
    np.testing.assert_array_equal(read['vertices'][2], make_hand(3).vertices)


def test_npz_holds_every_action_with_its_image(tmp_path):
    write(tmp_path / 'hands.npz')
    read = np.load(tmp_path / 'hands.npz', allow_pickle=False)
    assert read['action_frame'].tolist() == [0, 0, 2]
    assert read['action_is_right'].tolist() == [0, 1, -1]
    assert read['action_label'].tolist() == ['pinch', '', 'pinch']
    assert read['action_score'].tolist() == [0.75, 0.0, 0.75]
    assert read['action_onset_ns'].tolist() == [0, 0, 2]
    assert read['action_unknown_reason'].tolist() == ['', 'no hand', '']


def test_json_lines_hold_every_action_with_its_image(tmp_path):
    write(tmp_path / 'hands.jsonl')
    lines = [json.loads(line) for line in (tmp_path / 'hands.jsonl').read_text().splitlines()]
    assert [len(line['actions']) for line in lines] == [2, 0, 1]
    assert lines[0]['actions'][1]['unknown_reason'] == 'no hand'
    assert lines[2]['actions'][0]['labels'] == ['pinch', 'fist']
    assert lines[2]['actions'][0]['is_right'] is None


def test_npz_without_any_hand_keeps_the_shapes(tmp_path):
    path = tmp_path / 'none.npz'
    with open_predictions(path, faces=FACES, num_vertices=NUM_VERTICES):
        pass
    read = np.load(path, allow_pickle=False)
    assert read['keypoints_3d'].shape == (0, 21, 3)
    assert read['vertices'].shape == (0, NUM_VERTICES, 3)


def test_what_was_done_is_written_when_the_run_is_interrupted(tmp_path):
    path = tmp_path / 'hands.npz'
    items = frames()
    with (
        pytest.raises(KeyboardInterrupt),
        open_predictions(path, faces=FACES, num_vertices=NUM_VERTICES) as predictions,
    ):
        predictions.add(*next(items))
        raise KeyboardInterrupt
    assert np.load(path)['frame'].tolist() == [0, 0]


def test_json_lines_hold_one_image_per_line(tmp_path):
    write(tmp_path / 'hands.jsonl')
    lines = [json.loads(line) for line in (tmp_path / 'hands.jsonl').read_text().splitlines()]
    assert [len(line['hands']) for line in lines] == [2, 0, 1]
    hand = lines[2]['hands'][0]
    assert hand['depth_source'] == 'mono'
    np.testing.assert_allclose(hand['keypoints_3d'], make_hand(3).keypoints_3d, atol=1e-6)
    assert lines[0]['is_camera_assumed'] is True


def test_a_file_that_cannot_be_written_is_refused_and_an_old_one_is_kept(tmp_path):
    (tmp_path / 'hands.npz').mkdir()
    with pytest.raises(ConfigError, match='cannot be written'):
        check_writable(tmp_path / 'hands.npz')
    old = tmp_path / 'old.npz'
    old.write_bytes(b'results')
    check_writable(old)
    assert old.read_bytes() == b'results'
    check_writable(tmp_path / 'new.npz')
    assert not (tmp_path / 'new.npz').exists()


@pytest.mark.parametrize('name', ['hands.csv', 'hands', 'no_folder/hands.npz'])
def test_names_that_cannot_be_written_are_refused_before_the_work(tmp_path, name):
    with pytest.raises(ConfigError):
        open_predictions(tmp_path / name, faces=FACES, num_vertices=NUM_VERTICES)
