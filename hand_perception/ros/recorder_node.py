"""The node ``recorder``: all topics of a run into a bag, an overlay video and a summary."""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, TwistStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rclpy.task import Future
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, Joy
from std_msgs.msg import Float64
from visualization_msgs.msg import MarkerArray

from hand_perception.config import RecorderSettings
from hand_perception.errors import SourceError
from hand_perception.msg import HandAction, HandPose, HandPoseArray, LabelMap, TeleopState
from hand_perception.ros import qos
from hand_perception.ros.bag import BagWriter
from hand_perception.ros.messages import stamp_ns_of, time_ns_of
from hand_perception.ros.params import NodeParameters
from hand_perception.ros.process import run_node

#: Topics of a run, relative to the namespace, and whether their messages are whole raw images.
#: /diagnostics is subscribed last: once it comes in, its sender knows of all the others too.
TOPICS: Final[tuple[tuple[str, type, bool], ...]] = (
    ('image', Image, True),
    ('image/compressed', CompressedImage, False),
    ('camera_info', CameraInfo, False),
    ('pose', HandPoseArray, False),
    ('left/pose', HandPose, False),
    ('right/pose', HandPose, False),
    ('left/wrist', PoseStamped, False),
    ('right/wrist', PoseStamped, False),
    ('action', HandAction, False),
    ('action_labels', LabelMap, False),
    ('htt/pose', HandPoseArray, False),
    ('markers', MarkerArray, False),
    ('overlay', Image, True),
    ('/diagnostics', DiagnosticArray, False),
)
#: Topics that say something once.
_LATCHED: Final = ('action_labels',)
#: Topics of each side of a teleoperation, below the name of its node.
_TELEOP_TOPICS: Final[tuple[tuple[str, type], ...]] = (
    ('target', PoseStamped),
    ('twist', TwistStamped),
    ('gripper', Float64),
    ('arm_pose', PoseStamped),
    ('gripper_state', Float64),
)
#: Deep enough that a recorder that writes a video loses nothing that is sent reliably.
_DEPTH: Final = 100
_REPORT_INTERVAL_S: Final = 0.2
#: The array action_is_right: -1 stands for both hands or the whole scene.
_IS_RIGHT: Final = {
    HandAction.HANDEDNESS_UNKNOWN: -1,
    HandAction.HANDEDNESS_LEFT: 0,
    HandAction.HANDEDNESS_RIGHT: 1,
}


class RecorderNode(Node):
    """Records until it is stopped; everything is on disk when :meth:`close` returns."""

    def __init__(self, done: Future) -> None:
        """Open the files and subscribe.

        Raises:
            ConfigError: a parameter has a value that is not allowed.
            MissingPackageError: a bag was asked for and rosbags is not installed.
            SourceError: the folder cannot be written or already holds a recording.
        """
        super().__init__('recorder', automatically_declare_parameters_from_overrides=True)
        self.settings = NodeParameters(self, RecorderSettings, on_change=lambda _: None).settings
        self._folder = Path(self.settings.output_dir)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SourceError(f'cannot record into {self._folder}: {error}') from error
        self._bag = BagWriter(self._folder / 'bag') if self.settings.bag else None
        self._video = OverlayVideo(self._folder / 'overlay.mp4', self.settings.overlay_rate_hz)
        self._summary = RunSummary()
        reliable = QoSProfile(depth=_DEPTH, reliability=ReliabilityPolicy.RELIABLE)
        for topic, message_type, is_raw_image in TOPICS:
            if topic == 'image' and not self.settings.raw_images:
                continue
            write = self._bag_write(topic, message_type, is_raw_image)
            profile = qos.LATCHED if topic in _LATCHED else reliable
            self.create_subscription(
                message_type, topic, partial(self._receive, topic, write), profile, raw=True
            )
        if self.settings.teleop:
            self._record_teleop(self.settings.teleop.rstrip('/'), reliable)
        self._last_report = 0.0

    def _record_teleop(self, name: str, reliable: QoSProfile) -> None:
        """Record what a teleoperation hears and says, and count it by the last word of a topic."""
        topics = [
            (f'{name}/{side}/{topic}', kind)
            for side in ('left', 'right')
            for topic, kind in _TELEOP_TOPICS
        ]
        for topic, kind in [*topics, (f'{name.rpartition("/")[0]}/joy', Joy)]:
            self._record_and_count(topic, kind, reliable)
        self._record_and_count(f'{name}/state', TeleopState, qos.LATCHED)

    def _record_and_count(self, topic: str, kind: type, profile: QoSProfile) -> None:
        is_latched = profile is qos.LATCHED
        write = self._bag and self._bag.connect(topic, kind, is_latched=is_latched)
        word = topic.rpartition('/')[2]

        def receive(cdr: bytes) -> None:
            if write is not None:
                write(cdr)
            self._summary.teleop[word] += 1
            self._report()

        self.create_subscription(kind, topic, receive, profile, raw=True)

    def _bag_write(
        self, topic: str, message_type: type, is_raw_image: bool
    ) -> Callable[[bytes], None] | None:
        if self._bag is None or (is_raw_image and not self.settings.raw_images):
            return None
        return self._bag.connect(
            self.resolve_topic_name(topic), message_type, is_latched=topic in _LATCHED
        )

    def _receive(self, topic: str, write: Callable[[bytes], None] | None, cdr: bytes) -> None:
        if write is not None:
            write(cdr)
        if topic == 'image/compressed':
            self._summary.add_image(deserialize_message(cdr, CompressedImage))
        elif topic == 'pose':
            self._summary.add_pose(deserialize_message(cdr, HandPoseArray))
            self._report()
        elif topic == 'action':
            self._summary.add_action(deserialize_message(cdr, HandAction))
        elif topic == 'overlay':
            self._video.add(deserialize_message(cdr, Image))
        elif topic == '/diagnostics':
            self._summary.num_diagnostics += 1
            self._report()

    def _report(self) -> None:
        """Tell the progress on standard output, for whoever started the node."""
        now = time.monotonic()
        if now - self._last_report >= _REPORT_INTERVAL_S:
            self._last_report = now
            print(json.dumps(self._summary.progress()), flush=True)

    def close(self) -> None:
        """Finish the files."""
        self.destroy_node()
        self._video.close()
        if self._bag is not None:
            self._bag.close()
        self._summary.save(self._folder / 'hands.npz')


class RunSummary:
    """What came in a run, in numbers: stamps, ages, drops, keypoints and actions."""

    def __init__(self) -> None:
        """Start empty."""
        self.num_diagnostics = 0
        self.teleop: Counter[str] = Counter()
        self._images: list[int] = []
        self._poses: list[tuple[int, float, int, int]] = []  # stamp, age, processed, dropped
        self._hands: list[tuple[int, HandPose]] = []
        # Stamp, side, label, onset, reason: messages as they come would fill the memory.
        self._actions: list[tuple[int, int, str, int, str]] = []

    def add_image(self, message: CompressedImage) -> None:
        """Count a camera image."""
        self._images.append(stamp_ns_of(message.header))

    def add_pose(self, message: HandPoseArray) -> None:
        """Add the hands of an image."""
        counts = (message.frames_processed, message.frames_dropped)
        self._poses.append((stamp_ns_of(message.header), message.age, *counts))
        self._hands += [(stamp_ns_of(message.header), hand) for hand in message.hands]

    def add_action(self, message: HandAction) -> None:
        """Add what was said of an action."""
        stamp_ns, onset_ns = stamp_ns_of(message.header), time_ns_of(message.onset)
        side = _IS_RIGHT.get(message.handedness, -1)
        self._actions.append((stamp_ns, side, message.label, onset_ns, message.unknown_reason))

    def progress(self) -> dict[str, int]:
        """Give the numbers so far."""
        dropped = self._poses[-1][3] if self._poses else 0
        return {
            'images': len(self._images),
            'processed': len(self._poses),
            'dropped': dropped,
            'hands': len(self._hands),
            'actions': len(self._actions),
            'diagnostics': self.num_diagnostics,
            **self.teleop,
        }

    def save(self, path: Path) -> None:
        """Write arrays: over the images, the processed images, the hands and the actions."""
        hands = [hand for _, hand in self._hands]
        columns: dict[str, Any] = {
            'image_stamp_ns': np.array(self._images, np.int64),
            'pose_stamp_ns': np.array([p[0] for p in self._poses], np.int64),
            'age_s': np.array([p[1] for p in self._poses], np.float64),
            'frames_processed': np.array([p[2] for p in self._poses], np.int64),
            'frames_dropped': np.array([p[3] for p in self._poses], np.int64),
            'stamp_ns': np.array([stamp for stamp, _ in self._hands], np.int64),
            'track_id': np.array([hand.track_id for hand in hands], np.int64),
            'is_right': np.array(
                [hand.handedness == HandPose.HANDEDNESS_RIGHT for hand in hands], np.bool_
            ),
            'confidence': np.array([hand.confidence for hand in hands], np.float32),
            'keypoints_2d': np.array([hand.keypoints_2d for hand in hands], np.float32).reshape(
                -1, 21, 2
            ),
            'keypoints_3d': np.array(
                [[(p.x, p.y, p.z) for p in hand.keypoints] for hand in hands], np.float32
            ).reshape(-1, 21, 3),
            **self._action_columns(),
        }
        np.savez_compressed(path, **columns)

    def _action_columns(self) -> dict[str, Any]:
        """Give arrays over the actions; texts have a length, so that no pickle is needed."""
        actions = self._actions
        return {
            'action_stamp_ns': np.array([a[0] for a in actions], np.int64),
            'action_is_right': np.array([a[1] for a in actions], np.int8),
            'action_label': np.array([a[2] for a in actions], np.str_),
            'action_onset_ns': np.array([a[3] for a in actions], np.int64),
            'action_unknown_reason': np.array([a[4] for a in actions], np.str_),
        }


class OverlayVideo:
    """An mp4 of the overlay images at a steady rate; dropped images repeat the one before."""

    def __init__(self, path: Path, rate_hz: float) -> None:
        """Open on the first image, whose size it takes."""
        self._path = path
        self._rate_hz = rate_hz
        self._writer: cv2.VideoWriter | None = None
        self._first_ns = 0
        self._size = (0, 0)
        self._count = 0

    def add(self, message: Image) -> None:
        """Add an overlay image (bgr8, rows without padding, as the node publishes it)."""
        image = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)
        stamp_ns = stamp_ns_of(message.header)
        if self._writer is None:
            self._writer = cv2.VideoWriter(
                str(self._path),
                cv2.VideoWriter_fourcc(*'mp4v'),
                self._rate_hz,
                (message.width, message.height),
            )
            if not self._writer.isOpened():
                raise SourceError(f'cannot write the video {self._path}')
            self._first_ns = stamp_ns
            self._size = (message.width, message.height)
        if (message.width, message.height) != self._size:  # a video has one size
            image = cv2.resize(image, self._size, interpolation=cv2.INTER_AREA)
        due = round((stamp_ns - self._first_ns) * 1e-9 * self._rate_hz) + 1
        # A stamp that jumped must not fill the disk: at most a second is filled up.
        for _ in range(min(max(due - self._count, 1), round(self._rate_hz))):
            self._writer.write(image)
        self._count = max(self._count + 1, due)

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.release()


def main(args: list[str] | None = None) -> int:
    """Run the node; return its exit code."""
    return run_node(RecorderNode, args)


if __name__ == '__main__':
    sys.exit(main())
