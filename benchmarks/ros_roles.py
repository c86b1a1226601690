"""The processes of the node benchmarks; each prints what it measured as JSON when it ends.

``python benchmarks/ros_roles.py ROLE [options]``: camera, receiver, node, naive or sink. The
benchmarks start them; signals end those that do not end by themselves.
"""

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from geometry_msgs.msg import Point
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.task import Future
from ros_hands import FACES, make_hands
from sensor_msgs.msg import CameraInfo, Image
from visualization_msgs.msg import Marker, MarkerArray

from hand_perception.config import PerceptionSettings
from hand_perception.datatypes import Frame, FrameResult
from hand_perception.msg import HandPose, HandPoseArray
from hand_perception.ros import qos
from hand_perception.ros.boxes import ImageWithBoxes
from hand_perception.ros.cdr import read_stamp_ns, write_image
from hand_perception.ros.messages import stamp_ns_of
from hand_perception.ros.perception_node import PerceptionNode
from hand_perception.ros.process import run_node

_FRAME_ID = 'camera'


class CameraRole(Node):
    """Publishes images at a rate, by absolute deadlines, then ends."""

    def __init__(self, done: Future, options: argparse.Namespace) -> None:
        """Start to play the role."""
        super().__init__('camera')
        self._options = options
        self._done = done
        self._matched = threading.Event()
        events = PublisherEventCallbacks(matched=lambda event: self._matched.set())
        self._images = self.create_publisher(
            Image, 'image', qos.image_output('reliable'), event_callbacks=events
        )
        self._infos = self.create_publisher(CameraInfo, 'camera_info', 5)
        self.result = {'sent': 0}
        self._thread = threading.Thread(target=self._run, name='camera', daemon=True)
        self._thread.start()

    def _run(self) -> None:
        options = self._options
        pixels = np.random.default_rng(0).integers(
            0, 256, (options.height, options.width, 3), np.uint8
        )
        info = CameraInfo(height=options.height, width=options.width)
        info.header.frame_id = _FRAME_ID
        info.k = np.array([1000.0, 0, 960, 0, 1000, 540, 0, 0, 1])
        if self._matched.wait(30):
            settled = threading.Event()
            settled.wait(1.0)  # other topics of the node match too
            start = time.monotonic()
            for number in range(options.count):
                settled.wait(max(0.0, start + number / options.rate - time.monotonic()))
                now_ns = self.get_clock().now().nanoseconds
                info.header.stamp.sec, info.header.stamp.nanosec = divmod(now_ns, 10**9)
                self._infos.publish(info)
                wire = write_image(
                    stamp_ns=now_ns, frame_id=_FRAME_ID, height=options.height,
                    width=options.width, encoding='bgr8', step=3 * options.width,
                    pixels=memoryview(pixels).cast('B'),
                )  # fmt: skip
                self._images.publish(wire)
                self.result['sent'] = number + 1
            settled.wait(1.0)
        self._done.set_result(0)

    def close(self) -> None:
        """End what runs, then the node."""
        self._thread.join(5)
        self.destroy_node()


class ReceiverRole(Node):
    """Takes raw images as the perception node does and does nothing with them."""

    def __init__(self, done: Future, options: argparse.Namespace) -> None:
        """Start to play the role."""
        super().__init__('receiver')
        profile = QoSProfile(depth=options.depth, reliability=ReliabilityPolicy.BEST_EFFORT)
        self.create_subscription(Image, 'image', self._take, profile, raw=True)
        self.result: dict[str, Any] = {'received': 0, 'latency_s': []}

    def _take(self, wire: bytes) -> None:
        latency_ns = self.get_clock().now().nanoseconds - read_stamp_ns(wire)
        self.result['received'] += 1
        self.result['latency_s'].append(latency_ns * 1e-9)

    def close(self) -> None:
        """End what runs, then the node."""
        self.destroy_node()


class SleepingPipeline:
    """Stands for the networks: sleeps without the interpreter lock and knows the answer."""

    backend_name, hand_model_name, device_name = 'sleep', 'default', 'none'
    recogniser_name, recogniser_device = 'none', ''
    label_map = recogniser_hand_model = None
    faces_right = FACES

    def __init__(self, sleep_s: float, num_hands: int) -> None:
        """Sleep this long and know this many hands."""
        self._sleep_s = sleep_s
        self._hands = tuple(make_hands(num_hands))
        self.last_s = 0.0

    def new_stream(self) -> 'SleepingPipeline':
        """Give itself: it remembers nothing."""
        return self

    def reset(self) -> None:
        """Nothing is remembered."""

    def replace_settings(self, settings: PerceptionSettings) -> None:
        """Nothing is set."""

    def measure_hand(self, is_right: bool | None) -> Any:
        """Nobody asks how large the hands are."""
        raise NotImplementedError('these hands have no size')

    def scale_of_palm(self, width_m: float) -> float:
        """Nobody asks how large the hands are."""
        raise NotImplementedError('these hands have no size')

    def step(self, state: object, frame: Frame) -> FrameResult:
        """Sleep."""
        started = time.perf_counter()
        time.sleep(self._sleep_s)
        self.last_s = time.perf_counter() - started
        return FrameResult(stamp_ns=frame.stamp_ns, frame_id=frame.frame_id, hands=self._hands)


class MeasuredPerception(PerceptionNode):
    """The real node; measures its worker's time without the pipeline's."""

    def __init__(self, done: Future, options: argparse.Namespace) -> None:
        """Start to play the role."""
        self._sleeping = SleepingPipeline(options.sleep, options.hands)
        self.result: dict[str, Any] = {'own_work_s': [], 'own_cpu_s': [], 'cpu_s': 0.0}
        super().__init__(lambda settings: self._sleeping)

    def _process(self, item: ImageWithBoxes) -> None:
        started, started_cpu = time.perf_counter(), time.thread_time()
        super()._process(item)
        own_s = time.perf_counter() - started - self._sleeping.last_s
        self.result['own_work_s'].append(own_s)
        self.result['own_cpu_s'].append(time.thread_time() - started_cpu)

    def close(self) -> None:
        """End what runs, then the node."""
        self.result['processed'] = self._statistics.processed
        self.result['dropped'] = self._statistics.snapshot().dropped
        self.result['cpu_s'] = time.process_time()
        super().close()


class NaiveRole(Node):
    """The obvious node: everything in the callback, messages filled element by element."""

    def __init__(self, done: Future, options: argparse.Namespace) -> None:
        """Start to play the role."""
        super().__init__('perception')
        self._pipeline = SleepingPipeline(options.sleep, options.hands)
        self.result: dict[str, Any] = {'own_work_s': [], 'own_cpu_s': [], 'cpu_s': 0.0}
        self._poses = self.create_publisher(HandPoseArray, 'pose', 5)
        self._markers = self.create_publisher(MarkerArray, 'markers', 5)
        profile = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        self.create_subscription(Image, 'image', self._take, profile)

    def _take(self, message: Image) -> None:
        started, started_cpu = time.perf_counter(), time.thread_time()
        image = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)
        frame = Frame(
            image=image[:, :, ::-1].copy(), is_rgb=True, stamp_ns=stamp_ns_of(message.header),
            frame_id=message.header.frame_id, camera=None,  # type: ignore[arg-type]  # not looked at
        )  # fmt: skip
        hands = self._pipeline.step(None, frame).hands
        array, markers = HandPoseArray(header=message.header), MarkerArray()
        for number, hand in enumerate(hands):
            pose = HandPose(header=message.header, tracked=True)
            pose.keypoints = [Point(x=float(x), y=float(y), z=float(z)) for x, y, z in
                              hand.keypoints_3d]  # fmt: skip
            array.hands.append(pose)
            marker = Marker(header=message.header, id=number, type=Marker.TRIANGLE_LIST)
            for vertex in FACES.ravel():
                x, y, z = hand.vertices[vertex]
                marker.points.append(Point(x=float(x), y=float(y), z=float(z)))
            markers.markers.append(marker)
        self._poses.publish(array)
        self._markers.publish(markers)
        self.result['own_work_s'].append(time.perf_counter() - started - self._pipeline.last_s)
        self.result['own_cpu_s'].append(time.thread_time() - started_cpu)

    def close(self) -> None:
        """End what runs, then the node."""
        self.result['cpu_s'] = time.process_time()
        self.destroy_node()


class SinkRole(Node):
    """Receives poses and, as bytes, markers; measures their age on arrival."""

    def __init__(self, done: Future, options: argparse.Namespace) -> None:
        """Start to play the role."""
        super().__init__('sink')
        self.result: dict[str, Any] = {'pose_age_s': [], 'frames_dropped': 0, 'markers': 0}
        self.create_subscription(HandPoseArray, 'pose', self._take_pose, 5)
        if options.markers:
            self.create_subscription(MarkerArray, 'markers', self._take_markers, 1, raw=True)

    def _take_pose(self, message: HandPoseArray) -> None:
        age_ns = self.get_clock().now().nanoseconds - stamp_ns_of(message.header)
        self.result['pose_age_s'].append(age_ns * 1e-9)
        self.result['frames_dropped'] = message.frames_dropped

    def _take_markers(self, wire: bytes) -> None:
        self.result['markers'] += 1

    def close(self) -> None:
        """End what runs, then the node."""
        self.destroy_node()


_ROLES: dict[str, Callable[[Future, argparse.Namespace], Any]] = {
    'camera': CameraRole, 'receiver': ReceiverRole, 'node': MeasuredPerception,
    'naive': NaiveRole, 'sink': SinkRole,
}  # fmt: skip


def main() -> int:
    """Play one role until it ends or a signal comes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('role', choices=_ROLES)
    parser.add_argument('--width', type=int, default=1920)
    parser.add_argument('--height', type=int, default=1080)
    parser.add_argument('--rate', type=float, default=30.0)
    parser.add_argument('--count', type=int, default=150)
    parser.add_argument('--depth', type=int, default=1)
    parser.add_argument('--sleep', type=float, default=0.002)
    parser.add_argument('--hands', type=int, default=2)
    parser.add_argument('--markers', action='store_true')
    options, ros_args = parser.parse_known_args()
    made: list[Any] = []

    def make(done: Future) -> Any:
        made.append(_ROLES[options.role](done, options))
        return made[0]

    code = run_node(make, [sys.argv[0], *ros_args])
    print(json.dumps(made[0].result if made else {}))
    return code


if __name__ == '__main__':
    sys.exit(main())
