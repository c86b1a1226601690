"""Read camera calibrations: the YAML of the ROS camera_calibration package, matrices as JSON."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from hand_perception.datatypes import Camera, DoubleArray
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


def read_intrinsics(path: Path) -> DoubleArray:
    """Read intrinsic matrices of an undistorted camera.

    Args:
        path: JSON with one 3 x 3 matrix, or with a list of them, one per picture; pixels of the
            pictures as they are.

    Returns:
        (M, 3, 3); M is 1 for one matrix.

    Raises:
        CameraError: the file is not there or does not hold such matrices.
    """
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        matrices = np.array(content, np.float64)
    except OSError as error:
        raise CameraError(f'intrinsics {path} cannot be read: {error.strerror}') from error
    except (TypeError, ValueError) as error:
        raise CameraError(f'intrinsics {path} are no matrices: {error}') from error
    if matrices.ndim not in (2, 3) or matrices.shape[-2:] != (3, 3) or not len(matrices):
        raise CameraError(
            f'intrinsics {path} have shape {matrices.shape}, expected one 3 x 3 matrix or a list '
            'of them, one per picture'
        )
    matrices = matrices.reshape(-1, 3, 3)
    is_upper = (matrices[:, [0, 1, 2, 2, 2], [1, 0, 0, 1, 2]] == (0, 0, 0, 0, 1)).all()
    if not is_upper or not np.isfinite(matrices).all():
        raise CameraError(
            f'intrinsics {path}: expected finite [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]'
        )
    return matrices
