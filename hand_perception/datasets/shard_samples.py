"""One sample of a shard that we write: ``KEY.jpg`` or ``KEY.png``, ``KEY.json``, meshes if any.

The JSON file says what ``Sample`` says of one image; arrays are nested lists that give the same
float32 numbers again, and null where nothing is known. ``KEY.vertices.npy`` has (N, V, 3).
"""

import io
import json
from collections.abc import Iterator
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from hand_perception.datasets.sample import HandTruth, ManoTruth, Sample
from hand_perception.datatypes import NUM_JOINTS, FloatArray, ImageArray
from hand_perception.errors import DatasetError

ENDING: Final = 'json'
VERTICES: Final = 'vertices.npy'
#: Shapes of what is known of each hand.
_SHAPES: Final[dict[str, tuple[int, ...]]] = {
    'joints_3d': (NUM_JOINTS, 3), 'joints_2d': (NUM_JOINTS, 2), 'boxes': (4,),
    'confidence_2d': (NUM_JOINTS,), 'confidence_3d': (NUM_JOINTS,), 'is_occluded': (NUM_JOINTS,),
}  # fmt: skip
_MANO_SHAPES: Final[dict[str, tuple[int, ...]]] = {
    'global_orient': (3,),
    'hand_pose': (45,),
    'betas': (10,),
    'has_pose': (),
    'has_betas': (),
}
_FLAGS: Final = ('is_occluded', 'has_pose', 'has_betas')


def sample_members(
    key: str, sample: Sample, *, quality: int, lossless: bool
) -> Iterator[tuple[str, bytes]]:
    """Turn a sample with T = 1 into the members of a shard.

    Args:
        key: name of the members.
        sample: one image with any number of hands.
        quality: of JPEG, 1 to 100.
        lossless: write PNG instead.
    """
    image = cv2.cvtColor(sample.images[0], cv2.COLOR_RGB2BGR)
    ending = 'png' if lossless else 'jpg'
    parameters = [] if lossless else [cv2.IMWRITE_JPEG_QUALITY, quality]
    is_good, content = cv2.imencode(f'.{ending}', image, parameters)
    if not is_good:
        raise DatasetError(f'{sample.segment}: OpenCV cannot write its image as {ending}')
    yield f'{key}.{ending}', content.tobytes()
    yield f'{key}.{ENDING}', _record(sample)
    if sample.truth.vertices is not None:
        stream = io.BytesIO()
        np.save(stream, sample.truth.vertices[0].astype(np.float32), allow_pickle=False)
        yield f'{key}.{VERTICES}', stream.getvalue()


def read_sample(
    content: bytes, images: ImageArray, where: str, vertices: bytes | None = None
) -> Sample:
    """Read a sample again.

    Args:
        content: of the JSON file.
        images: (1, H, W, 3) of the image.
        where: it is from, for messages.
        vertices: content of the file of meshes, if there is one.

    Raises:
        DatasetError: it is not what ``sample_members`` writes, or not finite.
    """
    try:
        record = json.loads(content)
        count = len(record['is_right'])
        arrays = {
            name: _read(record[name], (1, count, *shape), name in _FLAGS)
            for name, shape in _SHAPES.items()
        }
        joints_3d, joints_2d = arrays.pop('joints_3d'), arrays.pop('joints_2d')
        if joints_3d is None or joints_2d is None:
            raise ValueError('joints are missing')
        return Sample(
            dataset=str(record['dataset']),
            segment=str(record['segment']),
            images=images,
            truth=HandTruth(
                joints_3d=joints_3d,
                joints_2d=joints_2d,
                hand_valid=np.array([record['hand_valid']], np.bool_).reshape(1, count),
                mano=_mano(record['mano'], count),
                vertices=None if vertices is None else _vertices(vertices, count),
                **arrays,
            ),
            is_right=tuple(bool(value) for value in record['is_right']),
            K=np.full((1, 3, 3), np.nan, np.float32)
            if record['K'] is None
            else np.array(record['K'], np.float32).reshape(1, 3, 3),
            action=int(record['action']),
            object=int(record['object']),
            not_padding=np.ones(1, np.bool_),
            frames=np.array([int(record['frame'])], np.int64),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(
            f'{where} is not a sample of a shard of ours ({error}); make or copy it again'
        ) from error


def _record(sample: Sample) -> bytes:
    truth, mano = sample.truth, sample.truth.mano
    record: dict[str, Any] = {
        'dataset': sample.dataset, 'segment': sample.segment, 'frame': int(sample.frames[0]),
        'action': sample.action, 'object': sample.object, 'is_right': list(sample.is_right),
        'K': _lists(sample.K[0]) if np.isfinite(sample.K[0]).all() else None,
        'hand_valid': truth.hand_valid[0].tolist(),
    }  # fmt: skip
    for name in _SHAPES:
        array = getattr(truth, name)
        record[name] = None if array is None else _lists(array[0])
    record['mano'] = None if mano is None else {
        name: _lists(getattr(mano, name)[0]) for name in _MANO_SHAPES
    }  # fmt: skip
    return json.dumps(record, separators=(',', ':')).encode('ascii') + b'\n'


def _lists(array: NDArray[Any]) -> Any:
    """Give nested lists of the shortest decimal numbers that mean the same float32."""
    if array.dtype.kind == 'f':
        array = array.astype(np.float32).astype(str).astype(np.float64) + 0.0
    return array.tolist()


def _read(value: Any, shape: tuple[int, ...], is_flag: bool) -> Any:
    if value is None:
        return None
    array = np.array(value, np.bool_ if is_flag else np.float32).reshape(shape)
    if not is_flag and not np.isfinite(array).all():
        raise ValueError('a number is not finite')
    return array


def _mano(record: Any, count: int) -> ManoTruth | None:
    if record is None:
        return None
    return ManoTruth(
        **{
            name: _read(record[name], (1, count, *shape), name in _FLAGS)
            for name, shape in _MANO_SHAPES.items()
        }
    )


def _vertices(content: bytes, count: int) -> FloatArray:
    array = np.load(io.BytesIO(content), allow_pickle=False)
    if array.ndim != 3 or array.shape[0] != count or not np.isfinite(array).all():
        raise ValueError(f'its meshes have the shape {array.shape}, or are not finite')
    return np.asarray(array[None], np.float32)
