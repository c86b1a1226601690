"""A gripper that follows pinch or grasp, and does not let go of things when it is taken over."""

from typing import Final

from hand_perception.teleop.observation import HandObservation
from hand_perception.teleop.settings import TeleopSettings

#: How near the hand must come to where the gripper is before it takes over.
_TAKEOVER: Final = 0.1


class GripperFollower:
    """Maps the hand to 0 (open) - 1 (closed), never smoothed.

    After engaging, a gripper whose place is known waits until the hand comes to that place, or
    passes it: otherwise an open hand would drop what the gripper holds.
    """

    def __init__(self, settings: TeleopSettings) -> None:
        """Follow what the settings say; nothing is known of the gripper."""
        self._settings = settings
        self._place: float | None = None
        self._hand: float | None = None
        self._is_following = False

    def use(self, settings: TeleopSettings) -> None:
        """Go on with other settings; the place of the gripper stays known."""
        self._settings = settings

    def set_place(self, place: float) -> None:
        """Take where the gripper is, 0 open to 1 closed; does not count while following."""
        if not self._is_following:
            self._place = place

    def release(self) -> None:
        """Stop following: the gripper stays where it is."""
        self._is_following = False
        self._hand = None

    def follow(self, hand: HandObservation) -> float | None:
        """Give the command for a usable hand; None while there is none to give."""
        settings = self._settings
        if settings.gripper_source == 'none':
            return None
        value = hand.pinch if settings.gripper_source == 'pinch' else hand.grasp
        span = settings.gripper_closed_at - settings.gripper_open_at
        wanted = min(max((value - settings.gripper_open_at) / span, 0.0), 1.0)
        before, self._hand = self._hand, wanted
        if not self._is_following:
            self._is_following = self._place is None or _meets(before, wanted, self._place)
        if not self._is_following:
            return None
        self._place = wanted
        return wanted


def _meets(before: float | None, now: float, place: float) -> bool:
    """Whether the hand came to a place, or went past it since the last image."""
    if abs(now - place) <= _TAKEOVER:
        return True
    return before is not None and min(before, now) <= place <= max(before, now)
