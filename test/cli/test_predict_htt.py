"""``hand_perception predict --backend htt`` gives the official numbers, file against file."""

import json

import cv2
import htt_files
import htt_reference
import numpy as np
import pytest
import torch

from hand_perception.cli.main import main
from hand_perception.errors import ImageError
from hand_perception.pipeline.htt_recogniser import HttRecogniser
from hand_perception.pipeline.htt_stream import HttStream
from tools.make_htt_checkpoint import official_content

TOLERANCE = htt_reference.TOLERANCE
NUM_TOKENS = 32  # the first clip of the reference


@pytest.fixture(scope='module')
def official(tmp_path_factory):
    """Frames, intrinsics and checkpoint of the official results of one right hand."""
    folder = tmp_path_factory.mktemp('htt')
    inputs = htt_reference.inputs('fpha')
    (folder / 'frames').mkdir()
    for i in range(NUM_TOKENS):
        cv2.imwrite(str(folder / f'frames/{i:03d}.png'), inputs.images[i][..., ::-1])
    matrices = inputs.K[:NUM_TOKENS].astype(np.float64).tolist()
    (folder / 'K.json').write_text(json.dumps(matrices))
    torch.save(official_content(htt_reference.module('fpha')), folder / 'checkpoint_45.pth')
    return folder


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    """A small network's checkpoint and eight pictures."""
    folder = tmp_path_factory.mktemp('small')
    htt_files.write(folder, 'h2o')
    (folder / 'frames').mkdir()
    rng = np.random.default_rng(0)
    for i in range(8):
        picture = rng.integers(0, 256, (270, 480, 3), np.uint8)
        cv2.imwrite(str(folder / f'frames/{i}.png'), picture)
    return folder


def predict(folder, out, *more):
    return main(
        ['predict', str(folder / 'frames'), '--backend', 'htt', '--htt-checkpoint',
         str(folder / 'checkpoint_45.pth'), '--out', str(out), *more]
    )  # fmt: skip


def predict_official(official, out, engine):
    code = predict(
        official, out, '--intrinsics', str(official / 'K.json'), '--every-frame', '--window', '32',
        '--pose-window', '8', '--engine', engine, '--htt-precision', 'fp32',
    )  # fmt: skip
    assert code == 0
    return np.load(out, allow_pickle=False)


def test_tiled_tokens_are_those_of_every_prefix_and_final_ones_those_of_the_clip(
    official, tmp_path
):
    said = predict_official(official, tmp_path / 'tiled.npz', 'tiled')
    truth = htt_reference.results('fpha')
    newest = truth['prefix_n'] - 1
    near(said['joints_3d'][newest], truth['prefix_joints3d'], 'joints3d')
    near(said['object_prob'][newest], truth['prefix_object_prob'], 'object_prob')
    near(said['action_prob'][newest], truth['prefix_action_prob'], 'action_prob')
    near(said['final'], truth['joints3d'][:NUM_TOKENS], 'joints3d')
    near(said['final_joints_2d'], truth['joints2d'][:NUM_TOKENS], 'joints2d')
    near(said['final_depth'], truth['joints3d'][:NUM_TOKENS, :, 2], 'joints3d')
    near(said['final_action_prob'], truth['action_prob'][0], 'action_prob')
    assert said['final_object_prob'].shape == (NUM_TOKENS, 26)
    np.testing.assert_allclose(said['final_object_prob'].sum(1), 1, atol=1e-5)
    assert said['tokens_seen'].tolist() == list(range(1, NUM_TOKENS + 1))
    assert said['frame_name'][:2].tolist() == ['000.png', '001.png']
    assert len(said['action_labels']) == 45


def test_sliding_tokens_are_those_of_a_window_that_ends_with_them(official, tmp_path):
    said = predict_official(official, tmp_path / 'sliding.npz', 'sliding')
    truth = htt_reference.results('fpha')
    near(said['joints_3d'], truth['sliding_joints3d'], 'joints3d')
    near(said['object_prob'], truth['sliding_object_prob'], 'object_prob')
    at = truth['sliding_action_n'] - 1
    near(said['action_prob'][at], truth['sliding_action_prob'], 'action_prob')
    np.testing.assert_array_equal(said['final'], said['joints_3d'])


def near(found, wanted, quantity):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE[quantity])


def test_pictures_are_chosen_by_time_unless_every_frame_is_asked_for(small, tmp_path):
    assert predict(small, tmp_path / 'half.npz') == 0
    half = np.load(tmp_path / 'half.npz')
    assert half['frame_name'].tolist() == ['0.png', '2.png', '4.png', '6.png']
    assert half['joints_3d'].shape == (4, 42, 3)
    assert predict(small, tmp_path / 'all.npz', '--every-frame') == 0
    assert len(np.load(tmp_path / 'all.npz')['stamps']) == 8


def test_clips_that_are_full_vote_together(small, tmp_path):
    """The vote is the mean over all action windows of a video, as in the official evaluation."""
    out = tmp_path / 'vote.npz'
    windows = ('--every-frame', '--window', '4', '--pose-window', '2', '--htt-endless', 'clip')
    assert predict(small, out, *windows) == 0
    said = np.load(out)
    assert said['tokens_seen'].tolist() == [1, 2, 3, 4] * 2
    vote = said['action_prob'][[3, 7]].mean(0)
    np.testing.assert_allclose(said['final_action_prob'], vote, atol=1e-6)


def test_one_matrix_serves_all_pictures_and_depth_follows_its_focal_length(small, tmp_path):
    def depth(focal):
        path = tmp_path / 'k.json'
        path.write_text(json.dumps([[focal, 0, 240], [0, focal, 135], [0, 0, 1]]))
        arguments = ('--every-frame', '--intrinsics', str(path))
        assert predict(small, tmp_path / 'f.npz', *arguments) == 0
        said = np.load(tmp_path / 'f.npz')
        assert (said['intrinsics'][:, 0, 0] == focal).all()
        return said['depth']

    # Z = fx 1e-4 s + 0.4 m: the network's own number does not change with the camera.
    np.testing.assert_allclose(depth(480.0) - 0.4, 2 * (depth(240.0) - 0.4), atol=1e-5)


@pytest.mark.parametrize(
    ('arguments', 'complaint'),
    [
        (('--intrinsics', 'three'), 'has 3 matrices'),
        (('--intrinsics', 'nowhere'), 'cannot be read'),
        (('--overlay', 'dir'), 'no meaning'),
        (('--focal-px', '-5'), 'above 0 pixels'),
        (('--htt-checkpoint', ''), 'give --htt-checkpoint'),
        (('--htt-dataset', 'fpha'), 'htt_dataset'),
        (('--window', '10', '--pose-window', '4'), 'multiple'),
        (('--engine', 'sliding', '--htt-lookahead', '16'), 'lookahead'),
    ],
)
def test_what_does_not_fit_is_refused(small, tmp_path, capsys, arguments, complaint):
    three = tmp_path / 'three'
    three.write_text(json.dumps([np.diag([240.0, 240.0, 1.0]).tolist()] * 3))
    given = [str(tmp_path / a) if a in ('three', 'nowhere', 'dir') else a for a in arguments]
    code = predict(small, tmp_path / 'x.npz', '--every-frame', *given)
    assert code == 2
    assert complaint in capsys.readouterr().err


def test_a_picture_more_or_less_than_matrices_is_refused_before_anything_is_computed(
    small, tmp_path, capsys
):
    many, out = tmp_path / 'nine.json', tmp_path / 'x.npz'
    many.write_text(json.dumps([np.diag([240.0, 240.0, 1.0]).tolist()] * 9))
    assert predict(small, out, '--intrinsics', str(many)) == 2
    said = capsys.readouterr().err
    assert 'has 9 matrices' in said and '8 pictures' in said
    assert not out.exists()


def test_one_matrix_for_pictures_of_two_sizes_is_refused_and_what_was_told_is_written(
    small, tmp_path, capsys
):
    (tmp_path / 'frames').mkdir()
    for i in range(6):
        picture = cv2.imread(str(small / f'frames/{i}.png'))
        picture = cv2.resize(picture, (640, 360)) if i == 5 else picture
        cv2.imwrite(str(tmp_path / f'frames/{i}.png'), picture)
    one, out = tmp_path / 'one.json', tmp_path / 'x.npz'
    one.write_text(json.dumps([[240, 0, 240], [0, 240, 135], [0, 0, 1]]))
    given = ('--every-frame', '--intrinsics', str(one), '--htt-checkpoint', str(small))
    assert predict(tmp_path, out, *given) == 2
    said = capsys.readouterr().err
    assert 'one matrix, but picture 5.png has 640x360 pixels and the first one 480x270' in said
    written = np.load(out)
    assert written['frame_name'].tolist() == [f'{i}.png' for i in range(5)]
    assert np.isfinite(written['final']).all()


@pytest.mark.parametrize(
    ('error', 'code'), [(KeyboardInterrupt(), 130), (RuntimeError('out of memory'), None)]
)
def test_an_interrupted_run_leaves_what_was_told(small, tmp_path, monkeypatch, error, code):
    whole = tmp_path / 'whole.npz'
    assert predict(small, whole, '--every-frame', '--window', '4', '--pose-window', '2') == 0
    step, calls = HttStream.step, []

    def interrupted(stream, frame):
        calls.append(frame)
        if len(calls) > 6:
            raise error
        return step(stream, frame)

    out = tmp_path / 'part.npz'
    monkeypatch.setattr(HttRecogniser, 'warm_up', lambda self: None)
    monkeypatch.setattr(HttStream, 'step', interrupted)
    arguments = (small, out, '--every-frame', '--window', '4', '--pose-window', '2')
    if code is None:
        with pytest.raises(RuntimeError, match='out of memory'):
            predict(*arguments)
    else:
        assert predict(*arguments) == code
    part = np.load(out)
    assert len(part['stamps']) == 6
    np.testing.assert_array_equal(part['joints_3d'], np.load(whole)['joints_3d'][:6])
    assert np.isfinite(part['final'][:6]).all()  # three pose windows of two


@pytest.mark.parametrize(('error', 'code'), [(KeyboardInterrupt(), 130), (ImageError('grey'), 2)])
def test_a_run_stopped_before_the_first_image_writes_nothing(
    small, tmp_path, monkeypatch, error, code
):
    def stopped(stream, frame):
        raise error

    monkeypatch.setattr(HttRecogniser, 'warm_up', lambda self: None)
    monkeypatch.setattr(HttStream, 'step', stopped)
    assert predict(small, tmp_path / 'x.npz') == code
    assert not (tmp_path / 'x.npz').exists()


def write_video(path, pictures, rate_hz):
    code = cv2.VideoWriter_fourcc(*'MJPG')
    writer = cv2.VideoWriter(str(path), code, rate_hz, pictures[0].shape[1::-1])
    for picture in pictures:
        writer.write(picture)
    writer.release()


@pytest.mark.parametrize(
    ('rate_hz', 'count', 'is_still', 'doubt'),
    [
        (5.0, 6, False, 'too slowly: 5.0'),
        (30.0, 40, True, 'not changed for'),
        (30.0, 8, False, ''),
    ],
    ids=['slow', 'frozen', 'good'],
)
def test_numbers_that_nobody_should_believe_are_written_with_a_warning(
    small, tmp_path, capsys, rate_hz, count, is_still, doubt
):
    """A codec without prediction repeats the same bytes for the same picture."""
    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 256, (270, 480, 3), np.uint8) for _ in range(count)]
    write_video(tmp_path / 'v.avi', [pictures[0]] * count if is_still else pictures, rate_hz)
    arguments = ['predict', str(tmp_path / 'v.avi'), '--backend', 'htt', '--htt-checkpoint',
                 str(small), '--out', str(tmp_path / 'x.npz')]  # fmt: skip
    assert main(arguments) == 0
    assert np.isfinite(np.load(tmp_path / 'x.npz')['joints_3d']).all()
    said = capsys.readouterr().err
    assert ('do not rely on' in said) == bool(doubt)
    assert doubt in said


def test_several_inputs_and_other_formats_are_refused(small, tmp_path, capsys):
    frames = str(small / 'frames')
    flags = ['--backend', 'htt', '--htt-checkpoint', str(small)]
    assert main(['predict', frames, frames, *flags, '--out', str(tmp_path / 'x.npz')]) == 2
    assert 'one video or one folder' in capsys.readouterr().err
    assert main(['predict', frames, *flags, '--out', str(tmp_path / 'x.jsonl')]) == 2
    assert '.npz' in capsys.readouterr().err


def test_flags_of_htt_without_htt_are_refused(small, tmp_path, capsys):
    arguments = ['predict', str(small / 'frames'), '--out', str(tmp_path / 'x.npz')]
    assert main([*arguments, '--every-frame']) == 2
    assert 'belong to --backend htt' in capsys.readouterr().err
