"""Settings of how hands move from image to image: gate, smoothing, extrapolation."""

from dataclasses import dataclass

from hand_perception.settings_base import Settings, make_setting


@dataclass(frozen=True, kw_only=True)
class MotionSettings(Settings):
    """What following hands over time needs to know."""

    smoothing: str = make_setting(
        'one_euro',
        'Smooths positions and rotations of hands: one_euro lags less the faster a hand moves; '
        'none publishes them as reconstructed.',
        choices=('one_euro', 'none'),
    )
    smoothing_min_cutoff_hz: float = make_setting(
        1.0,
        'Smoothing of a hand at rest: lower is steadier.',
        minimum=0.01,
        maximum=100.0,
        live=True,
    )
    smoothing_beta: float = make_setting(
        30.0,
        'How fast smoothing gives way to motion, Hz per m/s; higher lags less.',
        minimum=0.0,
        maximum=1000.0,
        live=True,
    )
    smoothing_beta_turn: float = make_setting(
        4.0,
        'The same for rotations, Hz per rad/s.',
        minimum=0.0,
        maximum=1000.0,
        live=True,
    )
    jump_gate: bool = make_setting(
        True, 'Withhold a hand that jumps farther than hands move, until it stays there.'
    )
    predict_horizon_s: float = make_setting(
        0.1,
        'Longest time that pose_predicted looks ahead of its image.',
        minimum=0.0,
        maximum=0.5,
        live=True,
    )
