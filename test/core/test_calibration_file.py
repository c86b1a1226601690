"""Calibration files of the ROS camera_calibration package."""

import json

import numpy as np
import pytest

from hand_perception.calibration_file import read_calibration, read_intrinsics
from hand_perception.errors import CameraError

CALIBRATION = """\
image_width: 640
image_height: 480
camera_name: narrow_stereo
camera_matrix:
  rows: 3
  cols: 3
  data: [520.1, 0.0, 321.5, 0.0, 519.9, 240.25, 0.0, 0.0, 1.0]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [0.1, -0.2, 0.001, 0.002, 0.0]
"""


def read(tmp_path, text):
    path = tmp_path / 'camera.yaml'
    path.write_text(text)
    return read_calibration(path)


def test_calibration_is_read(tmp_path):
    camera = read(tmp_path, CALIBRATION)
    assert (camera.width, camera.height) == (640, 480)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (520.1, 519.9, 321.5, 240.25)
    assert camera.distortion_model == 'plumb_bob'
    assert camera.distortion == (0.1, -0.2, 0.001, 0.002, 0.0)


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ('image_width: 640', 'width: 640', "lacks 'image_width'; expected the YAML that"),
        ('camera_matrix:', 'matrix:', "lacks 'camera_matrix'"),
        ('520.1', '0.0', 'focal lengths above 0'),
        ('520.1, ', '', 'camera_matrix.data has 8 numbers, expected 9'),
        ('520.1', 'wide', 'is not right: could not convert'),
        ('plumb_bob', 'fish', "distortion model 'fish' is not known"),
        ('rows: 3', 'rows: [', 'is no YAML'),
    ],
)
def test_what_is_wrong_is_named(tmp_path, old, new, message):
    with pytest.raises(CameraError, match=message):
        read(tmp_path, CALIBRATION.replace(old, new))


def test_other_content_and_missing_files_are_refused(tmp_path):
    with pytest.raises(CameraError, match='is not right'):
        read(tmp_path, '- a list')
    with pytest.raises(CameraError, match='cannot be read: No such file'):
        read_calibration(tmp_path / 'nowhere.yaml')


MATRIX = [[520.0, 0.0, 320.0], [0.0, 521.0, 240.0], [0.0, 0.0, 1.0]]


@pytest.mark.parametrize(('content', 'count'), [(MATRIX, 1), ([MATRIX] * 4, 4)])
def test_intrinsics_are_one_matrix_or_one_per_picture(tmp_path, content, count):
    path = tmp_path / 'k.json'
    path.write_text(json.dumps(content))
    np.testing.assert_array_equal(read_intrinsics(path), [MATRIX] * count)


@pytest.mark.parametrize(
    ('text', 'complaint'),
    [
        ('[', 'no matrices'),
        ('{"K": 1}', 'no matrices'),
        ('[]', 'expected one 3 x 3 matrix'),
        ('[1, 2, 3]', 'expected one 3 x 3 matrix'),
        ('[[1, 0, 0], [0, 1, 0]]', 'expected one 3 x 3 matrix'),
        ('[[1, 2], [3]]', 'no matrices'),
        (json.dumps(np.transpose(MATRIX).tolist()), 'fx, 0, cx'),
        ('[[NaN, 0, 1], [0, 1, 1], [0, 0, 1]]', 'finite'),
    ],
)
def test_other_intrinsics_are_refused(tmp_path, text, complaint):
    path = tmp_path / 'k.json'
    path.write_text(text)
    with pytest.raises(CameraError, match=complaint):
        read_intrinsics(path)


def test_missing_intrinsics_are_refused(tmp_path):
    with pytest.raises(CameraError, match='cannot be read'):
        read_intrinsics(tmp_path / 'k.json')
