"""``hand_perception data check`` counts what is there and names what is missing."""

import shutil

import ego_trees
import pytest
from data_commands import check, levels

from hand_perception.cli.main import main


@pytest.fixture(scope='module')
def trees(tmp_path_factory):
    root = tmp_path_factory.mktemp('data')
    ego_trees.fpha(root / 'fpha')
    ego_trees.h2o(root / 'h2o')
    return root


@pytest.fixture
def copy(trees, tmp_path):
    """Copy a folder to break something in."""

    def make(kind):
        return shutil.copytree(trees / kind, tmp_path / kind)

    return make


def test_a_whole_folder_of_fpha_is_counted_and_returns_0(trees, capsys):
    code, found = check(capsys, 'fpha', trees / 'fpha')
    assert code == 0
    assert found['ok', 'train'].startswith(
        '4 segments of 3 subjects (1, 2, 3), 90 frames; 8 windows'
    )
    assert found['ok', 'train'].endswith('8 windows of evaluation, 82 starts of training')
    assert found['ok', 'test'].startswith('4 segments of 4 subjects (1, 2, 4, 6), 127 frames')
    assert found['ok', 'train hands'] == 'annotated in 90 frames: right 100.0 %'
    assert (
        '90 frames from image files of 480 x 270; the first and last'
        in found['ok', 'train images']
    )
    assert 'the published split has 600 segments, this one 4' in found['warn', 'train']
    assert levels(found) == {'ok', 'warn'}


def test_a_whole_folder_of_h2o_is_counted_and_its_test_labels_are_missed(trees, capsys):
    code, found = check(capsys, 'h2o', trees / 'h2o', '--all-images')
    assert code == 0
    assert found['ok', 'val'].startswith('4 segments of 1 subject (3), 120 frames; 7 windows')
    assert found['ok', 'test hands'] == 'annotated in 43 frames: left 100.0 %, right 100.0 %'
    assert found['ok', 'test images'].endswith('; all read')
    assert 'the table has no labels' in found['warn', 'test']
    assert 'challenge server' in found['warn', 'test']
    assert levels(found) == {'ok', 'warn'}


def test_a_hand_that_is_not_annotated_is_counted(copy, capsys):
    root = copy('h2o')
    path = root / 'subject3/k2/0/cam4/hand_pose/000007.txt'
    path.write_text(' '.join(['0'] * 64 + path.read_text().split()[64:]))
    _, found = check(capsys, 'h2o', root, '--split', 'val')
    assert found['ok', 'val hands'] == 'annotated in 120 frames: left 99.2 %, right 100.0 %'


def test_a_missing_folder_says_where_it_comes_from_and_returns_1(tmp_path, capsys):
    code, found = check(capsys, 'h2o', tmp_path / 'nothing')
    assert code == 1
    assert 'https://taeinkwon.com/projects/h2o' in found['FAIL', 'folder']
    assert 'docs/datasets.md' in found['FAIL', 'folder']


def test_an_empty_folder_names_the_missing_table_of_every_split(tmp_path, capsys):
    code, found = check(capsys, 'h2o', tmp_path)
    assert code == 1
    for split in ('train', 'val', 'test'):
        assert f'action_{split}.txt is missing' in found['FAIL', split]


def test_missing_images_are_counted_and_named_with_where_they_come_from(copy, capsys):
    root = copy('fpha')
    folder = root / 'Video_files_480'
    shutil.rmtree(folder / 'Subject_2/read_letter/3')
    (folder / 'Subject_1/pour_milk/2/color/color_0005.jpeg').unlink()
    code, found = check(capsys, 'fpha', root)
    assert code == 1
    text = found['FAIL', 'train images']
    assert text.startswith('41 of 90 image files missing: 1 of Subject_1/pour_milk/2 (first: ')
    assert 'color_0005.jpeg); all of Subject_2/read_letter/3' in text
    assert 'Video_files/ (1920 x 1080) comes from https://github.com/guiggh' in text
    assert ('ok', 'test images') in found


def test_a_truncated_image_in_the_middle_is_found_when_all_are_read(copy, capsys):
    root = copy('fpha')
    path = root / 'Video_files_480/Subject_2/pour_milk/1/color/color_0031.jpeg'
    path.write_bytes(path.read_bytes()[:-300])
    assert check(capsys, 'fpha', root)[0] == 0
    code, found = check(capsys, 'fpha', root, '--all-images')
    assert code == 1
    assert 'color_0031.jpeg ends in the middle' in found['FAIL', 'test images']


def test_a_truncated_last_image_of_a_segment_is_found_always(copy, capsys):
    root = copy('h2o')
    path = root / 'subject3/k2/0/cam4/rgb480_270/000039.png'
    path.write_bytes(path.read_bytes()[:-20])
    code, found = check(capsys, 'h2o', root, '--split', 'val')
    assert code == 1
    assert '000039.png ends in the middle' in found['FAIL', 'val images']


def test_annotations_that_are_nan_or_missing_are_named(copy, capsys):
    root = copy('h2o')
    hands = 'cam4/hand_pose/000003.txt'
    (root / 'subject1/h1/0' / hands).unlink()
    path = root / 'subject2/k1/3' / hands
    path.write_text('1 nan ' + path.read_text().split(' ', 2)[2])
    code, found = check(capsys, 'h2o', root, '--split', 'train')
    assert code == 1
    text = found['FAIL', 'train hands']
    assert text.startswith('of 2 segments: ')
    assert f'subject1/h1/0/{hands} is missing' in text
    assert f'subject2/k1/3/{hands}, line 1: 1 of 126 numbers are not finite' in text
    assert found['ok', 'train hands'].startswith('annotated in 28 frames')
    assert {topic for _, topic in found} == {'train', 'train hands', 'train images'}


def test_tables_of_two_splits_that_were_swapped_are_told_by_their_subjects(copy, capsys):
    root = copy('h2o')
    tables = root / 'action_labels'
    (tables / 'action_train.txt').rename(tables / 'other')
    (tables / 'action_val.txt').rename(tables / 'action_train.txt')
    (tables / 'other').rename(tables / 'action_val.txt')
    code, found = check(capsys, 'h2o', root)
    assert code == 1
    assert 'has subject 1, 2, but the published split has only 3' in found['FAIL', 'val']
    assert 'mixed up' in found['FAIL', 'val']


def test_hands_behind_the_camera_are_counted(copy, capsys):
    root = copy('h2o')
    path = root / 'subject3/k2/0/cam4/hand_pose/000007.txt'
    words = path.read_text().split()
    words[3] = '-0.4'
    path.write_text(' '.join(words))
    code, found = check(capsys, 'h2o', root, '--split', 'val')
    assert code == 0
    assert found['warn', 'val hands'] == '1 hand with joints behind the camera'


def test_an_lmdb_folder_is_checked_and_given_back(copy, capsys, monkeypatch):
    from hand_perception.datasets.clips import open_split

    root = copy('h2o')
    package = ego_trees.FakeLmdb()
    monkeypatch.setitem(__import__('sys').modules, 'lmdb', package)
    split = open_split('h2o', root, 'train')
    content = {
        segment.database.encode(): {
            split.image_key(segment, frame).encode(): bytes(480 * 270 * 3)
            for frame in range(segment.num_frames)
        }
        for segment in split.segments
    }
    ego_trees.write_fake_lmdb(root / 'lmdb_imgs/train', content)
    code, found = check(capsys, 'h2o', root, '--split', 'train')
    assert code == 0
    assert 'the LMDB folder' in found['ok', 'train images']
    del content[b'0002']
    (root / 'lmdb_imgs/train/data.mdb').unlink()
    (root / 'lmdb_imgs/train').rmdir()
    ego_trees.write_fake_lmdb(root / 'lmdb_imgs/train', content)
    code, found = check(capsys, 'h2o', root, '--split', 'train')
    assert code == 1
    assert 'of 1 segment: ' in found['FAIL', 'train images']
    assert 'has no sub-database 0002 for train/3' in found['FAIL', 'train images']
    assert not package.opened


def test_an_unknown_split_or_kind_is_refused_with_those_there_are(trees, capsys):
    assert main(['data', 'check', 'fpha', str(trees / 'fpha'), '--split', 'val']) == 2
    assert 'fpha has the splits train, test, got --split val' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(['data', 'check', 'coco', str(trees)])
    assert "invalid choice: 'coco'" in capsys.readouterr().err
