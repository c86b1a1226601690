"""Files for the challenge servers have the layout that those read, or the old file stays."""

import errno
import json
import zipfile

import mesh_hands
import numpy as np
import pytest

from hand_perception.datatypes import JOINT_NAMES
from hand_perception.errors import DatasetError
from hand_perception.evaluation.submissions import (
    HO3D_ORDER,
    write_freihand_submission,
    write_h2o_actions,
    write_ho3d_submission,
)

#: Metres: seven digits are written.
ROUNDING = 0.5001e-7


def read(path, name):
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == [name]
        return json.loads(archive.read(name))


def test_freihand_gets_all_keypoints_and_then_all_vertices(tmp_path):
    hands = mesh_hands.draw(3)
    path = tmp_path / 'new' / 'pred.zip'
    write_freihand_submission(path, hands.keypoints, hands.vertices)
    keypoints, vertices = read(path, 'pred.json')
    np.testing.assert_allclose(keypoints, hands.keypoints, atol=ROUNDING)
    np.testing.assert_allclose(vertices, hands.vertices, atol=ROUNDING)


def test_ho3d_gets_its_joint_order_and_opengl_axes(tmp_path):
    hands = mesh_hands.draw(2)
    write_ho3d_submission(tmp_path / 'pred.zip', hands.true_keypoints, hands.true_vertices)
    keypoints, vertices = (np.array(part) for part in read(tmp_path / 'pred.zip', 'pred.json'))
    assert (vertices[..., 2] < 0).all()  # the program that HO-3D gives to its users asks for that
    np.testing.assert_allclose(vertices * (1, -1, -1), hands.true_vertices, atol=ROUNDING)
    tip = JOINT_NAMES.index('thumb_tip')
    np.testing.assert_allclose(
        keypoints[:, 16] * (1, -1, -1), hands.true_keypoints[:, tip], atol=ROUNDING
    )


def test_ho3d_order_is_five_chains_and_then_the_tips():
    names = [JOINT_NAMES[number] for number in HO3D_ORDER]
    assert sorted(HO3D_ORDER) == list(range(21))
    assert [name.split('_')[0] for name in names[1:16:3]] == [
        'index', 'middle', 'little', 'ring', 'thumb'
    ]  # fmt: skip
    assert names[16:] == ['thumb_tip', 'index_tip', 'middle_tip', 'ring_tip', 'little_tip']


def test_h2o_gets_labels_from_1_on_by_id(tmp_path):
    write_h2o_actions(tmp_path / 'actions.zip', {2: 35, 1: 0})
    answer = read(tmp_path / 'actions.zip', 'action_labels.json')
    assert answer == {'modality': 'RGB', '1': 1, '2': 36}


@pytest.mark.parametrize(
    ('classes', 'message'),
    [({}, 'every segment'), ({1: 0, 3: 0}, r'\[2\] missing'), ({1: 36}, '0 to 35')],
    ids=['none', 'gap', 'class'],
)
def test_incomplete_answers_are_not_written(tmp_path, classes, message):
    with pytest.raises(DatasetError, match=message):
        write_h2o_actions(tmp_path / 'actions.zip', classes)
    assert not list(tmp_path.iterdir())


def test_points_that_no_server_takes_are_not_written(tmp_path):
    hands = mesh_hands.draw(3)
    broken = hands.vertices.copy()
    broken[1, 5] = np.nan
    with pytest.raises(DatasetError, match='number 1'):
        write_freihand_submission(tmp_path / 'pred.zip', hands.keypoints, broken)
    with pytest.raises(DatasetError, match='same images'):
        write_freihand_submission(tmp_path / 'pred.zip', hands.keypoints[:2], hands.vertices)
    assert not list(tmp_path.iterdir())


def test_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / 'actions.zip'
    write_h2o_actions(path, {1: 3})
    before = path.read_bytes()

    def refuse(descriptor):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr('os.fsync', refuse)
    with pytest.raises(DatasetError, match='No space left'):
        write_h2o_actions(path, {1: 4})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
