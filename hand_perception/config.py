"""Every setting once: default, range, sentence, live or not.

ROS parameter descriptors, the YAML files in ``config/``, command line flags and the tables in
``docs/`` are made from these dataclasses by :mod:`hand_perception.settings_files` and
:mod:`hand_perception.ros.params`.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from hand_perception.errors import ConfigError

SettingValue = bool | int | float | str
SettingsT = TypeVar('SettingsT', bound='Settings')


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is known of one setting beside its value."""

    name: str
    kind: type
    default: SettingValue
    sentence: str
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]
    is_live: bool

    @property
    def allowed(self) -> str:
        """The allowed values in words, for messages and tables."""
        if self.choices:
            return ' or '.join(repr(choice) for choice in self.choices)
        if self.kind is bool:
            return 'true or false'
        if self.minimum is not None or self.maximum is not None:
            low = '-inf' if self.minimum is None else f'{self.minimum:g}'
            high = 'inf' if self.maximum is None else f'{self.maximum:g}'
            return f'{low} to {high}'
        return {str: 'text', int: 'a whole number', float: 'a number'}[self.kind]

    def check(self, value: object) -> SettingValue:
        """Return the value in the setting's type.

        Raises:
            ConfigError: wrong type, out of range, or not one of the choices.
        """
        if self.kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if self.kind is str and type(value) is int:
            value = str(value)  # a camera number, which YAML reads as a whole number
        is_right_type = type(value) is self.kind
        if not is_right_type or not self._is_allowed(value):
            raise ConfigError(
                f'{self.name} must be {self.allowed}, got {value!r}'
                + ('' if is_right_type else f' ({type(value).__name__})')
            )
        return value  # type: ignore[return-value]  # the type was compared above

    def _is_allowed(self, value: Any) -> bool:
        if self.choices:
            return value in self.choices
        if isinstance(value, float) and not math.isfinite(value):
            return False
        above = self.minimum is None or value >= self.minimum
        return above and (self.maximum is None or value <= self.maximum)


def _setting(
    default: Any,
    sentence: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    live: bool = False,
) -> Any:
    details = {
        'sentence': sentence, 'minimum': minimum, 'maximum': maximum,
        'choices': choices, 'is_live': live,
    }  # fmt: skip
    return dataclasses.field(default=default, metadata=details)


def _described(field: 'dataclasses.Field[Any]') -> Setting:
    default: Any = field.default
    return Setting(name=field.name, kind=type(default), default=default, **field.metadata)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A frozen group of settings that checks itself when it is made."""

    def __post_init__(self) -> None:
        """Refuse values outside what a setting allows."""
        for setting in self.settings():
            value = setting.check(getattr(self, setting.name))
            object.__setattr__(self, setting.name, value)

    @classmethod
    def settings(cls) -> tuple[Setting, ...]:
        """List the settings in the order in which they were written."""
        return tuple(_described(f) for f in dataclasses.fields(cls))

    @classmethod
    def from_mapping(cls: type[SettingsT], values: Mapping[str, object]) -> SettingsT:
        """Make settings from names and values.

        Raises:
            ConfigError: an unknown name or a value that is not allowed.
        """
        known = {setting.name for setting in cls.settings()}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigError(
                f'unknown setting {", ".join(unknown)}; {cls.__name__} knows '
                f'{", ".join(sorted(known))}'
            )
        return cls(**values)

    def replace(self: SettingsT, **values: object) -> SettingsT:
        """Return a checked copy with some values changed."""
        return dataclasses.replace(self, **values)


@dataclass(frozen=True, kw_only=True)
class PipelineSettings(Settings):
    """What the pipeline needs to know, with ROS or without."""

    backend: str = _setting(
        'landmarks',
        'Reconstructs hands: landmarks ships with the package, hamer needs your hamer_dir.',
        choices=('landmarks', 'hamer'),
    )
    hamer_dir: str = _setting(
        '', 'HaMeR: folder with your hamer.ckpt, model_config.yaml and mano_mean_params.npz.'
    )
    precision: str = _setting(
        'auto',
        'HaMeR: numbers of the backbone; auto takes bf16 where the device is fast at it.',
        choices=('auto', 'fp32', 'bf16', 'fp16', 'int8'),
    )
    compile_backbone: bool = _setting(
        False, 'HaMeR: run the backbone through torch.compile; starting takes minutes.'
    )
    device: str = _setting(
        'auto',
        'Where the networks run; auto takes CUDA when torch finds it.',
        choices=('auto', 'cpu', 'cuda'),
    )
    num_threads: int = _setting(
        1,
        'CPU threads of torch; more than 1 makes frame times jump on a busy machine.',
        minimum=1,
        maximum=64,
    )
    hand_model: str = _setting(
        'default',
        'Hand mesh: default is free and ships with the package, mano is read from mano_dir.',
        choices=('default', 'mano'),
    )
    mano_dir: str = _setting('', 'Folder with your licensed MANO_RIGHT.pkl.')
    hand_scale: float = _setting(
        1.0,
        "Size of the person's hands against the hand model; 1.1 for hands 10 % larger. "
        'Distances grow with it.',
        minimum=0.5,
        maximum=1.5,
        live=True,
    )
    max_hands: int = _setting(2, 'Most hands followed at a time.', minimum=1, maximum=8)
    one_hand_per_side: bool = _setting(
        True, "At most one left and one right hand: the wearer's own. False for more people."
    )
    detection_threshold: float = _setting(
        0.5, 'Palm score from which a palm is looked at.', minimum=0.05, maximum=0.99, live=True
    )
    presence_threshold: float = _setting(
        0.5, 'Landmark presence from which a hand is kept.', minimum=0.05, maximum=0.99, live=True
    )
    search_interval_s: float = _setting(
        0.2,
        'Time between palm searches while fewer than max_hands are followed; with no hand at '
        'all every image is searched.',
        minimum=0.0,
        maximum=10.0,
        live=True,
    )
    tile_interval_s: float = _setting(
        0.5,
        'Time between searches on enlarged tiles of the image, for small hands.',
        minimum=0.0,
        maximum=60.0,
        live=True,
    )
    stream_gap_s: float = _setting(
        1.0,
        'A gap between image stamps longer than this starts a new run of the stream.',
        minimum=0.05,
        maximum=60.0,
    )
    landmark_interval_s: float = _setting(
        0.0,
        'HaMeR: time between looks of the landmark network at followed hands; between them hands '
        'are followed by the keypoints of HaMeR itself. 0 looks at every image.',
        minimum=0.0,
        maximum=10.0,
        live=True,
    )
    hold_shape_after: int = _setting(
        30,
        'HaMeR: confident images after which the mean shape of a hand is held, so that its size '
        'stays; 0 takes the shape of each image.',
        minimum=0,
        maximum=10000,
        live=True,
    )
    official_camera: bool = _setting(
        False,
        'HaMeR: place hands as the official demo does, to compare with it; distances are then '
        'hundreds of times too large.',
    )
    focal_ratio: float = _setting(
        1.0,
        'Focal length over the long image side for cameras without camera_info.',
        minimum=0.2,
        maximum=10.0,
    )


@dataclass(frozen=True, kw_only=True)
class PerceptionSettings(PipelineSettings):
    """Parameters of the node ``perception``."""

    image_transport: str = _setting(
        'raw', 'Subscribe image (raw) or image/compressed.', choices=('raw', 'compressed')
    )
    reliability: str = _setting(
        'best_effort',
        'Reliability of the image, depth and camera_info subscriptions.',
        choices=('best_effort', 'reliable'),
    )
    box_source: str = _setting(
        'detector',
        'HaMeR: boxes of hands from the built-in detector, or from the topic boxes.',
        choices=('detector', 'topic'),
    )
    use_depth: bool = _setting(
        False, 'Subscribe depth, aligned to the image, and take distances from it.'
    )
    camera_info_timeout_s: float = _setting(
        1.0,
        'How long images wait for the first camera_info before a focal length is assumed.',
        minimum=0.0,
        maximum=60.0,
    )
    max_age_ms: float = _setting(
        500.0,
        "Images older than this are dropped, by their stamp and the node's clock; 0 keeps all.",
        minimum=0.0,
        maximum=60000.0,
        live=True,
    )
    publish_vertices: bool = _setting(False, 'Fill HandPose.vertices with the mesh.', live=True)
    marker_rate_hz: float = _setting(
        30.0,
        'Most marker messages per second; sent only while someone subscribes.',
        minimum=0.1,
        maximum=1000.0,
        live=True,
    )
    overlay_rate_hz: float = _setting(
        30.0,
        'Most overlay images per second; drawn only while someone subscribes.',
        minimum=0.1,
        maximum=1000.0,
        live=True,
    )
    start_enabled: bool = _setting(
        True, 'Process images from the start; otherwise wait for ~/enable.'
    )


@dataclass(frozen=True, kw_only=True)
class VideoSourceSettings(Settings):
    """Parameters of the node ``video_source``."""

    source: str = _setting(
        'synthetic',
        'synthetic (the built-in clip), a video file, a folder of images, or a camera number.',
    )
    rate_hz: float = _setting(
        0.0,
        "Images per second; 0 takes the source's own rate (30 for a folder of images).",
        minimum=0.0,
        maximum=1000.0,
    )
    loop: bool = _setting(True, 'Start again at the end; otherwise the node ends.')
    transport: str = _setting(
        'raw',
        'Topics to publish: image, image/compressed, or both.',
        choices=('raw', 'compressed', 'both'),
    )
    reliability: str = _setting(
        'reliable', 'Reliability of the publishers.', choices=('best_effort', 'reliable')
    )
    jpeg_quality: int = _setting(90, 'Quality of compressed images.', minimum=1, maximum=100)
    frame_id: str = _setting('camera_optical_frame', 'frame_id of the images.')
    focal_px: float = _setting(
        0.0,
        'Focal length put into camera_info; 0 publishes the true one of the synthetic clip and '
        'no camera_info for other sources.',
        minimum=0.0,
        maximum=100000.0,
    )
    camera_info_file: str = _setting(
        '', 'Calibration YAML (camera_calibration format) for camera_info; empty for none.'
    )
    wait_for_subscribers: int = _setting(
        0, 'Image subscribers to wait for before the first image.', minimum=0, maximum=100
    )


@dataclass(frozen=True, kw_only=True)
class RecorderSettings(Settings):
    """Parameters of the node ``recorder``."""

    output_dir: str = _setting('recording', 'Folder to write to; made when it is not there.')
    bag: bool = _setting(True, 'Write all topics to a rosbag2 bag (mcap) in output_dir/bag.')
    raw_images: bool = _setting(
        False,
        'Also put raw image and overlay into the bag; they take 1 MB per VGA image.',
    )
    overlay_rate_hz: float = _setting(
        30.0, 'Images per second of overlay.mp4.', minimum=1.0, maximum=240.0
    )
