"""Hand boxes: from keypoints or a detector of the user, checked, and read from a JSON file.

The file of ``predict --boxes`` is one object: the name of each image, as in the predictions
(``hand.jpg``; ``clip.mp4#12`` for the frame with index 12 of a video), with its list of boxes::

    {
      "hand.jpg": [
        {"bbox_xyxy": [610, 380, 770, 560], "is_right": true},
        {"bbox_xyxy": [300.5, 200, 372, 391], "is_right": false, "score": 0.9}
      ],
      "empty.jpg": []
    }

``bbox_xyxy`` is x_min, y_min, x_max, y_max in pixels of the image, tight around the hand, pixel
centres at whole numbers; ``is_right`` is the person's right hand; ``score`` is 0-1 and optional.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hand_perception.datatypes import Box, FloatArray
from hand_perception.errors import BoxError

#: Shorter than this, a hand has no picture.
MIN_BOX_PX: Final = 2.0
#: More long image sides than this are no hand that a camera sees.
MAX_BOX_RATIO: Final = 4.0
#: The official rule: more than 3 keypoints above this confidence make a box.
KEYPOINT_CONFIDENCE: Final = 0.5
MIN_KEYPOINTS: Final = 4
#: Numbers beyond the largest float32 are no pixels.
_LARGEST: Final = 3.4e38


def box_from_keypoints(
    keypoints_2d: ArrayLike, *, is_right: bool, confidence: ArrayLike | None = None
) -> Box | None:
    """Lay the tight box around the keypoints of a hand that are seen, as the official demo does.

    Args:
        keypoints_2d: (J, 2) pixels of the image.
        is_right: the person's right hand.
        confidence: (J,) 0-1; keypoints up to 0.5 are left out. None takes all of them.

    Returns:
        The box with the mean confidence as score; None when less than 4 keypoints are seen.
    """
    points = np.asarray(keypoints_2d, np.float64)
    seen = np.isfinite(points).all(1)
    score = None
    if confidence is not None:
        sure = np.asarray(confidence, np.float64)
        seen &= sure > KEYPOINT_CONFIDENCE
        score = float(np.clip(sure[seen].mean(), 0, 1)) if seen.any() else None
    if seen.sum() < MIN_KEYPOINTS:
        return None
    (x_min, y_min), (x_max, y_max) = points[seen].min(0).tolist(), points[seen].max(0).tolist()
    return Box(xyxy=(x_min, y_min, x_max, y_max), is_right=is_right, score=score)


def check_box(box: Box, *, image_size: tuple[int, int], name: str = 'box') -> None:
    """Refuse a box that no hand in this image has; lying partly outside is fine.

    Args:
        box: as given.
        image_size: width and height of the image, pixels.
        name: which box, for the message.

    Raises:
        BoxError: says which box, what is wrong with it and what was expected.
    """
    width, height = image_size
    x_min, y_min, x_max, y_max = box.xyxy
    shown = ', '.join(f'{value:g}' for value in box.xyxy)

    def refuse(problem: str) -> BoxError:
        return BoxError(
            f'{name} [{shown}] {problem}; expected x_min, y_min, x_max, y_max in pixels of a '
            f'{width}x{height} image'
        )

    if not all(map(math.isfinite, box.xyxy)):
        raise refuse('has numbers that are not finite')
    if x_max < x_min or y_max < y_min:
        raise refuse('has its corners the wrong way round (or is x, y, width, height)')
    if x_max == x_min or y_max == y_min:
        raise refuse('is empty')
    if min(x_max - x_min, y_max - y_min) < MIN_BOX_PX:
        raise refuse(f'is less than {MIN_BOX_PX:g} pixels wide or high')
    limit = MAX_BOX_RATIO * max(width, height)
    if max(x_max - x_min, y_max - y_min) > limit:
        raise refuse(f'is larger than {limit:g} pixels, {MAX_BOX_RATIO:g} times the image')
    if x_max < 0 or y_max < 0 or x_min > width - 1 or y_min > height - 1:
        raise refuse('lies outside the image')
    if box.score is not None and not 0 <= box.score <= 1:
        raise refuse(f'has score {box.score:g}, which is not within 0 and 1')


def check_boxes(boxes: Sequence[Box], *, image_size: tuple[int, int], name: str = 'box') -> None:
    """Refuse the first of several boxes that is no hand's; the message has its number.

    Raises:
        BoxError: as :func:`check_box`.
    """
    for index, box in enumerate(boxes):
        check_box(box, image_size=image_size, name=f'{name} {index}')


def box_arrays(boxes: Sequence[Box]) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Turn N boxes into (N, 4) float32 corners and (N,) bool right hands."""
    corners = np.array([box.xyxy for box in boxes], np.float32).reshape(-1, 4)
    return corners, np.array([box.is_right for box in boxes], np.bool_)


def read_boxes(path: Path | str) -> dict[str, tuple[Box, ...]]:
    """Read a file of boxes; what is in the images is checked when their sizes are known.

    Raises:
        BoxError: says which file, image and entry, and what was expected.
    """
    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
    except OSError as error:
        raise BoxError(f'cannot read boxes from {path}: {error.strerror or error}') from error
    except (ValueError, RecursionError) as error:  # not JSON, not text, nested without end
        raise BoxError(f'{path} is not JSON: {error}') from error
    if not isinstance(content, Mapping):
        raise BoxError(
            f'{path} must hold one object, image name to list of boxes; got '
            f'{type(content).__name__}'
        )
    boxes: dict[str, tuple[Box, ...]] = {}
    for image, entries in content.items():
        if not isinstance(entries, list):
            raise BoxError(
                f'{path}, image {image!r}: expected a list of boxes, got {type(entries).__name__}'
            )
        boxes[image] = tuple(
            _read_box(entry, f'{path}, image {image!r}, box {index}')
            for index, entry in enumerate(entries)
        )
    return boxes


def _read_box(entry: object, where: str) -> Box:
    expected = '{"bbox_xyxy": [x_min, y_min, x_max, y_max], "is_right": true or false}'
    if not isinstance(entry, Mapping):
        raise BoxError(f'{where}: expected {expected}, got {entry!r:.80}')
    unknown = sorted(set(entry) - {'bbox_xyxy', 'is_right', 'score'})
    missing = sorted({'bbox_xyxy', 'is_right'} - set(entry))
    if unknown or missing:
        problem = ', '.join([f'{key} is missing' for key in missing]
                            + [f'{key} is not known' for key in unknown])  # fmt: skip
        raise BoxError(f'{where}: {problem}; expected {expected}')
    corners = entry['bbox_xyxy']
    if not isinstance(corners, list) or len(corners) != 4 or not all(map(_is_number, corners)):
        raise BoxError(f'{where}: bbox_xyxy must be four finite numbers, got {corners!r:.80}')
    if not isinstance(entry['is_right'], bool):
        raise BoxError(f'{where}: is_right must be true or false, got {entry["is_right"]!r:.80}')
    score = entry.get('score')
    if score is not None and not (_is_number(score) and 0 <= score <= 1):
        raise BoxError(f'{where}: score must be within 0 and 1, got {score!r:.80}')
    x_min, y_min, x_max, y_max = map(float, corners)
    return Box(
        xyxy=(x_min, y_min, x_max, y_max),
        is_right=entry['is_right'],
        score=None if score is None else float(score),
    )


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -_LARGEST <= value <= _LARGEST  # NaN fails, and so does a whole number past floats
