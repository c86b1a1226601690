"""Files that benchmarks take: pred.json of FreiHAND and HO-3D, action_labels.json of H2O."""

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Final

import numpy as np
from numpy.typing import ArrayLike

from hand_perception.datatypes import NUM_JOINTS, DoubleArray
from hand_perception.errors import DatasetError
from hand_perception.whole_files import whole_file

PREDICTIONS: Final = 'pred.json'
ACTION_LABELS: Final = 'action_labels.json'

#: HO-3D's keypoint i is ours of this number: wrist, then three joints each of index, middle,
#: little and ring finger and thumb, then the tips from thumb to little finger.
HO3D_ORDER: Final = (0, 5, 6, 7, 9, 10, 11, 17, 18, 19, 13, 14, 15, 1, 2, 3, 4, 8, 12, 16, 20)
#: HO-3D counts y up and z backward, as OpenGL does.
_OPENGL: Final = np.array([1.0, -1.0, -1.0])
#: Digits after the point of numbers in metres: a tenth of a micrometre.
_DIGITS: Final = 7


def write_freihand_submission(path: Path, keypoints: ArrayLike, vertices: ArrayLike) -> None:
    """Write a zip with pred.json for the FreiHAND challenge.

    Args:
        path: the zip file.
        keypoints: (N, 21, 3) metres, camera optical frame, in the order of the images.
        vertices: (N, 778, 3) metres, the same frame, MANO's order.

    Raises:
        DatasetError: shapes do not fit, numbers are not finite, or the file cannot be written.
    """
    _write_points(path, *_checked(keypoints, vertices))


def write_ho3d_submission(path: Path, keypoints: ArrayLike, vertices: ArrayLike) -> None:
    """Write a zip with pred.json for the HO-3D challenge, in its joint order and its axes.

    Args:
        path: the zip file.
        keypoints: (N, 21, 3) metres, camera optical frame, our order, in the order of the images.
        vertices: (N, 778, 3) metres, the same frame, MANO's order.

    Raises:
        DatasetError: shapes do not fit, numbers are not finite, or the file cannot be written.
    """
    joints, mesh = _checked(keypoints, vertices)
    _write_points(path, joints[:, HO3D_ORDER] * _OPENGL, mesh * _OPENGL)


def write_h2o_actions(
    path: Path, classes: Mapping[int, int], *, num_actions: int = 36, modality: str = 'RGB'
) -> None:
    """Write a zip with action_labels.json for the H2O challenge.

    Args:
        path: the zip file.
        classes: class of every segment, from 0 on, by its id in the test table.
        num_actions: classes there are; the file counts them from 1.
        modality: what was looked at, for the challenge's table.

    Raises:
        DatasetError: a class is none, ids have gaps, or the file cannot be written.
    """
    expected = range(1, len(classes) + 1)
    missing = sorted(set(expected) - set(classes))
    if missing or not classes:
        raise DatasetError(
            f'answers are needed for every segment of the test table, ids from 1 on; got '
            f'{len(classes)}, {missing[:5] or "none"} missing; evaluate the whole test split'
        )
    wrong = {name: told for name, told in classes.items() if not 0 <= told < num_actions}
    if wrong:
        raise DatasetError(f'classes must be 0 to {num_actions - 1}, got {wrong}')
    answer = {'modality': modality} | {str(name): int(classes[name]) + 1 for name in expected}
    _write_zip(path, ACTION_LABELS, lambda stream: _put(stream, json.dumps(answer)))


def _checked(keypoints: ArrayLike, vertices: ArrayLike) -> tuple[DoubleArray, DoubleArray]:
    joints, mesh = np.asarray(keypoints, np.float64), np.asarray(vertices, np.float64)
    if (
        joints.ndim != 3 or joints.shape[1:] != (NUM_JOINTS, 3)
        or mesh.ndim != 3 or mesh.shape[2] != 3 or len(mesh) != len(joints)
    ):  # fmt: skip
        raise DatasetError(
            f'expected (N, {NUM_JOINTS}, 3) keypoints and (N, V, 3) vertices of the same images, '
            f'got {joints.shape} and {mesh.shape}'
        )
    for name, numbers in (('keypoints', joints), ('vertices', mesh)):
        is_bad = ~np.isfinite(numbers).all((1, 2))
        if is_bad.any():
            raise DatasetError(
                f'{name} of {int(is_bad.sum())} images are not finite, the first is number '
                f'{int(is_bad.argmax())}; the challenge would refuse them'
            )
    return joints, mesh


def _write_points(path: Path, joints: DoubleArray, mesh: DoubleArray) -> None:
    """Write [[keypoints of each image], [vertices of each image]], one image at a time."""

    def write(stream: IO[bytes]) -> None:
        _put(stream, '[')
        for number, part in enumerate((joints, mesh)):
            _put(stream, ', [' if number else '[')
            for image, points in enumerate(part):
                text = json.dumps(np.round(points, _DIGITS).tolist())
                _put(stream, ', ' + text if image else text)
            _put(stream, ']')
        _put(stream, ']')

    _write_zip(path, PREDICTIONS, write)


def _put(stream: IO[bytes], text: str) -> None:
    stream.write(text.encode('ascii'))


def _write_zip(path: Path, name: str, write: Callable[[IO[bytes]], None]) -> None:
    """Write a zip of one file; it is complete or as it was before."""
    with (
        whole_file(path) as file,
        zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as archive,
        archive.open(name, 'w', force_zip64=True) as stream,
    ):
        write(stream)
