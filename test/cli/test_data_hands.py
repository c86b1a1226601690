"""``hand_perception data check`` for single hands: what is known, and what is missing."""

import json

import hand_trees
import numpy as np
import pytest
from data_commands import check, levels

from hand_perception.cli import data_check_hands
from hand_perception.cli.main import main
from hand_perception.datasets.sample import HandTruth


def test_a_whole_folder_of_freihand_is_counted(tmp_path, capsys):
    code, found = check(capsys, 'freihand', hand_trees.freihand(tmp_path))
    assert code == 0
    assert found['ok', 'train'] == '12 hands: 12 right, 0 left'
    assert 'the published split has 130,240 images, this one 12' in found['warn', 'train']
    assert found['ok', 'train hands'] == (
        'known of 12 hands: 2D 100.0 %, 3D 100.0 %, MANO pose 0.0 %, MANO shape 100.0 %, mesh '
        '0.0 %; --mano-dir DIR, folder of MANO_RIGHT.pkl, makes MANO poses known'
    )
    assert 'mesh 100.0 %' in found['ok', 'test hands']
    assert found['ok', 'train images'] == '12 images; all read'
    assert levels(found) == {'ok', 'warn'}


def test_poses_of_freihand_are_known_with_manos_file(tmp_path, capsys):
    root, mano = hand_trees.freihand(tmp_path), hand_trees.write_mano(tmp_path / 'mano')
    code, found = check(capsys, 'freihand', root, '--mano-dir', mano, '--split', 'train')
    assert code == 0
    assert 'MANO pose 100.0 %' in found['ok', 'train hands']
    assert '--mano-dir' not in found['ok', 'train hands']


def test_freihand_without_its_answers_is_told(tmp_path, capsys):
    code, found = check(capsys, 'freihand', hand_trees.freihand(tmp_path, with_answers=False))
    assert code == 0
    assert '2 hands without annotation' in found['warn', 'test hands']


def test_missing_and_truncated_images_are_named(tmp_path, capsys):
    root = hand_trees.freihand(tmp_path)
    (root / 'evaluation/rgb/00000001.jpg').unlink()
    path = root / 'training/rgb/00000007.jpg'
    path.write_bytes(path.read_bytes()[:-40])
    code, found = check(capsys, 'freihand', root)
    assert code == 1
    assert found['FAIL', 'test images'].startswith('1 of 2 image files missing: ')
    assert 'https://lmb.informatik' in found['FAIL', 'test images']
    assert '1 image: ' in found['FAIL', 'train images']
    assert '00000007.jpg ends in the middle' in found['FAIL', 'train images']


def test_what_is_wrong_with_one_split_does_not_stop_the_next(tmp_path, capsys):
    root = hand_trees.freihand(tmp_path)
    (root / 'training_K.json').write_text('[[[1, 2')
    code, found = check(capsys, 'freihand', root)
    assert code == 1
    assert 'training_K.json ends in the middle' in found['FAIL', 'train']
    assert ('ok', 'test images') in found


def test_annotations_of_ho3d_that_are_damaged_or_empty_are_counted(tmp_path, capsys):
    root = hand_trees.ho3d(tmp_path)
    (root / 'train/ABF10/meta/0000.pkl').write_bytes(b'nothing')
    hand_trees.write_meta(
        root / 'train/MC1/meta/0010.pkl', {'handJoints3D': None, 'camMat': hand_trees.OPENGL}
    )
    code, found = check(capsys, 'ho3d', root, '--split', 'train')
    assert code == 1
    assert found['FAIL', 'train hands'].startswith('of 1 hand: refused to read ')
    assert '2D 50.0 %, 3D 50.0 %, MANO pose 50.0 %' in found['ok', 'train hands']
    assert found['warn', 'train hands'] == '1 hand without annotation'


def test_ho3d_without_answers_and_with_those_of_another_order_is_told(tmp_path, capsys):
    root = hand_trees.ho3d(tmp_path)
    assert ('warn', 'test hands') not in check(capsys, 'ho3d', root, '--split', 'test')[1]
    path = root / 'evaluation_xyz.json'
    path.write_text(json.dumps(json.loads(path.read_text())[::-1]))
    code, found = check(capsys, 'ho3d', root, '--split', 'test')
    assert code == 1
    assert 'another wrist than the annotation in 2 images: SM1/0000' in found['FAIL', 'test hands']
    path.unlink()
    code, found = check(capsys, 'ho3d', root, '--split', 'test')
    assert code == 0
    assert 'evaluation_xyz.json is not there: only wrists' in found['warn', 'test hands']


def test_a_folder_of_hint_is_counted_by_side(tmp_path, capsys):
    code, found = check(capsys, 'hint', hand_trees.hint(tmp_path))
    assert code == 0
    assert found['ok', 'test'] == '4 hands: 2 right, 2 left'
    assert 'has 5,374 images' in found['warn', 'test']
    assert found['ok', 'val hands'].startswith('known of 3 hands: 2D 100.0 %, 3D 0.0 %')


def test_hands_of_hint_in_two_splits_are_told_to_be_mixed_up(tmp_path, capsys):
    root = hand_trees.hint(tmp_path)
    for ending in ('json', 'jpg'):
        (root / f'TEST_epick_img/EK_3_r.{ending}').replace(root / f'VAL_epick_img/EK_3_r.{ending}')
    (root / 'TRAIN_epick_img/EK_3_r.json').write_text('[]')
    code, found = check(capsys, 'hint', root)
    assert code == 1
    assert 'TRAIN_epick_img and in VAL_epick_img (first: EK_3_r)' in found['FAIL', 'train']
    assert 'mixed up' in found['FAIL', 'val']
    assert 'TEST_epick_img has no JSON files' in found['FAIL', 'test']


def test_an_evaluation_file_of_hamer_is_checked_with_its_images(tmp_path, capsys):
    file = hand_trees.hamer_eval(tmp_path)
    code, found = check(capsys, 'hamer_eval', file)
    assert code == 0
    assert found['ok', 'test'] == '3 hands: 1 right, 2 left'
    code, found = check(capsys, 'hamer_eval', file, '--images', tmp_path / 'elsewhere')
    assert code == 1
    assert found['FAIL', 'test images'].startswith('3 of 3 image files missing: ')


@pytest.mark.parametrize('kind', ['freihand', 'ho3d', 'hint', 'hamer_eval', 'synthetic'])
def test_a_folder_that_is_not_there_is_refused(tmp_path, capsys, kind):
    code, found = check(capsys, kind, tmp_path / 'nothing')
    assert code == 1
    assert 'see docs/datasets.md' in found['FAIL', 'folder']
    assert ('https://' in found['FAIL', 'folder']) == (kind != 'synthetic')


def test_choices_of_another_kind_are_refused(tmp_path, capsys):
    code, found = check(capsys, 'hint', tmp_path, '--mano-dir', tmp_path, '--split', 'val')
    assert code == 1
    assert 'hint takes version, got mano_dir' in found['FAIL', 'val']
    assert main(['data', 'check', 'hint', str(tmp_path), '--split', 'dev']) == 2
    assert 'hint has the splits train, val, test, got --split dev' in capsys.readouterr().err


def test_a_synthetic_set_is_checked_and_a_truncated_or_mixed_up_one_is_named(tmp_path, capsys):
    words = '--subjects 1 --held-out 1 --recordings 1 --frames 2 --size 96x54 --processes 1'
    assert main(['data', 'make-synthetic', str(tmp_path), *words.split()]) == 0
    capsys.readouterr()
    code, found = check(capsys, 'synthetic', tmp_path)
    assert code == 0 and levels(found) == {'ok'}
    assert found['ok', 'val'].startswith('1 segment of 1 subject (2), 2 frames')
    assert '2 frames from tar files' in found['ok', 'train images']
    (tar,) = (tmp_path / 'val').glob('*.tar')
    tar.write_bytes(tar.read_bytes()[:1000])
    code, found = check(capsys, 'synthetic', tmp_path)
    assert code == 1
    assert f'{tar.name} is not a whole tar file' in found['FAIL', 'val hands']
    assert ('ok', 'test images') in found
    table = tmp_path / 'synthetic.json'
    content = json.loads(table.read_text())
    content['splits']['test'][0]['subject'] = 1
    table.write_text(json.dumps(content))
    code, found = check(capsys, 'synthetic', tmp_path)
    assert code == 1
    assert 'subject 1 is in train and in test; the splits are mixed up' in found['FAIL', 'test']


class PlainHands:
    """Hands as data sets of clips tell them: annotated or not, without confidences."""

    dataset, split = 'plain', 'train'

    def __init__(self, *valid):
        self.valid = valid

    def __len__(self):
        return len(self.valid)

    def truth(self, index):
        return HandTruth(
            joints_3d=np.full((1, 1, 21, 3), -1.0, np.float32),
            joints_2d=np.zeros((1, 1, 21, 2), np.float32),
            hand_valid=np.full((1, 1), self.valid[index]),
        )


def test_hands_without_confidences_are_counted_by_whether_they_are_annotated():
    told = [finding.text for finding in data_check_hands._annotations(PlainHands(True, False))]
    assert told[0].startswith('known of 2 hands: 2D 50.0 %, 3D 50.0 %')
    assert told[1:] == ['1 hand without annotation', '1 hand with joints behind the camera']
