"""Publish what the pipeline says of an image: keypoints first, pictures last."""

import time
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from geometry_msgs.msg import PoseStamped
from numpy.typing import NDArray
from rclpy.clock import Clock
from sensor_msgs.msg import Image

from hand_perception.actions import ActionEstimate
from hand_perception.config import PerceptionSettings
from hand_perception.datatypes import Frame, FrameResult
from hand_perception.msg import HandPose, HandPoseArray
from hand_perception.pipeline.overlay import draw_overlay
from hand_perception.ros import qos
from hand_perception.ros.cdr import write_image
from hand_perception.ros.controller_topics import ControllerTopics, Predictor, surest_of_each_side
from hand_perception.ros.counters import Statistics
from hand_perception.ros.messages import (
    HandMessages,
    make_header,
    pose_array,
    untracked_message,
    wrist_message,
)
from hand_perception.ros.topics import MarkerTopic, PublisherMaker, RateLimit

_SIDES: Final = ((False, 'left'), (True, 'right'))


class ResultPublisher:
    """The topics of hands of the perception node; used by the worker's thread alone."""

    def __init__(
        self,
        make_publisher: PublisherMaker,
        *,
        clock: Clock,
        faces_right: NDArray[np.integer],
        backend: str,
        hand_model: str,
        hands_per_side: int,
        statistics: Statistics,
        controllers: ControllerTopics,
    ) -> None:
        """Create the publishers.

        Args:
            make_publisher: makes each of them.
            clock: of the node; ages are told by it.
            faces_right: (F, 3) triangles of a right hand.
            backend: name of what reconstructs hands.
            hand_model: name of the hand model.
            hands_per_side: places for markers.
            statistics: counts what is published.
            controllers: publishes what follows from the poses of an image.
        """
        self._controllers = controllers
        self._clock = clock
        self._statistics = statistics
        self._faces_right = faces_right
        self._hand_messages = HandMessages(backend=backend, hand_model=hand_model)
        self._array_publisher = make_publisher(HandPoseArray, 'pose', qos.RESULTS)
        self._pose_publishers = {
            side: make_publisher(HandPose, f'{name}/pose', qos.RESULTS) for side, name in _SIDES
        }
        self._wrist_publishers = {
            side: make_publisher(PoseStamped, f'{name}/wrist', qos.RESULTS)
            for side, name in _SIDES
        }
        self._markers = MarkerTopic(
            make_publisher, 'markers', faces_right, hands_per_side=hands_per_side
        )
        self._overlay_publisher = make_publisher(Image, 'overlay', qos.OVERLAY)
        self._untracked = {
            side: untracked_message(is_right=side, backend=backend, hand_model=hand_model)
            for side, _ in _SIDES
        }
        self._overlay_rate = RateLimit()

    def publish(
        self, result: FrameResult, settings: PerceptionSettings, predict: Predictor
    ) -> None:
        """Publish the hands of an image: poses, what controllers ask for beside, then markers."""
        started = time.perf_counter()
        surest, counts = self._publish_poses(result, with_vertices=settings.publish_vertices)
        self._controllers.publish(
            result, surest, counts=counts, raw_hands=result.raw_hands, predict=predict
        )
        posed = time.perf_counter()
        self._statistics.add_stage('publish poses', posed - started)
        rate_hz = settings.marker_rate_hz
        if self._markers.publish(result.stamp_ns, result.frame_id, result.hands, rate_hz=rate_hz):
            self._statistics.add_stage('publish markers', time.perf_counter() - posed)

    def clear_markers(self) -> None:
        """Delete all markers: images are not processed any more."""
        self._markers.clear()

    def _publish_poses(
        self, result: FrameResult, *, with_vertices: bool
    ) -> tuple[dict[bool, HandPose], tuple[int, int]]:
        """Publish all poses; return the surest of each side, and images processed and dropped."""
        header = make_header(result.stamp_ns, result.frame_id)
        messages = self._hand_messages.write(result.hands, header, with_vertices=with_vertices)
        counts = self._statistics.add_processed()
        # The wait for the other messages of this image is no age: all tell the same.
        age_s = (self._clock.now().nanoseconds - result.stamp_ns) * 1e-9
        self._array_publisher.publish(pose_array(header, messages, counts=counts, age_s=age_s))
        self._statistics.add_result(result, age_s=age_s)
        surest = surest_of_each_side(result, messages)
        for side, _ in _SIDES:
            self._publish_side(side, header, surest.get(side))
        return surest, counts

    def _publish_side(self, side: bool, header: Any, message: HandPose | None) -> None:
        """Publish the surest hand of a side, or that the side is not seen."""
        poses, wrists = self._pose_publishers[side], self._wrist_publishers[side]
        if not (poses.get_subscription_count() or wrists.get_subscription_count()):
            return
        if message is None:
            untracked = self._untracked[side]
            untracked.header = header
            poses.publish(untracked)
            return
        poses.publish(message)
        wrists.publish(wrist_message(message))

    def publish_overlay(
        self,
        frame: Frame,
        result: FrameResult,
        actions: Sequence[ActionEstimate],
        settings: PerceptionSettings,
    ) -> None:
        """Draw hands and actions over their image while somebody looks."""
        if not self._overlay_publisher.get_subscription_count():
            return
        if not self._overlay_rate.is_due(time.monotonic(), settings.overlay_rate_hz):
            return
        started = time.perf_counter()
        picture = draw_overlay(frame, result, self._faces_right, actions=actions)
        height, width = picture.shape[:2]
        wire = write_image(
            stamp_ns=frame.stamp_ns,
            frame_id=frame.frame_id,
            height=height,
            width=width,
            encoding='bgr8',
            step=3 * width,
            pixels=memoryview(picture).cast('B'),
        )
        self._overlay_publisher.publish(wire)
        self._statistics.add_stage('overlay', time.perf_counter() - started)
