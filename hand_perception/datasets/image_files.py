"""Images of a data set from files: whole or refused, and of the size of the network image."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from hand_perception.datasets.segments import Segment, Split
from hand_perception.datatypes import ImageArray
from hand_perception.errors import DatasetError
from hand_perception.models.htt.constants import IMAGE_HEIGHT, IMAGE_WIDTH
from hand_perception.models.htt.preprocess import network_image

#: Last bytes of whole files. OpenCV fills what a truncated JPEG lacks with grey and says nothing.
_ENDINGS: Final = ((b'\xff\xd8', b'\xff\xd9', 'JPEG'), (b'\x89PNG', b'IEND', 'PNG'))
#: Where the ending is looked for: some writers put a few bytes behind it.
_TAIL_BYTES: Final = 64
_READ_BGR: Final = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
#: OpenCV before 4.11 decodes to BGR only.
_READ_RGB: Final = (
    cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION if hasattr(cv2, 'IMREAD_COLOR_RGB') else 0
)


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """Reads the images of a split from files.

    Attributes:
        split: where the files are.
        is_original: True reads the published images and makes them smaller, as the small ones
            were made; False reads those of 480 x 270 pixels.
    """

    split: Split
    is_original: bool = False

    def read(self, segment: Segment, frames: Sequence[int]) -> list[ImageArray]:
        """Read images of a segment, (270, 480, 3) uint8 RGB.

        Raises:
            DatasetError: one is missing, damaged or of another size; the message names it.
        """
        return [self._read(segment, frame) for frame in frames]

    def _read(self, segment: Segment, frame: int) -> ImageArray:
        path = self.split.image_path(segment, frame, is_original=self.is_original)
        image = read_rgb(path)
        if self.is_original:
            return network_image(image, is_rgb=True, kernel=self.split.kernel)[1]
        if image.shape != (IMAGE_HEIGHT, IMAGE_WIDTH, 3):
            raise DatasetError(
                f'{path} has {image.shape[1]} x {image.shape[0]} pixels, expected '
                f'{IMAGE_WIDTH} x {IMAGE_HEIGHT}; read the originals with images: originals'
            )
        return image


def read_rgb(path: Path) -> ImageArray:
    """Read a JPEG or PNG file.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        DatasetError: it is missing, truncated, or no image.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        why = 'is missing' if isinstance(error, FileNotFoundError) else f'cannot be read ({error})'
        raise DatasetError(
            f'the image {path} {why}; `hand_perception data check` lists all that are'
        ) from error
    for start, end, kind in _ENDINGS:
        if content.startswith(start) and end not in content[-_TAIL_BYTES:]:
            raise DatasetError(
                f'the {kind} file {path} ends in the middle ({len(content)} bytes); copy it again'
            )
    image = decode_rgb(content)
    if image is None:
        raise DatasetError(f'{path} ({len(content)} bytes) is not an image; copy it again')
    return image


def decode_rgb(content: bytes) -> ImageArray | None:
    """Decode a JPEG or PNG file, as it was stored, however the camera was held.

    Returns:
        (H, W, 3) uint8 RGB; None: it is no image.
    """
    if not content:
        return None
    image = cv2.imdecode(np.frombuffer(content, np.uint8), _READ_RGB or _READ_BGR)
    if image is not None and not _READ_RGB:
        cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)
    return None if image is None else np.asarray(image, np.uint8)
