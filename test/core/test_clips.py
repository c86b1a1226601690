"""Clips carry the images, hands and labels of their frames, from files and from LMDB alike."""

import importlib.util
import os
import pickle
import sys

import cv2
import ego_trees
import numpy as np
import pytest

from hand_perception.datasets import image_files, image_lmdb
from hand_perception.datasets.clips import open_clips, open_images, open_split
from hand_perception.datasets.image_lmdb import LmdbImages
from hand_perception.errors import ConfigError, DatasetError, MissingPackageError
from hand_perception.models.htt.preprocess import network_image

SHORT = {'window': 32, 'pose_window': 8}
#: Python 3.12 and later warn of a fork beside threads, which OpenCV and torch have; nothing that
#: the child does here waits for one of them.
forks = pytest.mark.filterwarnings('ignore:.*use of fork:DeprecationWarning')
#: The package too where it is installed; what is tested without it behaves the same.
PACKAGES = ['fake', *(['lmdb'] if importlib.util.find_spec('lmdb') else [])]


@pytest.fixture(scope='module')
def trees(tmp_path_factory):
    root = tmp_path_factory.mktemp('clips')
    ego_trees.fpha(root / 'fpha')
    ego_trees.h2o(root / 'h2o')
    return root


@pytest.fixture
def no_lmdb(monkeypatch):
    """The package lmdb looks uninstalled."""
    monkeypatch.setitem(sys.modules, 'lmdb', None)


@pytest.fixture(params=PACKAGES)
def with_lmdb(request, monkeypatch):
    """The package, or its stand-in; all folders have to be given back."""
    package = ego_trees.FakeLmdb()
    write = ego_trees.write_fake_lmdb
    if request.param == 'lmdb':
        package, write = importlib.import_module('lmdb'), ego_trees.write_real_lmdb
    monkeypatch.setitem(sys.modules, 'lmdb', package)
    yield write
    assert not image_lmdb._OPEN


def lmdb_content(split, number):
    """Sub-databases with the images of all segments, as raw RGB; ``number`` makes the pictures."""
    return {
        segment.database.encode(): {
            split.image_key(segment, frame).encode(): ego_trees.picture(
                number(segment), segment.first_frame + frame
            ).tobytes()
            for frame in range(segment.num_frames)
        }
        for segment in split.segments
    }


def h2o_number(segment):
    return list(ego_trees.H2O).index(segment.recording)


@pytest.mark.parametrize(
    ('kind', 'split', 'tolerance'),
    # JPEG keeps flat pictures to 3 grey levels, PNG keeps them.
    [('fpha', 'train', 3), ('fpha', 'test', 3), ('h2o', 'train', 0), ('h2o', 'test', 0)],
)
def test_each_image_of_a_clip_is_that_of_its_frame(trees, kind, split, tolerance):
    clips = open_clips(kind, trees / kind, split, windows='evaluation', images='files', **SHORT)
    names = list(ego_trees.FPHA if kind == 'fpha' else ego_trees.H2O)
    for index in range(len(clips)):
        sample = clips[index]
        segment = clips.split.segments[clips.starts[index, 0]]
        assert sample.segment == segment.name
        assert sample.images.shape == (32, 270, 480, 3)
        number = names.index(segment.recording)
        expected = [
            ego_trees.colour(number, segment.first_frame + frame) for frame in sample.frames
        ]  # fmt: skip
        difference = sample.images[:, 100, 200].astype(int) - np.array(expected)
        assert np.abs(difference).max() <= tolerance


def test_a_clip_repeats_its_last_frame_and_says_so(trees):
    clips = open_clips('h2o', trees / 'h2o', 'val', windows='evaluation', **SHORT)
    sample = clips[1]
    assert sample.frames.tolist() == [*range(1, 30, 2), *[29] * 17]
    assert sample.not_padding.tolist() == [True] * 15 + [False] * 17
    assert (sample.images[15:] == sample.images[14]).all()
    assert (sample.truth.joints_3d[15:] == sample.truth.joints_3d[14]).all()
    assert sample.truth.joints_3d.shape == (32, 2, 21, 3)
    assert sample.truth.joints_2d.shape == (32, 2, 21, 2)
    assert sample.truth.hand_valid.shape == (32, 2)
    assert sample.K.shape == (32, 3, 3)
    assert sample.K.dtype == sample.truth.joints_3d.dtype == np.float32
    assert (sample.action, sample.object) == (4, 4)
    assert (sample.dataset, sample.is_right) == ('h2o', (False, True))


def test_hands_of_a_clip_are_those_of_its_frames(trees):
    clips = open_clips('fpha', trees / 'fpha', 'train', windows='evaluation', **SHORT)
    whole = clips.truth(0).joints_3d
    assert (clips[1].truth.joints_3d == whole[clips[1].frames]).all()
    assert not (clips[1].truth.joints_3d == clips[0].truth.joints_3d).all()


def test_published_images_are_made_smaller_as_the_small_ones_were(tmp_path):
    root = ego_trees.h2o(tmp_path, with_images=False)
    noise = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    split = open_split('h2o', root, 'val')
    path = split.image_path(split.segments[1], 0, is_original=True)
    path.parent.mkdir()
    cv2.imwrite(str(path), noise)
    clips = open_clips('h2o', root, 'val', windows='evaluation', images='originals', **SHORT)
    number = clips.starts[:, 0].tolist().index(1)
    expected = network_image(noise[..., ::-1], is_rgb=True, kernel='linear')[1]
    assert (clips[number].images == expected).all()
    again = open_clips('h2o', root, 'val', windows='evaluation', **SHORT)[number]
    assert (again.images == expected).all()  # found although nobody asked for originals


def test_a_missing_image_is_named(trees, tmp_path):
    root = ego_trees.fpha(tmp_path, with_images=False)
    clips = open_clips('fpha', root, 'test', windows='evaluation', **SHORT)
    missing = r'Video_files_480/Subject_1/open_juice_bottle/2/color/color_0000.jpeg is missing'
    with pytest.raises(DatasetError, match=missing):
        clips[0]


@pytest.mark.parametrize(
    ('kind', 'damage', 'message'),
    [
        ('fpha', lambda content: content[: len(content) // 2], 'the JPEG file .* ends in the mid'),
        (
            'h2o',
            lambda content: content[: len(content) // 2],
            'the PNG file .* ends in the middle',
        ),
        ('h2o', lambda content: b'', r'\(0 bytes\) is not an image'),
        ('h2o', lambda content: b'<html>not found</html>', r'\(22 bytes\) is not an image'),
    ],
)
def test_a_damaged_image_is_named(trees, tmp_path, kind, damage, message):
    root = getattr(ego_trees, kind)(tmp_path, with_images=False)
    split = open_split(kind, root, 'train')
    whole = open_split(kind, trees / kind, 'train')
    path = split.image_path(split.segments[0], 0, is_original=False)
    path.parent.mkdir(parents=True)
    content = whole.image_path(whole.segments[0], 0, is_original=False).read_bytes()
    path.write_bytes(damage(content))
    clips = open_clips(kind, root, 'train', windows='evaluation', images='files', **SHORT)
    with pytest.raises(DatasetError, match=message) as refused:
        clips[0]
    assert path.name in str(refused.value)


@pytest.mark.parametrize('ending', ['jpg', 'png'])
def test_images_are_red_green_blue_with_any_opencv(monkeypatch, ending):
    drawn = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    drawn = cv2.resize(drawn, (64, 48), interpolation=cv2.INTER_CUBIC)
    _, content = cv2.imencode(f'.{ending}', drawn)
    image = image_files.decode_rgb(content.tobytes())
    assert image.dtype == np.uint8 and image.shape == (48, 64, 3)
    decoded = cv2.imdecode(content, cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(image, decoded[..., ::-1])
    monkeypatch.setattr(image_files, '_READ_RGB', 0)  # as before 4.11
    np.testing.assert_array_equal(image_files.decode_rgb(content.tobytes()), image)
    assert image_files.decode_rgb(b'') is None
    assert image_files.decode_rgb(b'no image') is None


def test_an_image_of_another_size_is_refused_with_what_to_do(tmp_path):
    root = ego_trees.h2o(tmp_path, with_images=False)
    split = open_split('h2o', root, 'train')
    ego_trees.write_picture(
        split.image_path(split.segments[0], 0, is_original=False), 0, 0, size=(640, 360)
    )
    clips = open_clips('h2o', root, 'train', windows='evaluation', **SHORT)
    with pytest.raises(DatasetError, match='640 x 360 pixels, expected 480 x 270'):
        clips[0]


def test_lmdb_gives_the_same_clips_as_files(trees, tmp_path, with_lmdb):
    root = ego_trees.h2o(tmp_path, with_images=False)
    split = open_split('h2o', root, 'train')
    with_lmdb(root / 'lmdb_imgs' / 'train', lmdb_content(split, h2o_number))
    clips = open_clips('h2o', root, 'train', windows='training', **SHORT)
    files = open_clips(
        'h2o', trees / 'h2o', 'train', windows='training', images='files', **SHORT
    )  # fmt: skip
    with clips.images:
        assert isinstance(clips.images, LmdbImages)
        assert len(clips) == len(files)
        for index in (0, 17, len(files) - 1):
            assert (clips[index].images == files[index].images).all()


def test_two_readers_and_a_copy_share_one_open_folder(tmp_path, with_lmdb):
    root = ego_trees.h2o(tmp_path, with_images=False)
    split = open_split('h2o', root, 'train')
    with_lmdb(root / 'lmdb_imgs' / 'train', lmdb_content(split, h2o_number))
    first, second = LmdbImages(split), LmdbImages(split)
    one = first.read(split.segments[1], [0, 5])
    assert (np.stack(second.read(split.segments[1], [0, 5])) == np.stack(one)).all()
    copy = pickle.loads(pickle.dumps(first))
    first.close()
    first.close()
    assert (second.read(split.segments[1], [5])[0] == one[1]).all()  # still open
    assert (copy.read(split.segments[1], [5])[0] == one[1]).all()
    second.close()
    copy.close()
    assert (first.read(split.segments[1], [5])[0] == one[1]).all()  # opened again
    first.close()


@forks
def test_a_process_forked_with_the_folder_open_reads_on(tmp_path, with_lmdb):
    root = ego_trees.h2o(tmp_path, with_images=False)
    split = open_split('h2o', root, 'train')
    with_lmdb(root / 'lmdb_imgs' / 'train', lmdb_content(split, h2o_number))
    with LmdbImages(split) as images:
        before = images.read(split.segments[0], [3])[0]
        child = os.fork()
        if not child:
            status = 1
            try:
                same = (images.read(split.segments[0], [3])[0] == before).all()
                images.close()
                status = 0 if same else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert (images.read(split.segments[0], [3])[0] == before).all()


def test_a_folder_that_is_open_elsewhere_in_the_process_is_refused(tmp_path, with_lmdb):
    root = ego_trees.h2o(tmp_path, with_images=False)
    split = open_split('h2o', root, 'train')
    folder = root / 'lmdb_imgs' / 'train'
    with_lmdb(folder, lmdb_content(split, h2o_number))
    elsewhere = sys.modules['lmdb'].open(
        str(folder.resolve()), readonly=True, lock=False, create=False, readahead=False,
        max_dbs=1000,
    )  # fmt: skip
    images = LmdbImages(split)
    with pytest.raises(DatasetError, match='already open in this process.*close it there'):
        images.read(split.segments[0], [0])
    elsewhere.close()
    with images:
        assert images.read(split.segments[0], [0])[0].shape == (270, 480, 3)


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (lambda content: content.pop(b'0001'), 'has no sub-database 0001 for train/2'),
        (lambda content: content[b'0001'].popitem(), 'has no image subject1/h1/0/.*/000044.png'),
        (
            lambda content: content[b'0001'].update(
                {b'subject1/h1/0/cam4/rgb480_270/000028.png': b'abc'}
            ),
            '000028.png has 3 bytes, expected 388800',
        ),
    ],
)
def test_what_an_lmdb_folder_lacks_is_named(tmp_path, with_lmdb, damage, message):
    root = ego_trees.h2o(tmp_path, with_images=False)
    split = open_split('h2o', root, 'train')
    content = lmdb_content(split, h2o_number)
    damage(content)
    with_lmdb(root / 'lmdb_imgs' / 'train', content)
    with (
        LmdbImages(split) as images,
        pytest.raises(DatasetError, match=message),
    ):
        images.read(split.segments[1], range(17))


def test_an_lmdb_folder_without_the_package_says_what_to_install(tmp_path, no_lmdb):
    root = ego_trees.h2o(tmp_path, with_images=False)
    ego_trees.write(root / 'lmdb_imgs' / 'train' / 'data.mdb', '')
    split = open_split('h2o', root, 'train')
    for images in ('lmdb', 'auto'):
        with pytest.raises(MissingPackageError, match='LMDB folder needs .* pip install lmdb'):
            open_images(split, images)


def test_without_the_package_files_are_read_beside_an_lmdb_folder(trees, no_lmdb, tmp_path):
    root = ego_trees.h2o(tmp_path, with_images=False)
    ego_trees.write(root / 'lmdb_imgs' / 'train' / 'data.mdb', '')
    split = open_split('h2o', root, 'train')
    ego_trees.write_picture(split.image_path(split.segments[0], 0, is_original=False), 7, 0)
    image = open_images(split).read(split.segments[0], [0])[0]
    assert (image == ego_trees.picture(7, 0)).all()


def test_a_missing_lmdb_folder_is_named(trees, with_lmdb):
    with pytest.raises(DatasetError, match='lmdb_imgs/test/data.mdb is missing'):
        open_images(open_split('fpha', trees / 'fpha', 'test'), 'lmdb')


def test_choices_that_do_not_exist_are_refused(trees):
    with pytest.raises(ConfigError, match="kind must be fpha, h2o, synthetic .* got 'ho3d'"):
        open_split('ho3d', trees, 'train')
    with pytest.raises(ConfigError, match="hands flagged or all, got .* 'official'"):
        open_split('h2o', trees / 'h2o', 'train', hands='official')
    with pytest.raises(ConfigError, match="one of auto, lmdb, files, originals, got 'png'"):
        open_images(open_split('h2o', trees / 'h2o', 'train'), 'png')


@forks
def test_a_torch_loader_reads_clips_in_other_processes(trees):
    from torch.utils.data import DataLoader

    clips = open_clips('h2o', trees / 'h2o', 'val', windows='evaluation', **SHORT)
    loader = DataLoader(clips, batch_size=None, num_workers=2, collate_fn=lambda sample: sample)
    for index, sample in enumerate(loader):
        assert (sample.images == clips[index].images).all()
