"""Settings of the teleoperation, checked together: a wrong one never reaches an arm."""

from dataclasses import dataclass

from hand_perception.datatypes import DoubleArray
from hand_perception.errors import ConfigError
from hand_perception.settings_base import make_setting
from hand_perception.teleop.gate_settings import HandGateSettings
from hand_perception.teleop.states import SIDES, Side
from hand_perception.teleop.typed_values import read_numbers, read_pose, read_rotation


@dataclass(frozen=True, kw_only=True)
class TeleopSettings(HandGateSettings):
    """Parameters of the node ``teleop``. Live ones count from the next engagement of a side."""

    sides: str = make_setting(
        'right', 'Hands that drive an arm.', choices=('left', 'right', 'both')
    )
    rate_hz: float = make_setting(
        100.0, 'Targets per second while engaged.', minimum=10.0, maximum=1000.0
    )
    base_frame: str = make_setting('base_link', 'frame_id of targets: the base of the robot.')
    command_stamp: str = make_setting(
        'now',
        'Stamp of targets: now is the time at which the target was made, image that of the image '
        'the hand was seen in, so that the receiver sees the whole delay.',
        choices=('now', 'image'),
    )
    clutch: str = make_setting(
        'service',
        'What engages: a service, a button (sensor_msgs/Joy), or a pinch that is held.',
        choices=('service', 'button', 'pinch'),
    )
    dead_man: str = make_setting(
        'none',
        'What must be held all the time while engaged: nothing, the button, or the pinch.',
        choices=('none', 'button', 'pinch'),
    )
    pinch_hand: str = make_setting(
        'other',
        'Whose pinch is the clutch or the dead-man of a side: the other hand, or the same.',
        choices=('other', 'same'),
    )
    left_button: int = make_setting(
        4, 'Index of the button of the left side in Joy.buttons.', minimum=0, maximum=63
    )
    right_button: int = make_setting(
        5, 'Index of the button of the right side in Joy.buttons.', minimum=0, maximum=63
    )
    button_timeout_s: float = make_setting(
        0.5,
        'Without a Joy message for this long the button is not known, and engaged sides stop; '
        'the joystick must repeat its state (joy_node does).',
        minimum=0.02,
        maximum=10.0,
    )
    pinch_close: float = make_setting(
        0.85, 'Pinch (0-1) from which it counts as held.', minimum=0.0, maximum=1.0, live=True
    )
    pinch_open: float = make_setting(
        0.6, 'Pinch (0-1) below which it counts as open.', minimum=0.0, maximum=1.0, live=True
    )
    pinch_hold_s: float = make_setting(
        0.6, 'How long a pinch is held to engage.', minimum=0.1, maximum=10.0, live=True
    )
    engage_timeout_s: float = make_setting(
        3.0,
        'A hand that is not held still within this time is not engaged.',
        minimum=0.1,
        maximum=60.0,
        live=True,
    )
    anchor_s: float = make_setting(
        0.4,
        'How long the hand is held still to engage; the anchor is the mean over this time.',
        minimum=0.05,
        maximum=10.0,
        live=True,
    )
    still_radius_m: float = make_setting(
        0.012,
        'How far a hand that is held still may be from its mean, metres.',
        minimum=0.001,
        maximum=0.2,
        live=True,
    )
    still_angle_rad: float = make_setting(
        0.15,
        'How far a hand that is held still may be turned from its mean, radians.',
        minimum=0.01,
        maximum=3.0,
        live=True,
    )
    axis_map: str = make_setting(
        '0 0 1 -1 0 0 0 -1 0',
        'Rotation from the frame of the hands to base_frame, nine numbers row by row; the default '
        'lets a camera look along x of the base, upright.',
    )
    scale: float = make_setting(
        1.0,
        'Metres of the arm per metre of the hand.',
        minimum=0.05,
        maximum=5.0,
        live=True,
    )
    follow_rotation: bool = make_setting(
        True, 'The arm also turns with the hand; otherwise it keeps its orientation.', live=True
    )
    box_min: str = make_setting(
        '0.2 -0.5 0.05', 'Least x, y, z of targets in base_frame, metres.', live=True
    )
    box_max: str = make_setting(
        '0.7 0.5 0.8', 'Greatest x, y, z of targets in base_frame, metres.', live=True
    )
    max_speed: float = make_setting(
        0.25, 'Greatest speed of targets, m/s.', minimum=0.001, maximum=5.0, live=True
    )
    max_acceleration: float = make_setting(
        1.5, 'Greatest acceleration of targets, m/s^2.', minimum=0.01, maximum=50.0, live=True
    )
    max_turn_speed: float = make_setting(
        0.8, 'Greatest turning speed of targets, rad/s.', minimum=0.01, maximum=20.0, live=True
    )
    max_turn_acceleration: float = make_setting(
        5.0,
        'Greatest turning acceleration of targets, rad/s^2.',
        minimum=0.05,
        maximum=200.0,
        live=True,
    )
    response_s: float = make_setting(
        0.08,
        'Time constant with which targets follow the hand; less follows closer, more is calmer.',
        minimum=0.0,
        maximum=2.0,
        live=True,
    )
    ramp_s: float = make_setting(
        1.0,
        'After engaging, the speed limits grow from 0 to their values over this time.',
        minimum=0.0,
        maximum=10.0,
        live=True,
    )
    hold_timeout_s: float = make_setting(
        0.3,
        'A side whose hand was lost holds for this long, then it is disengaged.',
        minimum=0.0,
        maximum=10.0,
        live=True,
    )
    loss_stop: str = make_setting(
        'silence',
        'When the hand is lost: silence sends nothing from that moment, the arm brakes by its own '
        'rules; brake sends targets that slow down within max_acceleration, then nothing.',
        choices=('silence', 'brake'),
    )
    stall_s: float = make_setting(
        0.08,
        'A time between two targets from which it is a loss: arms stop by themselves when they '
        'hear nothing (MoveIt Servo after 0.1 s), and must not start again with a jump.',
        minimum=0.005,
        maximum=1.0,
    )
    arm_feedback: bool = make_setting(
        True,
        "Start from the arm's own pose and watch that it follows. False starts from start_pose "
        'and goes on from the last target: only for simulated arms and for twist commands.',
    )
    start_pose: str = make_setting(
        '0.4 0 0.4 0 0 0 1',
        'Without arm_feedback: x y z (metres) and quaternion x y z w of the first target.',
    )
    max_arm_lag_m: float = make_setting(
        0.1,
        'An arm farther from its target than this does not follow, and is let go.',
        minimum=0.005,
        maximum=2.0,
        live=True,
    )
    max_arm_lag_rad: float = make_setting(
        0.5,
        'An arm turned farther from its target than this does not follow, and is let go.',
        minimum=0.05,
        maximum=3.0,
        live=True,
    )
    gripper_source: str = make_setting(
        'pinch', 'What closes the gripper.', choices=('pinch', 'grasp', 'none')
    )
    gripper_open_at: float = make_setting(
        0.1, 'Pinch or grasp at which the gripper is open: 0.', minimum=0.0, maximum=1.0, live=True
    )
    gripper_closed_at: float = make_setting(
        0.9,
        'Pinch or grasp at which the gripper is closed: 1.',
        minimum=0.0,
        maximum=1.0,
        live=True,
    )
    hand_urdf_dir: str = make_setting(
        '', 'Robot hands: folder that urdf_path in the configuration of a hand starts from.'
    )
    left_hand_config: str = make_setting(
        '', 'Robot hand of the left side: YAML file of dex-retargeting; empty for none.'
    )
    right_hand_config: str = make_setting(
        '', 'Robot hand of the right side: YAML file of dex-retargeting; empty for none.'
    )
    hand_feedback: bool = make_setting(
        True,
        'Robot hands: send nothing before joint_states said where the joints are. False: where '
        'nobody says it, they leap to the hand at once; only for simulated robot hands.',
    )
    max_joint_speed: float = make_setting(
        6.0,
        'Robot hands: greatest speed of a finger joint, rad/s.',
        minimum=0.05,
        maximum=100.0,
    )

    def __post_init__(self) -> None:
        """Refuse values that no arm can follow, or that contradict each other."""
        super().__post_init__()
        read_rotation('axis_map', self.axis_map)
        low, high = self.box
        if not (low < high).all():
            raise ConfigError(
                f'box_min must lie below box_max in x, y and z, got {self.box_min!r} and '
                f'{self.box_max!r}'
            )
        read_pose('start_pose', self.start_pose)
        for small, large in (
            ('pinch_open', 'pinch_close'),
            ('gripper_open_at', 'gripper_closed_at'),
        ):
            if not getattr(self, small) < getattr(self, large):
                raise ConfigError(
                    f'{small} must be less than {large}, got {getattr(self, small)} and '
                    f'{getattr(self, large)}'
                )
        if self.stall_s * self.rate_hz < 2:
            raise ConfigError(
                f'stall_s must be at least two periods of rate_hz, got {self.stall_s} s at '
                f'{self.rate_hz} Hz'
            )
        self._check_clutch()
        rest_s = max(
            self.max_speed / self.max_acceleration,
            self.max_turn_speed / self.max_turn_acceleration,
        )
        if self.loss_stop == 'brake' and rest_s > self.hold_timeout_s:
            raise ConfigError(
                f'loss_stop: brake takes {rest_s:.2f} s from full speed, longer than '
                f'hold_timeout_s ({self.hold_timeout_s}); raise hold_timeout_s or the '
                'accelerations, or lower the speeds'
            )

    def _check_clutch(self) -> None:
        if 'pinch' not in (self.clutch, self.dead_man) or self.gripper_source != 'pinch':
            return
        if self.pinch_hand == 'same' or self.sides == 'both':
            raise ConfigError(
                'one pinch cannot be a clutch and move a gripper: set gripper_source to grasp'
                + ('' if self.pinch_hand == 'other' else ', or pinch_hand to other')
            )

    @property
    def active_sides(self) -> tuple[Side, ...]:
        """The sides that drive an arm."""
        return tuple(side for side in SIDES if self.sides in (side, 'both'))

    @property
    def axis_rotation(self) -> DoubleArray:
        """(3, 3) rotation from the frame of the hands to the base of the robot."""
        return read_rotation('axis_map', self.axis_map)

    @property
    def box(self) -> tuple[DoubleArray, DoubleArray]:
        """Least and greatest (3,) target positions, metres, base of the robot."""
        return read_numbers('box_min', self.box_min, 3), read_numbers('box_max', self.box_max, 3)

    @property
    def start(self) -> DoubleArray:
        """(7,) x y z in metres and unit quaternion x y z w of the first target."""
        return read_pose('start_pose', self.start_pose)
