"""H2O is read as the published loader reads it, and what is damaged is named."""

import ego_trees
import numpy as np
import pytest

from hand_perception.datasets import h2o
from hand_perception.datasets.sample import UNKNOWN
from hand_perception.errors import DatasetError

TABLES = 'action_labels/action_'
#: The first segment of the training table.
FIRST = '1 subject1/h1/0 16 0 25 0 59'
HANDS = 'subject2/k1/3/cam4/hand_pose/000004.txt'


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return ego_trees.h2o(tmp_path_factory.mktemp('h2o'), with_images=False, test_labels='named')


@pytest.fixture
def damaged(tmp_path):
    """A folder of H2O to break something in."""
    return ego_trees.h2o(tmp_path, with_images=False)


def set_hands(root, change):
    """Change the words of the file of the third image of train/4."""
    words = (root / HANDS).read_text().split()
    change(words)
    (root / HANDS).write_text(' '.join(words))


def truth_of_changed(root, **settings):
    split = h2o.open_split(root, 'train', **settings)
    return split.truth(split.segments[3])


@pytest.mark.parametrize(('name', 'number'), [('val', 1), ('test', 0)])
def test_joints_in_metres_and_pixels_are_those_of_the_published_loader(root, name, number):
    known = ego_trees.reference()
    split = h2o.open_split(root, name)
    truth = split.truth(split.segments[number])
    expected = known[f'h2o/{name}/joints_25d'].reshape(-1, 2, 21, 3)
    joints = known[f'h2o/{name}/joints_3d'].reshape(-1, 2, 21, 3)
    # Rounding of float32 at half a metre and at 500 pixels.
    np.testing.assert_allclose(truth.joints_3d, joints, atol=2e-7)
    np.testing.assert_allclose(truth.joints_2d, expected[..., :2], atol=1e-4)
    np.testing.assert_allclose(split.K, known[f'h2o/{name}/K'], atol=1e-5)
    assert truth.hand_valid.all()
    assert split.is_right == (False, True)


@pytest.mark.parametrize('name', h2o.SPLITS)
def test_labels_of_all_frames_are_those_of_the_published_loader(root, name):
    known = ego_trees.reference()
    split = h2o.open_split(root, name)
    frames = [segment.num_frames for segment in split.segments]
    actions = np.repeat([segment.action for segment in split.segments], frames)
    objects = np.repeat([segment.object for segment in split.segments], frames)
    assert (actions == known[f'h2o/{name}/action']).all()
    assert (objects == known[f'h2o/{name}/object']).all()


@pytest.mark.parametrize('form', ['appended', 'named'])
def test_labels_behind_the_last_column_of_the_test_table_are_read(tmp_path, form):
    split = h2o.open_split(
        ego_trees.h2o(tmp_path, with_images=False, test_labels=form), 'test'
    )  # fmt: skip
    assert [(segment.action, segment.object) for segment in split.segments] == [(0, 0), (32, 0)]


def test_the_public_test_table_has_unknown_labels_and_all_frames(damaged):
    split = h2o.open_split(damaged, 'test')
    assert [segment.action for segment in split.segments] == [UNKNOWN, UNKNOWN]
    assert [segment.object for segment in split.segments] == [UNKNOWN, UNKNOWN]
    assert [(segment.first_frame, segment.num_frames) for segment in split.segments] == [
        (3, 17), (22, 26),
    ]  # fmt: skip
    assert h2o.open_split(damaged, 'train').segments[0].action == 15


def test_a_hand_that_is_not_annotated_is_masked_and_finite(damaged):
    def without_left(words):
        words[:64] = ['0'] * 64

    set_hands(damaged, without_left)
    truth = truth_of_changed(damaged)
    assert truth.hand_valid[2].tolist() == [False, True]
    assert truth.hand_valid.sum() == 2 * 19 - 1
    assert not truth.joints_3d[2, 0].any()
    assert not truth.joints_2d[2, 0].any()
    assert np.isfinite(truth.joints_2d).all()


def test_without_flags_all_hands_count_as_the_published_loader_takes_them(damaged):
    def without_left(words):
        words[:64] = ['0'] * 64

    set_hands(damaged, without_left)
    truth = truth_of_changed(damaged, with_flags=False)
    assert truth.hand_valid.all()
    assert not truth.joints_3d[2, 0].any()
    assert np.isnan(truth.joints_2d[2, 0]).all()


def test_nan_of_a_hand_that_is_not_annotated_does_no_harm(damaged):
    def nan_left(words):
        words[:64] = ['0', *['nan'] * 63]

    set_hands(damaged, nan_left)
    assert np.isfinite(truth_of_changed(damaged).joints_3d).all()
    with pytest.raises(DatasetError, match='63 of 126 numbers are not finite'):
        truth_of_changed(damaged, with_flags=False)


@pytest.mark.parametrize(
    ('place', 'word', 'message'),
    [
        (5, 'nan', '1 of 126 numbers are not finite'),
        (5, 'inf', '1 of 126 numbers are not finite'),
        (64, '0.5', 'whether a hand is annotated are 1 and 0.5'),
        (7, 'o.1', "'o.1'"),
        (7, '0.1 0.2', 'has 129 numbers, expected 128'),
    ],
)
def test_a_damaged_file_of_hands_is_named(damaged, place, word, message):
    set_hands(damaged, lambda words: words.__setitem__(place, word))
    with pytest.raises(DatasetError, match=f'{HANDS}.*{message}'):
        truth_of_changed(damaged)


def test_a_missing_and_an_empty_file_of_hands_are_named(damaged):
    (damaged / HANDS).write_text('')
    with pytest.raises(DatasetError, match=f'{HANDS} has 0 numbers'):
        truth_of_changed(damaged)
    (damaged / HANDS).unlink()
    with pytest.raises(DatasetError, match=f'{HANDS} is missing: .* https://taeinkwon'):
        truth_of_changed(damaged)


@pytest.mark.parametrize(
    ('table', 'old', 'new', 'message'),
    [
        ('train', FIRST, '1 subject1/h1/0 37 0 25 0 59', 'action_label is 37, expected 1 to 36'),
        (
            'train',
            FIRST,
            '1 subject1/h1/0 16 25 0 0 59',
            'are 0, 25, 0, 59, expected them to rise',
        ),
        ('train', FIRST, '1 subject1/h1/0 0 25 0 59', '6 columns, but line 1 names 7'),
        ('train', FIRST, '1 subject1 16 0 25 0 59', "path is 'subject1'"),
        ('train', FIRST, '1 subject1/h1/0 grab 0 25 0 59', "action_label is 'grab'"),
        (
            'train',
            '2 subject1/h1/0 8 28 44',
            '2 subject1/h1/0 8 0 25',
            r'id 2 \(subject1/h1/0, frames 0 to 25\) is in it twice',
        ),
        ('train', 'id path action_label', '1 subject2/k1/3 5', 'expected the columns id path'),
        (
            'val',
            '4 subject3/k2/0 36 0 39 0 39',
            '4 subject1/h1/0 36 40 44 0 59',
            r'action_train.txt \(id 2\) and in .*action_val.txt \(id 4\)',
        ),
        (
            'test',
            '1 subject4/h2/2 3 19 0 49',
            '1 subject4/h2/2 3 19 0 49 1',
            'some lines have a label',
        ),
        (
            'test',
            '1 subject4/h2/2 3 19 0 49',
            '1 subject4/h2/2 1 3 19 0 49 1',
            '8 columns, but line 1 names 6',
        ),
    ],
)
def test_tables_that_are_damaged_or_mixed_up_are_refused(damaged, table, old, new, message):
    ego_trees.replace(damaged / f'{TABLES}{table}.txt', old, new)
    with pytest.raises(DatasetError, match=message):
        h2o.open_split(damaged, 'train')


def test_labels_under_a_head_in_another_order_are_refused(damaged):
    path = damaged / f'{TABLES}test.txt'
    rows = path.read_text().splitlines()[1:]
    head = 'id path action_label start_act end_act start_frame end_frame'
    path.write_text('\n'.join([head, *(f'{row} 1' for row in rows)]))
    with pytest.raises(DatasetError, match='columns may be in another order than line 1 tells'):
        h2o.open_split(damaged, 'test')


def test_the_tables_of_other_splits_may_be_missing(damaged):
    (damaged / f'{TABLES}test.txt').unlink()
    assert len(h2o.open_split(damaged, 'train').segments) == 4
    with pytest.raises(DatasetError, match='action_test.txt is missing: .* https://taeinkwon'):
        h2o.open_split(damaged, 'test')


def test_a_missing_folder_and_an_unknown_split_are_refused(tmp_path):
    with pytest.raises(DatasetError, match='nothing is not a folder; H2O comes from https://'):
        h2o.open_split(tmp_path / 'nothing', 'train')
    with pytest.raises(DatasetError, match="splits train, val, test, got 'eval'"):
        h2o.open_split(tmp_path, 'eval')
