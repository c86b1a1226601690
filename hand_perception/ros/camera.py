"""From sensor_msgs/CameraInfo to the camera of each image."""

import dataclasses
import threading
import time
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from sensor_msgs.msg import CameraInfo, RegionOfInterest

from hand_perception.datatypes import Camera
from hand_perception.errors import CameraError

#: Aspect ratios that differ by less are the same camera at another resolution (1366x768 is 16:9).
_ASPECT_TOLERANCE: Final = 0.01
#: Image sizes whose cameras are kept; a folder of photos may have a new size every time.
_MAX_MATCHES: Final = 64
#: Names drivers use for the distortion models of :class:`Camera`.
_MODEL_NAMES: Final = {'fisheye': 'equidistant', 'none': '', 'pinhole': ''}


def camera_from_message(message: Any) -> Camera:
    """Read the intrinsics of the image that belongs to a sensor_msgs/CameraInfo.

    ``K`` and ``D`` describe the whole sensor; the region of interest and binning say which part
    of it is sent (REP-104).

    Raises:
        CameraError: K or the size is zero, or the distortion model is not known.
    """
    k = [float(value) for value in message.k]
    if not any(k) or not message.width or not message.height:
        zeros = [name for name, bad in (
            ('k', not any(k)), ('width', not message.width), ('height', not message.height),
        ) if bad]  # fmt: skip
        raise CameraError(
            f'camera_info (frame_id {message.header.frame_id!r}) has zeros in '
            f'{", ".join(zeros)}: the camera is not calibrated; calibrate it, or stop publishing '
            'camera_info to work with an assumed focal length'
        )
    roi: RegionOfInterest = message.roi
    left, top = (roi.x_offset, roi.y_offset) if roi.width else (0, 0)
    columns, rows = (roi.width, roi.height) if roi.width else (message.width, message.height)
    full = Camera(
        width=columns,
        height=rows,
        fx=k[0],
        fy=k[4],
        cx=k[2] - left,
        cy=k[5] - top,
        distortion_model=_MODEL_NAMES.get(message.distortion_model, message.distortion_model),
        distortion=tuple(float(value) for value in message.d),
    )
    binning = (max(1, message.binning_x), max(1, message.binning_y))
    if binning == (1, 1):
        return full
    return _resized(full, columns // binning[0], rows // binning[1])


def camera_message(camera: Camera, *, frame_id: str) -> CameraInfo:
    """Describe a camera as sensor_msgs/CameraInfo; the stamp is left to the caller."""
    message = CameraInfo(width=camera.width, height=camera.height)
    message.header.frame_id = frame_id
    message.distortion_model = camera.distortion_model or 'plumb_bob'
    message.d = list(camera.distortion) or [0.0] * 5
    message.k = camera.K.ravel()
    message.r = np.eye(3).ravel()
    message.p = np.hstack([camera.K, np.zeros((3, 1))]).ravel()
    return message


def fit_camera(camera: Camera, width: int, height: int) -> Camera:
    """Scale a camera to an image of another resolution.

    Raises:
        CameraError: the image has another aspect ratio, so it is not the same picture.
    """
    if (camera.width, camera.height) == (width, height):
        return camera
    aspect_ratio = (camera.width * height) / (camera.height * width)
    if abs(aspect_ratio - 1) > _ASPECT_TOLERANCE:
        raise CameraError(
            f'camera_info is for {camera.width}x{camera.height} images, the image is '
            f'{width}x{height}; publish the camera_info of this image (with roi or binning where '
            'it is cropped)'
        )
    return _resized(camera, width, height)


def _resized(camera: Camera, width: int, height: int) -> Camera:
    x, y = width / camera.width, height / camera.height
    # Pixel centres are whole numbers, so the picture's corner is at -0.5.
    return dataclasses.replace(
        camera,
        width=width,
        height=height,
        fx=camera.fx * x,
        fy=camera.fy * y,
        cx=(camera.cx + 0.5) * x - 0.5,
        cy=(camera.cy + 0.5) * y - 0.5,
    )


@dataclass(frozen=True, slots=True)
class CameraMatch:
    """The camera of an image, and what is wrong with it (empty when nothing is)."""

    camera: Camera
    problem: str = ''


class CameraTable:
    """Remembers the camera_info of each frame_id and gives each image its camera.

    ``update`` is called by the executor's thread, ``find`` by the worker's.
    """

    def __init__(self, *, topic: str, timeout_s: float, focal_ratio: float) -> None:
        """Start without a camera.

        Args:
            topic: full name of the camera_info topic, for messages.
            timeout_s: how long the first images wait for a camera_info.
            focal_ratio: focal length over the long image side where none comes.
        """
        self._topic = topic
        self._timeout_s = timeout_s
        self._focal_ratio = focal_ratio
        self._lock = threading.Lock()
        self._latched: dict[str, Camera | CameraError] = {}
        self._waiting_since: float | None = None
        self._matches: dict[tuple[str, int, int], CameraMatch] = {}

    def update(self, message: Any) -> str:
        """Take a camera_info; return why it is refused, empty when it is not."""
        latched: Camera | CameraError
        try:
            latched = camera_from_message(message)
        except CameraError as error:
            latched = error
        with self._lock:
            self._latched[message.header.frame_id] = latched
            self._matches.clear()
        return f'{self._topic}: {latched}' if isinstance(latched, CameraError) else ''

    def find(self, frame_id: str, width: int, height: int) -> CameraMatch | None:
        """Give the camera of an image, or None while a camera_info is waited for.

        Where no camera_info fits, a camera is assumed and the match says why.
        """
        key = (frame_id, width, height)
        with self._lock:
            if key in self._matches:
                return self._matches[key]
            if not self._latched and not self._has_waited():
                return None
            match = self._match(frame_id, width, height)
            if len(self._matches) >= _MAX_MATCHES:
                self._matches.clear()
            self._matches[key] = match
            return match

    def _match(self, frame_id: str, width: int, height: int) -> CameraMatch:
        latched = self._latched.get(frame_id, self._latched.get(''))
        if isinstance(latched, Camera):
            try:
                return CameraMatch(fit_camera(latched, width, height))
            except CameraError as error:
                latched = error
        if latched is not None:
            reason = f'{self._topic}: {latched}'
        elif self._latched:
            names = ', '.join(repr(name) for name in sorted(self._latched))
            reason = f'{self._topic} has frame_id {names} but the images have {frame_id!r}'
        else:
            reason = f'no camera_info came on {self._topic} in {self._timeout_s:g} s'
        return CameraMatch(
            Camera.assumed(width, height, focal_ratio=self._focal_ratio),
            f'{reason}; until then a focal length of {self._focal_ratio:g} x the long image side '
            'is assumed and distances are rough',
        )

    def _has_waited(self) -> bool:
        now = time.monotonic()
        if self._waiting_since is None:
            self._waiting_since = now
        return now - self._waiting_since >= self._timeout_s
