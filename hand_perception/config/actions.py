"""Settings of what names actions."""

from dataclasses import dataclass

from hand_perception.settings_base import Settings, make_setting


@dataclass(frozen=True, kw_only=True)
class ActionSettings(Settings):
    """What naming actions needs to know."""

    action_source: str = make_setting(
        'primitives',
        'Names what hands do: primitives (open, fist, point, pinch, ...) ships with the package, '
        'htt needs your htt_checkpoint.',
        choices=('primitives', 'htt', 'none'),
    )
    pose_source: str = make_setting(
        'backend',
        'Whose hands are published as pose: those of backend, or those of HTT (the images '
        'between its tokens are then dropped).',
        choices=('backend', 'htt'),
    )
    htt_checkpoint: str = make_setting(
        '', 'HTT: your checkpoint_45.pth, or the .safetensors that weights convert made of it.'
    )
    htt_dataset: str = make_setting(
        'auto',
        'HTT: data set that the checkpoint was trained on, which decides labels and how images '
        'are made smaller; auto tells from the number of hands.',
        choices=('auto', 'fpha', 'h2o'),
    )
    htt_labels: str = make_setting(
        '', 'HTT: YAML file with the names of actions and objects; empty: those of the data set.'
    )
    htt_precision: str = make_setting(
        'auto',
        'HTT: numbers of the backbone; auto takes bf16 where the device is fast at it.',
        choices=('auto', 'fp32', 'bf16'),
    )
    htt_engine: str = make_setting(
        'tiled',
        'HTT: tiled gives the official numbers once a pose window is full, sliding always looks '
        'back over a whole pose window, two_phase runs tiled on even and on odd images (30 Hz).',
        choices=('tiled', 'sliding', 'two_phase'),
    )
    htt_lookahead: int = make_setting(
        0,
        'HTT, engine sliding: tokens that a pose waits for, to see what comes after it.',
        minimum=0,
        maximum=64,
    )
    htt_window: int = make_setting(
        128,
        'HTT: tokens in the action window; 128 for the official weights.',
        minimum=1,
        maximum=4096,
    )
    htt_pose_window: int = make_setting(
        16, 'HTT: tokens in a pose window; 16 for the official weights.', minimum=1, maximum=512
    )
    htt_endless: str = make_setting(
        'rolling',
        'HTT, when the action window is full: rolling drops its oldest pose window, clip starts '
        'a new action window as the official evaluation does.',
        choices=('rolling', 'clip'),
    )
    token_rate_hz: float = make_setting(
        15.0,
        'HTT: images looked at per second, chosen by stamp; 15 as in training. 0 looks at every '
        'image.',
        minimum=0.0,
        maximum=240.0,
    )
    token_gap_s: float = make_setting(
        0.5, 'HTT: a longer time without a token starts anew.', minimum=0.05, maximum=60.0
    )
    action_interval: int = make_setting(
        1, 'HTT: the action is told at every n-th token.', minimum=1, maximum=128, live=True
    )
    action_min_tokens: int = make_setting(
        16,
        'HTT: tokens from which an action is told; before it is unknown.',
        minimum=1,
        maximum=4096,
        live=True,
    )
    action_min_score: float = make_setting(
        0.3,
        'HTT: probability below which the action is unknown.',
        minimum=0.0,
        maximum=1.0,
        live=True,
    )
    action_min_margin: float = make_setting(
        0.1,
        'HTT: lead over the second action below which the action is unknown.',
        minimum=0.0,
        maximum=1.0,
        live=True,
    )
    action_hysteresis: float = make_setting(
        0.05,
        'HTT: lead that another action needs over the one that is told.',
        minimum=0.0,
        maximum=1.0,
        live=True,
    )
    action_min_duration_s: float = make_setting(
        0.1,
        'Time for which another action must be seen before it is told.',
        minimum=0.0,
        maximum=10.0,
        live=True,
    )
    action_top_k: int = make_setting(
        5, 'Most labels listed in HandAction.', minimum=1, maximum=100, live=True
    )
