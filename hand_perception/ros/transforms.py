"""Frames of the hands on /tf: wrist and palm of each side, only while they are tracked."""

import math
from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from hand_perception.msg import HandPose

#: Quality of service of /tf as tf2_ros has it.
TF: Final = QoSProfile(
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.VOLATILE,
    history=HistoryPolicy.KEEP_LAST,
    depth=100,
)
_SIDE_NAMES: Final = {HandPose.HANDEDNESS_LEFT: 'left', HandPose.HANDEDNESS_RIGHT: 'right'}
_KNUCKLES: Final = (
    HandPose.INDEX_MCP, HandPose.MIDDLE_MCP, HandPose.RING_MCP, HandPose.LITTLE_MCP,
)  # fmt: skip

PublisherMaker = Callable[[Any, str, QoSProfile], Any]


def frame_name(namespace: str, side: str, part: str) -> str:
    """Name a frame of a hand: ``hands/left_wrist`` in the namespace /hands.

    The namespace makes the frames of two cameras two; tf2 wants no slash in front.
    """
    return f'{namespace.strip("/")}/{side}_{part}'.lstrip('/')


def hand_transforms(message: HandPose, namespace: str) -> list[TransformStamped]:
    """Give the frames of a hand: camera optical frame to wrist, camera optical frame to palm.

    The palm lies midway between the wrist and the middle of the four knuckles; both frames have
    the axes of the wrist frame (docs/frames.md).

    Returns:
        Wrist and palm with the header of the message; none where the side is not tracked, is
        extrapolated, is neither left nor right, or has a header that /tf cannot take (frame_id
        empty).
    """
    side = _SIDE_NAMES.get(message.handedness)
    if side is None or not message.tracked or message.predicted or not message.header.frame_id:
        return []
    points = message.keypoints
    knuckles = np.array([(points[i].x, points[i].y, points[i].z) for i in _KNUCKLES]).mean(0)
    wrist = message.wrist.position
    palm = (knuckles + (wrist.x, wrist.y, wrist.z)) / 2
    orientation = message.wrist.orientation
    turn = (orientation.x, orientation.y, orientation.z, orientation.w)
    if not all(map(math.isfinite, (*palm.tolist(), *turn))):
        return []  # a consumer of /tf could only complain about it
    return [
        _transform(message, frame_name(namespace, side, 'wrist'), (wrist.x, wrist.y, wrist.z)),
        _transform(message, frame_name(namespace, side, 'palm'), tuple(palm.tolist())),
    ]


def _transform(message: HandPose, child: str, position: tuple[float, ...]) -> TransformStamped:
    transform = TransformStamped(header=message.header, child_frame_id=child)
    translation = transform.transform.translation
    translation.x, translation.y, translation.z = position
    transform.transform.rotation = message.wrist.orientation
    return transform


class HandFrames:
    """Publishes the frames of hands on /tf where the package tf2_msgs is there.

    A side that is not tracked has no new frame: who looks one up at the time of an image without
    the hand gets an error, not an old place.

    Attributes:
        status: what becomes of the frames, for diagnostics.
    """

    def __init__(self, node: Node, make_publisher: PublisherMaker, *, is_wanted: bool) -> None:
        """Create the publisher, or say once why there is none.

        Args:
            node: whose namespace names the frames.
            make_publisher: makes a publisher of ``node``.
            is_wanted: the setting publish_tf.
        """
        self._namespace = node.get_namespace()
        self._publisher: Any = None
        self._message_type: Any = None
        self.status = 'off'
        if not is_wanted:
            return
        try:
            from tf2_msgs.msg import TFMessage
        except ImportError:
            self.status = 'not published: the package tf2_msgs is not installed'
            node.get_logger().info(
                'frames of the hands are not published on /tf: the package tf2_msgs is not '
                'installed; everything else works without it. On a ROS distribution: sudo apt '
                'install ros-$ROS_DISTRO-tf2-msgs'
            )
            return
        self._message_type = TFMessage
        self._publisher = make_publisher(TFMessage, '/tf', TF)
        left, right = (frame_name(self._namespace, side, 'wrist') for side in ('left', 'right'))
        self.status = f'{left}, {right} and palms'

    def publish(self, messages: Iterable[HandPose]) -> int:
        """Publish the frames of these hands, at most one per side; return how many frames."""
        if self._publisher is None:
            return 0
        transforms = [t for m in messages for t in hand_transforms(m, self._namespace)]
        if transforms:
            self._publisher.publish(self._message_type(transforms=transforms))
        return len(transforms)
