"""CameraInfo messages: read, refused, scaled to the image, waited for."""

import numpy as np
import pytest
from ros_fakes import camera_info

from hand_perception.datatypes import Camera
from hand_perception.errors import CameraError
from hand_perception.ros.camera import (
    CameraTable,
    camera_from_message,
    camera_message,
    fit_camera,
)

CAMERA = Camera(width=640, height=480, fx=520.0, fy=510.0, cx=322.0, cy=238.0)


def table(*, timeout_s=0.0):
    return CameraTable(topic='/hands/camera_info', timeout_s=timeout_s, focal_ratio=0.9)


@pytest.mark.parametrize('model', ['plumb_bob', 'rational_polynomial', 'equidistant'])
def test_camera_round_trips_through_its_message(model):
    coefficients = (0.1, -0.2, 0.001, 0.002, 0.3)
    camera = Camera(
        width=640, height=480, fx=520.0, fy=510.0, cx=322.0, cy=238.0, distortion_model=model,
        distortion=coefficients[:4] if model == 'equidistant' else coefficients,
    )  # fmt: skip
    assert camera_from_message(camera_message(camera, frame_id='cam')) == camera


def test_fisheye_is_another_name_of_equidistant():
    message = camera_info()
    message.distortion_model, message.d = 'fisheye', [0.1, 0.0, 0.0, 0.0]
    assert camera_from_message(message).distortion_model == 'equidistant'


def test_a_distortion_of_wrong_length_is_refused_with_the_right_ones():
    message = camera_info()
    message.distortion_model, message.d = 'plumb_bob', [0.1, 0.2, 0.3]
    with pytest.raises(
        CameraError, match='takes 0 or 4 or 5 or 8 or 12 or 14 coefficients, got 3'
    ):
        camera_from_message(message)


@pytest.mark.parametrize(
    ('zeros', 'named'), [({'k': np.zeros(9)}, 'k'), ({'width': 0, 'height': 0}, 'width, height')]
)
def test_zeros_are_refused_by_name(zeros, named):
    message = camera_info()
    for name, value in zeros.items():
        setattr(message, name, value)
    with pytest.raises(
        CameraError, match=rf"frame_id 'camera'\) has zeros in {named}: .* calibrate"
    ):
        camera_from_message(message)


def test_not_a_number_in_k_is_refused():
    message = camera_info(focal=float('nan'))
    with pytest.raises(CameraError, match='need finite numbers'):
        camera_from_message(message)


def test_unknown_distortion_model_is_refused():
    message = camera_info()
    message.distortion_model = 'kannala_brandt_9'
    with pytest.raises(CameraError, match="'kannala_brandt_9' is not known; expected one of"):
        camera_from_message(message)


def test_region_of_interest_moves_the_centre():
    message = camera_message(CAMERA, frame_id='cam')
    message.roi.x_offset, message.roi.y_offset = 100, 50
    message.roi.width, message.roi.height = 320, 240
    camera = camera_from_message(message)
    assert (camera.width, camera.height, camera.cx, camera.cy) == (320, 240, 222.0, 188.0)


def test_a_ray_stays_a_ray_when_the_image_is_scaled():
    half = fit_camera(CAMERA, 320, 240)
    point = np.array([0.1, -0.2, 0.7])
    full_px = (CAMERA.K @ point)[:2] / 0.7
    half_px = (half.K @ point)[:2] / 0.7
    # Corners of the picture (at -0.5) fall together, so pixels map as (u + 0.5) / 2 - 0.5.
    np.testing.assert_allclose(half_px, (full_px + 0.5) / 2 - 0.5, atol=1e-9)


def test_binning_scales_like_a_smaller_image():
    message = camera_message(CAMERA, frame_id='cam')
    message.binning_x = message.binning_y = 2
    binned, half = camera_from_message(message), fit_camera(CAMERA, 320, 240)
    np.testing.assert_array_equal(binned.K, half.K)
    assert (binned.width, binned.height) == (320, 240)


def test_image_of_another_shape_is_refused():
    with pytest.raises(CameraError, match='is for 640x480 images, the image is 640x360; publish'):
        fit_camera(CAMERA, 640, 360)


def test_table_gives_each_frame_id_its_camera():
    cameras = table()
    for frame_id, focal in (('left', 50.0), ('right', 70.0)):
        assert cameras.update(camera_info(frame_id=frame_id, focal=focal)) == ''
    assert cameras.find('left', 64, 48).camera.fx == 50
    assert cameras.find('right', 64, 48).camera.fx == 70


def test_camera_info_without_frame_id_serves_all():
    cameras = table()
    cameras.update(camera_info(frame_id='', focal=50.0))
    assert cameras.find('any', 64, 48).camera.fx == 50


def test_newer_camera_info_counts():
    cameras = table()
    cameras.update(camera_info(focal=50.0))
    cameras.find('camera', 64, 48)
    cameras.update(camera_info(focal=55.0))
    assert cameras.find('camera', 64, 48).camera.fx == 55


def test_image_of_half_size_gets_a_scaled_camera():
    cameras = table()
    cameras.update(camera_info(width=128, height=96, focal=100.0))
    match = cameras.find('camera', 64, 48)
    assert (match.camera.fx, match.problem) == (50.0, '')


def test_first_images_wait_for_camera_info(monkeypatch):
    clock = iter([10.0, 10.5, 11.5])
    monkeypatch.setattr('hand_perception.ros.camera.time.monotonic', lambda: next(clock))
    cameras = table(timeout_s=1.0)
    assert cameras.find('camera', 64, 48) is None
    assert cameras.find('camera', 64, 48) is None
    match = cameras.find('camera', 64, 48)
    assert match.camera.is_assumed
    assert match.camera.fx == pytest.approx(0.9 * 64)
    assert (
        'no camera_info came on /hands/camera_info in 1 s; until then a focal length of 0.9 x'
        in (match.problem)
    )


@pytest.mark.parametrize(
    ('message', 'problem'),
    [
        (camera_info(focal=0.0), 'need finite numbers and focal lengths above 0'),
        (camera_info(width=64, height=64), 'is for 64x64 images, the image is 64x48'),
        (camera_info(frame_id='other'), "has frame_id 'other' but the images have 'camera'"),
    ],
)
def test_camera_info_that_does_not_fit_leads_to_an_assumed_camera(message, problem):
    cameras = table(timeout_s=60.0)
    cameras.update(message)
    match = cameras.find('camera', 64, 48)
    assert match.camera.is_assumed
    assert problem in match.problem


def test_table_stays_small_with_a_new_size_every_time():
    cameras = table()
    for width in range(1, 1000):
        cameras.find('camera', width, 48)
    assert len(cameras._matches) <= 64
