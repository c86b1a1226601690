"""Synthetic data sets: what is written, read again, rendered on the fly, refused."""

import dataclasses
import json
import pickle
import shutil
import tarfile
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from hand_perception.actions import PRIMITIVES
from hand_perception.datasets.clips import open_clips, open_images, open_split
from hand_perception.datasets.shards import Shard, read_members, write_shard
from hand_perception.datasets.synthetic_files import TABLE, open_table, read_truths
from hand_perception.datasets.synthetic_hands import SyntheticHands
from hand_perception.errors import ConfigError, DatasetError
from hand_perception.geometry import mirror_axis_angle, mirror_points
from hand_perception.models.hand_model import load_hand_model
from hand_perception.synthetic.data_set import write_data_set
from hand_perception.synthetic.on_the_fly import OnTheFlyClips, OnTheFlyHands
from hand_perception.synthetic.people import DataSpec, person_scene, person_spec, take_scene
from hand_perception.synthetic.scene import Scene, SceneSpec

#: Small pictures: what is tested here does not depend on their size.
SPEC = DataSpec(
    seed=3, subjects=2, held_out=1, recordings=2, frames=5, width=160, height=90, rate_hz=5
)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('synthetic')
    assert len(list(write_data_set(SPEC, folder))) == 8
    return folder


@pytest.fixture
def copied(root, tmp_path):
    return shutil.copytree(root, tmp_path / 'copied')


def all_files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


def clips(folder, split='train', **more):
    choice = {'windows': 'evaluation', 'window': 4, 'pose_window': 2, 'spacing': 1, **more}
    return open_clips('synthetic', folder, split, **choice)


def test_no_person_of_one_split_is_in_another(root):
    table = open_table(root)
    people = {
        split: {recording.subject for recording in recordings}
        for split, recordings in table.splits.items()
    }
    assert people == {'train': {1, 2}, 'val': {3}, 'test': {4}}


def test_people_differ_in_hands_skin_table_and_camera():
    specs = [person_spec(SPEC, subject) for subject in (1, 2, 3)]
    for name in ('seed', 'hand_scale', 'noise_sigma', 'effects'):
        assert len({getattr(spec, name) for spec in specs}) == 3, name


@pytest.mark.parametrize('stray', [0.0, 0.02, 0.12])
def test_hands_differ_in_size_by_what_is_asked_for(stray):
    spec = dataclasses.replace(SPEC, hand_sizes=stray)
    sizes = [person_spec(spec, subject).hand_scale for subject in range(40)]
    assert max(sizes) - 1 == pytest.approx(stray, rel=0.2)
    assert 1 - min(sizes) == pytest.approx(stray, rel=0.2)
    others = [person_spec(SPEC, subject).seed for subject in range(40)]
    assert [person_spec(spec, subject).seed for subject in range(40)] == others


def test_any_number_of_processes_writes_the_same_files(root, tmp_path):
    assert len(list(write_data_set(SPEC, tmp_path, num_processes=2))) == 8
    assert all_files(tmp_path) == all_files(root)


def test_an_interrupted_run_goes_on_and_leaves_the_same_files(root, tmp_path):
    run = write_data_set(SPEC, tmp_path)
    for _ in range(3):
        next(run)
    run.close()
    (tmp_path / 'train' / '.s002_r001.tar.1.unfinished').write_bytes(b'half of a recording')
    with pytest.raises(DatasetError, match='written when all recordings are made'):
        open_table(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*.tar')}
    assert len(before) == 3
    list(write_data_set(SPEC, tmp_path))
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert all_files(tmp_path) == all_files(root)


def test_a_folder_of_other_settings_is_not_continued(copied):
    other = DataSpec(**{**json.loads((copied / 'spec.json').read_text()), 'frames': 6})
    with pytest.raises(DatasetError, match='frames 5, now 6'):
        list(write_data_set(other, copied))


def test_a_folder_of_something_else_is_not_written_to(tmp_path):
    (tmp_path / 'train').mkdir()
    with pytest.raises(DatasetError, match='holds other data'):
        list(write_data_set(SPEC, tmp_path))


def test_the_parameters_give_the_joints(root):
    model, table = load_hand_model('default'), open_table(root)
    for truth in read_truths(table.shard('val', 's003_r001'), [0, 4]):
        for hand, is_right in enumerate((False, True)):
            orient, pose = truth.global_orient[hand], truth.hand_pose[hand].reshape(15, 3)
            shift = truth.transl[hand]
            if not is_right:
                orient, pose = mirror_axis_angle(orient), mirror_axis_angle(pose)
                shift = mirror_points(shift)
            mesh = model(
                global_orient=torch.tensor(orient, dtype=torch.float32)[None],
                hand_pose=torch.tensor(pose.reshape(1, 45), dtype=torch.float32),
                betas=torch.tensor(truth.betas[hand])[None],
                transl=torch.tensor(shift, dtype=torch.float32)[None],
            )
            points = mesh.keypoints[0].numpy()
            found = points if is_right else mirror_points(points)
            # metres: the files have 0.1 micrometres, the rest is float32
            np.testing.assert_allclose(found, truth.joints_3d[hand], atol=5e-7)


def test_2d_joints_are_3d_joints_seen_by_the_camera_of_the_images(root):
    sample = clips(root)[0]
    projected = sample.truth.joints_3d @ sample.K[0].T
    valid = sample.truth.hand_valid
    assert valid.any()
    np.testing.assert_allclose(
        (projected[..., :2] / projected[..., 2:])[valid], sample.truth.joints_2d[valid], atol=2e-3
    )  # pixels: the files have 0.001, joints 1e-7 m at 0.3 m


def test_clips_are_those_of_two_handed_data_sets(root):
    split = open_split('synthetic', root, 'train')
    assert split.labels.actions == PRIMITIVES
    assert split.labels.objects == ('none',)
    sample = clips(root)[1]
    assert sample.images.shape == (4, 90, 160, 3)
    assert sample.images.dtype == np.uint8
    assert sample.truth.joints_3d.shape == (4, 2, 21, 3)
    assert sample.is_right == (False, True)
    assert sample.segment == 'train/s001_r000'
    assert (sample.action, sample.object) == (PRIMITIVES.index('fist'), 0)
    assert sample.not_padding.tolist() == [True, False, False, False]  # frame 4 of 5


def test_each_action_is_as_frequent_as_the_others():
    takes = DataSpec(subjects=7, held_out=1, recordings=7).takes
    count = [sum(take.action == name for take in takes) for name in PRIMITIVES]
    assert count == [len(takes) // 7] * 7


def test_hands_show_the_action_of_their_recording():
    spec = DataSpec(recordings=7, width=64, height=48)
    scene = person_scene(spec, 1)
    for take in spec.takes[:7]:
        moving = take_scene(scene, spec, take)
        for hand in range(2):
            shown = {moving.truth(time_s)[hand].primitive for time_s in np.arange(0, 3, 0.1)}
            assert take.action in shown


def test_an_image_shows_skin_where_the_truth_has_a_visible_hand(root):
    """A pixel at the middle knuckle is warmer than the grey of tables: red above blue."""
    hands = SyntheticHands(root, 'train', min_visible=0.9)
    warm = []
    for index in range(len(hands)):
        sample = hands[index]
        column, row = np.rint(sample.truth.joints_2d[0, 0, 9]).astype(int)
        if 0 <= row < 90 and 0 <= column < 160:
            red, _, blue = sample.images[0, row, column].astype(int)
            warm.append(red > blue + 10)
    assert len(warm) > 10
    assert np.mean(warm) > 0.9


def test_single_hands_are_those_of_which_enough_is_seen(root):
    table, hands = open_table(root), SyntheticHands(root, 'train', min_visible=0.5)
    expected = sum(
        int((recording.visible >= 0.5).sum()) for recording in table.splits['train']
    )  # fmt: skip
    assert len(hands) == expected
    sample = hands[3]
    assert sample.images.shape == (1, 90, 160, 3)
    assert sample.truth.joints_3d.shape == (1, 1, 21, 3)
    assert sample.truth.mano.hand_pose.shape == (1, 1, 45)
    assert sample.segment == hands.name(3)
    assert sample.is_right == (hands.is_right(3),)
    low, high = sample.truth.boxes[0, 0, :2], sample.truth.boxes[0, 0, 2:]
    np.testing.assert_array_equal(low, sample.truth.joints_2d[0, 0].min(0))
    np.testing.assert_array_equal(high, sample.truth.joints_2d[0, 0].max(0))
    every_second = SyntheticHands(root, 'train', min_visible=0.5, every=2)
    assert {every_second.name(i) for i in range(len(every_second))} < {
        hands.name(i) for i in range(len(hands))
    }


def test_readers_may_be_sent_to_other_processes(root):
    for data in (clips(root), SyntheticHands(root, 'val')):
        data[0]
        again = pickle.loads(pickle.dumps(data))
        assert (again[0].images == data[0].images).all()


def test_on_the_fly_gives_the_same_clips_as_the_files(root):
    fresh = OnTheFlyClips(
        SPEC, 'val', windows='training', window=4, pose_window=2, spacing=2
    )  # fmt: skip
    stored = clips(root, 'val', windows='training', spacing=2)
    assert len(fresh) == len(stored)
    for index in (0, len(fresh) - 1):
        a, b = fresh[index], stored[index]
        assert (a.segment, a.action, a.object, a.is_right) == (
            b.segment, b.action, b.object, b.is_right,
        )  # fmt: skip
        for name in ('images', 'K', 'not_padding', 'frames'):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        for name in ('joints_3d', 'joints_2d', 'hand_valid'):
            np.testing.assert_array_equal(getattr(a.truth, name), getattr(b.truth, name))
    segment = fresh.split.segments[1]
    truth, expected = fresh.split.truth(segment), stored.split.truth(segment)
    np.testing.assert_array_equal(truth.joints_3d, expected.joints_3d)
    np.testing.assert_array_equal(truth.hand_valid, expected.hand_valid)


def test_on_the_fly_gives_the_same_hands_as_the_files(root):
    fresh = OnTheFlyHands(SPEC, 'val', min_visible=0.4)
    stored = SyntheticHands(root, 'val', min_visible=0.4)
    names = {stored.name(index): index for index in range(len(stored))}
    assert set(names) <= {fresh.name(index) for index in range(len(fresh))}
    for index in (0, 5, len(fresh) - 1):
        sample, truth = fresh[index], fresh.truth(index)
        np.testing.assert_array_equal(sample.truth.joints_2d, truth.joints_2d)
        assert bool(truth.hand_valid.all()) == (fresh.name(index) in names)
        if fresh.name(index) in names:
            expected = stored[names[fresh.name(index)]]
            np.testing.assert_array_equal(sample.images, expected.images)
            np.testing.assert_array_equal(sample.truth.joints_3d, expected.truth.joints_3d)
            assert sample.is_right == expected.is_right
        else:
            assert not sample.truth.confidence_2d.any()


def test_on_the_fly_refuses_scripts_that_show_several_actions():
    with pytest.raises(ConfigError, match='need the script acts'):
        OnTheFlyClips(DataSpec(script='desk'), 'train', windows='training')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'script': 'dance'}, 'script must be one of acts, desk, primitives'),
        ({'frames': 0}, 'frames must be 1 or more'),
        ({'quality': 101}, 'quality 1 to 100'),
        ({'width': 10}, '64 x 48 pixels or more'),
        ({'variety': 2.0}, 'variety must lie between 0 and 1'),
        ({'hand_sizes': 0.5}, 'hand_sizes must lie between 0 and 0.3'),
    ],
)
def test_data_that_cannot_be_made_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        list(DataSpec(**change).takes)


def test_a_person_in_two_splits_is_refused(copied):
    table = json.loads((copied / TABLE).read_text())
    table['splits']['val'][0]['subject'] = 1
    (copied / TABLE).write_text(json.dumps(table))
    with pytest.raises(DatasetError, match='subject 1 is in train and in val'):
        open_table(copied)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda path: path.write_text('{"format": 1}'), 'not the table of a synthetic data set'),
        (lambda path: path.write_text('{'), 'cannot be read'),
        (lambda path: path.unlink(), 'goes on where it stopped'),
    ],
)
def test_a_damaged_table_is_refused(copied, change, message):
    change(copied / TABLE)
    with pytest.raises(DatasetError, match=message):
        open_table(copied)


def rewritten(path, change):
    """Change the members of a shard."""
    shard = Shard(path)
    members = {name: shard.read(name) for name in shard.members}
    change(members)
    write_shard(path, members.items())


def test_a_truncated_jpeg_in_a_shard_is_named(copied):
    def cut(members):
        members['000002.jpg'] = members['000002.jpg'][:-200]

    rewritten(copied / 'train' / 's001_r001.tar', cut)
    data = clips(copied)
    with pytest.raises(DatasetError, match=r'000002.jpg in .*s001_r001.tar is not a whole JPEG'):
        data[2]


def test_truth_that_is_not_finite_is_named(copied):
    def poison(members):
        members['000001.json'] = members['000001.json'].replace(b'"betas":[', b'"betas":[NaN,')

    path = copied / 'test' / 's004_r000.tar'
    rewritten(path, poison)
    hands = SyntheticHands(copied, 'test', min_visible=0.0)
    with pytest.raises(DatasetError, match=r'000001.json in .*s004_r000.tar is not the truth'):
        hands[2]


def test_a_shard_that_is_missing_or_cut_off_is_named(copied):
    path = copied / 'val' / 's003_r000.tar'
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DatasetError, match='is not a whole tar file'):
        read_members(path)
    path.unlink()
    with pytest.raises(DatasetError, match=r's003_r000.tar is missing'):
        clips(copied, 'val')[0]


def test_shards_are_plain_tar_files_whose_members_share_names(root):
    with tarfile.open(root / 'train' / 's001_r000.tar') as tar:
        names = tar.getnames()
        image = cv2.imdecode(
            np.frombuffer(tar.extractfile('000000.jpg').read(), np.uint8), cv2.IMREAD_COLOR
        )
    assert names[:4] == ['000000.jpg', '000000.json', '000001.jpg', '000001.json']
    split = open_split('synthetic', root, 'train')
    read = open_images(split).read(split.segments[0], [0])[0]
    np.testing.assert_array_equal(read, image[..., ::-1])


def test_a_person_who_moves_otherwise_is_a_scene_of_its_own_spec():
    spec = SceneSpec(seed=4, width=96, height=64, background='plain', supersampling=1)
    change = {'script': 'act_wave', 'duration_s': 2.5, 'motion_seed': 11, 'variety': 0.7}
    moved, anew = Scene(spec).moving_otherwise(**change), Scene(replace(spec, **change))
    for time_s in (0.2, 1.9):
        a, b = moved.render(time_s), anew.render(time_s)
        np.testing.assert_array_equal(a.image_bgr, b.image_bgr)
        np.testing.assert_array_equal(a.hands[1].keypoints_3d, b.hands[1].keypoints_3d)


def test_variety_moves_hands_and_leaves_the_person():
    spec = SceneSpec(seed=4, width=64, height=48, background='plain', motion_seed=1)
    usual, strayed = Scene(spec), Scene(replace(spec, variety=1.0))
    other = Scene(replace(spec, variety=1.0, motion_seed=2))
    assert usual.palm_width_m == strayed.palm_width_m == other.palm_width_m
    places = [scene.truth(0.0)[0].keypoints_3d[9] for scene in (usual, strayed, other)]
    assert np.linalg.norm(places[0] - places[1]) > 0.01  # metres
    assert np.linalg.norm(places[1] - places[2]) > 0.01


@pytest.mark.parametrize('change', [{'variety': 1.5, 'motion_seed': 1}, {'variety': 0.5}])
def test_variety_needs_a_seed_and_goes_to_one(change):
    with pytest.raises(ConfigError, match='needs a motion_seed'):
        SceneSpec(**change)
