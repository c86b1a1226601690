"""What an engaged hand makes of its arm, gripper and fingers."""

from dataclasses import dataclass
from typing import Final

from hand_perception.teleop.gripper import GripperFollower
from hand_perception.teleop.limiter import Limits, MotionLimiter, Target
from hand_perception.teleop.mapping import RelativeMotion
from hand_perception.teleop.observation import HandObservation
from hand_perception.teleop.retarget import RobotHand
from hand_perception.teleop.settings import TeleopSettings
from hand_perception.teleop.states import Reason
from hand_perception.teleop.vectors import (
    Quaternion,
    Vector,
    angle_between,
    as_quaternion,
    as_vector,
    clamped,
    length,
    subtract,
)

#: A pose of the arm that is older than this is not where it is.
ARM_AGE_NS: Final = 200_000_000
#: Targets stop this far before the faces of the box, so that an arm that is not exact does not
#: end outside, from where it could not be engaged again. Metres.
_INSET_M: Final = 0.005
#: A pose farther than this is not one of an arm, metres.
_FAR_M: Final = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """What is sent at one tick; what is None is not sent.

    Attributes:
        target: where the arm should be now, and its velocity; base of the robot.
        gripper: 0 open to 1 closed.
        flexion: 15 radians, in the order of ``observation.FINGER_JOINTS``.
        robot_joints: of the robot hand, in the order of its ``joint_names``.
        image_stamp_ns: stamp of the image that the hand was last seen in.
    """

    target: Target
    image_stamp_ns: int
    gripper: float | None = None
    flexion: tuple[float, ...] | None = None
    robot_joints: tuple[float, ...] | None = None


class ArmDrive:
    """Arm, gripper and fingers of one side."""

    def __init__(self, settings: TeleopSettings, *, robot_hand: RobotHand | None = None) -> None:
        """Drive nothing yet.

        Args:
            settings: of the session; live ones are taken anew at each engagement.
            robot_hand: retargeting of this side.
        """
        self.gripper = GripperFollower(settings)
        self.robot_hand = robot_hand
        self._settings = settings
        self._arm: tuple[Vector, Quaternion] | None = None
        self._arm_ns = 0
        self._has_rival = False
        self._last: Target | None = None
        self._motion: RelativeMotion | None = None
        self._limiter: MotionLimiter | None = None
        self._image_stamp_ns = 0

    def use(self, settings: TeleopSettings) -> None:
        """Take live settings; call it only while nothing is engaged."""
        self._settings = settings
        self.gripper.use(settings)

    def hear_arm(self, position: Vector, quaternion: Quaternion, now_ns: int) -> bool:
        """Take where the arm is, base of the robot; False: no arm can be there."""
        # Written so that NaN fails.
        is_place = all(abs(p) < _FAR_M for p in position) and abs(length(quaternion) - 1) < 1e-2
        if is_place:
            self._arm = (as_vector(position), as_quaternion(quaternion))
            self._arm_ns = now_ns
        return is_place

    def hear_rival(self, has_rival: bool) -> None:
        """Take whether somebody else commands this arm, too."""
        self._has_rival = has_rival

    def forget_arm(self) -> None:
        """After a jump of time: it is not known where the arm is."""
        self._arm = None

    def start_fault(self, now_ns: int) -> Reason:
        """Say why the arm cannot be engaged now."""
        if self._has_rival:
            return Reason.TWO_MASTERS
        if self._settings.arm_feedback and not self._is_arm_fresh(now_ns):
            return Reason.NO_ARM_POSE
        position, (low, high) = self._start()[0], self._box()
        return Reason.NONE if position == clamped(position, low, high) else Reason.ARM_OUTSIDE

    def fault(self, now_ns: int) -> Reason:
        """Say why an engaged arm must not go on."""
        if self._has_rival:
            return Reason.TWO_MASTERS
        if not self._settings.arm_feedback or self._limiter is None:
            return Reason.NONE
        if self._arm is None or not self._is_arm_fresh(now_ns):
            return Reason.NO_ARM_POSE
        target = self._limiter.target
        moved = length(subtract(self._arm[0], target.position))
        turned = angle_between(self._arm[1], target.quaternion)
        settings = self._settings
        lags = moved > settings.max_arm_lag_m or turned > settings.max_arm_lag_rad
        return Reason.ARM_LAGS if lags else Reason.NONE

    def engage(self, anchor: tuple[Vector, Quaternion]) -> None:
        """Let the arm follow from where it is, and from where the hand is held still."""
        settings, start = self._settings, self._start()
        low, high = self._box()
        inset = as_vector([min(_INSET_M, (b - a) / 4) for a, b in zip(low, high, strict=True)])
        # The start may lie nearer to a face: then the box reaches as far, and nothing creeps.
        inner_low = [min(a + i, s) for a, i, s in zip(low, inset, start[0], strict=True)]
        inner_high = [max(b - i, s) for b, i, s in zip(high, inset, start[0], strict=True)]
        self._motion = RelativeMotion.from_settings(settings, hand=anchor, arm=start)
        self._limiter = MotionLimiter(
            box=(as_vector(inner_low), as_vector(inner_high)),
            translation=Limits(
                speed=settings.max_speed,
                acceleration=settings.max_acceleration,
                response_s=settings.response_s,
            ),
            rotation=Limits(
                speed=settings.max_turn_speed,
                acceleration=settings.max_turn_acceleration,
                response_s=settings.response_s,
            ),
            ramp_s=settings.ramp_s,
            start=start,
        )
        self._last = self._limiter.target

    def follow(self, hand: HandObservation, seconds: float) -> Commands:
        """Take one step after a usable hand.

        Raises:
            RuntimeError: nothing is engaged.
        """
        if self._limiter is None or self._motion is None:
            raise RuntimeError('follow() before engage()')
        goal = self._motion.goal(hand.position, hand.quaternion)
        self._last = self._limiter.follow(*goal, seconds)
        self._image_stamp_ns = hand.stamp_ns
        robot_hand = self.robot_hand
        return Commands(
            target=self._last,
            image_stamp_ns=hand.stamp_ns,
            gripper=self.gripper.follow(hand),
            flexion=hand.flexion,
            robot_joints=None if robot_hand is None else robot_hand.follow(hand, seconds),
        )

    def brake(self, seconds: float) -> Commands | None:
        """Take one step of coming to rest; None when it is at rest already."""
        if self._limiter is None or self._limiter.is_at_rest:
            return None
        self._last = self._limiter.brake(seconds)
        return Commands(target=self._last, image_stamp_ns=self._image_stamp_ns)

    def release(self) -> None:
        """Let go of arm, gripper and fingers; they stay where they are."""
        self._limiter = None
        self._motion = None
        self.gripper.release()
        if self.robot_hand is not None:
            self.robot_hand.release()

    def _is_arm_fresh(self, now_ns: int) -> bool:
        return self._arm is not None and now_ns - self._arm_ns <= ARM_AGE_NS

    def _start(self) -> tuple[Vector, Quaternion]:
        """Where the next engagement begins."""
        if self._settings.arm_feedback and self._arm is not None:
            return self._arm
        if self._last is not None:
            return self._last.position, self._last.quaternion
        pose = self._settings.start
        return as_vector(pose[:3]), as_quaternion(pose[3:])

    def _box(self) -> tuple[Vector, Vector]:
        low, high = self._settings.box
        return as_vector(low), as_vector(high)
