"""From the bytes of an image message to a frame for the pipeline, or the reason why not."""

import logging
import time
from typing import Final

from hand_perception.config import PerceptionSettings
from hand_perception.datatypes import Box, FloatArray, Frame, ImageArray
from hand_perception.errors import ImageError
from hand_perception.ros.boxes import ImageWithBoxes, usable_boxes
from hand_perception.ros.camera import CameraTable
from hand_perception.ros.cdr import read_compressed_image, read_image
from hand_perception.ros.counters import DropCause, Statistics
from hand_perception.ros.depth import DepthBuffer
from hand_perception.ros.images import colour_image, decode_compressed
from hand_perception.ros.stamps import AgeCheck, StampOrder, StampOrderCheck

_LOG = logging.getLogger(__name__)
#: The same trouble with images is logged again after this time.
_REPEAT_LOG_S: Final = 10.0


class FrameReader:
    """Checks and decodes image messages in the worker's thread.

    Attributes:
        camera_text: where the camera of the last image comes from, for diagnostics.
        camera_problem: why the camera of the last image is assumed; empty when it is not.
        frame_id: of the last image.
    """

    def __init__(
        self, cameras: CameraTable, depth: DepthBuffer | None, statistics: Statistics
    ) -> None:
        """Read with these cameras and, when not None, this depth."""
        self.camera_text = 'none yet'
        self.camera_problem = ''
        self.frame_id = ''
        self.ages = AgeCheck()
        self._cameras = cameras
        self._depth = depth
        self._statistics = statistics
        self._order = StampOrderCheck()
        self._logged: dict[str, float] = {}

    def read(
        self, item: ImageWithBoxes, settings: PerceptionSettings, *, now_ns: int | None
    ) -> Frame | DropCause:
        """Make a frame of an image message; the pixels of raw rgb8 and bgr8 are not copied.

        Args:
            item: serialised sensor_msgs/Image or CompressedImage, and its boxes.
            settings: as they are now.
            now_ns: the node's clock; None while simulated time has not started.
        """
        try:
            return self._read(item, settings, now_ns)
        except ImageError as error:
            self._complain('bad image', str(error))
            return DropCause.BAD_IMAGE

    def _read(
        self, item: ImageWithBoxes, settings: PerceptionSettings, now_ns: int | None
    ) -> Frame | DropCause:
        is_compressed = settings.image_transport == 'compressed'
        packet = read_compressed_image(item.wire) if is_compressed else read_image(item.wire)
        stamp_ns = packet.stamp_ns
        order = self._order.check(stamp_ns)
        if order is StampOrder.STILL:
            self._complain(
                'stamps',
                f'image stamps stand still at {stamp_ns * 1e-9:.3f} s; the image is repeated or '
                'the camera driver does not stamp',
                is_error=False,
            )
            return DropCause.STAMP_STILL
        if order is StampOrder.BACK:
            self.ages.reset()
            self._complain('stamps', 'image stamps went back: a new run starts', is_error=False)
        if now_ns is not None and self.ages.is_too_old(
            (now_ns - stamp_ns) * 1e-9, settings.max_age_ms
        ):
            return DropCause.TOO_OLD
        image: ImageArray
        if is_compressed:
            started = time.perf_counter()
            image, is_rgb = decode_compressed(packet), False
            self._statistics.add_stage('decode', time.perf_counter() - started)
        else:
            image, is_rgb = colour_image(packet)
        height, width = image.shape[:2]
        match = self._cameras.find(packet.frame_id, width, height)
        if match is None:
            return DropCause.WAITING_FOR_CAMERA
        self._note_camera(packet.frame_id, match.problem, is_assumed=match.camera.is_assumed)
        return Frame(
            image=image,
            is_rgb=is_rgb,
            stamp_ns=stamp_ns,
            frame_id=packet.frame_id,
            camera=match.camera,
            depth_m=self._find_depth(stamp_ns, width, height),
            boxes=self._take_boxes(item, (width, height), settings.max_hands),
        )

    def _find_depth(self, stamp_ns: int, width: int, height: int) -> FloatArray | None:
        """Give the depth of the image; without it the hand's size tells the distance."""
        if self._depth is None:
            return None
        try:
            return self._depth.match(stamp_ns, width, height)
        except ImageError as error:
            self._complain('depth', f'depth is not used: {error}')
            return None

    def _take_boxes(
        self, item: ImageWithBoxes, image_size: tuple[int, int], max_hands: int
    ) -> tuple[Box, ...] | None:
        """Give the good boxes and tell of the others; None where hands are searched."""
        if item.boxes is None:
            return None
        boxes, problems = usable_boxes(item.boxes, image_size=image_size, max_hands=max_hands)
        for problem in problems:
            self._complain('boxes', f'boxes: {problem}')
        return boxes

    def _note_camera(self, frame_id: str, problem: str, *, is_assumed: bool) -> None:
        self.frame_id = frame_id
        self.camera_text = 'assumed' if is_assumed else 'camera_info'
        if problem != self.camera_problem:
            self.camera_problem = problem
            if problem:
                _LOG.warning('%s', problem)
            else:
                _LOG.info('images have a camera_info now')

    def _complain(self, subject: str, text: str, *, is_error: bool = True) -> None:
        """Count trouble, and log it now and then."""
        if is_error:
            self._statistics.add_error(text)
        now = time.monotonic()
        if now - self._logged.get(subject, float('-inf')) > _REPEAT_LOG_S:
            self._logged[subject] = now
            _LOG.warning('%s', text)
