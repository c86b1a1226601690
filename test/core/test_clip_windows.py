"""Which frames become clips: as the published loaders choose, each frame of a segment once."""

import ego_trees
import numpy as np
import pytest

from hand_perception.datasets.clips import SPLITS, open_split, window_starts
from hand_perception.datasets.windows import clip_frames, evaluation_starts, training_starts
from hand_perception.errors import ConfigError

# Of those that there is a published loader for.
CASES = [(kind, split) for kind in ('fpha', 'h2o') for split in SPLITS[kind]]


@pytest.fixture(scope='module')
def trees(tmp_path_factory):
    root = tmp_path_factory.mktemp('ego')
    ego_trees.fpha(root / 'fpha', with_images=False)
    ego_trees.h2o(root / 'h2o', with_images=False, test_labels='named')
    return root


@pytest.mark.parametrize(('windows', 'tag'), [('evaluation', 'eval'), ('training', 'train')])
@pytest.mark.parametrize(('kind', 'split'), CASES)
def test_windows_are_those_of_the_published_loader(trees, kind, split, windows, tag):
    known = ego_trees.reference()
    window, pose_window = (int(value) for value in known[f'{kind}/lengths'])
    opened = open_split(kind, trees / kind, split)
    before = np.cumsum([0, *(segment.num_frames for segment in opened.segments)])
    starts = window_starts(opened, windows=windows, window=window, pose_window=pose_window)
    name = f'{kind}/{split}/{tag}'
    assert (before[starts[:, 0]] + starts[:, 1] == known[f'{name}/window_starts']).all()
    for row, (number, start) in enumerate(starts):
        frames, not_padding = clip_frames(
            int(start), opened.segments[number].num_frames, window=window
        )
        assert (before[number] + frames == known[f'{name}/window_frames'][row]).all()
        assert (not_padding == known[f'{name}/window_valid'][row]).all()


@pytest.mark.parametrize('num_frames', [1, 2, 255, 256, 257, 258, 683])
def test_evaluation_shows_each_frame_once(num_frames):
    seen = []
    for start in evaluation_starts(num_frames, window=128):
        frames, not_padding = clip_frames(int(start), num_frames, window=128)
        seen += frames[not_padding].tolist()
    assert sorted(seen) == list(range(num_frames))


def test_training_starts_in_the_first_pose_window_of_each_clip():
    starts = training_starts(300, window=128, pose_window=16)
    assert starts.tolist() == [*range(32), *range(256, 288)]


def test_a_segment_of_one_frame_is_one_clip_that_repeats_it():
    assert evaluation_starts(1, window=8).tolist() == [0]
    frames, not_padding = clip_frames(0, 1, window=8)
    assert frames.tolist() == [0] * 8
    assert not_padding.tolist() == [True] + [False] * 7


def test_lengths_and_choices_that_do_not_fit_are_refused(trees):
    split = open_split('fpha', trees / 'fpha', 'train')
    with pytest.raises(ConfigError, match='multiple of pose_window, got 128, 12 and 2'):
        window_starts(split, windows='training', pose_window=12)
    with pytest.raises(ConfigError, match="training or evaluation, got 'shifting'"):
        window_starts(split, windows='shifting')
