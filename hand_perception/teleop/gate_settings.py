"""When a hand may be used: what a consumer of hands decides without the rest."""

from dataclasses import dataclass

from hand_perception.settings_base import Settings, make_setting


@dataclass(frozen=True, kw_only=True)
class HandGateSettings(Settings):
    """Settings of :class:`hand_perception.teleop.gate.HandGate`."""

    max_age_s: float = make_setting(
        0.2,
        'Hands older than this are not used: by their stamp, and by their age at publication.',
        minimum=0.02,
        maximum=2.0,
        live=True,
    )
    max_future_s: float = make_setting(
        0.05,
        'How far the stamp of a hand may lie in the future, for clocks that differ.',
        minimum=0.0,
        maximum=1.0,
        live=True,
    )
    min_confidence: float = make_setting(
        0.5,
        'Confidence from which a hand is used; once used it may be 0.1 lower.',
        minimum=0.0,
        maximum=1.0,
        live=True,
    )
    min_handedness_score: float = make_setting(
        0.8,
        'Agreement on left or right from which a hand is used.',
        minimum=0.5,
        maximum=1.0,
        live=True,
    )
    settle_s: float = make_setting(
        0.2,
        'How long a hand must be seen well, without a break, before it is used.',
        minimum=0.0,
        maximum=10.0,
        live=True,
    )
    max_hand_speed: float = make_setting(
        2.0,
        'Metres per second: a hand that moves faster has jumped and is lost.',
        minimum=0.1,
        maximum=20.0,
        live=True,
    )
    max_hand_turn: float = make_setting(
        10.0,
        'Radians per second: a hand that turns faster has jumped and is lost.',
        minimum=0.5,
        maximum=100.0,
        live=True,
    )
    accept_predicted: bool = make_setting(
        False, 'Also use hands that were extrapolated rather than measured.'
    )
