"""From the motion of a hand to the motion of an arm: anchor, axes, scale."""

from collections import deque
from dataclasses import dataclass

from hand_perception.geometry import quaternion_from_rotation
from hand_perception.teleop.observation import HandObservation
from hand_perception.teleop.settings import TeleopSettings
from hand_perception.teleop.vectors import (
    Quaternion,
    Vector,
    add,
    angle_between,
    as_quaternion,
    inverse,
    length,
    mean_quaternion,
    multiply,
    rotated,
    scaled,
    subtract,
)

#: Least number of images that an anchor is the mean of.
_MIN_IMAGES = 4


class StillHand:
    """Looks whether a hand is held still, and takes the mean of its poses over that time."""

    def __init__(self, settings: TeleopSettings) -> None:
        """Start looking: what came before does not count."""
        self._settings = settings
        self._hands: deque[HandObservation] = deque()

    def add(self, hand: HandObservation) -> None:
        """Take a usable observation; the same one again changes nothing."""
        if self._hands and hand.stamp_ns <= self._hands[-1].stamp_ns:
            return
        self._hands.append(hand)
        span_ns = self._settings.anchor_s * 1e9
        while len(self._hands) > 2 and hand.stamp_ns - self._hands[1].stamp_ns >= span_ns:
            self._hands.popleft()

    @property
    def is_still(self) -> bool:
        """Whether all poses of the last ``anchor_s``, as far as there are some, lie together."""
        return not self._hands or self._mean() is not None

    @property
    def anchor(self) -> tuple[Vector, Quaternion] | None:
        """Mean position and orientation, once the hand was held still for long enough."""
        hands = self._hands
        if len(hands) < _MIN_IMAGES:
            return None
        if hands[-1].stamp_ns - hands[0].stamp_ns < self._settings.anchor_s * 1e9:
            return None
        return self._mean()

    def _mean(self) -> tuple[Vector, Quaternion] | None:
        total: Vector = (0.0, 0.0, 0.0)
        for hand in self._hands:
            total = add(total, hand.position)
        position = scaled(total, 1 / len(self._hands))
        quaternion = mean_quaternion([hand.quaternion for hand in self._hands])
        settings = self._settings
        is_still = all(
            length(subtract(hand.position, position)) <= settings.still_radius_m
            and angle_between(as_quaternion(hand.quaternion), quaternion)
            <= settings.still_angle_rad
            for hand in self._hands
        )
        return (position, quaternion) if is_still else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RelativeMotion:
    """Where the arm goes while the hand moves away from its anchor.

    Attributes:
        hand: position and orientation of the anchor, frame of the hands.
        arm: position and orientation of the arm when it was engaged, base of the robot.
        base_from_hands: rotation.
        scale: metres of the arm per metre of the hand.
        follows_rotation: whether the arm turns, too.
    """

    hand: tuple[Vector, Quaternion]
    arm: tuple[Vector, Quaternion]
    base_from_hands: Quaternion
    scale: float
    follows_rotation: bool

    @classmethod
    def from_settings(
        cls,
        settings: TeleopSettings,
        *,
        hand: tuple[Vector, Quaternion],
        arm: tuple[Vector, Quaternion],
    ) -> 'RelativeMotion':
        """Anchor a hand to an arm."""
        return cls(
            hand=hand,
            arm=arm,
            base_from_hands=as_quaternion(quaternion_from_rotation(settings.axis_rotation)),
            scale=settings.scale,
            follows_rotation=settings.follow_rotation,
        )

    def goal(self, position: Vector, quaternion: Quaternion) -> tuple[Vector, Quaternion]:
        """Give the pose of the arm for a pose of the hand, before any limit."""
        moved = rotated(self.base_from_hands, subtract(position, self.hand[0]))
        goal = add(self.arm[0], scaled(moved, self.scale))
        if not self.follows_rotation:
            return goal, self.arm[1]
        turned = multiply(as_quaternion(quaternion), inverse(self.hand[1]))
        in_base = multiply(multiply(self.base_from_hands, turned), inverse(self.base_from_hands))
        return goal, as_quaternion(multiply(in_base, self.arm[1]))
