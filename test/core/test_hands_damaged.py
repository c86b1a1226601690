"""Damaged folders of single hands are refused by the name of the file; nothing in them runs."""

import json
import os
import pickle

import cv2
import hand_trees
import numpy as np
import pytest

from hand_perception.datasets.hands import open_hands
from hand_perception.datasets.json_numbers import read_numbers
from hand_perception.errors import ConfigError, DatasetError, WeightsError


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function, *arguments):
        self._call = (function, arguments)

    def __reduce__(self):
        return self._call


@pytest.fixture
def freihand(tmp_path):
    return hand_trees.freihand(tmp_path)


@pytest.fixture
def ho3d(tmp_path):
    return hand_trees.ho3d(tmp_path)


@pytest.fixture
def hint(tmp_path):
    return hand_trees.hint(tmp_path)


def change_json(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def change_meta(path, **entries):
    meta = pickle.loads(path.read_bytes())
    meta |= entries
    hand_trees.write_meta(path, {name: value for name, value in meta.items() if value is not ...})


@pytest.mark.parametrize('kind', ['freihand', 'ho3d', 'hint', 'hamer_eval'])
def test_a_folder_that_is_not_there_says_where_it_comes_from(tmp_path, kind):
    with pytest.raises(DatasetError, match=r'is not a (folder|file).* comes from https://'):
        open_hands(kind, tmp_path / 'nothing', 'test')


def test_an_image_that_ends_in_the_middle_is_refused(freihand):
    path = freihand / 'training/rgb/00000004.jpg'
    path.write_bytes(path.read_bytes()[:-40])
    hands = open_hands('freihand', freihand, 'train')
    with pytest.raises(DatasetError, match='00000004.jpg ends in the middle'):
        hands[4]
    assert hands.truth(4).hand_valid.all()


def test_a_missing_image_is_named(ho3d):
    (ho3d / 'train/ABF10/rgb/0003.jpg').unlink()
    with pytest.raises(DatasetError, match='ABF10/rgb/0003.jpg is missing'):
        open_hands('ho3d', ho3d, 'train')[1]


def test_an_image_turned_by_its_exif_note_is_read_as_it_is_stored(hint):
    # Keypoints are counted on the stored pixels; 6 means a quarter turn for viewers.
    path = hint / 'TEST_epick_img/EK_3_r.jpg'
    content = path.read_bytes()
    note = b'Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0'
    path.write_bytes(content[:2] + b'\xff\xe1' + (len(note) + 2).to_bytes(2, 'big') + note
                     + content[2:])  # fmt: skip
    assert cv2.imread(str(path)).shape == (160, 120, 3)
    assert open_hands('hint', hint, 'test')[2].images.shape == (1, 120, 160, 3)


@pytest.mark.parametrize(
    ('name', 'message'), [('K', 'is missing; it comes from https://lmb'), ('xyz', 'is missing')]
)
def test_a_missing_table_of_freihand_is_named(freihand, name, message):
    (freihand / f'training_{name}.json').unlink()
    with pytest.raises(DatasetError, match=f'training_{name}.json {message}'):
        open_hands('freihand', freihand, 'train')


def test_nan_in_a_table_of_freihand_is_refused_with_its_entry(freihand):
    path = freihand / 'training_xyz.json'
    change_json(path, lambda joints: joints[1][4].__setitem__(2, float('nan')))
    with pytest.raises(DatasetError, match='training_xyz.json: 1 of 3 entries .* first 1 '):
        open_hands('freihand', freihand, 'train')


def test_tables_of_freihand_of_two_splits_do_not_go_together(freihand):
    (freihand / 'evaluation_xyz.json').replace(freihand / 'training_xyz.json')
    with pytest.raises(DatasetError, match='xyz.json has 2 entries, .*K.json has 3: .*splits'):
        open_hands('freihand', freihand, 'train')


def test_freihand_has_one_version_only_in_the_test_split(freihand):
    with pytest.raises(ConfigError, match='the test split only gs'):
        open_hands('freihand', freihand, 'test', version='hom')


def test_a_mano_folder_without_its_file_is_refused(freihand, tmp_path):
    with pytest.raises(WeightsError, match='MANO_RIGHT.pkl'):
        open_hands('freihand', freihand, 'train', mano_dir=str(tmp_path / 'mano'))


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('[[[1, 2], [3, 4]], [[5, 6], [7, 8', 'ends in the middle'),
        ('', 'ends in the middle'),
        ('{"a": 1}', 'ends in the middle'),
        ('[]', 'is an empty list'),
        ('[[[1, 2], [3, null]]]', 'does not hold numbers only'),
        ('[[[1, 2], [3, "a"]]]', 'does not hold numbers only'),
        ('[[[1, 2], [3, ]]]', 'does not hold numbers only'),
        ('[[[1, 2], [3, 4]], [[5, 6]]]', 'does not hold lists of 2 x 2 numbers: 6 numbers'),
        ('[[[1, 2, 3, 4]]]', 'does not hold lists of 2 x 2 numbers: 4 numbers in 3 lists'),
        ('[[[1, 2], [3, \u2212 4]]]', 'does not hold numbers only'),
    ],
)
def test_a_table_of_other_numbers_is_refused(tmp_path, text, message):
    path = tmp_path / 'table.json'
    path.write_text(text, encoding='utf-8')
    with pytest.raises(DatasetError, match=f'table.json {message}'):
        read_numbers(path, (2, 2), source='somewhere')


@pytest.mark.parametrize('spaces', ['', ' ', '\n  '])
def test_a_table_is_read_as_json_reads_it(tmp_path, spaces):
    values = np.random.default_rng(0).normal(0, 1, (3, 2, 4)) * 10.0 ** np.arange(-3, 5, 2)
    text = json.dumps(values.tolist()).replace(', ', f',{spaces}')
    (tmp_path / 'table.json').write_text(text + '\n')
    read = read_numbers(tmp_path / 'table.json', (2, 4), source='somewhere')
    np.testing.assert_array_equal(read, values)


def test_a_pickle_of_ho3d_never_runs(ho3d, tmp_path):
    evil = tmp_path / 'evil'
    change_meta(ho3d / 'train/MC1/meta/0010.pkl', objName=Call(os.mkdir, str(evil)))
    with pytest.raises(DatasetError, match=r'refused to read .*0010.pkl: it asks for'):
        open_hands('ho3d', ho3d, 'train').truth(2)
    assert not evil.exists()


@pytest.mark.parametrize(
    ('entries', 'message'),
    [
        ({'handJoints3D': np.full((21, 3), np.nan)}, 'handJoints3D is not finite'),
        ({'handJoints3D': np.ones((16, 3))}, 'handJoints3D has the shape'),
        ({'handJoints3D': np.ones((21, 3))}, 'joints lie behind the camera'),
        ({'handPose': ...}, 'has no handPose'),
        ({'handBeta': None}, 'handBeta has the shape'),
        ({'camMat': 'none'}, 'camMat cannot be read'),
    ],
)
def test_a_damaged_annotation_of_ho3d_is_named(ho3d, entries, message):
    change_meta(ho3d / 'train/ABF10/meta/0000.pkl', **entries)
    with pytest.raises(DatasetError, match=f'ABF10/meta/0000.pkl.*{message}'):
        open_hands('ho3d', ho3d, 'train').truth(0)


def test_a_truncated_and_a_missing_annotation_of_ho3d_are_named(ho3d):
    hands = open_hands('ho3d', ho3d, 'train')
    path = ho3d / 'train/ABF10/meta/0000.pkl'
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DatasetError, match='refused to read .*0000.pkl: it is cut off'):
        hands.truth(0)
    path.unlink()
    with pytest.raises(DatasetError, match='0000.pkl is missing'):
        hands.truth(0)


def test_an_image_of_ho3d_without_annotation_has_no_valid_hand(ho3d):
    change_meta(ho3d / 'train/ABF10/meta/0000.pkl', handJoints3D=None, handPose=None)
    truth = open_hands('ho3d', ho3d, 'train').truth(0)
    assert not truth.hand_valid.any()
    assert not truth.confidence_2d.any() and not truth.confidence_3d.any()
    assert truth.boxes.tolist() == [[[160, 120, 480, 360]]]


def test_numbers_of_ho3d_may_be_numpy_scalars_in_a_list(ho3d):
    path = ho3d / 'evaluation/SM1/meta/0000.pkl'
    change_meta(path, handBoundingBox=[np.int64(1), np.float32(2), 3, 4.5])
    assert open_hands('ho3d', ho3d, 'test').truth(0).boxes.tolist() == [[[1, 2, 3, 4.5]]]


def test_lists_of_ho3d_that_share_a_sequence_are_mixed_up(ho3d):
    with (ho3d / 'evaluation.txt').open('a') as stream:
        stream.write('MC1/0000\n')
    with pytest.raises(DatasetError, match='train.txt and evaluation.txt both have MC1: .*mixed'):
        open_hands('ho3d', ho3d, 'train')


@pytest.mark.parametrize(
    ('row', 'message'),
    [
        ('ABF10 0000', "line 4: .* got 'ABF10 0000'"),
        ('../train/0001', 'line 4: '),
        ('ABF10/0000', 'names an image twice'),
    ],
)
def test_a_damaged_list_of_ho3d_is_refused(ho3d, row, message):
    with (ho3d / 'train.txt').open('a') as stream:
        stream.write(row + '\n')
    with pytest.raises(DatasetError, match=f'train.txt.* ?{message}'):
        open_hands('ho3d', ho3d, 'train')


def test_answers_of_another_version_of_ho3d_are_refused(ho3d):
    change_json(ho3d / 'evaluation_xyz.json', lambda joints: joints.pop())
    with pytest.raises(DatasetError, match='xyz.json has 1 entries, the list .* 2: .*versions'):
        open_hands('ho3d', ho3d, 'test')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda hand: hand['keypoints'].pop(), r'keypoints has the shape \(20, 2\)'),
        (lambda hand: hand['keypoints'].__setitem__(3, [None, 4]), 'keypoints is not finite'),
        (lambda hand: hand['keypoints'].__setitem__(3, ['x', 4]), 'keypoints is not numbers'),
        (lambda hand: hand['occlusion'].__setitem__(3, 2), 'occlusion must be 0 to 1'),
        (lambda hand: hand.pop('bbox'), 'has no bbox'),
    ],
)
def test_a_damaged_annotation_of_hint_is_named(hint, change, message):
    path = hint / 'TEST_epick_img/EK_3_r.json'
    change_json(path, lambda hands: change(hands[0]))
    with pytest.raises(DatasetError, match=f'EK_3_r.json:? ?{message}'):
        open_hands('hint', hint, 'test').truth(2)


@pytest.mark.parametrize(('text', 'message'), [('[', 'is not whole JSON'), ('[]', 'a list of 0')])
def test_a_file_of_hint_without_a_hand_is_named(hint, text, message):
    (hint / 'TEST_epick_img/EK_3_r.json').write_text(text)
    with pytest.raises(DatasetError, match=f'EK_3_r.json.* {message}'):
        open_hands('hint', hint, 'test').truth(2)


def test_hands_of_hint_in_two_splits_are_mixed_up(hint):
    path = hint / 'VAL_newdays_img/ND_c_frame1_l.json'
    path.write_bytes((hint / 'TEST_newdays_img/ND_c_frame1_l.json').read_bytes())
    with pytest.raises(DatasetError, match='1 hands are in .*TEST_newdays_img and in VAL_newdays'):
        open_hands('hint', hint, 'test')


def test_a_part_of_hint_that_is_not_there_names_how_to_choose_another(hint):
    for path in (hint / 'TEST_ego4d_img').iterdir():
        path.unlink()
    with pytest.raises(DatasetError, match='TEST_ego4d_img has no JSON files'):
        open_hands('hint', hint, 'test')
    (hint / 'TEST_ego4d_img').rmdir()
    with pytest.raises(DatasetError, match='TEST_ego4d_img is missing; .*version: newdays, epick'):
        open_hands('hint', hint, 'test')
    assert len(open_hands('hint', hint, 'test', version='newdays')) == 2


def test_a_name_of_hint_that_tells_no_side_is_refused(hint):
    folder = hint / 'TEST_epick_img'
    (folder / 'EK_3_r.json').rename(folder / 'EK_3.json')
    with pytest.raises(DatasetError, match='do not end in _l.json or _r.json.*EK_3.json'):
        open_hands('hint', hint, 'test')


def test_an_evaluation_file_of_hamer_never_runs(tmp_path):
    evil = tmp_path / 'evil'
    names = np.array([Call(os.mkdir, str(evil)), 'b.png', 'c.png'], object)
    file = hand_trees.hamer_eval(tmp_path, imgname=names)
    with pytest.raises(DatasetError, match='refused to read imgname of .*hands.npz: it asks for'):
        open_hands('hamer_eval', file, 'test')
    assert not evil.exists()


@pytest.mark.parametrize(
    ('columns', 'message'),
    [
        ({'center': np.zeros((2, 2))}, r'center has the shape \(2, 2\), expected \(3, 2\)'),
        ({'scale': np.zeros((3, 2))}, 'scale of 3 of 3 rows is not finite or not above 0'),
        ({'scale': np.ones((3, 3))}, r'scale has the shape \(3, 3\)'),
        ({'center': np.full((3, 2), np.nan)}, 'center of 3 of 3 rows is not finite'),
        ({'hand_keypoints_2d': np.full((3, 21, 3), np.nan)}, 'hand_keypoints_2d of 3 of 3'),
        ({'right': np.array(['a', 'b', 'c'])}, 'right is <U1, expected numbers'),
        ({'imgname': np.zeros(3)}, 'imgname are not texts'),
    ],
)
def test_a_damaged_evaluation_file_of_hamer_is_named(tmp_path, columns, message):
    file = hand_trees.hamer_eval(tmp_path, **columns)
    with pytest.raises(DatasetError, match=f'hands.npz: {message}'):
        open_hands('hamer_eval', file, 'test')


def test_a_truncated_evaluation_file_and_one_without_boxes_are_named(tmp_path):
    file = hand_trees.hamer_eval(tmp_path)
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(DatasetError, match='hands.npz is not a whole npz file'):
        open_hands('hamer_eval', file, 'test')
    np.savez(file, imgname=np.array(['a.png']), scale=np.ones(1))
    with pytest.raises(DatasetError, match='hands.npz has no center, only imgname, scale'):
        open_hands('hamer_eval', file, 'test')


def test_a_flipped_byte_in_an_evaluation_file_is_noticed(tmp_path):
    file = hand_trees.hamer_eval(tmp_path)
    content = bytearray(file.read_bytes())
    content[content.index(b'images/1'.decode().encode('utf-32-le'))] ^= 1
    file.write_bytes(content)
    with pytest.raises(DatasetError, match='imgname of .*hands.npz cannot be read'):
        open_hands('hamer_eval', file, 'test')
