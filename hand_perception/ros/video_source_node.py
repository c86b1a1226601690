"""The node ``video_source``: a video, folder, camera or the built-in clip as a camera topic."""

import contextlib
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.task import Future
from rclpy.utilities import get_rmw_implementation_identifier
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from hand_perception import dds_profile
from hand_perception.calibration_file import read_calibration
from hand_perception.config import VideoSourceSettings
from hand_perception.datatypes import Camera, ImageArray
from hand_perception.errors import CameraError, ConfigError, HandPerceptionError, SourceError
from hand_perception.ros import qos
from hand_perception.ros.camera import camera_message, fit_camera
from hand_perception.ros.cdr import write_compressed_image, write_image
from hand_perception.ros.messages import make_header
from hand_perception.ros.params import NodeParameters
from hand_perception.ros.process import forwarded_logs, run_node
from hand_perception.video import CaptureOpener, VideoFrame, VideoSource, open_source

#: A camera that stopped is opened again after this time, and again.
REOPEN_INTERVAL_S: Final = 1.0
#: Falling behind by more than this moves the schedule: no burst of images follows a pause.
_MAX_LATENESS_S: Final = 0.25
_SUBSCRIBER_POLL_S: Final = 0.05
#: At the end the last images get this long to arrive.
_FLUSH_S: Final = 2.0
_JOIN_TIMEOUT_S: Final = 5.0


class VideoSourceNode(Node):
    """Publishes images at their time; reading and publishing happen in one thread of its own."""

    def __init__(
        self, done: Future, *, open_capture: CaptureOpener = cv2.VideoCapture, **node_options: Any
    ) -> None:
        """Open the source and start to publish.

        Args:
            done: gets the exit code when the source has ended and does not loop.
            open_capture: opens videos and cameras.
            node_options: for :class:`rclpy.node.Node`.

        Raises:
            HandPerceptionError: a parameter is not allowed, or the source cannot be opened.
        """
        super().__init__(
            'video_source', automatically_declare_parameters_from_overrides=True, **node_options
        )
        self._done = done
        self._open_capture = open_capture
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name='video_source', daemon=True)
        self._source: VideoSource | None = None
        self._logs = forwarded_logs(self.get_logger())
        self._logs.__enter__()
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        parameters = NodeParameters(self, VideoSourceSettings, on_change=lambda changed: None)
        settings = self._settings = parameters.settings
        for name in parameters.unknown_names:
            self.get_logger().warning(f'parameter {name!r} is not known and has no effect')
        source = self._source = open_source(settings.source, open_capture=self._open_capture)
        self._camera = _choose_camera(settings, source)
        self._camera_info: tuple[tuple[int, ...], CameraInfo] | None = None
        self._last_stamp_ns = 0
        self._num_published = 0
        profile = qos.image_output(settings.reliability)
        self._raw = self._compressed = None
        self._warn_of_dds(settings)
        if settings.transport in ('raw', 'both'):
            self._raw = self.create_publisher(Image, 'image', profile)
        if settings.transport in ('compressed', 'both'):
            self._compressed = self.create_publisher(CompressedImage, 'image/compressed', profile)
        self._info = self.create_publisher(CameraInfo, 'camera_info', profile)
        self._rate_hz = settings.rate_hz or source.rate_hz
        count = 'endless' if source.num_frames is None else f'{source.num_frames} images'
        has_camera = self._camera is not None or settings.focal_px > 0
        self.get_logger().info(
            f'publishing {source.name} ({count}) at {self._rate_hz:g} Hz'
            + ('' if has_camera else ', without camera_info: the focal length is not known')
        )
        self._thread.start()

    def close(self) -> None:
        """End the thread, close the source, then the node."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(_JOIN_TIMEOUT_S)
        if self._source is not None:
            self._source.close()
        self._logs.__exit__(None, None, None)
        self.destroy_node()

    def _run(self) -> None:
        exit_code = 1
        try:
            self._wait_for_subscribers()
            self._publish_all()
            exit_code = 0
        except HandPerceptionError as error:
            self.get_logger().fatal(str(error))
        except Exception:  # the loop of this thread: without this nobody would hear of it
            self.get_logger().fatal(f'the video source failed:\n{traceback.format_exc()}')
        finally:
            if not self._done.done():
                self._done.set_result(exit_code)

    def _publish_all(self) -> None:
        """Publish pass after pass; a camera that stops is waited for."""
        source = self._source
        while source is not None and not self._stop.is_set():
            try:
                self._publish_pass(source)
            except SourceError as error:
                if not source.is_live:
                    raise
                self.get_logger().error(f'{error}; trying to open it again')
                source = self._reopen(source)
                continue
            if not self._settings.loop:
                self._flush()
                return

    def _publish_pass(self, source: VideoSource) -> None:
        """Publish every image of the source once, at its time.

        Deadlines are absolute, so one late image does not delay those after it.
        """
        start_s = time.monotonic()
        with contextlib.closing(source.frames()) as frames:
            for frame in frames:
                if not source.is_live:
                    late_s = self._wait_until(start_s + self._time_of(frame))
                    start_s += late_s if late_s > _MAX_LATENESS_S else 0
                if self._stop.is_set():
                    return
                self._publish(frame)
        # The last image stays for its time before the first one comes again.
        self._wait_until(time.monotonic() + 1 / self._rate_hz)

    def _time_of(self, frame: VideoFrame) -> float:
        rate_hz = self._settings.rate_hz
        return frame.index / rate_hz if rate_hz else frame.time_s

    def _wait_until(self, deadline_s: float) -> float:
        """Wait for a moment or the end; return by how much it is late."""
        left_s = deadline_s - time.monotonic()
        if left_s > 0:
            self._stop.wait(left_s)
        return -left_s

    def _publish(self, frame: VideoFrame) -> None:
        """Publish camera_info and image with one stamp, the time of release."""
        image, frame_id = frame.image_bgr, self._settings.frame_id
        height, width = image.shape[:2]
        jpeg = self._encode(image) if self._has_subscribers(self._compressed) else None
        stamp_ns = max(self.get_clock().now().nanoseconds, self._last_stamp_ns + 1)
        self._last_stamp_ns = stamp_ns
        # camera_info first: whoever waits for it finds it when the image comes.
        self._publish_camera_info(stamp_ns, width, height)
        if self._raw is not None:
            wire = write_image(
                stamp_ns=stamp_ns, frame_id=frame_id, height=height, width=width,
                encoding='bgr8', step=3 * width,
                pixels=memoryview(np.ascontiguousarray(image)).cast('B'),
            )  # fmt: skip
            self._raw.publish(wire)
        if self._compressed is not None and jpeg is not None:
            wire = write_compressed_image(
                stamp_ns=stamp_ns, frame_id=frame_id, format_name='bgr8; jpeg compressed bgr8',
                stream=memoryview(jpeg).cast('B'),
            )  # fmt: skip
            self._compressed.publish(wire)
        self._num_published += 1

    def _warn_of_dds(self, settings: VideoSourceSettings) -> None:
        """Say that raw images will be lost on the way, rather than let people wonder."""
        is_fast_dds = get_rmw_implementation_identifier().startswith('rmw_fastrtps')
        if settings.transport == 'compressed' or not is_fast_dds:
            return
        if problem := dds_profile.profile_problem(os.environ):
            variable = dds_profile.profile_variable(os.environ.get('ROS_DISTRO', 'jazzy'))
            self.get_logger().warning(
                f'raw images will get lost: {problem}; export {variable}='
                f'{dds_profile.shipped_profile()} or set transport to compressed'
            )

    def _publish_camera_info(self, stamp_ns: int, width: int, height: int) -> None:
        camera = self._camera
        if camera is None:
            focal_px = self._settings.focal_px
            if not focal_px:
                return
            camera = Camera.centred(width, height, focal_px=focal_px)
        if self._camera_info is None or self._camera_info[0] != (width, height):
            try:
                message = camera_message(
                    fit_camera(camera, width, height), frame_id=self._settings.frame_id
                )
            except CameraError as error:
                raise ConfigError(f'camera_info_file does not fit the images: {error}') from error
            self._camera_info = ((width, height), message)
        message = self._camera_info[1]
        message.header.stamp = make_header(stamp_ns, '').stamp
        self._info.publish(message)

    def _encode(self, image: ImageArray) -> ImageArray:
        is_encoded, stream = cv2.imencode(
            '.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, self._settings.jpeg_quality]
        )
        if not is_encoded:
            raise SourceError(
                f'an image of {image.shape[1]}x{image.shape[0]} cannot be compressed'
            )
        return stream

    def _has_subscribers(self, publisher: Any) -> bool:
        return publisher is not None and publisher.get_subscription_count() > 0

    def _wait_for_subscribers(self) -> None:
        wanted = self._settings.wait_for_subscribers
        publishers = [p for p in (self._raw, self._compressed) if p is not None]
        if wanted:
            self.get_logger().info(f'waiting for {wanted} image subscribers')
        while not self._stop.is_set():
            if sum(p.get_subscription_count() for p in publishers) >= wanted:
                return
            self._stop.wait(_SUBSCRIBER_POLL_S)

    def _reopen(self, source: VideoSource) -> VideoSource | None:
        """Try to open a camera until it is there again."""
        source.close()
        self._source = None
        while not self._stop.wait(REOPEN_INTERVAL_S):
            try:
                self._source = open_source(self._settings.source, open_capture=self._open_capture)
            except SourceError as error:
                self.get_logger().warning(str(error), throttle_duration_sec=10.0)
                continue
            self.get_logger().info(f'{self._source.name} is back')
            return self._source
        return None

    def _flush(self) -> None:
        """Give the last images time to arrive, where the publishers are reliable."""
        if self._settings.reliability == 'reliable':
            for publisher in (self._raw, self._compressed):
                if publisher is not None:
                    publisher.wait_for_all_acked(Duration(seconds=_FLUSH_S))
        self.get_logger().info(f'the end after {self._num_published} images')


def _choose_camera(settings: VideoSourceSettings, source: VideoSource) -> Camera | None:
    """Give the camera to publish: of the calibration file, or the true one of the source."""
    if settings.camera_info_file:
        return read_calibration(Path(settings.camera_info_file).expanduser())
    return None if settings.focal_px else source.camera


def main(args: list[str] | None = None) -> int:
    """Run the node ``video_source``; return the exit code."""
    return run_node(lambda done: VideoSourceNode(done), args)


if __name__ == '__main__':
    sys.exit(main())
