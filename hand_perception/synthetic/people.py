"""Who is in a synthetic data set and what each recording shows, all drawn from one seed."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from hand_perception.actions import PRIMITIVES, LabelMap
from hand_perception.datatypes import DoubleArray
from hand_perception.errors import ConfigError
from hand_perception.synthetic.backgrounds import BACKGROUNDS
from hand_perception.synthetic.camera_effects import CameraEffects
from hand_perception.synthetic.scene import Scene
from hand_perception.synthetic.scripts import SCRIPTS
from hand_perception.synthetic.skin import SKIN_TONES
from hand_perception.synthetic.spec import SceneSpec

#: Every action is one of the primitives; hands hold nothing.
LABELS: Final = LabelMap(name='synthetic', actions=PRIMITIVES, objects=('none',))
#: ``acts``: each recording shows one action, over and over. Others: a script of the scene, from
#: any moment on; the action is what the hands show most of the time.
SCRIPT_CHOICES: Final = ('acts', 'desk', 'primitives')
_MAX_HAND_SIZES: Final = 0.3
_TEMPI: Final = (0.75, 1.3)
_MIN_SIZE: Final = (64, 48)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSpec:
    """What a synthetic data set holds; the same spec gives the same files.

    Attributes:
        seed: of everything that is random.
        subjects: people of the training split.
        held_out: people of the validation split, and as many others of the test split.
        recordings: of each person.
        frames: images of a recording.
        width: columns of the images.
        height: rows of the images.
        rate_hz: images per second.
        script: one of ``SCRIPT_CHOICES``.
        variety: how far motions stray, as in ``SceneSpec``.
        hand_sizes: share by which sizes of people's hands differ from the mean, at most. A single
            image hardly tells a small hand from a far one: 0.12, as adults differ, is 5 cm of
            depth at the farthest.
        supersampling: as in ``SceneSpec``.
        quality: of the JPEG files, 1 to 100.
    """

    seed: int = 0
    subjects: int = 8
    held_out: int = 2
    recordings: int = 14
    frames: int = 64
    width: int = 480
    height: int = 270
    rate_hz: float = 30.0
    script: str = 'acts'
    variety: float = 1.0
    hand_sizes: float = 0.12
    supersampling: int = 1
    quality: int = 92

    def __post_init__(self) -> None:
        """Refuse what cannot be made."""
        if self.script not in SCRIPT_CHOICES:
            raise ConfigError(
                f'script must be one of {", ".join(SCRIPT_CHOICES)}, got {self.script!r}'
            )
        counts = (self.subjects, self.held_out, self.recordings, self.frames)
        if min(counts) < 1 or self.rate_hz <= 0 or not 1 <= self.quality <= 100 or self.seed < 0:
            raise ConfigError(
                'subjects, held_out, recordings and frames must be 1 or more, rate_hz above 0, '
                f'quality 1 to 100 and seed 0 or more, got {counts}, {self.rate_hz}, '
                f'{self.quality} and {self.seed}'
            )
        if not 0 <= self.variety <= 1 or self.supersampling < 1:
            raise ConfigError(
                'variety must lie between 0 and 1 and supersampling be 1 or more, got '
                f'{self.variety} and {self.supersampling}'
            )
        if not 0 <= self.hand_sizes <= _MAX_HAND_SIZES:
            raise ConfigError(
                f'hand_sizes must lie between 0 and {_MAX_HAND_SIZES}, got {self.hand_sizes}'
            )
        if self.width < _MIN_SIZE[0] or self.height < _MIN_SIZE[1]:
            raise ConfigError(
                f'images must have {_MIN_SIZE[0]} x {_MIN_SIZE[1]} pixels or more, got '
                f'{self.width} x {self.height}'
            )

    def split_of(self, subject: int) -> str:
        """Say in which split a person is; they are counted from 1."""
        if subject <= self.subjects:
            return 'train'
        return 'val' if subject <= self.subjects + self.held_out else 'test'

    @property
    def K(self) -> DoubleArray:  # noqa: N802 - the field's symbol
        """(3, 3) intrinsics of all images, pixels."""
        return SceneSpec(width=self.width, height=self.height).camera.K

    @property
    def takes(self) -> tuple['Take', ...]:
        """All recordings, person by person."""
        people = range(1, self.subjects + 2 * self.held_out + 1)
        return tuple(
            _draw_take(self, subject, number)
            for subject in people
            for number in range(self.recordings)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """One recording.

    Attributes:
        subject: number of the person, from 1.
        split: train, val or test.
        name: of the recording.
        script: of the scene.
        action: that the script repeats; empty where the script shows several.
        motion_seed: of the motion.
        duration_s: after which the motion repeats.
        start_s: where in the motion it begins.
    """

    subject: int
    split: str
    name: str
    script: str
    action: str
    motion_seed: int
    duration_s: float
    start_s: float


def person_spec(spec: DataSpec, subject: int) -> SceneSpec:
    """Draw a person: hands, skin, sleeves, table, light and camera."""
    rng = np.random.default_rng([spec.seed, subject])
    return SceneSpec(
        seed=int(rng.integers(2**31)),
        width=spec.width,
        height=spec.height,
        background=str(rng.choice(sorted(BACKGROUNDS))),
        skin_tone=str(rng.choice(sorted(SKIN_TONES))),
        hand_scale=float(rng.uniform(1 - spec.hand_sizes, 1 + spec.hand_sizes)),
        noise_sigma=float(rng.uniform(0.5, 2.5)),
        effects=CameraEffects(shot_noise=float(rng.uniform(0.0, 3.0))),
        supersampling=spec.supersampling,
    )


def person_scene(spec: DataSpec, subject: int) -> Scene:
    """Make the scene of a person, which takes about a second."""
    return Scene(person_spec(spec, subject))


def take_scene(scene: Scene, spec: DataSpec, take: Take) -> Scene:
    """Let a person do what a take asks for."""
    return scene.moving_otherwise(
        script=take.script, duration_s=take.duration_s, motion_seed=take.motion_seed,
        variety=spec.variety,
    )  # fmt: skip


def _draw_take(spec: DataSpec, subject: int, number: int) -> Take:
    rng = np.random.default_rng([spec.seed, subject, number])
    # Every action is as frequent as the others, and no person has always the same ones.
    action = PRIMITIVES[(number + subject) % len(PRIMITIVES)] if spec.script == 'acts' else ''
    script = f'act_{action}' if action else spec.script
    duration_s = SCRIPTS[script].duration_s * float(rng.uniform(*_TEMPI))
    return Take(
        subject=subject,
        split=spec.split_of(subject),
        name=f's{subject:03d}_r{number:03d}',
        script=script,
        action=action,
        motion_seed=int(rng.integers(2**31)),
        duration_s=duration_s,
        start_s=float(rng.uniform(0, duration_s)),
    )
