"""Parameters of the nodes."""

from dataclasses import dataclass

from hand_perception.config.pipeline import PipelineSettings
from hand_perception.settings_base import Settings, make_setting


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
    publish_tf: bool = make_setting(
        True, 'Put wrist and palm of tracked hands on /tf, where tf2_msgs is installed.'
    )
    target_frame: str = make_setting(
        '',
        'Frame of left/wrist_in_target and right/wrist_in_target, by TF where tf2_ros is '
        'installed; empty for none.',
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
    teleop: str = make_setting(
        '',
        'Also record a teleoperation: full name of its node, as /teleop; empty for none.',
    )
