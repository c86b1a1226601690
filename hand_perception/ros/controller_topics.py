"""What controllers ask for: frames, poses in their frame, raw and predicted poses."""

from collections.abc import Callable, Mapping, Sequence

from rclpy.clock import Clock
from rclpy.node import Node

from hand_perception.datatypes import FrameResult, Hand
from hand_perception.msg import HandPose, HandPoseArray
from hand_perception.ros.messages import HandMessages, make_header, pose_array
from hand_perception.ros.qos import RESULTS
from hand_perception.ros.target_frame import TargetWrists, TfBuffer, listen_to_tf
from hand_perception.ros.transforms import HandFrames, PublisherMaker

#: Looks ahead of the last image to a stamp: gives the stamp that it dares to reach, and the hands
#: then (``pipeline.predict_ahead.look_ahead``).
Predictor = Callable[[int], tuple[int, Sequence[Hand]]]


class PoseArrayTopic:
    """A further topic of hands, filled only while somebody subscribes."""

    def __init__(
        self, make_publisher: PublisherMaker, topic: str, *, backend: str, hand_model: str
    ) -> None:
        """Create the publisher of ``topic``."""
        self._publisher = make_publisher(HandPoseArray, topic, RESULTS)
        self._messages = HandMessages(backend=backend, hand_model=hand_model)

    @property
    def is_wanted(self) -> bool:
        """Whether somebody subscribes."""
        return bool(self._publisher.get_subscription_count())

    def publish(
        self,
        result: FrameResult,
        hands: Sequence[Hand],
        *,
        stamp_ns: int,
        now_ns: int,
        counts: tuple[int, int],
    ) -> None:
        """Publish hands; those of another stamp than the image tell how far they are ahead.

        Args:
            result: of the image that the hands come from.
            hands: to publish.
            stamp_ns: what the hands are stamped with.
            now_ns: clock of the node.
            counts: images processed and dropped so far.
        """
        header = make_header(stamp_ns, result.frame_id)
        messages = self._messages.write(hands, header, with_vertices=False)
        age_s = (now_ns - stamp_ns) * 1e-9
        horizon_s = (stamp_ns - result.stamp_ns) * 1e-9
        for message in messages:
            message.horizon = horizon_s
        self._publisher.publish(pose_array(header, messages, counts=counts, age_s=age_s))


class ControllerTopics:
    """/tf, ``left/wrist_in_target``, ``pose_raw`` and ``pose_predicted``; for the worker's thread.

    Attributes:
        frames: of the hands on /tf.
        targets: wrists in the frame of the setting target_frame.
    """

    def __init__(
        self,
        node: Node,
        make_publisher: PublisherMaker,
        *,
        publish_tf: bool,
        target_frame: str,
        backend: str,
        hand_model: str,
        open_buffer: Callable[[Node], TfBuffer] = listen_to_tf,
    ) -> None:
        """Create the publishers.

        Args:
            node: whose namespace names frames; listens to TF where a frame is wanted.
            make_publisher: makes a publisher of ``node``.
            publish_tf: the setting.
            target_frame: the setting; empty for none.
            backend: name of what reconstructs hands.
            hand_model: name of the hand model.
            open_buffer: for tests without TF.
        """
        names = {'backend': backend, 'hand_model': hand_model}
        self._clock: Clock = node.get_clock()
        self.frames = HandFrames(node, make_publisher, is_wanted=publish_tf)
        self.targets = TargetWrists(node, make_publisher, target_frame, open_buffer=open_buffer)
        self._raw = PoseArrayTopic(make_publisher, 'pose_raw', **names)
        self._predicted = PoseArrayTopic(make_publisher, 'pose_predicted', **names)

    def publish(
        self,
        result: FrameResult,
        surest: Mapping[bool, HandPose],
        *,
        counts: tuple[int, int],
        raw_hands: Sequence[Hand] | None = None,
        predict: Predictor | None = None,
    ) -> None:
        """Publish what belongs to the hands of an image, after their poses went out.

        Args:
            result: of the image.
            surest: of :func:`surest_of_each_side`, as published.
            counts: images processed and dropped so far.
            raw_hands: the hands before smoothing; None: there is nothing raw.
            predict: extrapolates the hands of this image; None: nothing is extrapolated.
        """
        self.frames.publish(surest.values())
        for message in surest.values():
            self.targets.publish(message)
        if raw_hands is not None and self._raw.is_wanted:
            now_ns = self._clock.now().nanoseconds
            self._raw.publish(
                result, raw_hands, stamp_ns=result.stamp_ns, now_ns=now_ns, counts=counts
            )
        if predict is not None and self._predicted.is_wanted:
            now_ns = self._clock.now().nanoseconds
            # A clock behind the camera's cannot say how far ahead "now" is.
            stamp_ns, hands = predict(max(now_ns, result.stamp_ns))
            self._predicted.publish(result, hands, stamp_ns=stamp_ns, now_ns=now_ns, counts=counts)

    @property
    def problem(self) -> str:
        """What is wrong, for diagnostics; empty when nothing is."""
        return self.targets.problem

    def facts(self) -> Mapping[str, str]:
        """Give key-value pairs for diagnostics."""
        return {'frames on /tf': self.frames.status, **self.targets.facts()}


def surest_of_each_side(result: FrameResult, messages: Sequence[HandPose]) -> dict[bool, HandPose]:
    """Give the message of the most confident left (False) and right (True) hand."""
    surest: dict[bool, tuple[float, HandPose]] = {}
    for hand, message in zip(result.hands, messages, strict=True):
        if hand.is_right not in surest or hand.confidence > surest[hand.is_right][0]:
            surest[hand.is_right] = (hand.confidence, message)
    return {side: message for side, (_, message) in sorted(surest.items())}
