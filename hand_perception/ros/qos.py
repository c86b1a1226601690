"""Quality of service of every topic, and what to say when another side does not fit."""

from collections.abc import Callable
from typing import Any, Final

from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
    qos_policy_name_from_kind,
)

_RELIABILITY: Final = {
    'best_effort': ReliabilityPolicy.BEST_EFFORT,
    'reliable': ReliabilityPolicy.RELIABLE,
}


def _profile(reliability: str, depth: int) -> QoSProfile:
    return QoSProfile(
        reliability=_RELIABILITY[reliability],
        durability=DurabilityPolicy.VOLATILE,
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
    )


def image_input(reliability: str) -> QoSProfile:
    """Only the newest image counts: a longer queue is nothing but delay."""
    return _profile(reliability, 1)


def image_output(reliability: str) -> QoSProfile:
    """Images of the video source."""
    return _profile(reliability, 5)


RESULTS: Final = _profile('reliable', 5)
MARKERS: Final = _profile('reliable', 1)
OVERLAY: Final = _profile('reliable', 1)
#: What is said once: a subscriber that comes later gets it, too, when it asks for it.
LATCHED: Final = QoSProfile(
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
    history=HistoryPolicy.KEEP_LAST,
    depth=1,
)


def subscription_events(topic: str, report: Callable[[str], None]) -> SubscriptionEventCallbacks:
    """Make ``report`` hear of publishers that do not offer what a subscription requests."""

    def tell(event: Any) -> None:
        report(
            f'a publisher on {topic} does not offer the requested '
            f'{_policy(event.last_policy_kind)}, nothing comes from it; set the parameter '
            'reliability to best_effort or change the publisher'
        )

    # The default callbacks would add a second wait-set entry per topic and their own log lines.
    return SubscriptionEventCallbacks(incompatible_qos=tell, use_default_callbacks=False)


def publisher_events(topic: str, report: Callable[[str], None]) -> PublisherEventCallbacks:
    """Make ``report`` hear of subscribers that request what a publisher does not offer."""

    def tell(event: Any) -> None:
        report(
            f'a subscriber on {topic} requests {_policy(event.last_policy_kind)} that is not '
            'offered and gets nothing; subscribe with durability volatile and no deadline'
        )

    return PublisherEventCallbacks(incompatible_qos=tell, use_default_callbacks=False)


def _policy(kind: Any) -> str:
    return str(qos_policy_name_from_kind(kind)).lower()


def describe_silence(node: Node, topic: str, qos: QoSProfile, silence_s: float) -> str:
    """Say why nothing may come on a topic: nobody publishes, or what is offered does not fit."""
    publishers = node.get_publishers_info_by_topic(topic)
    misfits = [
        f'{p.node_namespace.rstrip("/")}/{p.node_name}'
        for p in publishers
        if qos_check_compatible(p.qos_profile, qos)[0] == QoSCompatibility.ERROR
    ]
    text = f'no image for {silence_s:.1f} s on {topic}; publishers: {len(publishers)}'
    if misfits:
        text += f' (quality of service does not fit: {", ".join(misfits)})'
    elif publishers:
        text += (
            ' (the publisher is silent, or large images are lost on the way: see the DDS profile '
            'in docs/node.md)'
        )
    return text
