"""Where the published hand networks are and how to know that they are the right ones."""

import hashlib
import zipfile
from pathlib import Path

from hand_perception.errors import WeightsError

#: Path inside the wheel and sha256; equal in the wheels 0.10.14 to 0.10.21.
PALM_MODEL = (
    'mediapipe/modules/palm_detection/palm_detection_full.tflite',
    '1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54',
)
LANDMARK_MODEL = (
    'mediapipe/modules/hand_landmark/hand_landmark_full.tflite',
    '11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3',
)


def read_source(source: Path, name: str, sha256: str) -> bytes:
    """Read one .tflite file out of a wheel or a folder.

    Raises:
        WeightsError: the file is not there or is not the published one.
    """
    if source.is_dir():
        candidates = [source / name, source / Path(name).name]
        path = next((c for c in candidates if c.is_file()), None)
        if path is None:
            raise WeightsError(f'{source} holds no {Path(name).name}')
        content = path.read_bytes()
    else:
        try:
            with zipfile.ZipFile(source) as wheel:
                content = wheel.read(name)
        except (OSError, zipfile.BadZipFile, KeyError) as error:
            raise WeightsError(
                f'cannot read {name} from {source} ({error}); expected a mediapipe wheel between '
                '0.10.14 and 0.10.21 (later ones carry no models)'
            ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise WeightsError(f'{name} has sha256 {found}, expected {sha256}: not the known model')
    return content
