"""Settings of what finds and reconstructs hands."""

from dataclasses import dataclass

from hand_perception.settings_base import Settings, make_setting


@dataclass(frozen=True, kw_only=True)
class HandSettings(Settings):
    """What finding and reconstructing hands needs to know."""

    backend: str = make_setting(
        'landmarks',
        'Reconstructs hands: landmarks ships with the package, hamer needs your hamer_dir.',
        choices=('landmarks', 'hamer'),
    )
    hamer_dir: str = make_setting(
        '', 'HaMeR: folder with your hamer.ckpt, model_config.yaml and mano_mean_params.npz.'
    )
    precision: str = make_setting(
        'auto',
        'HaMeR: numbers of the backbone; auto takes bf16 where the device is fast at it.',
        choices=('auto', 'fp32', 'bf16', 'fp16', 'int8'),
    )
    compile_backbone: bool = make_setting(
        False, 'HaMeR: run the backbone through torch.compile; starting takes minutes.'
    )
    device: str = make_setting(
        'auto',
        'Where the networks run; auto takes CUDA when torch finds it.',
        choices=('auto', 'cpu', 'cuda'),
    )
    num_threads: int = make_setting(
        1,
        'CPU threads of torch; more than 1 makes frame times jump on a busy machine.',
        minimum=1,
        maximum=64,
    )
    hand_model: str = make_setting(
        'default',
        'Hand mesh: default is free and ships with the package, mano is read from mano_dir.',
        choices=('default', 'mano'),
    )
    mano_dir: str = make_setting('', 'Folder with your licensed MANO_RIGHT.pkl.')
    hand_scale: float = make_setting(
        1.0,
        "Size of the person's hands against the hand model; 1.1 for hands 10 % larger. "
        'Distances grow with it.',
        minimum=0.5,
        maximum=1.5,
        live=True,
    )
    hand_scale_stddev: float = make_setting(
        0.06,
        'Standard deviation of hand_scale, as a share of it; 0.06 for a hand that nobody '
        'measured. The calibration sets it; depth_stddev follows from it.',
        minimum=0.005,
        maximum=0.3,
        live=True,
    )
    max_hands: int = make_setting(2, 'Most hands followed at a time.', minimum=1, maximum=8)
    one_hand_per_side: bool = make_setting(
        True, "At most one left and one right hand: the wearer's own. False for more people."
    )
    detection_threshold: float = make_setting(
        0.5, 'Palm score from which a palm is looked at.', minimum=0.05, maximum=0.99, live=True
    )
    presence_threshold: float = make_setting(
        0.5, 'Landmark presence from which a hand is kept.', minimum=0.05, maximum=0.99, live=True
    )
    search_interval_s: float = make_setting(
        0.2,
        'Time between palm searches while fewer than max_hands are followed; with no hand at '
        'all every image is searched.',
        minimum=0.0,
        maximum=10.0,
        live=True,
    )
    tile_interval_s: float = make_setting(
        0.5,
        'Time between searches on enlarged tiles of the image, for small hands.',
        minimum=0.0,
        maximum=60.0,
        live=True,
    )
    occlusion_s: float = make_setting(
        0.5,
        'How long a hand that is not seen is waited for; seen again in that time it keeps its '
        'track_id.',
        minimum=0.0,
        maximum=2.0,
        live=True,
    )
    stream_gap_s: float = make_setting(
        1.0,
        'A gap between image stamps longer than this starts a new run of the stream.',
        minimum=0.05,
        maximum=60.0,
    )
    landmark_interval_s: float = make_setting(
        0.0,
        'HaMeR: time between looks of the landmark network at followed hands; between them hands '
        'are followed by the keypoints of HaMeR itself. 0 looks at every image.',
        minimum=0.0,
        maximum=10.0,
        live=True,
    )
    hold_shape_after: int = make_setting(
        30,
        'HaMeR: confident images after which the mean shape of a hand is held, so that its size '
        'stays; 0 takes the shape of each image.',
        minimum=0,
        maximum=10000,
        live=True,
    )
    official_camera: bool = make_setting(
        False,
        'HaMeR: place hands as the official demo does, to compare with it; distances are then '
        'hundreds of times too large.',
    )
    focal_ratio: float = make_setting(
        1.0,
        'Focal length over the long image side for cameras without camera_info.',
        minimum=0.2,
        maximum=10.0,
    )
