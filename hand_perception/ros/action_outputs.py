"""Run the recogniser when the hands of an image are out, and publish what it says."""

import time
from typing import Any

from rclpy.clock import Clock

from hand_perception.actions import ActionEstimate, ActionResult
from hand_perception.config import PerceptionSettings
from hand_perception.datatypes import Frame, FrameResult, Hand
from hand_perception.msg import HandAction, HandPoseArray
from hand_perception.msg import LabelMap as LabelMapMessage
from hand_perception.pipeline.action_overlay import ShownActions
from hand_perception.ros import qos
from hand_perception.ros.action_counters import ActionStatistics
from hand_perception.ros.action_messages import action_message, label_map_message
from hand_perception.ros.counters import Statistics
from hand_perception.ros.messages import HandMessages, make_header, pose_array
from hand_perception.ros.topics import MarkerTopic, PublisherMaker
from hand_perception.ros.worker import RepeatLog


class HttHandTopics:
    """The hands that HTT reconstructs beside those of the back end."""

    def __init__(
        self,
        make_publisher: PublisherMaker,
        *,
        clock: Clock,
        pipeline: Any,
        hands_per_side: int,
        statistics: Statistics,
    ) -> None:
        """Create the publishers of poses and markers."""
        self._clock = clock
        self._statistics = statistics
        model = pipeline.recogniser_hand_model
        self._messages = HandMessages(backend='htt', hand_model=model.name)
        self._publisher = make_publisher(HandPoseArray, 'htt/pose', qos.RESULTS)
        self._markers = MarkerTopic(
            make_publisher, 'htt/markers', model.faces, hands_per_side=hands_per_side
        )
        self._num_looked_at = 0

    def publish(
        self, stamp_ns: int, frame_id: str, hands: tuple[Hand, ...], settings: PerceptionSettings
    ) -> None:
        """Publish the hands of an image, or that there are none."""
        self._num_looked_at += 1
        header = make_header(stamp_ns, frame_id)
        messages = self._messages.write(hands, header, with_vertices=settings.publish_vertices)
        age_s = (self._clock.now().nanoseconds - stamp_ns) * 1e-9
        num_dropped = max(0, self._statistics.num_images() - self._num_looked_at)
        self._publisher.publish(
            pose_array(header, messages, counts=(self._num_looked_at, num_dropped), age_s=age_s)
        )
        self._markers.publish(stamp_ns, frame_id, hands, rate_hz=settings.marker_rate_hz)

    def clear_markers(self) -> None:
        """Delete all markers."""
        self._markers.clear()


class ActionPublisher:
    """The topics of actions; used by the worker's thread alone.

    What goes wrong here costs the actions of one image, never its hands, which are out already.
    """

    def __init__(
        self,
        make_publisher: PublisherMaker,
        *,
        clock: Clock,
        pipeline: Any,
        settings: PerceptionSettings,
        hands_per_side: int,
        statistics: Statistics,
    ) -> None:
        """Create the publishers and say which labels there are.

        Args:
            make_publisher: makes each of them.
            clock: of the node; ages are told by it.
            pipeline: with a recogniser.
            settings: whether the hands of HTT are published here or as those of the node.
            hands_per_side: places for markers.
            statistics: of the node.
        """
        self.statistics = ActionStatistics(labels=pipeline.label_map.actions)
        self._clock = clock
        self._node_statistics = statistics
        self._log = RepeatLog('the actions of an image were lost to an error')
        self._shown = ShownActions()
        self._publisher = make_publisher(HandAction, 'action', qos.RESULTS)
        self._label_publisher = make_publisher(LabelMapMessage, 'action_labels', qos.LATCHED)
        self._label_publisher.publish(label_map_message(pipeline.label_map))
        self._htt_hands: HttHandTopics | None = None
        if pipeline.recogniser_hand_model is not None and settings.pose_source != 'htt':
            self._htt_hands = HttHandTopics(
                make_publisher, clock=clock, pipeline=pipeline, hands_per_side=hands_per_side,
                statistics=statistics,
            )  # fmt: skip

    def tell(
        self,
        pipeline: Any,
        state: Any,
        frame: Frame,
        result: FrameResult,
        settings: PerceptionSettings,
    ) -> tuple[ActionEstimate, ...]:
        """Recognise and publish the actions of an image; return those to draw over it."""
        try:
            actions = pipeline.recognise(state, frame, result)
            started = time.perf_counter()
            self._publish(actions, frame, settings)
            self.statistics.add_result(actions, stream_reset=result.reset_reason)
        except Exception as error:
            self._log.error(error)
            self.statistics.add_error()
            self._node_statistics.add_error(f'actions: {type(error).__name__}: {error}')
            self._shown.forget()
            return ()
        for stage, seconds in actions.stage_s:
            self._node_statistics.add_stage(f'action {stage}', seconds)
        if actions.actions:
            published_s = time.perf_counter() - started
            self._node_statistics.add_stage('publish actions', published_s)
        return self._shown.step(actions, frame.stamp_ns, is_new_stream=bool(result.reset_reason))

    def clear_markers(self) -> None:
        """Delete all markers: images are not processed any more."""
        if self._htt_hands is not None:
            self._htt_hands.clear_markers()

    def _publish(self, actions: ActionResult, frame: Frame, settings: PerceptionSettings) -> None:
        for action in actions.actions:
            age_s = (self._clock.now().nanoseconds - action.stamp_ns) * 1e-9
            self._publisher.publish(action_message(action, age_s=age_s))
        if self._htt_hands is not None and actions.hands is not None:
            stamp_ns = actions.hands_stamp_ns
            stamp_ns = frame.stamp_ns if stamp_ns is None else stamp_ns
            self._htt_hands.publish(stamp_ns, frame.frame_id, actions.hands, settings)
