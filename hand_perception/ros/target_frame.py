"""Poses of the wrists in a frame of the user, through tf2, or none: never in the wrong frame."""

from collections import Counter
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from geometry_msgs.msg import PoseStamped, TransformStamped
from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.time import Time

from hand_perception.msg import HandPose
from hand_perception.ros.messages import stamp_ns_of
from hand_perception.ros.qos import RESULTS
from hand_perception.ros.transforms import PublisherMaker
from hand_perception.teleop.vectors import (
    Quaternion,
    Vector,
    add,
    as_quaternion,
    multiply,
    rotated,
)

#: Names of what can keep a pose from being given, for counts and messages.
_MISSING_PACKAGE: Final = 'tf2_ros is not installed'
_NO_STAMP: Final = 'the image has no stamp'
_NO_FRAME_ID: Final = 'the image has no frame_id'
_NO_TRANSFORM: Final = 'no transform'


class TfBuffer(NamedTuple):
    """What is needed of tf2_ros.

    Attributes:
        lookup: gives the transform for (target frame, source frame, time) without waiting.
        error: what it raises.
        owners: fill and empty the buffer as long as they live.
    """

    lookup: Callable[[str, str, Time], TransformStamped]
    error: type[Exception]
    owners: tuple[Any, ...] = ()


def listen_to_tf(node: Node) -> TfBuffer:
    """Listen to /tf and /tf_static with a node.

    Raises:
        ImportError: the package tf2_ros is not installed.
    """
    from tf2_ros import Buffer, TransformException, TransformListener

    # Given the node, the buffer would offer a service of one name for every node in a namespace.
    buffer = Buffer()
    threshold = JumpThreshold(
        min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True
    )
    # Transforms of a run of simulated time that is over would be taken for those of this one.
    on_jump = node.get_clock().create_jump_callback(
        threshold, post_callback=lambda _: buffer.clear()
    )
    listener = TransformListener(buffer, node)
    return TfBuffer(buffer.lookup_transform, TransformException, (listener, on_jump))


class FrameLookup:
    """Says where the camera is in a frame of the user at the time of an image.

    Nothing is waited for: a transform that is not there when the hands are published is late for
    a controller, too. Trouble of a kind is said once and counted.

    Attributes:
        counts: looked up without success, by kind of trouble.
        problem: why the last look-up failed; empty when it did not.
    """

    def __init__(
        self,
        node: Node,
        target_frame: str,
        *,
        open_buffer: Callable[[Node], TfBuffer] = listen_to_tf,
    ) -> None:
        """Listen to TF.

        Args:
            node: listens and logs.
            target_frame: frame that poses are wanted in.
            open_buffer: for tests without TF.
        """
        self.target_frame = target_frame.lstrip('/')  # tf2 has no leading slashes
        self.counts: Counter[str] = Counter()
        self.problem = ''
        self._logger = node.get_logger()
        self._last: tuple[tuple[str, int], TransformStamped | None] | None = None
        self._tf: TfBuffer | None = None
        try:
            self._tf = open_buffer(node)
        except ImportError as error:
            self._fail(
                _MISSING_PACKAGE,
                f'poses in {self.target_frame!r} need the Python package tf2_ros, which is not '
                f'installed ({error}); nothing is given in that frame, everything else works. On '
                'a ROS distribution: sudo apt install ros-$ROS_DISTRO-tf2-ros-py',
            )

    def find(self, frame_id: str, stamp_ns: int) -> TransformStamped | None:
        """Give the transform that takes points of a camera frame into the target frame.

        Args:
            frame_id: camera optical frame.
            stamp_ns: time of the image.

        Returns:
            None where it is not known for that time; :attr:`problem` says why.
        """
        key = (frame_id, stamp_ns)
        if self._last is None or self._last[0] != key:
            self._last = (key, self._look_up(frame_id, stamp_ns))
        return self._last[1]

    def newest(self, frame_id: str) -> TransformStamped | None:
        """Give the newest transform from a frame into the target frame; its stamp says when."""
        return self._ask(frame_id.lstrip('/'), Time())

    def _look_up(self, frame_id: str, stamp_ns: int) -> TransformStamped | None:
        source = frame_id.lstrip('/')
        if not source:
            return self._fail(_NO_FRAME_ID, 'images have no frame_id, so no frame is known')
        if source == self.target_frame:
            self.problem = ''
            same = TransformStamped(child_frame_id=source)
            same.header.frame_id = self.target_frame
            return same
        if not stamp_ns:
            # Time 0 means "the newest there is" to tf2: a place of another time.
            return self._fail(_NO_STAMP, 'images are stamped 0, so no transform is theirs')
        return self._ask(source, Time(nanoseconds=stamp_ns))

    def _ask(self, source: str, time: Time) -> TransformStamped | None:
        if self._tf is None:
            self.counts[_MISSING_PACKAGE] += 1
            return None
        try:
            transform = self._tf.lookup(self.target_frame, source, time)
        except self._tf.error as error:
            # Not connected, not known, a loop, before or after everything known: one class each.
            kind = f'{_NO_TRANSFORM} ({type(error).__name__})'
            return self._fail(kind, f'{source!r} is not known in {self.target_frame!r}: {error}')
        self.problem = ''
        return transform

    def _fail(self, kind: str, text: str) -> None:
        self.problem = text
        self.counts[kind] += 1
        if self.counts[kind] == 1:
            self._logger.warning(f'{text}; this is said once, /diagnostics counts it')


def moved_pose(
    transform: TransformStamped, position: Vector, orientation: Quaternion
) -> tuple[Vector, Quaternion]:
    """Take a pose from the child frame of a transform into its parent frame."""
    turn = _quaternion(transform.transform.rotation)
    shift = transform.transform.translation
    return (
        add(rotated(turn, position), (shift.x, shift.y, shift.z)),
        as_quaternion(multiply(turn, orientation)),
    )


def transformed_pose(transform: TransformStamped, pose: PoseStamped) -> PoseStamped:
    """Take a stamped pose into another frame; its stamp is kept."""
    at = pose.pose.position
    position, orientation = moved_pose(
        transform, (at.x, at.y, at.z), _quaternion(pose.pose.orientation)
    )
    made = PoseStamped()
    made.header.stamp = pose.header.stamp
    made.header.frame_id = transform.header.frame_id
    target, turn = made.pose.position, made.pose.orientation
    target.x, target.y, target.z = position
    turn.x, turn.y, turn.z, turn.w = orientation
    return made


class TargetWrists:
    """The topics ``left/wrist_in_target`` and ``right/wrist_in_target``.

    A pose is published in the target frame or not at all: a controller that takes a pose of the
    camera frame for one of the robot would drive somewhere else.
    """

    def __init__(
        self,
        node: Node,
        make_publisher: PublisherMaker,
        target_frame: str,
        *,
        open_buffer: Callable[[Node], TfBuffer] = listen_to_tf,
    ) -> None:
        """Create the publishers; without a target frame there are none.

        Args:
            node: listens to TF and logs.
            make_publisher: makes a publisher of ``node``.
            target_frame: the setting; empty for none.
            open_buffer: for tests without TF.
        """
        self._lookup: FrameLookup | None = None
        if target_frame:
            self._lookup = FrameLookup(node, target_frame, open_buffer=open_buffer)
            self._publishers = {
                HandPose.HANDEDNESS_LEFT: make_publisher(
                    PoseStamped, 'left/wrist_in_target', RESULTS
                ),
                HandPose.HANDEDNESS_RIGHT: make_publisher(
                    PoseStamped, 'right/wrist_in_target', RESULTS
                ),
            }

    @property
    def problem(self) -> str:
        """Why the last pose was withheld, for diagnostics; empty when none was."""
        return '' if self._lookup is None else self._lookup.problem

    def facts(self) -> dict[str, str]:
        """Give the key-value pairs for diagnostics: the frame and what was withheld, by kind."""
        if self._lookup is None:
            return {}
        counts = {f'withheld: {kind}': str(n) for kind, n in sorted(self._lookup.counts.items())}
        return {'target frame': self._lookup.target_frame, **counts}

    def publish(self, message: HandPose) -> bool:
        """Publish the wrist of a hand in the target frame; return whether that was done."""
        publisher = None if self._lookup is None else self._publishers.get(message.handedness)
        if self._lookup is None or publisher is None or not message.tracked or message.predicted:
            return False
        transform = self._lookup.find(message.header.frame_id, stamp_ns_of(message.header))
        if transform is None:
            return False
        wrist = PoseStamped(header=message.header, pose=message.wrist)
        publisher.publish(transformed_pose(transform, wrist))
        return True


def _quaternion(message: Any) -> Quaternion:
    return as_quaternion((message.x, message.y, message.z, message.w))
