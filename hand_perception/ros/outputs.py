"""Publish what the pipeline says of an image: keypoints first, pictures last."""

import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from geometry_msgs.msg import PoseStamped
from numpy.typing import NDArray
from rclpy.clock import Clock
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import Image
from visualization_msgs.msg import MarkerArray

from hand_perception.config import PerceptionSettings
from hand_perception.datatypes import Frame, FrameResult
from hand_perception.msg import HandPose, HandPoseArray
from hand_perception.pipeline.overlay import draw_overlay
from hand_perception.ros import qos
from hand_perception.ros.cdr import write_image
from hand_perception.ros.counters import Statistics
from hand_perception.ros.markers import HandMarkers
from hand_perception.ros.messages import (
    HandMessages,
    make_header,
    untracked_message,
    wrist_message,
)

_SIDES: Final = ((False, 'left'), (True, 'right'))


class RateLimit:
    """Lets through at most so many per second, evenly, with room for the jitter of a camera."""

    def __init__(self) -> None:
        """Let the first one through."""
        self._next_s = float('-inf')

    def is_due(self, now_s: float, rate_hz: float) -> bool:
        """Say whether one more may pass now."""
        period = 1 / rate_hz
        if now_s < self._next_s - period / 2:
            return False
        self._next_s = max(self._next_s + period, now_s)
        return True


class ResultPublisher:
    """The output topics of the perception node; used by the worker's thread alone."""

    def __init__(
        self,
        node: Node,
        *,
        faces_right: NDArray[np.integer],
        backend: str,
        hand_model: str,
        hands_per_side: int,
        statistics: Statistics,
        report_qos: Callable[[str], None],
    ) -> None:
        """Create the publishers on ``node``."""

        def publisher(kind: Any, topic: str, profile: Any) -> Publisher:
            events = qos.publisher_events(node.resolve_topic_name(topic), report_qos)
            return node.create_publisher(kind, topic, profile, event_callbacks=events)

        self._clock: Clock = node.get_clock()
        self._statistics = statistics
        self._faces_right = faces_right
        self._hand_messages = HandMessages(backend=backend, hand_model=hand_model)
        self._markers = HandMarkers(faces_right, hands_per_side=hands_per_side)
        self._array_publisher = publisher(HandPoseArray, 'pose', qos.RESULTS)
        self._pose_publishers = {
            side: publisher(HandPose, f'{name}/pose', qos.RESULTS) for side, name in _SIDES
        }
        self._wrist_publishers = {
            side: publisher(PoseStamped, f'{name}/wrist', qos.RESULTS) for side, name in _SIDES
        }
        self._marker_publisher = publisher(MarkerArray, 'markers', qos.MARKERS)
        self._overlay_publisher = publisher(Image, 'overlay', qos.OVERLAY)
        self._untracked = {
            side: untracked_message(is_right=side, backend=backend, hand_model=hand_model)
            for side, _ in _SIDES
        }
        self._marker_rate, self._overlay_rate = RateLimit(), RateLimit()
        self._last_image: tuple[int, str] | None = None

    def publish(self, frame: Frame, result: FrameResult, settings: PerceptionSettings) -> None:
        """Publish everything about one image."""
        self._last_image = (result.stamp_ns, result.frame_id)
        started = time.perf_counter()
        self._publish_poses(result, with_vertices=settings.publish_vertices)
        posed = time.perf_counter()
        self._statistics.add_stage('publish poses', posed - started)
        if self._publish_markers(result, settings):
            self._statistics.add_stage('publish markers', time.perf_counter() - posed)
        self._publish_overlay(frame, result, settings)

    def clear_markers(self) -> None:
        """Delete all markers: images are not processed any more."""
        if self._last_image is not None and self._marker_publisher.get_subscription_count():
            self._marker_publisher.publish(self._markers.serialised(*self._last_image, ()))

    def _publish_poses(self, result: FrameResult, *, with_vertices: bool) -> None:
        header = make_header(result.stamp_ns, result.frame_id)
        messages = self._hand_messages.write(result.hands, header, with_vertices=with_vertices)
        processed, dropped = self._statistics.add_processed()
        # The wait for the other messages of this image is no age: all tell the same.
        age_s = (self._clock.now().nanoseconds - result.stamp_ns) * 1e-9
        for message in messages:
            message.age = age_s
        self._array_publisher.publish(
            HandPoseArray(
                header=header,
                hands=messages,
                frames_processed=processed,
                frames_dropped=dropped,
                age=age_s,
            )
        )
        self._statistics.add_result(result, age_s=age_s)
        for side, _ in _SIDES:
            self._publish_side(side, header, result, messages)

    def _publish_side(
        self, side: bool, header: Any, result: FrameResult, messages: list[HandPose]
    ) -> None:
        """Publish the surest hand of a side, or that the side is not seen."""
        poses, wrists = self._pose_publishers[side], self._wrist_publishers[side]
        if not (poses.get_subscription_count() or wrists.get_subscription_count()):
            return
        mine = [(h.confidence, m) for h, m in zip(result.hands, messages, strict=True)
                if h.is_right == side]  # fmt: skip
        if not mine:
            untracked = self._untracked[side]
            untracked.header = header
            poses.publish(untracked)
            return
        message = max(mine, key=lambda item: item[0])[1]
        poses.publish(message)
        wrists.publish(wrist_message(message))

    def _publish_markers(self, result: FrameResult, settings: PerceptionSettings) -> bool:
        if not self._marker_publisher.get_subscription_count():
            return False
        if not self._marker_rate.is_due(time.monotonic(), settings.marker_rate_hz):
            return False
        self._markers.lifetime_s = 2 / settings.marker_rate_hz
        self._marker_publisher.publish(
            self._markers.serialised(result.stamp_ns, result.frame_id, result.hands)
        )
        return True

    def _publish_overlay(
        self, frame: Frame, result: FrameResult, settings: PerceptionSettings
    ) -> None:
        if not self._overlay_publisher.get_subscription_count():
            return
        if not self._overlay_rate.is_due(time.monotonic(), settings.overlay_rate_hz):
            return
        started = time.perf_counter()
        picture = draw_overlay(frame, result, self._faces_right)
        height, width = picture.shape[:2]
        wire = write_image(
            stamp_ns=result.stamp_ns,
            frame_id=result.frame_id,
            height=height,
            width=width,
            encoding='bgr8',
            step=3 * width,
            pixels=memoryview(picture).cast('B'),
        )
        self._overlay_publisher.publish(wire)
        self._statistics.add_stage('overlay', time.perf_counter() - started)
