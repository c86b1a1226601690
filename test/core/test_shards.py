"""Shards: packed from any data set, HaMeR's published ones, what is refused."""

import json
import os
import pickle
import shutil
import subprocess
import sys
import tarfile

import cv2
import numpy as np
import pytest

from hand_perception.cli.main import main
from hand_perception.datasets import shard_index
from hand_perception.datasets.clips import open_clips, open_images, open_split
from hand_perception.datasets.hamer_tars import HamerTarRules
from hand_perception.datasets.hands import open_hands
from hand_perception.datasets.image_lmdb import DATA_FILE, LmdbImages
from hand_perception.datasets.make_lmdb import write_lmdb
from hand_perception.datasets.make_shards import Frames, ShardOptions, write_shards
from hand_perception.datasets.sample import HandTruth, ManoTruth, Sample
from hand_perception.datasets.shard_hands import ShardHands
from hand_perception.datasets.shards import write_shard
from hand_perception.errors import ConfigError, DatasetError

RNG = np.random.default_rng(8)
LOSSLESS = ShardOptions(per_shard=4, lossless=True)


def numbers(*shape):
    return RNG.normal(size=shape).astype(np.float32)


class DrawnHands:
    """Seven single hands of which different things are known."""

    dataset, split = 'drawn', 'train'

    def __init__(self):
        self.samples = [self.draw(index) for index in range(7)]

    def draw(self, index):
        with_mano, with_mesh = index % 2 == 0, index % 3 == 0
        flag = np.ones((1, 1), np.bool_)
        return Sample(
            dataset='drawn',
            segment=f'hand{index}',
            images=RNG.integers(0, 256, (1, 12, 16, 3), dtype=np.uint8),
            truth=HandTruth(
                joints_3d=numbers(1, 1, 21, 3),
                joints_2d=numbers(1, 1, 21, 2),
                hand_valid=flag,
                boxes=numbers(1, 1, 4) if index < 5 else None,
                confidence_2d=numbers(1, 1, 21),
                confidence_3d=numbers(1, 1, 21),
                is_occluded=numbers(1, 1, 21) > 0,
                mano=ManoTruth(
                    global_orient=numbers(1, 1, 3), hand_pose=numbers(1, 1, 45),
                    betas=numbers(1, 1, 10), has_pose=flag, has_betas=~flag,
                ) if with_mano else None,
                vertices=numbers(1, 1, 778, 3) if with_mesh else None,
            ),
            is_right=(index % 2 == 1,),
            K=numbers(1, 3, 3) if index else np.full((1, 3, 3), np.nan, np.float32),
            action=index - 1,
            object=-1,
            not_padding=np.ones(1, np.bool_),
            frames=np.array([index], np.int64),
        )  # fmt: skip

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


def same(a, b):
    """Every array of two truths, or None in both."""
    for name in HandTruth.__slots__:
        one, other = getattr(a, name), getattr(b, name)
        assert (one is None) == (other is None), name
        if name == 'mano' and one is not None:
            for field in ManoTruth.__slots__:
                np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
        elif one is not None:
            np.testing.assert_array_equal(one, other, err_msg=name)


@pytest.fixture
def no_cache(monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'cache'


@pytest.fixture(scope='module')
def drawn():
    return DrawnHands()


@pytest.fixture
def packed(drawn, tmp_path, no_cache):
    counts = list(
        write_shards(drawn, tmp_path / 'out' / 'train', source='drawn', options=LOSSLESS)
    )
    assert counts == [4, 3]
    return tmp_path / 'out'


def test_single_hands_come_out_of_shards_as_they_went_in(drawn, packed):
    hands = open_hands('shards', packed, 'train')
    assert len(hands) == 7
    for index, before in enumerate(drawn.samples):
        after = hands[index]
        same(before.truth, after.truth)
        np.testing.assert_array_equal(before.images, after.images)
        np.testing.assert_array_equal(before.K, after.K)
        np.testing.assert_array_equal(before.frames, after.frames)
        assert after.is_right == before.is_right == (hands.is_right(index),)
        assert (after.action, after.object) == (before.action, before.object)
        assert after.segment == hands.name(index) == f'{index // 4:06d}/hand{index}'
        same(hands.truth(index), after.truth)
    assert hands[-1].segment == hands.name(6)
    with pytest.raises(IndexError, match='has 7 hands, got 7'):
        hands[7]


def test_shards_are_written_the_same_by_any_number_of_processes(packed, tmp_path):
    """In a process of its own, as the samples of this module cannot be sent to others."""
    more = ['--per-shard', '2', '--png']
    synthetic = tmp_path / 'synthetic'
    make = ['data', 'make-synthetic', str(synthetic), '--subjects', '1', '--held-out', '1',
            '--recordings', '1', '--frames', '3', '--size', '64x48',
            '--processes', '1']  # fmt: skip
    assert main(make) == 0
    for count in ('1', '2'):
        out = str(tmp_path / count)
        arguments = ['data', 'make-shards', 'synthetic', str(synthetic), 'train', out]
        assert main([*arguments, *more, '--processes', count]) == 0
    for path in (tmp_path / '1' / 'train').iterdir():
        assert path.read_bytes() == (tmp_path / '2' / 'train' / path.name).read_bytes()
    assert len(ShardHands(tmp_path / '2', 'train')) == 6


def test_frames_of_clips_become_hands(tmp_path, no_cache):
    root = tmp_path / 'synthetic'
    make = ['data', 'make-synthetic', str(root), '--subjects', '1', '--held-out', '1',
            '--recordings', '2', '--frames', '3', '--size', '64x48',
            '--processes', '1']  # fmt: skip
    assert main(make) == 0
    split = open_split('synthetic', root, 'val')
    frames = Frames(split, open_images(split))
    assert len(frames) == 6
    list(write_shards(frames, tmp_path / 'out' / 'val', source='x', options=LOSSLESS))
    hands = ShardHands(tmp_path / 'out', 'val')
    clips = open_clips(
        'synthetic', root, 'val', windows='evaluation', window=3, pose_window=1, spacing=1
    )  # fmt: skip
    valid = [(c, t, n) for c in range(2) for t, n in np.argwhere(clips[c].truth.hand_valid)]
    assert len(hands) == len(valid)
    for index, (clip, t, n) in enumerate(valid):
        expected, found = clips[clip], hands[index]
        np.testing.assert_array_equal(found.images[0], expected.images[t])
        np.testing.assert_array_equal(
            found.truth.joints_3d[0, 0], expected.truth.joints_3d[t, n]
        )  # fmt: skip
        assert found.is_right == (expected.is_right[n],)
        assert found.action == expected.action
        pose = split.truth(split.segments[clip]).mano.hand_pose[t, n]
        np.testing.assert_array_equal(found.truth.mano.hand_pose[0, 0], pose)
        assert (found.truth.confidence_3d == 1).all()
        side = 'right' if expected.is_right[n] else 'left'
        assert found.segment.endswith(f'{expected.segment}/{t:06d}_{side}')


def test_a_run_that_stopped_goes_on(drawn, packed):
    folder = packed / 'train'
    before = {path.name: path.read_bytes() for path in folder.glob('*.tar')}
    (folder / '000001.tar').unlink()
    (folder / '.000001.tar.7.unfinished').write_bytes(b'half')
    with pytest.raises(DatasetError, match='has 1 of 2 shards; run .* again'):
        ShardHands(packed, 'train')
    assert list(write_shards(drawn, folder, source='drawn', options=LOSSLESS)) == [4, 3]
    assert {path.name: path.read_bytes() for path in folder.glob('*.tar')} == before
    assert not list(folder.glob('.*.unfinished'))


def test_other_shards_are_not_mixed_in(drawn, packed):
    with pytest.raises(DatasetError, match="source 'drawn', now 'other'"):
        list(write_shards(drawn, packed / 'train', source='other', options=LOSSLESS))
    (packed / 'train' / 'shards.json').unlink()
    with pytest.raises(DatasetError, match='holds other data'):
        list(write_shards(drawn, packed / 'train', source='drawn', options=LOSSLESS))


def test_what_was_found_is_kept_and_found_anew_when_a_shard_changes(packed, monkeypatch):
    first = ShardHands(packed, 'train')
    assert len(list((packed / 'train').glob('.*.tar.index'))) == 2
    with monkeypatch.context() as patched:
        patched.setattr(shard_index, 'build_index', lambda *_: pytest.fail('looked again'))
        again = pickle.loads(pickle.dumps(ShardHands(packed, 'train')))
        np.testing.assert_array_equal(again[5].images, first[5].images)
    os.utime(packed / 'train' / '000000.tar', ns=(1, 1))
    (packed / 'train' / '.000001.tar.index').write_bytes(b'damaged')
    assert len(ShardHands(packed, 'train')) == 7


def test_an_index_that_cannot_lie_beside_its_shard_goes_to_the_cache(
    packed, no_cache, monkeypatch
):
    keep = shard_index._keep

    def refuse(path, *rest):
        return path.parent != packed / 'train' and keep(path, *rest)

    monkeypatch.setattr(shard_index, '_keep', refuse)
    assert len(ShardHands(packed, 'train')) == 7
    assert len(list((no_cache / 'hand_perception' / 'shards').glob('*.index'))) == 2


def test_no_shards_are_refused(tmp_path):
    with pytest.raises(DatasetError, match=r'no shards \(\*.tar\) in .*val'):
        ShardHands(tmp_path, 'val')
    with pytest.raises(DatasetError, match='has the splits train, val, test'):
        ShardHands(tmp_path, 'training')


def repacked(packed, change):
    path = packed / 'train' / '000000.tar'
    with tarfile.open(path) as tar:
        members = {name: tar.extractfile(name).read() for name in tar.getnames()}
    change(members)
    write_shard(path, members.items())


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda m: m.pop('00000001.png'), r'00000001 in .*000000.tar has json'),
        (lambda m: m.pop('00000001.json'), '00000001 in .* expected an image and json'),
        (lambda m: m.update({'00000001.json': b'{}'}), 'not a sample of a shard of ours'),
        (
            lambda m: m.update(
                {'00000001.json': m['00000001.json'].replace(b'"boxes":[[', b'"boxes":[[NaN,')}
            ),
            'not a sample of a shard of ours',
        ),
    ],
)
def test_damaged_samples_are_named(packed, change, message):
    repacked(packed, change)
    with pytest.raises(DatasetError, match=message):
        ShardHands(packed, 'train')


def test_a_truncated_image_is_named(packed):
    def cut(members):
        members['00000002.png'] = members['00000002.png'][:30]

    repacked(packed, cut)
    hands = ShardHands(packed, 'train')
    with pytest.raises(DatasetError, match=r'image of hand2 in .*000000.tar is not whole'):
        hands[2]


def test_a_shard_that_is_cut_off_after_it_was_looked_through_is_named(packed):
    hands = ShardHands(packed, 'train')
    path = packed / 'train' / '000001.tar'
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(DatasetError, match='is cut off'):
        hands[6]


# HaMeR's shards


def tar_hand(**change):
    hand = {
        'center': np.array([60.0, 40.0]), 'scale': np.array([0.2, 0.1]),
        'keypoints_2d': np.concatenate([numbers(21, 2), np.ones((21, 1))], 1),
        'keypoints_3d': np.concatenate([numbers(21, 3), np.ones((21, 1))], 1).astype(np.float32),
        'hand_pose': numbers(48), 'betas': np.full(10, 0.5, np.float32),
        'right': np.array(1.0), 'has_hand_pose': np.array(1.0), 'has_betas': np.array(1.0),
        'extra_info': {'fitting_loss': np.array({'reprojection_loss': 100.0})},
    }  # fmt: skip
    return {**hand, **change}


def hamer_tar(folder, *images):
    """Write a shard as those that HaMeR is trained with."""
    folder.mkdir(parents=True, exist_ok=True)
    members = []
    for number, hands in enumerate(images):
        picture = np.full((80, 120, 3), (10 * number, 100, 200), np.uint8)
        content = cv2.imencode('.jpg', picture)[1].tobytes()
        members.append((f'clip/{number:05d}.jpg', content))
        content = hands if isinstance(hands, bytes) else pickle.dumps(hands)
        members.append((f'clip/{number:05d}.data.pyd', content))
        members.append((f'clip/{number:05d}.detection.npz', b'not looked at'))
    write_shard(folder / '000000.tar', members)
    return folder


def test_hands_of_hamers_shards_are_read(tmp_path, no_cache):
    first, second = tar_hand(), tar_hand(right=np.float32(0))
    root = hamer_tar(tmp_path / 'tars', [first], [tar_hand(), second])
    hands = open_hands('shards', root, 'train')
    assert len(hands) == 3
    assert [hands.name(index) for index in range(3)] == [
        '000000/clip/00000_0', '000000/clip/00001_0', '000000/clip/00001_1',
    ]  # fmt: skip
    sample = hands[2]
    assert sample.is_right == (False,)
    assert sample.images.shape == (1, 80, 120, 3)
    assert abs(sample.images[0, 40, 60].astype(int) - (200, 100, 10)).max() < 4  # JPEG
    truth = sample.truth
    np.testing.assert_allclose(truth.boxes[0, 0], [40, 30, 80, 50], atol=1e-5)  # units of 200 px
    np.testing.assert_array_equal(
        truth.joints_2d[0, 0], second['keypoints_2d'][:, :2].astype(np.float32)
    )
    np.testing.assert_array_equal(truth.joints_3d[0, 0], second['keypoints_3d'][:, :3])
    np.testing.assert_array_equal(truth.mano.global_orient[0, 0], second['hand_pose'][:3])
    np.testing.assert_array_equal(truth.mano.hand_pose[0, 0], second['hand_pose'][3:])
    assert truth.mano.has_pose.all()
    assert np.isnan(sample.K).all()


def doubtful(count):
    points = np.concatenate([numbers(21, 2), np.full((21, 1), 0.2)], 1)
    points[:count, 2] = 0.9
    return points


@pytest.mark.parametrize(
    ('change', 'rules', 'is_there'),
    [
        ({'keypoints_2d': doubtful(4)}, {}, False),
        ({'keypoints_2d': doubtful(5)}, {}, True),
        ({'keypoints_2d': doubtful(0)}, {'more_joints_than': 0}, True),
        ({'keypoints_2d': doubtful(4)}, {'min_confidence': 0.1}, True),
        ({'extra_info': {'fitting_loss': np.array({'reprojection_loss': 31000.0})}}, {}, False),
        (
            {'extra_info': {'fitting_loss': np.array({'reprojection_loss': np.float64(4e4)})}},
            {'max_fitting_loss': 0}, True,
        ),
        ({'extra_info': {}}, {}, True),
        ({'scale': np.array([0.0, 0.1])}, {}, False),
    ],
)  # fmt: skip
def test_doubtful_hands_are_left_out_as_published(tmp_path, no_cache, change, rules, is_there):
    root = hamer_tar(tmp_path / 'tars', [tar_hand(**change)], [tar_hand()])
    assert len(ShardHands(root, 'train', rules=HamerTarRules(**rules))) == 1 + is_there


@pytest.mark.parametrize(
    ('change', 'rules', 'has_pose', 'has_betas'),
    [
        ({}, {}, True, True),
        ({'betas': np.full(10, 3.5)}, {}, False, False),
        ({'betas': np.full(10, 3.5)}, {'max_beta': 0}, True, True),
        ({'betas': np.full(10, 3.5)}, {'pose_with_betas': False}, True, False),
        ({'has_hand_pose': np.array(False)}, {}, False, False),
        ({'has_hand_pose': False}, {'pose_with_betas': False}, False, True),
    ],
)
def test_parameters_count_as_published(tmp_path, no_cache, change, rules, has_pose, has_betas):
    root = hamer_tar(tmp_path / 'tars', [tar_hand(**change)])
    mano = ShardHands(root, 'train', rules=HamerTarRules(**rules)).truth(0).mano
    assert (bool(mano.has_pose[0, 0]), bool(mano.has_betas[0, 0])) == (has_pose, has_betas)
    assert bool(mano.betas.any()) == has_betas


def test_joints_that_do_not_count_may_be_anything(tmp_path, no_cache):
    points = doubtful(9)
    points[15, :2] = np.nan
    truth = ShardHands(
        hamer_tar(tmp_path / 'tars', [tar_hand(keypoints_2d=points)]), 'train'
    ).truth(0)
    assert truth.confidence_2d[0, 0, 15] == 0
    assert np.isfinite(truth.joints_2d).all()


class Runs:
    """A pickle that would run a program."""

    def __reduce__(self):
        return os.system, ('touch it_was_run',)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (pickle.dumps([Runs()]), 'refused to read .*00000 in .*it asks for posix.system'),
        (pickle.dumps([tar_hand()])[:-300], 'refused to read'),
        (pickle.dumps({'center': 1}), 'holds no list of hands'),
        (pickle.dumps([{'center': np.zeros(2)}]), 'has no scale'),
        (pickle.dumps([tar_hand(betas=np.zeros(9))]), r'betas has the shape \(9,\)'),
        (pickle.dumps([tar_hand(hand_pose=np.full(48, np.nan))]), 'hand_pose is not finite'),
        (pickle.dumps([tar_hand(betas=np.array([None] * 10))]), 'betas cannot be read'),
    ],
)
def test_damaged_and_hostile_shards_are_refused(tmp_path, monkeypatch, no_cache, content, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError, match=message):
        ShardHands(hamer_tar(tmp_path / 'tars', content), 'train')
    assert not (tmp_path / 'it_was_run').exists()


def test_rules_below_zero_are_refused():
    with pytest.raises(ConfigError, match='must be 0 or more'):
        HamerTarRules(max_beta=-1)


# LMDB


@pytest.fixture(scope='module')
def clips_root(tmp_path_factory):
    """One person of 480 x 270, the size that an LMDB folder holds."""
    root = tmp_path_factory.mktemp('clips')
    make = ['data', 'make-synthetic', str(root), '--subjects', '1', '--held-out', '1',
            '--recordings', '2', '--frames', '2', '--processes', '1']  # fmt: skip
    assert main(make) == 0
    return root


def test_an_lmdb_folder_gives_the_same_images(clips_root, tmp_path, capsys):
    pytest.importorskip('lmdb', reason='needs the package lmdb')
    root = shutil.copytree(clips_root, tmp_path / 'copy')
    assert main(['data', 'make-lmdb', 'synthetic', str(root), 'train']) == 0
    assert '4 images of 2 segments' in capsys.readouterr().out
    split = open_split('synthetic', root, 'train')
    files, packed = open_images(split), open_images(split, 'lmdb')
    assert isinstance(packed, LmdbImages)
    with packed:
        for segment in split.segments:
            for one, other in zip(
                files.read(segment, [0, 1]), packed.read(segment, [0, 1]), strict=True
            ):
                np.testing.assert_array_equal(one, other)
    with pytest.raises(DatasetError, match='is there already'):
        list(write_lmdb(split, files))


def test_packing_into_lmdb_goes_on_where_it_stopped(clips_root, tmp_path):
    pytest.importorskip('lmdb', reason='needs the package lmdb')
    root = shutil.copytree(clips_root, tmp_path / 'copy')
    split = open_split('synthetic', root, 'train')
    run = write_lmdb(split, open_images(split))
    next(run)
    run.close()
    assert not (root / 'lmdb_imgs' / 'train').exists()
    read = []

    class Watched:
        def read(self, segment, frames):
            read.append((segment.name, frames))
            return open_images(split).read(segment, frames)

    assert list(write_lmdb(split, Watched())) == [2, 2]
    assert read == [(split.segments[1].name, [0, 1])]
    assert (root / 'lmdb_imgs' / 'train' / DATA_FILE).is_file()


def test_a_disk_that_is_too_small_is_told_before(clips_root, monkeypatch, tmp_path):
    pytest.importorskip('lmdb', reason='needs the package lmdb')
    root = shutil.copytree(clips_root, tmp_path / 'copy')
    split = open_split('synthetic', root, 'train')
    usage = shutil.disk_usage(root)
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: usage._replace(free=1000))
    with pytest.raises(DatasetError, match=r'needs 0.1 GB, but only 0.0 GB are free'):
        list(write_lmdb(split, open_images(split)))


def test_images_of_another_size_do_not_go_into_lmdb(clips_root, tmp_path):
    pytest.importorskip('lmdb', reason='needs the package lmdb')
    root = shutil.copytree(clips_root, tmp_path / 'copy')
    split = open_split('synthetic', root, 'train')

    class Small:
        def read(self, segment, frames):
            return [np.zeros((48, 64, 3), np.uint8) for _ in frames]

    with pytest.raises(DatasetError, match='has 64 x 48 pixels'):
        list(write_lmdb(split, Small()))


def test_a_full_disk_leaves_no_half_a_shard(drawn, tmp_path):
    """In a process whose files may have 3000 bytes."""
    program = (
        'import resource, signal, sys\n'
        'from pathlib import Path\n'
        'from hand_perception.datasets.shards import write_shard\n'
        'from hand_perception.errors import DatasetError\n'
        'signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n'
        'resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))\n'
        'try:\n'
        "    write_shard(Path(sys.argv[1]), [('a.jpg', bytes(20000))])\n"
        'except DatasetError as error:\n'
        '    print(error)\n'
    )
    path = tmp_path / 'full.tar'
    done = subprocess.run(
        [sys.executable, '-c', program, str(path)], capture_output=True, text=True, check=True
    )
    assert 'cannot be written' in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['make-synthetic', 'x', '--size', '480'], '--size must be like 480x270'),
        (['make-synthetic', 'x', '--processes', '0'], 'processes must be 1 or more'),
        (['make-shards', 'hint', 'x', 'evaluation', 'out'], 'hint has the splits'),
        (['make-lmdb', 'fpha', 'x', 'val'], 'fpha has the splits train, test, got val'),
    ],
)
def test_wrong_commands_are_refused(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(['data', *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_note_of_the_shards_tells_where_they_are_from(packed):
    note = json.loads((packed / 'train' / 'shards.json').read_text())
    assert note['source'] == 'drawn'
    assert note['num_images'] == 7
