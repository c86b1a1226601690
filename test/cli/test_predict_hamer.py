"""``hand_perception predict --backend hamer`` with boxes, and with the built-in detector."""

import json
import shutil
from pathlib import Path

import hamer_files
import numpy as np
import pytest

from hand_perception.cli.main import main
from hand_perception.models.hamer.cameras import official_camera
from hand_perception.models.hamer.crops import cut_crops
from hand_perception.models.hamer.network import HamerNetwork
from hand_perception.models.hamer.packing import PACKED_SIZE, pack, unpack

PHOTO = Path(__file__).parents[1] / 'data' / 'photos' / 'nocurl.jpg'
BOXES = [
    {'bbox_xyxy': [100, 120, 330, 420], 'is_right': False},
    {'bbox_xyxy': [150, 100, 300, 300], 'is_right': True, 'score': 0.5},
]


@pytest.fixture(scope='module')
def hamer_dir(tmp_path_factory):
    return hamer_files.write_official(tmp_path_factory.mktemp('official'))


def predict(tmp_path, hamer_dir, *more, boxes=None):
    shutil.copy(PHOTO, tmp_path / 'hand.jpg')
    out = tmp_path / 'hands.npz'
    arguments = ['predict', str(tmp_path / 'hand.jpg'), '--out', str(out), '--backend', 'hamer',
                 '--hamer-dir', str(hamer_dir), '--precision', 'fp32', *more]  # fmt: skip
    if boxes is not None:
        path = tmp_path / 'boxes.json'
        path.write_text(json.dumps(boxes))
        arguments += ['--boxes', str(path)]
    code = main(arguments)
    return code, np.load(out) if out.exists() else None


def test_official_numbers_of_given_boxes_come_out_of_the_command_line(tmp_path, hamer_dir):
    import cv2
    import torch

    code, hands = predict(tmp_path, hamer_dir, '--official-camera', boxes={'hand.jpg': BOXES})
    assert code == 0
    order = np.argsort(hands['track_id'])  # tracks are numbered in the order of the boxes
    image = cv2.imread(str(PHOTO))
    crops = cut_crops(image, [box['bbox_xyxy'] for box in BOXES], [False, True], is_rgb=False)
    network = HamerNetwork.load(hamer_dir, device='cpu', precision='fp32')
    rows = torch.zeros(2, PACKED_SIZE)
    pack(network(network.normalize(torch.from_numpy(crops.images_rgb))), out=rows)
    wanted = unpack(rows.numpy())
    pred_cam = wanted.pred_cam * [[1, -1, 1], [1, 1, 1]]  # the first hand is a left one
    np.testing.assert_allclose(hands['pred_cam'][order], pred_cam, atol=1e-6)
    size = (image.shape[1], image.shape[0])
    cam_t, focal = official_camera(pred_cam.astype(np.float32), crops.centers, crops.sizes, size)
    np.testing.assert_allclose(hands['cam_t_full'][order], cam_t, rtol=1e-6)
    np.testing.assert_allclose(hands['focal_full_px'], focal[0])
    np.testing.assert_allclose(hands['rotmats'][order][1], wanted.rotations[1], atol=1e-5)
    moved = hands['vertices'][order] - hands['cam_t_full'][order][:, None]
    np.testing.assert_allclose(moved[1], wanted.vertices[1], atol=1e-4)  # m, at 100 m in float32
    assert hands['vertices'].shape == (2, 778, 3)


def test_without_boxes_the_detector_finds_the_hand_for_hamer(tmp_path, hamer_dir):
    code, hands = predict(tmp_path, hamer_dir, '--focal-px', '700')
    assert code == 0
    assert len(hands['frame']) == 1
    assert not hands['is_right'][0]
    assert {'pred_cam', 'cam_t_full', 'rotmats'} <= set(hands.files)


@pytest.mark.parametrize(
    ('boxes', 'told'),
    [
        ({'hand.jpg': [{'bbox_xyxy': [9000, 0, 9100, 50], 'is_right': True}]}, 'outside'),
        ({'hand.jpg': [{'bbox_xyxy': [50, 50, 10, 90], 'is_right': True}]}, 'wrong way round'),
        ({'hand.jpg': [{'bbox_xyxy': [0, 0, 90, 90]}]}, 'is_right is missing'),
        ({'hand.jpg': 7}, 'expected a list'),
    ],
    ids=['outside', 'inverted', 'no side', 'no list'],
)
def test_boxes_that_no_hand_has_are_refused_by_name(tmp_path, hamer_dir, boxes, told, capsys):
    code, _ = predict(tmp_path, hamer_dir, boxes=boxes)
    assert code == 2
    error = capsys.readouterr().err
    assert 'hand.jpg' in error
    assert told in error


def test_names_in_the_file_that_no_image_has_are_told(tmp_path, hamer_dir, capsys):
    code, hands = predict(tmp_path, hamer_dir, boxes={'hand.png': BOXES})
    assert code == 0
    assert len(hands['frame']) == 0
    assert '1 names match no image (hand.png)' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('arguments', 'told'),
    [
        (['--backend', 'hamer', '--hamer-dir', '/nowhere'], '/nowhere'),
        (['--backend', 'hamer'], 'hamer_dir'),
        (['--boxes', 'b.json'], "set backend to 'hamer'"),
    ],
    ids=['missing folder', 'no folder', 'landmarks'],
)
def test_set_ups_that_cannot_work_are_refused(tmp_path, arguments, told, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('b.json').write_text(json.dumps({'nocurl.jpg': BOXES}))
    assert main(['predict', str(PHOTO), '--out', 'x.npz', *arguments]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert 'Traceback' not in error
