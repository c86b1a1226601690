"""Parameters of the nodes ``simulated_robot`` and ``simulated_operator``."""

from dataclasses import dataclass

from hand_perception.datatypes import DoubleArray
from hand_perception.settings_base import Settings, make_setting
from hand_perception.teleop.simulated.arm import CommandLimits
from hand_perception.teleop.typed_values import read_numbers, read_pose
from hand_perception.teleop.vectors import as_vector


@dataclass(frozen=True, kw_only=True)
class SimulatedRobotSettings(Settings):
    """Parameters of the node ``simulated_robot``: one arm with a gripper, and what it expects."""

    base_frame: str = make_setting('base_link', 'frame_id of commands and of arm_pose.')
    rate_hz: float = make_setting(
        100.0, 'Steps of the arm, and poses told, per second.', minimum=10.0, maximum=1000.0
    )
    start_pose: str = make_setting(
        '0.4 0 0.4 0 0 0 1', 'Where the arm rests: x y z (metres) and quaternion x y z w.'
    )
    command_timeout_s: float = make_setting(
        0.1,
        'Commands that are this old by their stamp, or older, are not obeyed (as MoveIt Servo).',
        minimum=0.01,
        maximum=10.0,
    )
    box_min: str = make_setting(
        '0.2 -0.5 0.05', 'Least x, y, z of commands, metres; others are counted.'
    )
    box_max: str = make_setting(
        '0.7 0.5 0.8', 'Greatest x, y, z of commands, metres; others are counted.'
    )
    max_speed: float = make_setting(
        0.25, 'Speed of commands above which they are counted, m/s.', minimum=0.001, maximum=5.0
    )
    max_acceleration: float = make_setting(
        1.5,
        'Acceleration of commands above which they are counted, m/s^2.',
        minimum=0.01,
        maximum=50.0,
    )
    max_turn_speed: float = make_setting(
        0.8,
        'Turning speed of commands above which they are counted, rad/s.',
        minimum=0.01,
        maximum=20.0,
    )
    max_turn_acceleration: float = make_setting(
        5.0,
        'Turning acceleration of commands above which they are counted, rad/s^2.',
        minimum=0.05,
        maximum=200.0,
    )

    def __post_init__(self) -> None:
        """Refuse places that are none."""
        super().__post_init__()
        read_pose('start_pose', self.start_pose)
        for name in ('box_min', 'box_max'):
            read_numbers(name, getattr(self, name), 3)

    @property
    def start(self) -> DoubleArray:
        """(7,) x y z in metres and unit quaternion x y z w."""
        return read_pose('start_pose', self.start_pose)

    @property
    def limits(self) -> CommandLimits:
        """What commands are held against."""
        return CommandLimits(
            box=(
                as_vector(read_numbers('box_min', self.box_min, 3)),
                as_vector(read_numbers('box_max', self.box_max, 3)),
            ),
            speed=self.max_speed,
            acceleration=self.max_acceleration,
            turn_speed=self.max_turn_speed,
            turn_acceleration=self.max_turn_acceleration,
        )


@dataclass(frozen=True, kw_only=True)
class SimulatedOperatorSettings(Settings):
    """Parameters of the node ``simulated_operator``: a person who holds a button."""

    side: str = make_setting(
        'right', 'Hand that the person drives with.', choices=('left', 'right')
    )
    button: int = make_setting(
        5, 'Index of the button in Joy.buttons.', minimum=0, maximum=63
    )  # fmt: skip
    rate_hz: float = make_setting(20.0, 'Joy messages per second.', minimum=5.0, maximum=1000.0)
    still_s: float = make_setting(
        0.3, 'Presses when the hand was still for this long.', minimum=0.1, maximum=10.0
    )
    still_radius_m: float = make_setting(
        0.008, 'How far a still hand is from its mean at most, metres.', minimum=1e-4, maximum=0.2
    )
    rest_s: float = make_setting(
        0.4, 'How long the button is up between two presses, at least.', minimum=0.1, maximum=10.0
    )
    hold_on_s: float = make_setting(
        1.0,
        'After a loss the button stays down until the hand is back for this long: a mistake, that '
        'must move nothing.',
        minimum=0.0,
        maximum=10.0,
    )
    patience_s: float = make_setting(
        4.0, 'Lets go when nothing is engaged after this time.', minimum=0.5, maximum=60.0
    )
