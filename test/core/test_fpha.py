"""FPHA is read as the published loader reads it, and what is damaged is named."""

import ego_trees
import numpy as np
import pytest

from hand_perception.datasets import fpha
from hand_perception.errors import DatasetError
from hand_perception.labels import load_label_map

SPLIT = 'data_split_action_recognition.txt'
ACTIONS = 'action_object_info.txt'
SUBJECT = 'Subjects_info/Subject_1_info.txt'
SEQUENCE = 'Hand_pose_annotation_v1/Subject_3/handshake/1/skeleton.txt'


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return ego_trees.fpha(tmp_path_factory.mktemp('fpha'), with_images=False)


@pytest.fixture
def damaged(tmp_path):
    """A folder of FPHA to break something in."""
    return ego_trees.fpha(tmp_path, with_images=False)


def segment_of(split, name):
    return next(segment for segment in split.segments if segment.name == name)


@pytest.mark.parametrize(
    ('name', 'sequence'),
    [('train', 'Subject_1/open_juice_bottle/1'), ('test', 'Subject_4/read_letter/1')],
)
def test_joints_in_metres_and_pixels_are_those_of_the_published_loader(root, name, sequence):
    known = ego_trees.reference()
    split = fpha.open_split(root, name)
    truth = split.truth(segment_of(split, sequence))
    expected = known[f'fpha/{name}/joints_25d']
    # Rounding of float32 at half a metre and at 500 pixels.
    np.testing.assert_allclose(
        truth.joints_3d[:, 0], known[f'fpha/{name}/joints_3d'], atol=2e-7
    )  # fmt: skip
    np.testing.assert_allclose(truth.joints_2d[:, 0], expected[..., :2], atol=1e-4)
    np.testing.assert_allclose(truth.joints_3d[:, 0, :, 2], expected[..., 2], atol=2e-7)
    np.testing.assert_allclose(split.K, known[f'fpha/{name}/K'], atol=1e-5)
    assert truth.hand_valid.all()
    assert split.is_right == (True,)


@pytest.mark.parametrize('name', fpha.SPLITS)
def test_labels_of_all_frames_are_those_of_the_published_loader(root, name):
    known = ego_trees.reference()
    split = fpha.open_split(root, name)
    frames = [segment.num_frames for segment in split.segments]
    actions = np.repeat([segment.action for segment in split.segments], frames)
    objects = np.repeat([segment.object for segment in split.segments], frames)
    assert (actions == known[f'fpha/{name}/action']).all()
    assert (objects == known[f'fpha/{name}/object']).all()


def test_the_table_of_the_folder_names_the_classes_as_the_shipped_map_does(root):
    assert fpha.open_split(root, 'train').labels == load_label_map('fpha')


def test_a_sequence_of_one_frame_is_read(damaged):
    path = damaged / SEQUENCE
    path.write_text(path.read_text().splitlines()[0])
    ego_trees.replace(
        damaged / 'Subjects_info/Subject_3_info.txt', 'handshake 1 9', 'handshake 1 1'
    )
    split = fpha.open_split(damaged, 'train')
    truth = split.truth(segment_of(split, 'Subject_3/handshake/1'))
    assert truth.joints_3d.shape == (1, 1, 21, 3)


def test_an_empty_skeleton_outside_the_split_is_never_read(damaged):
    ego_trees.write(damaged / 'Hand_pose_annotation_v1/Subject_2/close_milk/4/skeleton.txt', '')
    info = damaged / 'Subjects_info/Subject_2_info.txt'
    info.write_text(info.read_text() + 'close_milk 4 70\n')
    split = fpha.open_split(damaged, 'train')
    assert sum(len(split.truth(segment).hand_valid) for segment in split.segments) == 90


def break_skeleton(root, change):
    path = root / SEQUENCE
    lines = path.read_text().splitlines()
    path.write_text('\n'.join(change(lines)))


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda lines: [], 'is empty, but Subjects_info tells 9 frames'),
        (lambda lines: lines[:8], 'has 8 lines, but Subjects_info tells 9 frames'),
        (
            lambda lines: [*lines[:8], lines[8].rsplit(' ', 1)[0]],
            'line 9: 63 numbers, expected 64',
        ),
        (lambda lines: [*lines[:3], *lines[4:], lines[3]], 'line 4: of frame 4, expected frame 3'),
        (
            lambda lines: [lines[0].replace('100.0000', 'nan', 1), *lines[1:]],
            '1 of 63 numbers are',
        ),
        (lambda lines: [lines[0].replace('100.0000', '1O0', 1), *lines[1:]], "line 1: .*'1O0'"),
    ],
)
def test_a_damaged_skeleton_is_named_with_its_line(damaged, change, message):
    break_skeleton(damaged, change)
    split = fpha.open_split(damaged, 'train')
    with pytest.raises(DatasetError, match=rf'{SEQUENCE}.*{message}'):
        split.truth(segment_of(split, 'Subject_3/handshake/1'))


@pytest.mark.parametrize(
    ('table', 'old', 'new', 'message'),
    [
        (
            SPLIT,
            'Subject_6/handshake/4 43',
            'Subject_3/handshake/1 43',
            'Subject_3/handshake/1 is in test, and in train on line 4',
        ),
        (SPLIT, 'Training 4', 'Training 600', '4 sequences in train, but it tells 600'),
        (SPLIT, 'pour_milk/2 12', 'pour_milk/2 13', 'has class 13, .* class 12'),
        (SPLIT, 'Test 4', '', '8 sequences in train'),
        (SPLIT, 'Subject_1/pour_milk/2', 'Subject_1/pour_milk', 'expected a sequence'),
        (SPLIT, 'pour_milk/2 12', 'pour_milk/2 twelve', "is 'twelve'"),
        (ACTIONS, '13 pour_milk', '14 pour_milk', "action 14 'pour_milk', expected number 13"),
        (
            ACTIONS,
            '13 pour_milk milk no kitchen',
            '13 pour_milk',
            'expected number, action and object',
        ),
        (SUBJECT, 'pour_milk 2 17', 'pour_milk 3 17', 'how many frames Subject_1/pour_milk/2 has'),
        (SUBJECT, 'pour_milk 2 17', 'pour_milk 2', 'expected action, sequence and frames'),
    ],
)
def test_tables_that_contradict_each_other_are_refused(damaged, table, old, new, message):
    ego_trees.replace(damaged / table, old, new)
    with pytest.raises(DatasetError, match=message):
        fpha.open_split(damaged, 'train')


@pytest.mark.parametrize(
    'missing',
    [
        'action_object_info.txt', 'data_split_action_recognition.txt',
        'Subjects_info/Subject_4_info.txt',
    ],
)  # fmt: skip
def test_a_missing_table_is_named_with_where_it_comes_from(damaged, missing):
    (damaged / missing).unlink()
    with pytest.raises(DatasetError, match=f'{missing} is missing: .* {fpha.SOURCE[:30]}'):
        fpha.open_split(damaged, 'test')


def test_a_missing_folder_and_an_unknown_split_are_refused(tmp_path):
    with pytest.raises(DatasetError, match='nothing is not a folder; FPHA comes from https://'):
        fpha.open_split(tmp_path / 'nothing', 'train')
    with pytest.raises(DatasetError, match="splits train, test, got 'val'"):
        fpha.open_split(tmp_path, 'val')
