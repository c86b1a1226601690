"""Open videos, image folders, cameras and the built-in clip, and read them image by image.

No ROS here: the node ``video_source`` and ``hand_perception predict`` both read through this.
"""

import logging
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import cv2
import numpy as np

from hand_perception.datatypes import Camera, ImageArray
from hand_perception.errors import SourceError
from hand_perception.synthetic.truth import CLIP_VIDEO, load_clip_truth

_LOG = logging.getLogger(__name__)
#: Name of the clip that ships with the package.
SYNTHETIC: Final = 'synthetic'
IMAGE_SUFFIXES: Final = ('.png', '.jpg', '.jpeg', '.bmp', '.webp', '.tif', '.tiff', '.ppm', '.pgm')
#: Rate of sources that have none of their own.
DEFAULT_RATE_HZ: Final = 30.0
#: Rates that video files claim and no camera has: the file does not know its rate.
_MAX_RATE_HZ: Final = 1000.0


class Capture(Protocol):
    """What is used of cv2.VideoCapture."""

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        """Whether it could be opened."""

    def read(self) -> tuple[bool, Any]:
        """Give the next image."""

    def get(self, property_id: int) -> float:
        """Read a property."""

    def set(self, property_id: int, value: float) -> bool:
        """Write a property."""

    def release(self) -> None:
        """Close it."""


CaptureOpener = Callable[[str | int], Capture]


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFrame:
    """One image of a source.

    Attributes:
        image_bgr: (H, W, 3) uint8, blue-green-red, contiguous.
        index: number of the image, from 0.
        time_s: since the first image, by the source's own rate; for a camera, index / rate.
        name: file name or number, for messages and results.
    """

    image_bgr: ImageArray
    index: int
    time_s: float
    name: str


class VideoSource(Protocol):
    """Something that gives images.

    Attributes:
        name: what was opened.
        rate_hz: images per second by its own clock.
        num_frames: how many images it has; None when nobody knows (a camera).
        is_live: a camera: reading waits for the next image.
        camera: intrinsics where they are known exactly.
    """

    name: str
    rate_hz: float
    num_frames: int | None
    is_live: bool
    camera: Camera | None

    def frames(self) -> Generator[VideoFrame, None, None]:
        """Read from the start, image by image.

        Raises:
            SourceError: nothing can be read, or a camera stopped delivering.
        """

    def close(self) -> None:
        """Let go of the file or camera."""


def open_source(source: str, *, open_capture: CaptureOpener = cv2.VideoCapture) -> VideoSource:
    """Open ``synthetic``, a video file, an image or folder of images, or a camera number.

    Args:
        source: which.
        open_capture: opens videos and cameras.

    Raises:
        SourceError: there is no such thing, or it cannot be read.
    """
    if source == SYNTHETIC:
        return _open_synthetic(open_capture)
    if source.isdecimal():
        return CameraSource(int(source), open_capture)
    path = Path(source).expanduser()
    if path.is_dir():
        return ImageFolder(_images_in(path), name=str(path))
    if not path.is_file():
        raise SourceError(
            f'{source!r} is no file or folder; expected {SYNTHETIC!r}, a video file, a folder of '
            'images, or a camera number'
        )
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageFolder([path], name=str(path))
    return VideoFile(path, open_capture)


class VideoFile:
    """A video file."""

    is_live = False

    def __init__(
        self, path: Path, open_capture: CaptureOpener, *, camera: Camera | None = None
    ) -> None:
        """Open the file once to see what it holds."""
        self.name = str(path)
        self.camera = camera
        self._open_capture = open_capture
        self._capture: Capture | None = self._open()
        rate = float(self._capture.get(cv2.CAP_PROP_FPS))
        is_plausible = np.isfinite(rate) and 0 < rate <= _MAX_RATE_HZ
        self.rate_hz = rate if is_plausible else DEFAULT_RATE_HZ
        if not is_plausible:
            _LOG.warning('%s does not tell its rate; taking %g Hz', self.name, self.rate_hz)
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.num_frames = count if count > 0 else None

    def _open(self) -> Capture:
        capture = self._open_capture(self.name)
        if not capture.isOpened():
            raise SourceError(
                f'{self.name} cannot be opened as a video; expected a file that OpenCV reads '
                '(mp4, avi, mkv, webm); convert it with: ffmpeg -i FILE -c:v libx264 OUT.mp4'
            )
        return capture

    def frames(self) -> Generator[VideoFrame, None, None]:
        """Read the file from its start."""
        capture = self._capture or self._open()
        self._capture = None  # the next pass opens the file anew
        index, last_s = 0, -1.0
        try:
            while True:
                is_read, image = capture.read()
                if not is_read:
                    break
                # Files from phones have no even rate; their own times count where they increase.
                time_s = float(capture.get(cv2.CAP_PROP_POS_MSEC)) * 1e-3
                if not time_s > last_s:
                    time_s = max(index / self.rate_hz, last_s + 0.5 / self.rate_hz)
                last_s = time_s
                yield VideoFrame(image_bgr=image, index=index, time_s=time_s, name=str(index))
                index += 1
        finally:
            capture.release()
        if not index:
            raise SourceError(f'{self.name} holds no image that can be read; is it damaged?')
        if self.num_frames is not None and index < 0.9 * self.num_frames:
            _LOG.warning(
                '%s ends after %d of %d images; it is damaged or cut short',
                self.name, index, self.num_frames,
            )  # fmt: skip

    def close(self) -> None:
        """Let go of the file."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None


class ImageFolder:
    """Image files, in the order in which people number them (2 before 10)."""

    is_live = False
    rate_hz = DEFAULT_RATE_HZ
    camera = None

    def __init__(self, paths: list[Path], *, name: str) -> None:
        """Read these files."""
        self.name = name
        self.num_frames: int | None = len(paths)
        self._paths = paths

    def frames(self) -> Generator[VideoFrame, None, None]:
        """Read the files; one that cannot be read is left out with a warning."""
        shape, num_read = None, 0
        for index, path in enumerate(self._paths):
            image = cv2.imread(str(path), cv2.IMREAD_COLOR)
            if image is None:
                _LOG.warning('%s cannot be read as an image and is left out', path)
                continue
            if shape not in (None, image.shape):
                _LOG.warning(
                    '%s: %s is %dx%d, the images before it %dx%d; each keeps its own size',
                    self.name, path.name, image.shape[1], image.shape[0], shape[1], shape[0],
                )  # fmt: skip
            shape, num_read = image.shape, num_read + 1
            yield VideoFrame(
                image_bgr=image, index=index, time_s=index / self.rate_hz, name=path.name
            )
        if not num_read:
            raise SourceError(f'none of the {len(self._paths)} images of {self.name} can be read')

    def close(self) -> None:
        """Files are closed as soon as they are read."""


class CameraSource:
    """A camera of this computer."""

    is_live = True
    num_frames = None
    camera = None

    def __init__(self, number: int, open_capture: CaptureOpener) -> None:
        """Open camera ``number``."""
        self.name = f'camera {number}'
        self._capture = open_capture(number)
        if not self._capture.isOpened():
            self._capture.release()
            present = ', '.join(sorted(p.name for p in Path('/dev').glob('video*'))) or 'none'
            raise SourceError(
                f'{self.name} cannot be opened; cameras of this computer: {present} (in /dev); is '
                'it plugged in, free, and are you in the group "video"?'
            )
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # a queue of old images is only delay
        rate = float(self._capture.get(cv2.CAP_PROP_FPS))
        self.rate_hz = rate if np.isfinite(rate) and 0 < rate <= _MAX_RATE_HZ else DEFAULT_RATE_HZ

    def frames(self) -> Generator[VideoFrame, None, None]:
        """Read until the camera stops, which is an error."""
        index = 0
        while True:
            is_read, image = self._capture.read()
            if not is_read or image is None:
                raise SourceError(
                    f'{self.name} stopped delivering after {index} images; was it unplugged?'
                )
            yield VideoFrame(
                image_bgr=image, index=index, time_s=index / self.rate_hz, name=str(index)
            )
            index += 1

    def close(self) -> None:
        """Let go of the camera."""
        self._capture.release()


def _open_synthetic(open_capture: CaptureOpener) -> VideoFile:
    if not CLIP_VIDEO.is_file():
        raise SourceError(f'{CLIP_VIDEO} is missing from the installed package; install it again')
    return VideoFile(CLIP_VIDEO, open_capture, camera=load_clip_truth().camera)


def _images_in(folder: Path) -> list[Path]:
    paths = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()]
    if not paths:
        raise SourceError(
            f'folder {folder} holds no images; expected {", ".join(IMAGE_SUFFIXES)} files'
        )
    return sorted(paths, key=_natural_key)


def _natural_key(path: Path) -> list[tuple[int, int, str]]:
    parts = re.split(r'(\d+)', path.name.lower())
    return [(0, int(part), part) if part.isdigit() else (1, 0, part) for part in parts]
