"""The status of the perception node: gathers once a second what /diagnostics says."""

import time
from typing import Any, Final

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from rclpy.qos import QoSProfile

from hand_perception.config import PerceptionSettings
from hand_perception.ros import qos
from hand_perception.ros.action_counters import ActionStatistics
from hand_perception.ros.controller_topics import ControllerTopics
from hand_perception.ros.counters import DropCause, Statistics
from hand_perception.ros.diagnostics import STALE_INPUT_S, make_diagnostics
from hand_perception.ros.inputs import FrameReader

#: A quality of service that did not fit is part of the status for this long after it was seen.
_QOS_PROBLEM_S: Final = 60.0

Problem = tuple[bytes, str]


class QosProblems:
    """Which topics have another side that does not fit, and when that was seen last."""

    def __init__(self, node: Node, statistics: Statistics) -> None:
        """Log problems of ``node`` and count them."""
        self._logger = node.get_logger()
        self._statistics = statistics
        self._seen_s: dict[str, float] = {}

    def report(self, problem: str) -> None:
        """Log a problem and remember it."""
        self._seen_s[problem] = time.monotonic()
        self._statistics.add_error(problem)
        self._logger.warning(problem)

    def recent(self) -> list[Problem]:
        """Give those that were seen not long ago."""
        since = time.monotonic() - _QOS_PROBLEM_S
        return [(DiagnosticStatus.WARN, text) for text, at in self._seen_s.items() if at > since]


class StatusPublisher:
    """Publishes the one status of the node; used by the executor's thread."""

    def __init__(
        self,
        node: Node,
        *,
        pipeline: Any,
        image_topic: str,
        image_qos: QoSProfile,
        reader: FrameReader,
        statistics: Statistics,
        actions: ActionStatistics | None,
        controllers: ControllerTopics,
        qos_problems: QosProblems,
    ) -> None:
        """Create the publisher.

        Args:
            node: whose status it is.
            pipeline: names of what runs.
            image_topic: full name of the topic the images come from.
            image_qos: how it is subscribed.
            reader: knows the camera and the ages of images.
            statistics: counts of images and hands.
            actions: counts of actions; None without a recogniser.
            controllers: knows what is wrong with TF.
            qos_problems: topics that do not fit.
        """
        self._node = node
        self._pipeline = pipeline
        self._image_topic = image_topic
        self._image_qos = image_qos
        self._reader = reader
        self._statistics = statistics
        self._actions = actions
        self._controllers = controllers
        self._qos_problems = qos_problems
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', qos.RESULTS)

    def publish(self, settings: PerceptionSettings, *, is_enabled: bool) -> None:
        """Publish how the node is."""
        snapshot = self._statistics.snapshot()
        problems = self._qos_problems.recent()
        if snapshot.silence_s > STALE_INPUT_S:
            text = qos.describe_silence(
                self._node, self._image_topic, self._image_qos, snapshot.silence_s
            )
            problems.append((DiagnosticStatus.WARN, text))
        elif text := self._reader.ages.clock_problem(settings.max_age_ms):
            is_lost = DropCause.TOO_OLD in snapshot.new_drops
            problems.append((DiagnosticStatus.ERROR if is_lost else DiagnosticStatus.WARN, text))
            self._node.get_logger().warning(text, throttle_duration_sec=10.0)
        if self._reader.camera_problem:
            problems.append((DiagnosticStatus.WARN, self._reader.camera_problem))
        if self._controllers.problem:
            problems.append((DiagnosticStatus.WARN, self._controllers.problem))
        facts = self._facts(settings, is_enabled=is_enabled) | dict(self._controllers.facts())
        if self._actions is not None:
            actions = self._actions.snapshot()
            facts |= actions.pairs()
            if actions.new_errors:
                text = f'actions of {actions.new_errors} images lost to an error'
                problems.append((DiagnosticStatus.ERROR, text))
        message = make_diagnostics(
            snapshot,
            name=self._node.get_fully_qualified_name(),
            hardware_id=self._reader.frame_id,
            facts=facts,
            problems=problems,
            is_enabled=is_enabled,
        )
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)

    def _facts(self, settings: PerceptionSettings, *, is_enabled: bool) -> dict[str, str]:
        pipeline = self._pipeline
        facts = {
            'back end': pipeline.backend_name,
            'box source': settings.box_source,
            'device': pipeline.device_name,
            'hand model': pipeline.hand_model_name,
            'camera': self._reader.camera_text,
            'enabled': str(is_enabled),
            'action source': pipeline.recogniser_name,
            'pose source': settings.pose_source,
        }
        if self._actions is not None:
            facts['action device'] = pipeline.recogniser_device
            facts['action labels'] = pipeline.label_map.name
        if pipeline.recogniser_name == 'htt':
            facts['HTT engine'] = settings.htt_engine
        return facts
