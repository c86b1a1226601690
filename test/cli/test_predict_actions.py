"""``hand_perception predict`` draws what hands do over their images, as the node does."""

import cv2
import htt_scripted
import numpy as np
import pytest

from hand_perception.cli.main import main
from hand_perception.synthetic.truth import load_clip_truth
from hand_perception.video import open_source

NUM_IMAGES = 6
#: Grey levels that a drawing changes by more than JPEG does.
DRAWN = 40


@pytest.fixture(scope='module')
def frames(tmp_path_factory):
    """Folder with the first images of the built-in clip."""
    folder = tmp_path_factory.mktemp('frames')
    for image, number in zip(open_source('synthetic').frames(), range(NUM_IMAGES), strict=False):
        cv2.imwrite(str(folder / f'{number}.png'), image.image_bgr)
    return folder


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """Says the hands of the first image, whatever it sees."""
    truth = load_clip_truth()
    hands = sorted(truth.frames[0], key=lambda hand: hand.is_right)
    joints = np.concatenate([hand.keypoints_3d for hand in hands])
    return htt_scripted.write(tmp_path_factory.mktemp('htt'), joints, truth.camera)


def overlays(frames, folder, *more):
    """Predict the images as a stream; give the pictures."""
    focal = str(load_clip_truth().camera.fx)
    arguments = ('--sequence', '--focal-px', focal, '--overlay', str(folder))
    assert main(['predict', str(frames), *arguments, *more]) == 0
    return [cv2.imread(str(folder / f'{number}.jpg')) for number in range(NUM_IMAGES)]


def share_changed(one, other, part):
    """Share of the pixels of a part of two pictures that differ."""
    return (cv2.absdiff(one, other).max(-1)[part] > DRAWN).mean()


def test_overlays_name_what_each_hand_does(frames, tmp_path):
    named = overlays(frames, tmp_path / 'named')
    plain = overlays(frames, tmp_path / 'plain', '--action-source', 'none')
    for one, other in zip(named, plain, strict=True):
        assert 0.001 < share_changed(one, other, np.s_[:]) < 0.05  # words, no hands


def test_hands_and_action_of_htt_stay_over_the_images_that_it_leaves_out(
    frames, checkpoint, tmp_path
):
    drawn = overlays(
        frames, tmp_path / 'htt', '--action-source', 'htt', '--pose-source', 'htt',
        '--htt-checkpoint', str(checkpoint), '--htt-precision', 'fp32', '--htt-window', '32',
        '--htt-pose-window', '8',
    )  # fmt: skip
    height = drawn[0].shape[0]
    above_bar, bar = np.s_[: int(0.8 * height)], np.s_[int(0.92 * height) :]
    for number, picture in enumerate(drawn):
        source = cv2.imread(str(frames / f'{number}.png'))
        assert share_changed(picture, source, above_bar) > 0.03  # meshes
        assert share_changed(picture, source, bar) > 0.9


def test_hands_that_would_be_written_with_another_image_are_refused(
    frames, checkpoint, tmp_path, capsys
):
    code = main(
        ['predict', str(frames), '--sequence', '--out', str(tmp_path / 'x.npz'), '--action-source',
         'htt', '--pose-source', 'htt', '--htt-checkpoint', str(checkpoint), '--htt-engine',
         'sliding', '--htt-lookahead', '2']
    )  # fmt: skip
    assert code == 2
    assert 'leave --htt-lookahead out' in capsys.readouterr().err
