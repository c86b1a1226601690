"""What the simulated depth camera gets wrong, and by how much."""

import dataclasses

import numpy as np
import pytest

from hand_perception.datatypes import Camera
from hand_perception.errors import ConfigError
from hand_perception.synthetic.depth_sensor import DepthSensor, millimetres, sense_depth
from hand_perception.synthetic.scene import Scene, SceneSpec

CAMERA = Camera.centred(320, 240, focal_px=260.0)
EXACT = DepthSensor(
    noise_at_1m=0.0, noise_floor=0.0, baseline_m=0.0, flying_share=0.0, edge_hole_share=0.0,
    grazing_deg=90.0, speckle_share=0.0,
)  # fmt: skip
SPEC = SceneSpec(width=320, height=240, supersampling=1, depth_sensor=DepthSensor())


def sense(depth, **sensor):
    return sense_depth(
        depth.astype(np.float32),
        CAMERA,
        dataclasses.replace(EXACT, **sensor),
        np.random.default_rng(5),
    )


def wall(distance):
    return np.full((240, 320), distance)


def step():
    """A wall 0.8 m away; its right half stands 0.4 m nearer."""
    depth = wall(0.8)
    depth[:, 160:] = 0.4
    return depth


@pytest.fixture(scope='module')
def picture():
    return Scene(SPEC).render(0.3, with_depth=True)


def test_sensor_without_errors_tells_the_truth():
    np.testing.assert_array_equal(sense(step()), step().astype(np.float32))


@pytest.mark.parametrize('distance', [0.3, 0.6, 1.2])
def test_noise_grows_with_the_square_of_the_distance(distance):
    error = sense(wall(distance), noise_at_1m=0.006) - distance
    # 19200 independent blobs of 2 x 2 pixels: the estimate is good to 1 %.
    assert error.std() == pytest.approx(0.006 * distance**2, rel=0.03)
    assert abs(error.mean()) < 0.03 * 0.006 * distance**2
    beside = np.corrcoef(error[:, :-1].ravel(), error[:, 1:].ravel())[0, 1]
    assert beside == pytest.approx(0.5, abs=0.05)  # half of all neighbours share a blob


def test_flying_pixels_hang_between_the_surfaces_of_an_edge():
    told = sense(step(), flying_share=0.5)
    between = (told > 0.401) & (told < 0.799)
    assert 0.4 < between[:, 159:161].mean() < 0.6
    assert not between[:, :159].any() and not between[:, 161:].any()


def test_edges_have_holes():
    told = sense(step(), edge_hole_share=0.5)
    assert 0.4 < np.isnan(told[:, 159:161]).mean() < 0.6
    assert np.isfinite(np.delete(told, [159, 160], axis=1)).all()


def test_near_object_casts_a_shadow_without_depth_on_its_left():
    """As wide as the disparities differ: f b (1 / 0.4 - 1 / 0.8) = 16 px."""
    told = sense(step(), baseline_m=0.05)
    missing = np.isnan(told).sum(1)
    np.testing.assert_array_equal(missing, missing[0])
    assert missing[0] == pytest.approx(260 * 0.05 * (1 / 0.4 - 1 / 0.8), abs=1)
    assert np.isnan(told[:, 159]).all() and np.isfinite(told[:, 160:]).all()


@pytest.mark.parametrize(('tilt_deg', 'is_known'), [(60, True), (70, True), (80, False)])
def test_surfaces_seen_from_the_side_have_no_depth(tilt_deg, is_known):
    """A plane that turns away from the camera about the image's column in the middle."""
    x = (np.arange(320) - CAMERA.cx) / CAMERA.fx
    depth = np.tile(0.6 / (1 - np.tan(np.deg2rad(tilt_deg)) * x), (240, 1))
    told = sense(np.where(depth > 0, depth, np.nan), grazing_deg=75.0)
    # In the middle of the image the angle to the ray is the tilt.
    assert np.isfinite(told[120, 158:162]).all() == is_known


def test_speckle_takes_its_share():
    assert np.isnan(sense(wall(0.5), speckle_share=0.05)).mean() == pytest.approx(0.05, abs=0.002)


def test_too_near_too_far_and_endless_are_unknown():
    depth = wall(0.5)
    depth[:, :80], depth[:, 80:160], depth[:, 160:240] = 0.1, 5.0, np.nan
    told = sense(depth, near_m=0.2, far_m=4.0)
    assert np.isnan(told[:, :240]).all() and np.isfinite(told[:, 240:]).all()


def test_millimetres_are_whole_and_zero_where_nothing_is_known():
    depth = np.array([[0.4004, 0.4006, np.nan], [0.0, 70.0, 0.0004]], np.float32)
    told = millimetres(depth)
    assert told.dtype == np.uint16
    np.testing.assert_array_equal(told, [[400, 401, 0], [0, 0, 0]])


def test_sensor_of_a_scene_agrees_with_the_truth_where_it_knows_something(picture):
    told, true = picture.sensed_depth_m, picture.depth_m
    assert told.dtype == np.float32 and told.shape == true.shape
    is_known = np.isfinite(told)
    assert 0.80 < is_known.mean() < 0.97
    error = np.abs(told - true)[is_known]
    assert np.median(error) < 0.004  # m; noise at 0.8 m is 3.8 mm
    assert np.quantile(error, 0.95) < 0.02
    assert (error > 0.05).mean() > 0.002  # flying pixels


def test_sensor_is_the_same_again_and_another_one_in_the_next_image(picture):
    again = Scene(SPEC).render(0.3, with_depth=True).sensed_depth_m
    np.testing.assert_array_equal(again, picture.sensed_depth_m)
    later = Scene(SPEC).render(0.3 + SPEC.duration_s, with_depth=True)
    np.testing.assert_allclose(later.depth_m, picture.depth_m, atol=1e-5)
    both = np.isfinite(later.sensed_depth_m) & np.isfinite(picture.sensed_depth_m)
    errors = [(p.sensed_depth_m - picture.depth_m)[both] for p in (later, picture)]
    calm = (np.abs(errors[0]) < 0.02) & (np.abs(errors[1]) < 0.02)
    assert abs(np.corrcoef(errors[0][calm], errors[1][calm])[0, 1]) < 0.05


def test_sensor_is_off_unless_asked_for():
    spec = dataclasses.replace(SPEC, depth_sensor=None)
    assert Scene(spec).render(0.3, with_depth=True).sensed_depth_m is None
    assert Scene(SPEC).render(0.3).sensed_depth_m is None


@pytest.mark.parametrize(
    ('wrong', 'words'),
    [
        ({'flying_share': 1.5}, 'shares from 0 to 1'),
        ({'noise_at_1m': -0.1}, 'noise and baseline from 0'),
        ({'near_m': 5.0}, '0 < near_m < far_m'),
        ({'grazing_deg': 100.0}, 'grazing_deg up to 90'),
        ({'noise_grain_px': 0.5}, 'noise_grain_px must be at least 1'),
    ],
)
def test_sensor_that_cannot_be_is_refused(wrong, words):
    with pytest.raises(ConfigError, match=words):
        DepthSensor(**wrong)
