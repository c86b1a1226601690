"""The node ``perception``: camera images in, hands and what they do out."""

import sys
from collections.abc import Callable
from typing import Any, Final

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import SetBool

from hand_perception.actions import ActionEstimate
from hand_perception.config import PerceptionSettings
from hand_perception.errors import BoxError, ImageError
from hand_perception.msg import HandBoxArray
from hand_perception.pipeline.stream import HandPipeline
from hand_perception.ros import qos
from hand_perception.ros.action_outputs import ActionPublisher
from hand_perception.ros.boxes import BoxMatcher, ImageWithBoxes, check_box_source
from hand_perception.ros.calibration import CalibrationService
from hand_perception.ros.camera import CameraTable
from hand_perception.ros.cdr import read_stamp_ns
from hand_perception.ros.controller_topics import ControllerTopics
from hand_perception.ros.counters import DropCause, Statistics
from hand_perception.ros.depth import DepthBuffer
from hand_perception.ros.inputs import FrameReader
from hand_perception.ros.outputs import ResultPublisher
from hand_perception.ros.params import NodeParameters
from hand_perception.ros.process import forwarded_logs, run_node
from hand_perception.ros.shape_reset import ShapeReset
from hand_perception.ros.status import QosProblems, StatusPublisher
from hand_perception.ros.topics import publisher_maker
from hand_perception.ros.worker import NewestItemWorker

_DIAGNOSTICS_PERIOD_S: Final = 1.0
#: Start of the part of a serialised CameraInfo that does not change from image to image: what
#: follows the 4-byte encapsulation header and the 8-byte stamp.
_AFTER_STAMP: Final = 12

PipelineLoader = Callable[[PerceptionSettings], Any]


class PerceptionNode(Node):
    """Wires topics, the worker and the pipeline together.

    The executor's thread only stores the newest image; the worker's thread decodes, runs the
    pipeline and publishes.
    """

    def __init__(self, load_pipeline: PipelineLoader = HandPipeline.load, **node_options: Any):
        """Read the parameters, load the pipeline and start to listen.

        Args:
            load_pipeline: makes the pipeline from the settings.
            node_options: for :class:`rclpy.node.Node`.

        Raises:
            HandPerceptionError: a parameter is not allowed, or the pipeline cannot be loaded.
        """
        super().__init__(
            'perception', automatically_declare_parameters_from_overrides=True, **node_options
        )
        self._logs = forwarded_logs(self.get_logger())
        self._logs.__enter__()
        self._worker: NewestItemWorker[ImageWithBoxes] | None = None
        try:
            self._start(load_pipeline)
        except BaseException:
            self.close()
            raise

    def _start(self, load_pipeline: PipelineLoader) -> None:
        self._parameters_of_node = NodeParameters(
            self, PerceptionSettings, on_change=self._take_settings
        )
        settings = self._settings = self._parameters_of_node.settings
        for name in self._parameters_of_node.unknown_names:
            self.get_logger().warning(f'parameter {name!r} is not known and has no effect')
        check_box_source(settings)
        self._statistics = Statistics()
        self._qos_problems = QosProblems(self, self._statistics)
        self._is_enabled = settings.start_enabled
        self.get_logger().info('loading the networks')
        self._pipeline = load_pipeline(settings)
        self._pipeline_settings = settings
        self._state = self._pipeline.new_stream()
        self._stream_key: tuple[object, ...] = ()
        self._create_outputs(settings)
        self._worker = NewestItemWorker(
            self._process, name='perception', on_error=self._lose_image
        )
        self._worker.start()
        self._listen(settings)
        self.create_service(SetBool, '~/enable', self._enable)
        self._offer_hand_sizes(settings, self._worker)
        self._report_status()
        self.get_logger().info(
            f'ready: {self._pipeline.backend_name} on {self._pipeline.device_name}, hand model '
            f'{self._pipeline.hand_model_name}, actions {self._pipeline.recogniser_name}, '
            f'listening on {self._image_topic}'
        )

    def _create_outputs(self, settings: PerceptionSettings) -> None:
        """Create the publishers; those of actions only when somebody recognises any."""
        make_publisher = publisher_maker(self, self._qos_problems.report)
        # Boxes that are given are hands as they are: any number of a side.
        is_one_per_side = settings.one_hand_per_side and settings.box_source == 'detector'
        hands_per_side = 1 if is_one_per_side else settings.max_hands
        names = {
            'backend': 'htt' if settings.pose_source == 'htt' else self._pipeline.backend_name,
            'hand_model': self._pipeline.hand_model_name,
        }
        self._controllers = ControllerTopics(
            self,
            make_publisher,
            publish_tf=settings.publish_tf,
            target_frame=settings.target_frame,
            **names,
        )
        self._outputs = ResultPublisher(
            make_publisher,
            clock=self.get_clock(),
            faces_right=self._pipeline.faces_right,
            hands_per_side=hands_per_side,
            statistics=self._statistics,
            controllers=self._controllers,
            **names,
        )
        self._actions: ActionPublisher | None = None
        if self._pipeline.label_map is not None:
            self._actions = ActionPublisher(
                make_publisher,
                clock=self.get_clock(),
                pipeline=self._pipeline,
                settings=settings,
                hands_per_side=hands_per_side,
                statistics=self._statistics,
            )

    def _offer_hand_sizes(
        self, settings: PerceptionSettings, worker: NewestItemWorker[ImageWithBoxes]
    ) -> None:
        """Offer the services about how large hands are."""
        self._shape_reset = ShapeReset(
            self,
            run=worker.call if settings.backend == 'hamer' else None,
            forget=self._forget_shapes,
        )
        self._calibration = CalibrationService(
            self,
            start=self._pipeline.measure_hand,
            scale_of_palm=self._pipeline.scale_of_palm,
            is_enabled=lambda: self._is_enabled,
        )

    def _report_status(self) -> None:
        """Publish diagnostics from now on."""
        self._status = StatusPublisher(
            self,
            pipeline=self._pipeline,
            image_topic=self._image_topic,
            image_qos=self._input_qos,
            reader=self._reader,
            statistics=self._statistics,
            actions=None if self._actions is None else self._actions.statistics,
            controllers=self._controllers,
            qos_problems=self._qos_problems,
        )
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # simulated time may stand still
        self.create_timer(_DIAGNOSTICS_PERIOD_S, self._publish_diagnostics, clock=steady)

    def close(self) -> None:
        """End the worker, then the node."""
        if self._worker is not None:
            if not self._worker.stop():
                self.get_logger().error('the worker did not end in time')
            self._clear_markers()
        self._logs.__exit__(None, None, None)
        self.destroy_node()

    def _listen(self, settings: PerceptionSettings) -> None:
        """Subscribe images and what belongs to them; all as bytes, read where they are needed."""
        is_compressed = settings.image_transport == 'compressed'
        topic = 'image/compressed' if is_compressed else 'image'
        kind = CompressedImage if is_compressed else Image
        self._image_topic = self.resolve_topic_name(topic)
        self._input_qos = qos.image_input(settings.reliability)
        self._cameras = CameraTable(
            topic=self.resolve_topic_name('camera_info'),
            timeout_s=settings.camera_info_timeout_s,
            focal_ratio=settings.focal_ratio,
        )
        self._depth = DepthBuffer() if settings.use_depth else None
        self._boxes = BoxMatcher() if settings.box_source == 'topic' else None
        self._reader = FrameReader(self._cameras, self._depth, self._statistics)
        self._last_camera_info = b''
        # camera_info first: the first image then finds it.
        self._subscribe(CameraInfo, 'camera_info', self._take_camera_info, self._input_qos)
        few = QoSProfile(depth=5, reliability=self._input_qos.reliability)
        if self._depth is not None:
            self._subscribe(Image, 'depth', self._take_depth, few)
        if self._boxes is not None:
            self._subscribe(HandBoxArray, 'boxes', self._take_boxes, few)
        self._subscribe(kind, topic, self._take_image, self._input_qos)

    def _subscribe(
        self, kind: Any, topic: str, callback: Callable[[bytes], None], profile: QoSProfile
    ) -> None:
        events = qos.subscription_events(self.resolve_topic_name(topic), self._qos_problems.report)
        self.create_subscription(kind, topic, callback, profile, event_callbacks=events, raw=True)

    # What the executor's thread does.

    def _take_image(self, wire: bytes) -> None:
        self._statistics.add_received()
        if not self._is_enabled:
            self._statistics.add_drop(DropCause.DISABLED)
        elif self._boxes is None:
            self._submit(ImageWithBoxes(wire))
        else:
            self._hold_image(self._boxes, wire)

    def _submit(self, item: ImageWithBoxes | None) -> None:
        if item is not None and self._worker is not None and self._worker.submit(item):
            self._statistics.add_drop(DropCause.OVERWRITTEN)

    def _hold_image(self, matcher: BoxMatcher, wire: bytes) -> None:
        """Keep an image until its boxes come."""
        try:
            item, given_up, problem = matcher.add_image(read_stamp_ns(wire), wire)
        except ImageError as error:
            self._statistics.add_drop(DropCause.BAD_IMAGE)
            self._statistics.add_error(str(error))
            return
        self._statistics.add_drop(DropCause.NO_BOXES, given_up)
        if problem:
            self._statistics.add_error(f'boxes: {problem}')
        self._submit(item)

    def _take_boxes(self, wire: bytes) -> None:
        if self._boxes is None or not self._is_enabled:
            return
        try:
            item, given_up = self._boxes.add_boxes(deserialize_message(wire, HandBoxArray))
        except BoxError as error:
            self._statistics.add_error(f'boxes: {error}')
            return
        self._statistics.add_drop(DropCause.NO_BOXES, given_up)
        self._submit(item)

    def _take_camera_info(self, wire: bytes) -> None:
        """Look at a camera_info only when it differs from the last in more than its stamp."""
        if wire[_AFTER_STAMP:] == self._last_camera_info:
            return
        self._last_camera_info = wire[_AFTER_STAMP:]
        if problem := self._cameras.update(deserialize_message(wire, CameraInfo)):
            self._statistics.add_error(problem)
            self.get_logger().error(problem)

    def _take_depth(self, wire: bytes) -> None:
        try:
            if self._depth is not None:
                self._depth.add(wire)
        except ImageError as error:
            self._statistics.add_error(f'depth: {error}')

    def _enable(self, request: Any, response: Any) -> Any:
        self._is_enabled = request.data
        response.success = True
        response.message = 'enabled' if request.data else 'disabled'
        if not request.data and self._worker is not None:
            if self._boxes is not None:
                self._statistics.add_drop(DropCause.DISABLED, self._boxes.clear())
            self._worker.call(self._clear_markers)  # the worker alone publishes results
        return response

    def _take_settings(self, settings: PerceptionSettings) -> None:
        self._settings = settings

    def _publish_diagnostics(self) -> None:
        self._status.publish(self._settings, is_enabled=self._is_enabled)

    # What the worker's thread does.

    def _process(self, item: ImageWithBoxes) -> None:
        if not self._is_enabled:
            self._statistics.add_drop(DropCause.DISABLED)
            return
        settings = self._settings
        if settings is not self._pipeline_settings:
            self._pipeline.replace_settings(settings)
            self._pipeline_settings = settings
        frame = self._reader.read(item, settings, now_ns=self._now_ns())
        if isinstance(frame, DropCause):
            self._statistics.add_drop(frame)
            return
        stream_key = (frame.frame_id, frame.image.shape)
        if self._stream_key not in ((), stream_key):
            self._state.reset()  # another camera: nothing that was followed is where it was
        self._stream_key = stream_key
        result = self._pipeline.step(self._state, frame)
        self._calibration.see(result)
        if result.is_between_tokens:
            self._statistics.add_drop(DropCause.BETWEEN_TOKENS)
        else:
            # Before actions: they must not delay hands.
            self._outputs.publish(
                result,
                settings,
                lambda stamp_ns: self._pipeline.look_ahead(self._state, result, stamp_ns),
            )
        actions: tuple[ActionEstimate, ...] = ()
        if self._actions is not None:
            actions = self._actions.tell(self._pipeline, self._state, frame, result, settings)
        if not result.is_between_tokens:
            self._outputs.publish_overlay(frame, result, actions, settings)

    def _clear_markers(self) -> None:
        self._outputs.clear_markers()
        if self._actions is not None:
            self._actions.clear_markers()

    def _forget_shapes(self) -> int:
        count = len(self._state.shapes)
        self._state.shapes.reset()
        return count

    def _now_ns(self) -> int | None:
        """Give the node's clock; None while simulated time has not started."""
        return self.get_clock().now().nanoseconds or None

    def _lose_image(self, error: Exception) -> None:
        self._statistics.add_drop(DropCause.ERROR)
        self._statistics.add_error(f'{type(error).__name__}: {error}')


def main(args: list[str] | None = None) -> int:
    """Run the node ``perception``; return the exit code."""
    return run_node(lambda done: PerceptionNode(), args)


if __name__ == '__main__':
    sys.exit(main())
