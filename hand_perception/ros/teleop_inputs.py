"""What the teleoperation listens to: hands, buttons, arms, grippers, and services."""

import dataclasses
from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from typing import Any, Final

import numpy as np
from geometry_msgs.msg import PoseStamped, TransformStamped
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState, Joy
from std_msgs.msg import Float64
from std_srvs.srv import SetBool, Trigger

from hand_perception.msg import HandPose
from hand_perception.ros.complaints import Complaints
from hand_perception.ros.messages import stamp_ns_of
from hand_perception.ros.target_frame import FrameLookup, TfBuffer, listen_to_tf, moved_pose
from hand_perception.teleop.drive import ARM_AGE_NS
from hand_perception.teleop.node_settings import TeleopNodeSettings
from hand_perception.teleop.observation import HandObservation, observation_from_message
from hand_perception.teleop.session import Teleoperation
from hand_perception.teleop.states import SIDES, Reason, Side
from hand_perception.teleop.vectors import Quaternion, Vector

#: A message that is lost is soon followed by a newer one; one that is sent again comes too late.
_STREAM: Final = QoSProfile(
    reliability=ReliabilityPolicy.BEST_EFFORT,
    durability=DurabilityPolicy.VOLATILE,
    history=HistoryPolicy.KEEP_LAST,
    depth=5,
)
_HANDEDNESS: Final = {
    'left': HandPose.HANDEDNESS_LEFT,
    'right': HandPose.HANDEDNESS_RIGHT,
}


class TeleopInputs:
    """Feeds a teleoperation from topics, services and TF; everything in the executor's thread.

    Attributes:
        refused: messages of hands that counted for nothing, by side and reason.
        num_publishers: of the hands of each side.
    """

    def __init__(
        self,
        node: Node,
        teleop: Teleoperation,
        settings: TeleopNodeSettings,
        now_ns: Callable[[], int | None],
        complaints: Complaints,
        *,
        open_buffer: Callable[[Node], TfBuffer] = listen_to_tf,
    ) -> None:
        """Subscribe.

        Args:
            node: whose topics they are.
            teleop: what hears them.
            settings: of the node.
            now_ns: its clock; None while simulated time has not started.
            complaints: told of messages that are wrong.
            open_buffer: for tests without TF.
        """
        self._node = node
        self._teleop = teleop
        self._settings = settings
        self._now_ns = now_ns
        self._complaints = complaints
        self.refused: dict[Side, Counter[Reason]] = {side: Counter() for side in SIDES}
        self.num_publishers: dict[Side, int] = dict.fromkeys(SIDES, 0)
        self._num_arms: dict[Side, int] = dict.fromkeys(SIDES, 0)
        self._arm_stamps_ns: dict[Side, int] = dict.fromkeys(SIDES, 0)
        share_buffer = cache(open_buffer)  # one listener for all frames
        self._hand_frame: FrameLookup | None = None
        if settings.hand_frame:
            self._hand_frame = FrameLookup(node, settings.hand_frame, open_buffer=share_buffer)
        self._base: FrameLookup | None = None
        if any(settings.tool_frame(side) for side in settings.active_sides):
            self._base = FrameLookup(node, settings.base_frame, open_buffer=share_buffer)
        self._subscribe()

    def _subscribe(self) -> None:
        node, settings = self._node, self._settings
        for side in SIDES:  # the other hand may be the clutch
            matched = partial(self._count_publishers, side)
            self._listen(HandPose, f'hands/{side}/pose', partial(self._hear_hand, side), matched)
        if 'button' in (settings.clutch, settings.dead_man):
            self._listen(Joy, 'joy', self._hear_joy)
        for side in settings.active_sides:
            if settings.arm_feedback and not settings.tool_frame(side):
                matched = partial(self._count_arms, side)
                callback = partial(self._hear_arm, side)
                self._listen(PoseStamped, f'~/{side}/arm_pose', callback, matched)
            callback = partial(self._hear_gripper, side)
            self._listen(Float64, f'~/{side}/gripper_state', callback)
            node.create_service(SetBool, f'~/{side}/engage', partial(self._engage, side))
        if any(self._teleop.robot_joint_names(side) for side in SIDES):
            self._listen(JointState, 'joint_states', self._hear_joints)
        node.create_service(Trigger, '~/disengage', self._disengage)

    def _listen(
        self,
        kind: Any,
        topic: str,
        callback: Callable[[Any], None],
        matched: Callable[[Any], None] | None = None,
    ) -> None:
        name = self._node.resolve_topic_name(topic)
        events = SubscriptionEventCallbacks(
            incompatible_qos=lambda _: self._complaints.add(
                name, 'a publisher does not fit in its quality of service; nothing comes from it'
            ),
            matched=matched,
            use_default_callbacks=False,
        )
        self._node.create_subscription(kind, topic, callback, _STREAM, event_callbacks=events)

    def look_for_arms(self, now_ns: int) -> None:
        """Ask TF where the arms are, for the sides that have a tool frame."""
        if self._base is None:
            return
        for side in self._settings.active_sides:
            tool_frame = self._settings.tool_frame(side)
            found = self._base.newest(tool_frame) if tool_frame else None
            if found is not None:
                stamp_ns = stamp_ns_of(found.header)
                name = f'{tool_frame} in TF'
                if self._is_new_place(side, stamp_ns, now_ns, name):
                    t, q = found.transform.translation, found.transform.rotation
                    pose = ((t.x, t.y, t.z), (q.x, q.y, q.z, q.w))
                    self._use_place(side, *pose, now_ns=now_ns, name=name)

    @property
    def frame_problems(self) -> list[str]:
        """What TF does not know; empty when it knows everything that was asked."""
        lookups = (self._hand_frame, self._base)
        return [look.problem for look in lookups if look is not None and look.problem]

    # Hands.

    def _count_publishers(self, side: Side, event: Any) -> None:
        self.num_publishers[side] = event.current_count
        self._teleop.hear_publishers(side, event.current_count)
        if event.current_count > 1:
            topic = self._node.resolve_topic_name(f'hands/{side}/pose')
            self._complaints.add(
                topic,
                f'{event.current_count} publishers of one hand; nothing moves until only one is '
                f'left (ros2 topic info -v {topic} names them)',
            )

    def _hear_hand(self, side: Side, message: HandPose) -> None:
        now_ns = self._now_ns()
        if now_ns is None:
            return
        hand = observation_from_message(
            message, with_keypoints=bool(self._teleop.robot_joint_names(side))
        )
        if hand.tracked and message.handedness != _HANDEDNESS[side]:
            self._complaints.add(
                self._node.resolve_topic_name(f'hands/{side}/pose'),
                f'a hand that is not the {side} one came; remap the topics of the two sides',
            )
            hand = dataclasses.replace(hand, tracked=False)
        reason = self._teleop.hear_hand(side, self._in_hand_frame(hand), now_ns)
        if reason is not Reason.NONE:
            self.refused[side][reason] += 1

    def _in_hand_frame(self, hand: HandObservation) -> HandObservation:
        """Take a hand into the frame of the settings; where that is not known it is not seen."""
        if self._hand_frame is None:
            return hand
        frame_id = self._hand_frame.target_frame
        if not (hand.tracked and hand.is_well_formed):
            # What is no hand is refused by name later; a quaternion of length 0 has no turn.
            return dataclasses.replace(hand, frame_id=frame_id)
        transform = self._hand_frame.find(hand.frame_id, hand.stamp_ns)
        if transform is None:
            return dataclasses.replace(hand, tracked=False, frame_id=frame_id)
        return moved_hand(hand, transform)

    # Arms and grippers.

    def _count_arms(self, side: Side, event: Any) -> None:
        self._num_arms[side] = event.current_count

    def _hear_arm(self, side: Side, message: PoseStamped) -> None:
        now_ns = self._now_ns()
        if now_ns is None:
            return
        name = self._node.resolve_topic_name(f'~/{side}/arm_pose')
        base_frame = self._settings.base_frame
        if self._num_arms[side] > 1:
            self._complaints.add(name, f'{self._num_arms[side]} publishers; none is believed')
        elif message.header.frame_id.lstrip('/') != base_frame.lstrip('/'):
            self._complaints.add(
                name,
                f'the pose is in {message.header.frame_id!r}, expected base_frame {base_frame!r}; '
                'it is not used',
            )
        elif self._is_new_place(side, stamp_ns_of(message.header), now_ns, name):
            p, q = message.pose.position, message.pose.orientation
            pose = ((p.x, p.y, p.z), (q.x, q.y, q.z, q.w))
            self._use_place(side, *pose, now_ns=now_ns, name=name)

    def _use_place(
        self, side: Side, position: Vector, quaternion: Quaternion, *, now_ns: int, name: str
    ) -> None:
        problem = self._teleop.hear_arm(side, position, quaternion, now_ns)
        if problem:
            self._complaints.add(name, problem)

    def _is_new_place(self, side: Side, stamp_ns: int, now_ns: int, name: str) -> bool:
        """Whether a stamp says that the arm was there just now; the same one again does not."""
        last_ns, self._arm_stamps_ns[side] = self._arm_stamps_ns[side], stamp_ns
        if stamp_ns == last_ns:
            return False
        if abs(now_ns - stamp_ns) > ARM_AGE_NS:
            age_s = (now_ns - stamp_ns) * 1e-9
            self._complaints.add(
                name, f'the pose of the arm is {age_s:.3f} s old by its stamp; it is not used'
            )
            return False
        return True

    def _hear_gripper(self, side: Side, message: Float64) -> None:
        if 0.0 <= message.data <= 1.0:
            self._teleop.hear_gripper(side, message.data)
        else:
            name = self._node.resolve_topic_name(f'~/{side}/gripper_state')
            self._complaints.add(name, f'expected 0 (open) to 1 (closed), got {message.data}')

    def _hear_joints(self, message: JointState) -> None:
        if len(message.name) == len(message.position):
            self._teleop.hear_joints(dict(zip(message.name, message.position, strict=True)))

    # The operator.

    def _hear_joy(self, message: Joy) -> None:
        now_ns = self._now_ns()
        if now_ns is None:
            return
        problem = self._teleop.hear_joy(message.buttons, now_ns)
        if problem:
            self._complaints.add(self._node.resolve_topic_name('joy'), problem)

    def _engage(self, side: Side, request: Any, response: Any) -> Any:
        now_ns = self._now_ns()
        if now_ns is None:
            response.message = 'simulated time has not started: nothing comes on /clock'
        else:
            response.success, response.message = self._teleop.hear_service(
                side, bool(request.data), now_ns
            )
        return response

    def _disengage(self, request: Any, response: Any) -> Any:
        now_ns = self._now_ns()
        answers = [
            self._teleop.hear_service(side, False, 0 if now_ns is None else now_ns)[1]
            for side in self._settings.active_sides
        ]
        response.success, response.message = True, '; '.join(answers)
        return response


def moved_hand(hand: HandObservation, transform: TransformStamped) -> HandObservation:
    """Take a tracked hand into the parent frame of a transform."""
    position, quaternion = moved_pose(transform, hand.position, hand.quaternion)
    keypoints = hand.keypoints
    if keypoints is not None:
        still = (0.0, 0.0, 0.0, 1.0)
        moved = [moved_pose(transform, tuple(point), still)[0] for point in keypoints.tolist()]
        keypoints = np.array(moved)
    return dataclasses.replace(
        hand,
        position=position,
        quaternion=quaternion,
        keypoints=keypoints,
        frame_id=transform.header.frame_id,
    )
