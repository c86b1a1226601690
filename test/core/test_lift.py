"""Pixels, rays and depth images."""

import numpy as np
import pytest

from hand_perception.datatypes import Camera, DepthSource
from hand_perception.errors import CameraError
from hand_perception.pipeline.lift import (
    monocular_depth,
    normalised_from_pixels,
    project,
    scale_from_depth,
)

PINHOLE = {'width': 640, 'height': 480, 'fx': 520.0, 'fy': 500.0, 'cx': 320.0, 'cy': 240.0}
CAMERAS = {
    'pinhole': Camera(**PINHOLE),
    'plumb_bob': Camera(
        **PINHOLE, distortion_model='plumb_bob', distortion=(-0.25, 0.06, 1e-3, -5e-4, 0.0)
    ),
    'rational_polynomial': Camera(
        **PINHOLE,
        distortion_model='rational_polynomial',
        distortion=(0.5, -0.2, 1e-4, 1e-4, 0.01, 0.8, -0.1, 0.02),
    ),
    'equidistant': Camera(
        **PINHOLE, distortion_model='equidistant', distortion=(0.02, -0.01, 0.003, -0.001)
    ),
}


def points_in_view(count=200):
    rng = np.random.default_rng(3)
    z = rng.uniform(0.25, 0.8, count)
    return np.stack([rng.uniform(-0.4, 0.4, count) * z, rng.uniform(-0.3, 0.3, count) * z, z], -1)


@pytest.mark.parametrize('name', CAMERAS)
def test_rays_of_projected_points_are_the_points_directions(name):
    points = points_in_view()
    rays = normalised_from_pixels(CAMERAS[name], project(CAMERAS[name], points))
    # 1e-5 of a ray is 0.005 px: the fixed-point undistortion stops there.
    np.testing.assert_allclose(rays, points[:, :2] / points[:, 2:], atol=1e-5)


def test_a_point_on_the_optical_axis_falls_on_the_principal_point():
    for camera in CAMERAS.values():
        np.testing.assert_allclose(project(camera, [0, 0, 0.5]), [320, 240], atol=1e-9)


def test_known_point_of_a_pinhole_camera():
    np.testing.assert_allclose(project(CAMERAS['pinhole'], [0.1, -0.05, 0.5]), [424, 190])


@pytest.mark.parametrize('name', CAMERAS)
def test_points_behind_the_camera_have_no_pixel(name):
    pixels = project(CAMERAS[name], [[0.1, 0.1, -0.5], [0, 0, 0], [0, 0, 0.5]])
    assert np.isnan(pixels[:2]).all()
    assert np.isfinite(pixels[2]).all()


@pytest.mark.parametrize(
    'wrong',
    [
        {'fx': 0.0},
        {'fy': -1.0},
        {'cx': float('nan')},
        {'width': 0},
        {'distortion_model': 'fisheye_of_dreams'},
        {'distortion_model': 'plumb_bob', 'distortion': (0.1, 0.1, 0.1)},
        {'distortion_model': 'rational_polynomial', 'distortion': (0.1,) * 6},
        {'distortion_model': 'equidistant', 'distortion': (0.1,) * 5},
    ],
)
def test_impossible_cameras_are_refused(wrong):
    with pytest.raises(CameraError):
        Camera(**{**PINHOLE, **wrong})


def test_an_assumed_camera_says_so_and_is_less_certain():
    assumed = Camera.assumed(640, 480, focal_ratio=1.1)
    assert assumed.fx == assumed.fy == pytest.approx(704)
    source, stddev = monocular_depth(assumed, 0.5)
    assert source == DepthSource.ASSUMED_CAMERA
    true_source, true_stddev = monocular_depth(CAMERAS['pinhole'], 0.5)
    assert true_source == DepthSource.MONO
    assert 0 < true_stddev < stddev


def plane_of_points(depth_m):
    x, y = np.meshgrid(np.linspace(-0.05, 0.05, 20), np.linspace(-0.05, 0.05, 20))
    return np.stack([x.ravel(), y.ravel(), np.full(x.size, depth_m)], -1)


def test_a_depth_image_says_how_much_farther_the_surface_is():
    depth = np.full((480, 640), 0.55, np.float32)
    scale, stddev = scale_from_depth(CAMERAS['pinhole'], depth, plane_of_points(0.5))
    assert scale == pytest.approx(1.1, abs=1e-6)
    assert stddev == pytest.approx(0.005, abs=1e-6)  # the noise floor of the sensor


def test_holes_and_a_cup_in_front_of_less_than_half_do_not_move_the_hand():
    depth = np.full((480, 640), 0.55, np.float32)
    depth[:, 300:310] = np.nan
    depth[:, :290] = 0.3
    scale, _ = scale_from_depth(CAMERAS['pinhole'], depth, plane_of_points(0.5))
    assert scale == pytest.approx(1.1, abs=1e-6)


@pytest.mark.parametrize('value', [np.nan, 3.0, 0.1])
def test_a_depth_image_of_nothing_or_something_else_is_not_used(value):
    depth = np.full((480, 640), value, np.float32)
    assert scale_from_depth(CAMERAS['pinhole'], depth, plane_of_points(0.5)) is None


def test_a_hand_outside_the_depth_image_has_no_measurement():
    depth = np.full((480, 640), 0.5, np.float32)
    assert scale_from_depth(CAMERAS['pinhole'], depth, plane_of_points(0.5) + [5, 0, 0]) is None


@pytest.mark.parametrize('name', CAMERAS)
def test_pixels_far_outside_the_lens_still_give_finite_rays(name):
    pixels = np.array([[-2000.0, 240.0], [5000.0, 4000.0], [320.0, 240.0]])
    rays = normalised_from_pixels(CAMERAS[name], pixels)
    assert np.isfinite(rays).all()
    np.testing.assert_allclose(rays[2], 0, atol=1e-9)
