"""What a synthetic scene looks like, in numbers and names."""

from dataclasses import dataclass
from typing import Final

from hand_perception.datatypes import Camera
from hand_perception.errors import ConfigError
from hand_perception.synthetic.backgrounds import BACKGROUNDS
from hand_perception.synthetic.camera_effects import CameraEffects
from hand_perception.synthetic.depth_sensor import DepthSensor
from hand_perception.synthetic.props import Occluder
from hand_perception.synthetic.scripts import SCRIPTS
from hand_perception.synthetic.situations import storyline
from hand_perception.synthetic.skin import SKIN_TONES

#: Sizes of hands that people have, over the model's own.
_HAND_SCALES: Final = (0.7, 1.3)


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSpec:
    """What a scene looks like; the same spec gives the same pictures.

    Attributes:
        seed: of everything that is random: motion, hand shape, light, table, noise.
        width: columns of the image.
        height: rows of the image.
        focal_ratio: focal length over the image's height.
        duration_s: after this time the motion repeats.
        script: one of ``SCRIPTS``: what the hands do.
        background: one of ``BACKGROUNDS``.
        skin_tone: one of ``SKIN_TONES``.
        noise_sigma: camera noise, standard deviation in 8-bit steps.
        supersampling: samples per pixel and axis on hands, arms and things.
        situations: names of ``SITUATIONS``, one after the other, instead of ``script`` and
            ``duration_s``; empty for the script.
        hand_scale: size of the hands over the hand model's own.
        occluders: things that pass in front of the hands, beside those of the situations.
        effects: of a real camera; None for a perfect one.
        depth_sensor: makes the depth image; None for true distances only.
        motion_seed: of the motion alone, so that one person moves in many ways; None takes
            ``seed``.
        variety: how far the places, turns and times of a motion with a seed of its own stray
            from those of the clip; 1 is about as far as both hands stay in the image.
    """

    seed: int = 0
    width: int = 640
    height: int = 480
    focal_ratio: float = 13 / 12  # 520 px at 480 rows: a 63 degree camera, typical of webcams
    duration_s: float = 5.0
    script: str = 'desk'
    background: str = 'desk'
    skin_tone: str = 'medium'
    noise_sigma: float = 1.0
    supersampling: int = 2
    situations: tuple[str, ...] = ()
    hand_scale: float = 1.0
    occluders: tuple[Occluder, ...] = ()
    effects: CameraEffects | None = None
    depth_sensor: DepthSensor | None = None
    motion_seed: int | None = None
    variety: float = 0.0

    def __post_init__(self) -> None:
        """Refuse looks that are not there."""
        choices = (
            ('script', SCRIPTS), ('background', BACKGROUNDS), ('skin_tone', SKIN_TONES),
        )  # fmt: skip
        for name, known in choices:
            if getattr(self, name) not in known:
                raise ConfigError(
                    f'{name} must be one of {", ".join(known)}, got {getattr(self, name)!r}'
                )
        if not 0 <= self.variety <= 1 or (self.variety and self.motion_seed is None):
            raise ConfigError(
                'variety must lie between 0 and 1 and needs a motion_seed, got '
                f'{self.variety} and motion_seed {self.motion_seed}'
            )
        if self.duration_s <= 0 or self.supersampling < 1 or self.noise_sigma < 0:
            raise ConfigError(
                'a scene needs duration_s above 0, supersampling from 1 and noise_sigma from 0, '
                f'got {self.duration_s}, {self.supersampling}, {self.noise_sigma}'
            )
        if not _HAND_SCALES[0] <= self.hand_scale <= _HAND_SCALES[1]:
            raise ConfigError(
                f'hand_scale must lie between {_HAND_SCALES[0]} and {_HAND_SCALES[1]}, got '
                f'{self.hand_scale}'
            )
        if self.situations:
            storyline(self.situations)  # says which one is not known

    @property
    def camera(self) -> Camera:
        """The camera that takes the pictures: no distortion but that of ``effects``."""
        focal = self.focal_ratio * self.height
        distortion = self.effects.distortion if self.effects is not None else ()
        return Camera(
            width=self.width, height=self.height, fx=focal, fy=focal,
            cx=(self.width - 1) / 2, cy=(self.height - 1) / 2,
            distortion_model='plumb_bob' if distortion else '', distortion=distortion,
        )  # fmt: skip

    @property
    def period_s(self) -> float:
        """Seconds after which the motion repeats."""
        return storyline(self.situations).duration_s if self.situations else self.duration_s
