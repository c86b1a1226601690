"""``hand_perception predict`` on real photos, the built-in clip and bad input."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from hand_perception.cli.main import main

PHOTOS = Path(__file__).parents[1] / 'data' / 'photos'
NUM_VERTICES = 1159


@pytest.fixture(scope='module')
def predicted(tmp_path_factory):
    """Hands and overlays of the test photos, each of one left hand."""
    folder = tmp_path_factory.mktemp('predicted')
    code = main(
        ['predict', str(PHOTOS), '--out', str(folder / 'hands.npz'), '--overlay', str(folder)]
    )
    return code, folder


def test_photos_of_one_left_hand_give_one_left_hand_each(predicted):
    code, folder = predicted
    assert code == 0
    hands = np.load(folder / 'hands.npz', allow_pickle=False)
    assert hands['frame'].tolist() == [0, 1, 2]
    assert not hands['is_right'].any()
    assert (hands['confidence'] > 0.8).all()
    assert hands['vertices'].shape == (3, NUM_VERTICES, 3)
    assert hands['faces'].max() == NUM_VERTICES - 1


def test_numbers_of_one_hand_agree_with_each_other(predicted):
    hands = np.load(predicted[1] / 'hands.npz', allow_pickle=False)
    fx, fy, cx, cy = hands['intrinsics'][hands['frame']].T[..., None]
    x, y, z = np.moveaxis(hands['keypoints_3d'], -1, 0)
    pixels = np.stack([fx * x / z + cx, fy * y / z + cy], -1)
    np.testing.assert_allclose(pixels, hands['keypoints_2d'], atol=0.05)  # px: float32
    # Fingertips lie on the mesh, and the mesh inside its box.
    tips = hands['keypoints_3d'][:, [4, 8, 12, 16, 20]]
    gaps = np.linalg.norm(tips[:, :, None] - hands['vertices'][:, None], axis=-1).min(-1)
    assert gaps.max() < 1e-5
    low, high = hands['bbox_xyxy'][:, :2], hands['bbox_xyxy'][:, 2:]
    assert (hands['keypoints_2d'].min(1) > low - 5).all()
    assert (hands['keypoints_2d'].max(1) < high + 5).all()


def test_overlays_of_photos_show_the_hand_and_keep_the_rest(predicted):
    for photo in sorted(PHOTOS.glob('*.jpg')):
        before = cv2.imread(str(photo)).astype(int)
        after = cv2.imread(str(predicted[1] / photo.name)).astype(int)
        changed = (np.abs(before - after).max(-1) > 40).mean()
        assert after.shape == before.shape
        assert 0.02 < changed < 0.6


def test_a_known_focal_length_scales_the_distance(tmp_path):
    depths = []
    for focal in ('600', '1200'):
        out = tmp_path / f'{focal}.npz'
        photo = str(PHOTOS / 'nocurl.jpg')
        assert main(['predict', photo, '--out', str(out), '--focal-px', focal]) == 0
        depths.append(np.load(out)['transl'][0, 2])
    assert depths[1] / depths[0] == pytest.approx(2, rel=0.1)


def test_a_video_is_followed_as_a_stream_and_drawn_as_a_video(tmp_path):
    source, frames = Path(tmp_path, 'clip.mp4'), 4
    photo = cv2.imread(str(PHOTOS / 'nocurl.jpg'))
    size = (photo.shape[1] // 2 * 2, photo.shape[0] // 2 * 2)
    writer = cv2.VideoWriter(str(source), cv2.VideoWriter_fourcc(*'mp4v'), 10, size)
    for _ in range(frames):
        writer.write(cv2.resize(photo, size))
    writer.release()
    out = tmp_path / 'hands.jsonl'
    overlay = tmp_path / 'overlay'
    assert main(['predict', str(source), '--out', str(out), '--overlay', str(overlay)]) == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(lines) == frames
    assert {hand['track_id'] for line in lines for hand in line['hands']} == {1}
    assert [round(line['stamp_ns'] * 1e-9, 3) for line in lines] == [0, 0.1, 0.2, 0.3]
    drawn = cv2.VideoCapture(str(overlay / 'clip.mp4'))
    assert int(drawn.get(cv2.CAP_PROP_FRAME_COUNT)) == frames
    drawn.release()


def test_inputs_of_one_name_do_not_overwrite_each_other(tmp_path):
    inputs = []
    for name in ('a', 'b'):
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(PHOTOS / 'nocurl.jpg', folder / 'hand.jpg')
        inputs.append(str(folder))
    overlay = tmp_path / 'overlay'
    assert main(['predict', *inputs, '--overlay', str(overlay)]) == 0
    assert sorted(p.name for p in overlay.iterdir()) == ['hand.jpg', 'hand_2.jpg']


@pytest.mark.parametrize(
    ('arguments', 'told'),
    [
        (['nowhere.jpg', '--out', 'x.npz'], "'nowhere.jpg' is no file or folder"),
        ([str(PHOTOS)], 'nothing to write'),
        ([str(PHOTOS), '--out', 'hands.csv'], 'ends in .npz or .jsonl'),
        ([str(PHOTOS), '--out', '.npz/x.npz'], 'does not exist'),
        ([str(PHOTOS), '--overlay', 'file/overlay'], 'cannot be made'),
        ([str(PHOTOS), '--out', 'x.npz', '--max-hands', '99'], 'max_hands must be 1 to 8'),
        ([str(PHOTOS), '--out', 'x.npz', '--hand-model', 'mano'], 'MANO'),
        ([str(PHOTOS), '--out', 'x.npz', '--focal-px', '-3'], 'focal-px'),
    ],
    ids=['missing', 'no output', 'format', 'folder', 'overlay', 'range', 'mano', 'focal'],
)
def test_what_cannot_be_done_is_refused_in_one_line(
    arguments, told, capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    Path('file').touch()
    assert main(['predict', *arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert told in error
    assert 'Traceback' not in error


def test_an_unreadable_image_among_good_ones_is_left_out_and_told(tmp_path, caplog):
    shutil.copy(PHOTOS / 'nocurl.jpg', tmp_path / '1.jpg')
    (tmp_path / '2.jpg').write_bytes(b'not a picture')
    shutil.copy(PHOTOS / 'nocurl.jpg', tmp_path / '3.jpg')
    out = tmp_path / 'hands.npz'
    main(['predict', str(tmp_path), '--out', str(out)])
    assert np.load(out)['frame_name'].tolist() == ['1.jpg', '3.jpg']
    assert '2.jpg cannot be read' in caplog.text


def test_a_broken_video_fails_and_the_next_input_is_still_done(tmp_path, capsys):
    broken = tmp_path / 'broken.mp4'
    broken.write_bytes(b'\0' * 4096)
    out = tmp_path / 'hands.npz'
    assert main(['predict', str(broken), str(PHOTOS), '--out', str(out)]) == 2
    assert 'broken.mp4 cannot be opened as a video' in capsys.readouterr().err
    assert not out.exists()  # refused before any work was done
