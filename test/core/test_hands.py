"""Single hands of all data sets come in one form, and what is damaged is named."""

import pickle

import hand_trees
import numpy as np
import pytest

from hand_perception.datasets.hands import KINDS, SPLITS, open_hands
from hand_perception.datasets.sample import UNKNOWN
from hand_perception.errors import ConfigError, DatasetError

#: Roundings of float32 at 0.6 m and at 500 pixels.
METRES, PIXELS = 1e-7, 1e-4
#: Published colours of JPEG files, grey levels.
JPEG_LEVELS = 3
TREES = ('freihand', 'ho3d', 'hint', 'hamer_eval')


@pytest.fixture(scope='module')
def roots(tmp_path_factory):
    root = tmp_path_factory.mktemp('hands')
    return {kind: getattr(hand_trees, kind)(root / kind) for kind in TREES}


@pytest.mark.parametrize('kind', TREES)
def test_every_hand_of_every_split_is_a_sample_of_one_image_and_one_hand(roots, kind):
    for split in SPLITS[kind]:
        hands = open_hands(kind, roots[kind], split)
        assert (hands.dataset, hands.split) == (kind, split)
        names = [hands.name(index) for index in range(len(hands))]
        assert len(set(names)) == len(names) > 0
        for index, name in enumerate(names):
            sample = hands[index]
            assert (sample.dataset, sample.segment) == (kind, name)
            assert sample.images.shape[0] == 1 and sample.images.dtype == np.uint8
            assert sample.is_right == (hands.is_right(index),)
            assert (sample.action, sample.object) == (UNKNOWN, UNKNOWN)
            assert sample.K.shape == (1, 3, 3)
            truth = sample.truth
            assert truth.joints_3d.shape == (1, 1, 21, 3)
            assert truth.joints_2d.shape == (1, 1, 21, 2)
            assert truth.boxes.shape == (1, 1, 4)
            assert truth.hand_valid.tolist() == [[True]]
            for array in (truth.joints_2d, truth.joints_3d, truth.boxes, truth.confidence_2d):
                assert np.isfinite(array).all() and array.dtype == np.float32


@pytest.mark.parametrize('kind', TREES)
def test_hands_may_be_sent_to_other_processes(roots, kind):
    hands = open_hands(kind, roots[kind], 'test')
    again = pickle.loads(pickle.dumps(hands))
    np.testing.assert_array_equal(again[0].images, hands[0].images)
    np.testing.assert_array_equal(again[0].truth.joints_2d, hands[0].truth.joints_2d)


def test_there_is_nothing_behind_the_last_hand_and_the_last_is_minus_one(roots):
    hands = open_hands('hint', roots['hint'], 'test')
    assert hands.name(-1) == hands.name(len(hands) - 1)
    assert hands[-1].segment == hands.name(-1)
    for read in (hands.__getitem__, hands.name, hands.truth, hands.is_right):
        with pytest.raises(IndexError, match=f'hint test has {len(hands)} hands'):
            read(len(hands))


def test_freihand_has_four_versions_of_each_training_image(roots):
    count = hand_trees.FREIHAND_COUNT['train']
    hands = open_hands('freihand', roots['freihand'], 'train')
    assert len(hands) == 4 * count
    assert [hands.name(index) for index in (0, count, 4 * count - 1)] == [
        '00000000', '00000003', '00000011',
    ]  # fmt: skip
    np.testing.assert_array_equal(hands.truth(1).joints_3d, hands.truth(1 + count).joints_3d)
    one = open_hands('freihand', roots['freihand'], 'train', version='sample')
    assert [one.name(index) for index in range(len(one))] == ['00000006', '00000007', '00000008']


def test_freihand_joints_boxes_and_pictures_are_those_of_the_hand(roots):
    hands = open_hands('freihand', roots['freihand'], 'train')
    for index in (0, 5):
        sample, drawn = hands[index], hand_trees.tree_hand(index % 3)
        np.testing.assert_allclose(sample.truth.joints_3d[0, 0], drawn.joints, atol=METRES)
        np.testing.assert_allclose(sample.truth.joints_2d[0, 0], drawn.pixels, atol=PIXELS)
        np.testing.assert_allclose(sample.K[0], drawn.K, rtol=1e-6)
        box = [*drawn.pixels.min(0), *drawn.pixels.max(0)]
        np.testing.assert_allclose(sample.truth.boxes[0, 0], box, atol=PIXELS)
        level = sample.images[0, 112, 112].astype(int) - hand_trees.colour(index % 3)
        assert np.abs(level).max() <= JPEG_LEVELS


def test_freihand_test_split_has_meshes_and_boxes_around_its_joints(roots):
    hands = open_hands('freihand', roots['freihand'], 'test')
    drawn = hand_trees.tree_hand(11)
    np.testing.assert_allclose(hands.truth(1).vertices[0, 0], drawn.vertices, atol=METRES)
    box = [*drawn.pixels.min(0), *drawn.pixels.max(0)]
    np.testing.assert_allclose(hands.truth(1).boxes[0, 0], box, atol=PIXELS)
    without = open_hands('freihand', roots['freihand'], 'test', with_vertices=False)
    assert without.truth(1).vertices is None


def test_freihand_poses_are_known_with_the_mean_pose_of_mano_only(roots, tmp_path):
    unknown = open_hands('freihand', roots['freihand'], 'train').truth(2).mano
    assert not unknown.has_pose.any() and not unknown.hand_pose.any()
    assert unknown.has_betas.all()
    folder = hand_trees.write_mano(tmp_path)
    mano = open_hands('freihand', roots['freihand'], 'train', mano_dir=folder).truth(2).mano
    drawn = hand_trees.tree_hand(2)
    assert mano.has_pose.all()
    np.testing.assert_allclose(mano.global_orient[0, 0], drawn.pose[:3], atol=1e-6)
    np.testing.assert_allclose(mano.hand_pose[0, 0], drawn.pose[3:], atol=1e-6)
    np.testing.assert_allclose(mano.betas[0, 0], drawn.betas, atol=1e-6)


def test_freihand_without_published_answers_gives_images_whose_joints_are_unknown(tmp_path):
    hands = open_hands('freihand', hand_trees.freihand(tmp_path, with_answers=False), 'test')
    truth = hands[0].truth
    assert not truth.hand_valid.any()
    assert not truth.confidence_3d.any() and not truth.joints_3d.any()
    assert truth.vertices is None and truth.mano is None
    assert truth.boxes.tolist() == [[[56, 56, 168, 168]]]  # twice as large it is the whole image


@pytest.mark.parametrize('version', ['v2', 'v3'])
def test_ho3d_is_turned_from_opengl_and_manos_order(tmp_path, version):
    root = hand_trees.ho3d(tmp_path, version=version)
    hands = open_hands('ho3d', root, 'train')
    for index, row in enumerate(hand_trees.HO3D['train']):
        sample, drawn = hands[index], hand_trees.tree_hand(20 + index, (640, 480))
        assert sample.segment == row
        np.testing.assert_allclose(sample.truth.joints_3d[0, 0], drawn.joints, atol=METRES)
        np.testing.assert_allclose(sample.truth.joints_2d[0, 0], drawn.pixels, atol=PIXELS)
        np.testing.assert_allclose(sample.K[0], drawn.K, rtol=1e-6)


def test_ho3d_parameters_pose_a_hand_to_its_joints(roots):
    truth = open_hands('ho3d', roots['ho3d'], 'train').truth(1)
    mano = truth.mano
    pose = np.concatenate((mano.global_orient[0, 0], mano.hand_pose[0, 0]))
    keypoints = hand_trees.posed(pose, mano.betas[0, 0]).keypoints[0].numpy()
    joints = truth.joints_3d[0, 0]
    # A hundredth of a millimetre: rotations were stored as axis and angle in float32.
    np.testing.assert_allclose(keypoints - keypoints[0], joints - joints[0], atol=1e-5)


def test_ho3d_test_split_has_the_published_box_and_answers(roots):
    truth = open_hands('ho3d', roots['ho3d'], 'test').truth(1)
    drawn = hand_trees.tree_hand(31, (640, 480))
    box = [*(drawn.pixels.min(0) - 9), *(drawn.pixels.max(0) + 9)]
    np.testing.assert_allclose(truth.boxes[0, 0], box, atol=PIXELS)
    np.testing.assert_allclose(truth.joints_3d[0, 0], drawn.joints, atol=METRES)
    np.testing.assert_allclose(truth.vertices[0, 0], drawn.vertices, atol=METRES)


def test_ho3d_test_split_without_answers_knows_the_wrist_only(tmp_path):
    truth = open_hands('ho3d', hand_trees.ho3d(tmp_path, with_answers=False), 'test').truth(0)
    drawn = hand_trees.tree_hand(30, (640, 480))
    np.testing.assert_allclose(truth.joints_3d[0, 0, 0], drawn.joints[0], atol=METRES)
    assert truth.confidence_3d[0, 0].tolist() == [1, *[0] * 20]
    assert truth.confidence_2d[0, 0].tolist() == [1, *[0] * 20]
    assert not truth.joints_3d[0, 0, 1:].any()
    assert truth.vertices is None


def test_hint_has_sides_boxes_and_what_is_hidden(roots):
    hands = open_hands('hint', roots['hint'], 'test')
    assert [hands.name(index) for index in range(len(hands))] == [
        'TEST_newdays_img/ND_c_frame1_l', 'TEST_newdays_img/ND_c_frame1_r',
        'TEST_epick_img/EK_3_r', 'TEST_ego4d_img/g_l',
    ]  # fmt: skip
    assert [hands.is_right(index) for index in range(4)] == [False, True, True, False]
    sample, drawn = hands[1], hand_trees.tree_hand(7, (160, 120))
    np.testing.assert_allclose(sample.truth.joints_2d[0, 0], drawn.pixels, atol=PIXELS)
    assert sample.truth.is_occluded[0, 0].tolist() == [joint % 5 == 2 for joint in range(21)]
    assert sample.truth.confidence_2d.all() and not sample.truth.confidence_3d.any()
    assert np.isnan(sample.K).all()
    assert len(open_hands('hint', roots['hint'], 'test', version='ego4d_seq')) == 2


def test_hamer_evaluation_files_give_their_boxes_confidences_and_flags(roots, tmp_path):
    hands = open_hands('hamer_eval', roots['hamer_eval'], 'test')
    assert hands.name(2) == '000002/images/2.png'
    assert [hands.is_right(index) for index in range(3)] == [False, True, False]
    truth, drawn = hands.truth(2), hand_trees.tree_hand(2)
    box = [*drawn.pixels.min(0), *drawn.pixels.max(0)]
    np.testing.assert_allclose(truth.boxes[0, 0], box, atol=PIXELS)
    assert truth.mano.has_pose.all() and not truth.mano.has_betas.any()
    keypoints = np.concatenate((drawn.pixels, np.ones((21, 1))), axis=1)
    keypoints[3] = (np.nan, np.nan, 0)
    file = hand_trees.hamer_eval(
        tmp_path, count=1, scale=np.array([80.0]), hand_keypoints_2d=keypoints[None]
    )
    moved = open_hands('hamer_eval', file, 'test', images=roots['hamer_eval'].parent)
    low, high = moved.truth(0).boxes[0, 0].reshape(2, 2)
    np.testing.assert_allclose(high - low, 80, atol=PIXELS)
    assert moved.truth(0).confidence_2d[0, 0].tolist() == [1, 1, 1, 0, *[1] * 17]
    assert np.isfinite(moved.truth(0).joints_2d).all()
    assert moved[0].images.shape == (1, 224, 224, 3)


@pytest.mark.parametrize('form', [np.bytes_, object])
def test_image_names_of_hamer_may_be_bytes_or_pickled_texts(tmp_path, form):
    names = np.array([f'images/{number}.png' for number in range(3)]).astype(form)
    file = hand_trees.hamer_eval(tmp_path, imgname=names)
    assert open_hands('hamer_eval', file, 'test')[1].segment == '000001/images/1.png'


def test_choices_that_are_not_there_are_refused(roots):
    with pytest.raises(ConfigError, match=r"kind must be freihand, .*, got 'coco'"):
        open_hands('coco', '.', 'test')
    assert set(TREES) < set(KINDS)
    for kind in TREES:
        with pytest.raises(DatasetError, match="has the splits .*, got 'dev'"):
            open_hands(kind, roots[kind], 'dev')
    for kind, split in (('freihand', 'test'), ('ho3d', 'test'), ('hint', 'val')):
        with pytest.raises(ConfigError, match='has the versions'):
            open_hands(kind, roots[kind], split, version='hom')
    with pytest.raises(ConfigError, match='hint takes version, got mano_dir'):
        open_hands('hint', roots['hint'], 'test', mano_dir='somewhere')
    with pytest.raises(ConfigError, match='synthetic takes no further choices, got version'):
        open_hands('synthetic', '.', 'test', version='v3')
