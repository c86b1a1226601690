"""What an extended scene must leave alone, and what it adds to pictures and truth."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

from hand_perception.errors import ConfigError
from hand_perception.models.hand_arrays import load_default_arrays
from hand_perception.synthetic.camera_effects import CameraEffects, GainStep
from hand_perception.synthetic.props import PROPS, Occluder
from hand_perception.synthetic.scene import Scene, SceneSpec

DATA = Path(__file__).parents[1] / 'data'
SMALL = SceneSpec(width=192, height=144, supersampling=1)
QUIET = dataclasses.replace(SMALL, noise_sigma=0.0)
#: Stands still in front of the right hand from 0 s to 1 s.
BOARD = Occluder(
    kind='board', times_s=(0.0, 1.0), places=((0.085, 0.01, 0.28), (0.085, 0.01, 0.28))
)


def with_effects(**effects):
    return dataclasses.replace(QUIET, effects=CameraEffects(**effects))


@pytest.fixture(scope='module')
def plain_scene():
    return Scene(QUIET)


@pytest.fixture(scope='module')
def reach_spec():
    return dataclasses.replace(QUIET, situations=('reach',))


@pytest.mark.parametrize('time_s', [1.7, 3.4])
def test_pictures_of_the_default_spec_stay_what_they_were(time_s):
    """Rendered before situations, things, effects and sensors were there."""
    then = cv2.imread(str(DATA / f'synthetic_160x120_{time_s}s.png'))
    now = Scene(SceneSpec(width=160, height=120)).render(time_s).image_bgr
    # OpenCV 4.6 blurs with other roundings than 5.0, which rendered them: a step in 13 % of the
    # pixels, two in 0.01 %. A changed table, light or noise moves most pixels further.
    difference = np.abs(now.astype(int) - then)
    assert difference.max() <= 3
    assert np.mean(difference > 1) < 1e-3


def test_effects_that_do_nothing_change_no_pixel(plain_scene):
    nothing = Scene(with_effects()).render(0.4).image_bgr
    np.testing.assert_array_equal(nothing, plain_scene.render(0.4).image_bgr)


def test_wrist_rotation_is_that_of_the_messages(plain_scene):
    """The x axis leads from the wrist to the fingers, z out of the back (docs/frames.md)."""
    for hand in plain_scene.truth(0.0):  # both hands are nearly flat
        rotation, joints = hand.wrist_rotation, hand.keypoints_3d
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        fingers = joints[9] - joints[0]
        assert fingers / np.linalg.norm(fingers) @ rotation[:, 0] > 0.95
        assert -joints[0] @ rotation[:, 2] > 0  # the camera sees the back
        thumbwards = (joints[5] - joints[17]) @ rotation[:, 1]
        assert (thumbwards > 0) == hand.is_right
        assert np.linalg.det(rotation) == pytest.approx(1.0)


@pytest.mark.parametrize('scale', [0.85, 1.0, 1.15])
def test_hand_scale_is_the_size_of_the_hand_over_the_models(scale):
    """Lengths in the flat hand grow by it; the place of the middle knuckle does not change."""
    hand = Scene(dataclasses.replace(QUIET, hand_scale=scale)).truth(0.0)[0]
    usual = Scene(QUIET).truth(0.0)[0]
    palm = np.linalg.norm(hand.keypoints_3d[9] - hand.keypoints_3d[0])
    ratio = palm / np.linalg.norm(usual.keypoints_3d[9] - usual.keypoints_3d[0])
    # Other shape directions add to the size and do not grow with it: up to 2 %.
    assert ratio == pytest.approx(scale, abs=0.02)
    np.testing.assert_allclose(hand.keypoints_3d[9], usual.keypoints_3d[9], atol=1e-9)


def test_palm_width_is_measured_between_the_outer_knuckles():
    scene = Scene(dataclasses.replace(QUIET, hand_scale=1.1))
    joints = scene.truth(0.3)[0].keypoints_3d
    # Knuckles hardly move against each other in any pose: 3 mm.
    assert scene.palm_width_m == pytest.approx(np.linalg.norm(joints[5] - joints[17]), abs=0.003)
    flat = load_default_arrays().joint_template
    assert scene.palm_width_m == pytest.approx(np.linalg.norm(flat[1] - flat[7]) * 1.1, rel=0.1)


def test_board_hides_the_hand_behind_it_and_not_the_other():
    scene = Scene(dataclasses.replace(QUIET, occluders=(BOARD,)))
    hidden = scene.render(0.5, with_depth=True)
    right, left = hidden.hands
    assert right.visible_share < 0.1 and left.visible_share > 0.95
    assert right.in_image and left.in_image  # hidden is not gone
    centre = np.rint(right.keypoints_2d[9]).astype(int)
    assert hidden.depth_m[centre[1], centre[0]] == pytest.approx(0.28, abs=0.01)
    gone = scene.render(1.2, with_depth=True)
    assert min(hand.visible_share for hand in gone.hands) > 0.95


def test_truth_counts_what_the_picture_shows():
    scene = Scene(dataclasses.replace(QUIET, occluders=(BOARD,)))
    counted, seen = scene.truth(0.5, with_visibility=True), scene.render(0.5).hands
    assert [a.visible_share for a in counted] == [b.visible_share for b in seen]
    assert scene.truth(0.5)[0].visible_share is None


@pytest.mark.parametrize('kind', sorted(PROPS))
def test_things_are_closed_and_seen_from_outside(kind):
    vertices, normals, faces = PROPS[kind].mesh
    corners = vertices[faces]
    volume = np.linalg.det(corners).sum() / 6
    assert volume > 5e-5  # m3; a mug's wall and handle, at least
    outwards = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    agree = (outwards[:, None] * normals[faces]).sum(-1)
    assert (agree > -1e-12).all()


def test_thing_is_there_from_its_first_place_to_its_last():
    thing = Occluder(
        kind='mug', times_s=(1.0, 2.0, 4.0), places=((0, 0, 0.3), (0.1, 0, 0.3), (0.1, 0.2, 0.3))
    )
    assert thing.place_at(0.99) is None and thing.place_at(4.01) is None
    np.testing.assert_allclose(thing.place_at(1.5), (0.05, 0, 0.3))
    np.testing.assert_allclose(thing.place_at(4.0), (0.1, 0.2, 0.3))
    np.testing.assert_allclose(thing.later(10.0).place_at(11.5), (0.05, 0, 0.3))


@pytest.mark.parametrize(
    ('wrong', 'words'),
    [
        ({'kind': 'cat'}, 'kind must be one of board, box, mug'),
        ({'times_s': (0.0,)}, 'one place per time'),
        ({'times_s': (1.0, 0.5)}, 'times_s must increase'),
    ],
)
def test_thing_that_cannot_be_is_refused(wrong, words):
    with pytest.raises(ConfigError, match=words):
        dataclasses.replace(BOARD, **wrong)


def sharpness(image, mask):
    """Mean square of the steps between neighbours to the right, within a mask."""
    steps = np.diff(image.astype(float).mean(-1), axis=1)
    return np.mean(steps[mask[:, 1:] & mask[:, :-1]] ** 2)


def test_exposure_blurs_a_fast_hand_along_its_way_and_leaves_a_slow_one(reach_spec):
    """At 0.8 s the left hand of ``reach`` is fastest, sideways; the right one waits."""
    time_s = 0.8
    open_s = dataclasses.replace(reach_spec, effects=CameraEffects(exposure_s=0.03))
    sharp, blurred = (
        Scene(reach_spec).render(time_s, with_depth=True),
        Scene(open_s).render(time_s),
    )
    is_skin = sharp.depth_m < 0.55
    left_half = np.arange(QUIET.width) < QUIET.width / 2
    for half, low, high in ((left_half, 0.0, 0.5), (~left_half, 0.8, 1.2)):
        grown = cv2.dilate((is_skin & half).astype(np.uint8), np.ones((9, 9))) > 0
        ratio = sharpness(blurred.image_bgr, grown) / sharpness(sharp.image_bgr, grown)
        assert low < ratio < high
    # Blur takes no light away.
    assert blurred.image_bgr.mean() == pytest.approx(sharp.image_bgr.mean(), abs=1.0)


def test_pictures_of_an_exposure_follow_the_motion():
    effects = CameraEffects(exposure_s=0.02)
    np.testing.assert_allclose(effects.sub_times(1.0, 0.2), [1.0])
    times = effects.sub_times(1.0, 6.0)
    assert len(times) == 4 and times.mean() == pytest.approx(1.0)
    np.testing.assert_allclose(np.diff(times), 0.005)
    assert len(effects.sub_times(1.0, 1e4)) == 16  # and no more


def test_gain_brightens_the_picture_from_its_time_on(plain_scene):
    scene = Scene(with_effects(gain_steps=(GainStep(time_s=0.3, gain=0.4),)))
    np.testing.assert_array_equal(scene.render(0.2).image_bgr, plain_scene.render(0.2).image_bgr)
    dark, usual = scene.render(0.4).image_bgr, plain_scene.render(0.4).image_bgr
    # Gamma 2.2: 0.4 of the light is 0.66 of the pixel value.
    assert dark.mean() / usual.mean() == pytest.approx(0.4 ** (1 / 2.2), abs=0.02)


def test_photon_noise_is_stronger_where_it_is_bright(plain_scene):
    clean = plain_scene.render(0.4).image_bgr.astype(float)
    noisy = Scene(with_effects(shot_noise=12.0)).render(0.4).image_bgr - clean
    dark, bright = np.quantile(clean, [0.2, 0.8])
    ratio = noisy[(clean > bright) & (clean < 240)].std() / noisy[clean < dark].std()
    expected = np.sqrt(clean[(clean > bright) & (clean < 240)].mean() / clean[clean < dark].mean())
    assert ratio == pytest.approx(expected, rel=0.1)


def test_bent_lens_shows_joints_where_its_truth_says():
    """A hand is found at its true pixels: depth there is that of the hand."""
    spec = with_effects(distortion=(-0.28, 0.07, 0.001, -0.0005, 0.0))
    scene = Scene(spec)
    assert scene.camera.distortion_model == 'plumb_bob'
    picture = scene.render(0.6, with_depth=True)
    assert picture.image_bgr.shape == (144, 192, 3) and picture.depth_m.shape == (144, 192)
    for hand in picture.hands:
        points, _ = cv2.projectPoints(
            hand.keypoints_3d, np.zeros(3), np.zeros(3), scene.camera.K,
            np.array(scene.camera.distortion),
        )  # fmt: skip
        np.testing.assert_allclose(hand.keypoints_2d, points[:, 0], atol=1e-6)
        column, row = np.rint(hand.keypoints_2d[[0, 5, 9, 13, 17]]).astype(int).T
        behind = hand.keypoints_3d[[0, 5, 9, 13, 17], 2] - picture.depth_m[row, column]
        assert behind.min() > 0 and behind.max() < 0.03  # m: half a hand's thickness


@pytest.mark.parametrize(
    ('wrong', 'words'),
    [
        ({'exposure_s': -0.1}, 'exposure_s and shot_noise must be 0 or more'),
        (
            {'gain_steps': (GainStep(time_s=1, gain=1), GainStep(time_s=0, gain=1))},
            'order of time',
        ),
        ({'gain_steps': (GainStep(time_s=1, gain=0),)}, 'gains above 0'),
        ({'distortion': (0.1,)}, 'takes 5 coefficients'),
    ],
)
def test_camera_that_cannot_be_is_refused(wrong, words):
    with pytest.raises(ConfigError, match=words):
        CameraEffects(**wrong)


def test_hand_of_a_giant_is_refused():
    with pytest.raises(ConfigError, match='hand_scale must lie between'):
        SceneSpec(hand_scale=2.0)
