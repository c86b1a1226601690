"""Teleoperation with one or two hands: everything that a node has to feed and to publish.

The caller hears messages and calls :meth:`Teleoperation.tick` at ``rate_hz``; times are integer
nanoseconds of one clock, the one in which the stamps of hands are told. Nothing here looks at a
clock, starts a thread or publishes.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from hand_perception.teleop.gate import HandGate, HandStatus
from hand_perception.teleop.observation import HandObservation
from hand_perception.teleop.retarget import RobotHand, load_retargeter
from hand_perception.teleop.settings import TeleopSettings
from hand_perception.teleop.side import SideOutput, SideTeleop
from hand_perception.teleop.states import SIDES, Reason, Side, SideState, State
from hand_perception.teleop.vectors import Quaternion, Vector, length, subtract

_OTHER: Final[Mapping[Side, Side]] = {'left': 'right', 'right': 'left'}
#: No two wrists are nearer than this, metres: both sides then report the same hand.
_SAME_PLACE_M: Final = 0.03
#: Images of two cameras or two moments are not compared.
_SAME_TIME_NS: Final = 50_000_000


class Teleoperation:
    """Both sides of one operator. Not thread-safe: call it from one thread."""

    def __init__(
        self,
        settings: TeleopSettings | None = None,
        *,
        robot_hands: Mapping[Side, RobotHand] | None = None,
    ) -> None:
        """Start with nothing engaged.

        Args:
            settings: None for the defaults.
            robot_hands: of the sides that drive one, see :func:`load_robot_hands`.
        """
        self.settings = TeleopSettings() if settings is None else settings
        hands = robot_hands or {}
        self._gates = {side: HandGate(self.settings) for side in SIDES}
        self._sides = {
            side: SideTeleop(side, self.settings, robot_hand=hands.get(side))
            for side in self.settings.active_sides
        }
        self._pinches: dict[Side, bool | None] = {side: None for side in SIDES}
        self._now_ns: int | None = None

    @property
    def states(self) -> tuple[SideState, ...]:
        """What each active side did at the last tick, left first."""
        return tuple(side.state for side in self._sides.values())

    def use(self, settings: TeleopSettings) -> None:
        """Take other live settings: what hands must be at once, motion from the next engagement.

        Settings that are not live must be the same as before.
        """
        self.settings = settings
        for gate in self._gates.values():
            gate.settings = settings
        for side in self._sides.values():
            side.use(settings)

    def hear_hand(self, side: Side, hand: HandObservation, now_ns: int) -> Reason:
        """Take a message of ``left/pose`` or ``right/pose``; tells why it counts for nothing."""
        self._watch_time(now_ns)
        return self._gates[side].observe(hand, now_ns)

    def hear_publishers(self, side: Side, count: int) -> None:
        """Take how many publishers the topic of a side has."""
        self._gates[side].set_publishers(count)

    def hear_joy(self, buttons: Sequence[int], now_ns: int) -> str:
        """Take ``sensor_msgs/Joy.buttons``; tells what is wrong with it, or nothing."""
        self._watch_time(now_ns)
        problem = ''
        for name, side in self._sides.items():
            index = self.settings.left_button if name == 'left' else self.settings.right_button
            is_there = index < len(buttons)
            side.clutch.hear_button(buttons[index] != 0 if is_there else None, now_ns)
            if not is_there:
                problem = (
                    f'the joystick has {len(buttons)} buttons, button {index} ({name}_button) is '
                    'not one of them: the clutch is not known'
                )
        return problem

    def hear_service(self, side: Side, engage: bool, now_ns: int) -> tuple[bool, str]:
        """Take a call of the clutch service; answers whether it counts, and with which words."""
        self._watch_time(now_ns)
        if side not in self._sides:
            return False, f'the {side} side drives no arm; set sides to {side} or both'
        teleop = self._sides[side]
        if not engage:
            teleop.clutch.hear_service(False, now_ns)
            return True, f'{side}: stops'
        if self.settings.clutch != 'service':
            return False, (
                f'the {self.settings.clutch} is the clutch; the service can only stop. Set clutch '
                'to service to engage with it'
            )
        refusal = teleop.would_refuse(self._gates[side].status(now_ns), now_ns)
        teleop.clutch.hear_service(True, now_ns)
        if teleop.state.state in (State.WAITING, State.ENGAGED):
            return False, f'{side} is {teleop.state.state.value} already; this changes nothing'
        if refusal is not Reason.NONE:
            return False, f'{side} is not engaged: {refusal.value}'
        return True, f'{side}: hold the hand still'

    def hear_arm(self, side: Side, position: Vector, quaternion: Quaternion, now_ns: int) -> str:
        """Take where the arm of a side is: metres and x y z w, base of the robot.

        Returns:
            What is wrong with a pose that was not taken, or nothing.
        """
        if side not in self._sides:
            return ''
        self._watch_time(now_ns)
        if self._sides[side].drive.hear_arm(position, quaternion, now_ns):
            return ''
        return (
            'expected a finite position in metres and a quaternion of length 1, got position '
            f'{_told(position)} and quaternion {_told(quaternion)}; it is not used'
        )

    def hear_rival(self, side: Side, has_rival: bool) -> None:
        """Take whether somebody else publishes commands for the arm of a side, too."""
        if side in self._sides:
            self._sides[side].drive.hear_rival(has_rival)

    def hear_gripper(self, side: Side, place: float) -> None:
        """Take where the gripper of a side is, 0 open to 1 closed, where that is known."""
        if side in self._sides:
            self._sides[side].drive.gripper.set_place(place)

    def hear_joints(self, places: Mapping[str, float]) -> None:
        """Take joint states; a robot hand starts from its own."""
        for side in self._sides.values():
            if side.drive.robot_hand is not None:
                side.drive.robot_hand.set_places(places)

    def robot_joint_names(self, side: Side) -> tuple[str, ...]:
        """Names of the joints in ``Commands.robot_joints``; empty without a robot hand."""
        teleop = self._sides.get(side)
        if teleop is None or teleop.drive.robot_hand is None:
            return ()
        return teleop.drive.robot_hand.joint_names

    def waits_for_joints(self, side: Side) -> bool:
        """Whether the robot hand of a side rests because nobody says where its joints are."""
        teleop = self._sides.get(side)
        robot_hand = None if teleop is None else teleop.drive.robot_hand
        return robot_hand is not None and robot_hand.waits_for_places

    def hand_status(self, side: Side, now_ns: int) -> HandStatus:
        """Say whether the hand of a side may be used, for displays and diagnostics."""
        self._watch_time(now_ns)
        return self._gates[side].status(now_ns)

    def tick(self, now_ns: int) -> tuple[SideOutput, ...]:
        """Go on to a later time; gives what each active side does, left first."""
        self._watch_time(now_ns)
        hands = self._hand_statuses(now_ns)
        for name, side in self._sides.items():
            source = name if self.settings.pinch_hand == 'same' else _OTHER[name]
            side.clutch.hear_pinch(self._pinch(name, hands[source]), now_ns)
        return tuple(side.tick(hands[name], now_ns) for name, side in self._sides.items())

    def _watch_time(self, now_ns: int) -> None:
        if self._now_ns is not None and now_ns < self._now_ns:
            for gate in self._gates.values():
                gate.reset(Reason.TIME_JUMP)
            for side in self._sides.values():
                side.forget_time(now_ns)
        self._now_ns = now_ns

    def _hand_statuses(self, now_ns: int) -> dict[Side, HandStatus]:
        left, right = (self._gates[side].newest for side in SIDES)
        if (
            left is not None
            and right is not None
            and left.frame_id == right.frame_id
            and abs(left.stamp_ns - right.stamp_ns) < _SAME_TIME_NS
            and length(subtract(left.position, right.position)) < _SAME_PLACE_M
        ):
            for gate in self._gates.values():
                gate.reject(Reason.SAME_PLACE)
        return {side: gate.status(now_ns) for side, gate in self._gates.items()}

    def _pinch(self, side: Side, source: HandStatus) -> bool | None:
        """Whether the pinch that is the lever of a side is closed; None: not known."""
        is_closed = self._pinches[side]
        if source.hand is None:
            is_closed = None
        elif source.hand.pinch >= self.settings.pinch_close:
            is_closed = True
        elif source.hand.pinch <= self.settings.pinch_open:
            is_closed = False
        self._pinches[side] = is_closed
        return is_closed


def _told(numbers: Sequence[float]) -> str:
    return f'({", ".join(f"{number:g}" for number in numbers)})'


def load_robot_hands(settings: TeleopSettings) -> dict[Side, RobotHand]:
    """Build the robot hands that the settings name; none when they name none.

    Raises:
        ConfigError: a configuration file or URDF is missing or does not fit.
        MissingPackageError: dex_retargeting is not installed.
    """
    paths = {'left': settings.left_hand_config, 'right': settings.right_hand_config}
    return {
        side: RobotHand(
            load_retargeter(paths[side], urdf_dir=settings.hand_urdf_dir),
            max_speed=settings.max_joint_speed,
            needs_places=settings.hand_feedback,
        )
        for side in settings.active_sides
        if paths[side]
    }
