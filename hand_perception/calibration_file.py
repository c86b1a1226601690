"""Read camera calibrations in the YAML format of the ROS camera_calibration package."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from hand_perception.datatypes import Camera
from hand_perception.errors import CameraError


def read_calibration(path: Path) -> Camera:
    """Read the intrinsics of a camera.

    Args:
        path: YAML with image_width, image_height, camera_matrix and, for a distorted lens,
            distortion_model and distortion_coefficients.

    Raises:
        CameraError: the file is not there or not such a calibration.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise CameraError(f'calibration file {path} cannot be read: {error.strerror}') from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CameraError(f'calibration file {path} is no YAML: {error}') from error
    try:
        matrix = _numbers(content, 'camera_matrix')
        if len(matrix) != 9:
            raise ValueError(f'camera_matrix.data has {len(matrix)} numbers, expected 9')
        distortion = content.get('distortion_coefficients')
        return Camera(
            width=int(content['image_width']),
            height=int(content['image_height']),
            fx=matrix[0],
            fy=matrix[4],
            cx=matrix[2],
            cy=matrix[5],
            distortion_model=str(content.get('distortion_model', '')),
            distortion=_numbers(content, 'distortion_coefficients') if distortion else (),
        )
    except KeyError as error:
        raise CameraError(
            f'calibration file {path} lacks {error}; expected the YAML that camera_calibration '
            'writes (image_width, image_height, camera_matrix, distortion_model, '
            'distortion_coefficients)'
        ) from error
    except (AttributeError, TypeError, ValueError, CameraError) as error:
        raise CameraError(f'calibration file {path} is not right: {error}') from error


def _numbers(content: Mapping[str, Any], name: str) -> tuple[float, ...]:
    return tuple(float(value) for value in content[name]['data'])
