"""Output topics: made with their quality of service watched, limited in rate, markers of hands."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from visualization_msgs.msg import MarkerArray

from hand_perception.datatypes import Hand
from hand_perception.ros import qos
from hand_perception.ros.markers import HandMarkers

PublisherMaker = Callable[[Any, str, QoSProfile], Publisher]


def publisher_maker(node: Node, report_qos: Callable[[str], None]) -> PublisherMaker:
    """Give the function that makes publishers on ``node``.

    Args:
        node: whose topics they are.
        report_qos: told of subscribers that request what is not offered.
    """

    def make(kind: Any, topic: str, profile: QoSProfile) -> Publisher:
        events = qos.publisher_events(node.resolve_topic_name(topic), report_qos)
        return node.create_publisher(kind, topic, profile, event_callbacks=events)

    return make


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


class MarkerTopic:
    """A topic of hands as markers: sent only while somebody subscribes, and not too often."""

    def __init__(
        self,
        make_publisher: PublisherMaker,
        topic: str,
        faces_right: NDArray[np.integer],
        *,
        hands_per_side: int,
    ) -> None:
        """Create the publisher.

        Args:
            make_publisher: makes it.
            topic: its name.
            faces_right: (F, 3) triangles of a right hand.
            hands_per_side: places for hands.
        """
        self._publisher = make_publisher(MarkerArray, topic, qos.MARKERS)
        self._markers = HandMarkers(faces_right, hands_per_side=hands_per_side)
        self._rate = RateLimit()
        self._last_image: tuple[int, str] | None = None

    def publish(
        self, stamp_ns: int, frame_id: str, hands: Sequence[Hand], *, rate_hz: float
    ) -> bool:
        """Publish the hands of an image, at most ``rate_hz``; return whether that was done."""
        self._last_image = (stamp_ns, frame_id)
        if not self._publisher.get_subscription_count():
            return False
        if not self._rate.is_due(time.monotonic(), rate_hz):
            return False
        self._markers.lifetime_s = 2 / rate_hz
        self._publisher.publish(self._markers.serialised(stamp_ns, frame_id, hands))
        return True

    def clear(self) -> None:
        """Delete all markers: images are not processed any more."""
        if self._last_image is not None and self._publisher.get_subscription_count():
            self._publisher.publish(self._markers.serialised(*self._last_image, ()))
