"""Every setting once: default, range, sentence, live or not.

ROS parameter descriptors, the YAML files in ``config/``, command line flags and the tables in
``docs/`` are made from these dataclasses by :mod:`hand_perception.settings_files` and
:mod:`hand_perception.ros.params`.
"""

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


@dataclass(frozen=True, kw_only=True)
class PipelineSettings(HandSettings):
    """What the pipeline needs to know, with ROS or without: hands, then actions."""

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


@dataclass(frozen=True, kw_only=True)
class PerceptionSettings(PipelineSettings):
    """Parameters of the node ``perception``."""

    image_transport: str = make_setting(
        'raw', 'Subscribe image (raw) or image/compressed.', choices=('raw', 'compressed')
    )
    reliability: str = make_setting(
        'best_effort',
        'Reliability of the image, depth and camera_info subscriptions.',
        choices=('best_effort', 'reliable'),
    )
    box_source: str = make_setting(
        'detector',
        'HaMeR: boxes of hands from the built-in detector, or from the topic boxes.',
        choices=('detector', 'topic'),
    )
    use_depth: bool = make_setting(
        False, 'Subscribe depth, aligned to the image, and take distances from it.'
    )
    camera_info_timeout_s: float = make_setting(
        1.0,
        'How long images wait for the first camera_info before a focal length is assumed.',
        minimum=0.0,
        maximum=60.0,
    )
    max_age_ms: float = make_setting(
        500.0,
        "Images older than this are dropped, by their stamp and the node's clock; 0 keeps all.",
        minimum=0.0,
        maximum=60000.0,
        live=True,
    )
    publish_vertices: bool = make_setting(
        False, 'Fill HandPose.vertices with the mesh.', live=True
    )
    marker_rate_hz: float = make_setting(
        30.0,
        'Most marker messages per second; sent only while someone subscribes.',
        minimum=0.1,
        maximum=1000.0,
        live=True,
    )
    overlay_rate_hz: float = make_setting(
        30.0,
        'Most overlay images per second; drawn only while someone subscribes.',
        minimum=0.1,
        maximum=1000.0,
        live=True,
    )
    start_enabled: bool = make_setting(
        True, 'Process images from the start; otherwise wait for ~/enable.'
    )


@dataclass(frozen=True, kw_only=True)
class VideoSourceSettings(Settings):
    """Parameters of the node ``video_source``."""

    source: str = make_setting(
        'synthetic',
        'synthetic (the built-in clip), a video file, a folder of images, or a camera number.',
    )
    rate_hz: float = make_setting(
        0.0,
        "Images per second; 0 takes the source's own rate (30 for a folder of images).",
        minimum=0.0,
        maximum=1000.0,
    )
    loop: bool = make_setting(True, 'Start again at the end; otherwise the node ends.')
    transport: str = make_setting(
        'raw',
        'Topics to publish: image, image/compressed, or both.',
        choices=('raw', 'compressed', 'both'),
    )
    reliability: str = make_setting(
        'reliable', 'Reliability of the publishers.', choices=('best_effort', 'reliable')
    )
    jpeg_quality: int = make_setting(90, 'Quality of compressed images.', minimum=1, maximum=100)
    frame_id: str = make_setting('camera_optical_frame', 'frame_id of the images.')
    focal_px: float = make_setting(
        0.0,
        'Focal length put into camera_info; 0 publishes the true one of the synthetic clip and '
        'no camera_info for other sources.',
        minimum=0.0,
        maximum=100000.0,
    )
    camera_info_file: str = make_setting(
        '', 'Calibration YAML (camera_calibration format) for camera_info; empty for none.'
    )
    wait_for_subscribers: int = make_setting(
        0, 'Image subscribers to wait for before the first image.', minimum=0, maximum=100
    )


@dataclass(frozen=True, kw_only=True)
class RecorderSettings(Settings):
    """Parameters of the node ``recorder``."""

    output_dir: str = make_setting('recording', 'Folder to write to; made when it is not there.')
    bag: bool = make_setting(True, 'Write all topics to a rosbag2 bag (mcap) in output_dir/bag.')
    raw_images: bool = make_setting(
        False,
        'Also put raw image and overlay into the bag; they take 1 MB per VGA image.',
    )
    overlay_rate_hz: float = make_setting(
        30.0, 'Images per second of overlay.mp4.', minimum=1.0, maximum=240.0
    )
