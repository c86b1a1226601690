"""Parameters of the node ``teleop``: the teleoperation, and which frames TF is asked for."""

from dataclasses import dataclass

from hand_perception.settings_base import make_setting
from hand_perception.teleop.settings import TeleopSettings


@dataclass(frozen=True, kw_only=True)
class TeleopNodeSettings(TeleopSettings):
    """Parameters of the node ``teleop``. Live ones count from the next engagement of a side."""

    hand_frame: str = make_setting(
        '',
        'Frame that hands are taken into by TF before axis_map: one that stands still while the '
        'camera moves with the head. Empty: that of the camera.',
    )
    left_tool_frame: str = make_setting(
        '',
        'Frame of the left tool: TF then says where the arm is, instead of the topic arm_pose.',
    )
    right_tool_frame: str = make_setting('', 'Frame of the right tool, as left_tool_frame.')

    def tool_frame(self, side: str) -> str:
        """Give the tool frame of a side; empty where the topic says where the arm is."""
        return self.left_tool_frame if side == 'left' else self.right_tool_frame
