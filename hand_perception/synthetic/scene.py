"""A person's two hands over a table: what it is made of, and how it is rendered."""

import copy
import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from hand_perception.datatypes import DoubleArray, FloatArray, ImageArray
from hand_perception.models.hand_model import load_hand_model
from hand_perception.synthetic.animation import (
    HandMotion,
    HandState,
    draw_motion,
    hand_at,
    vary_motion,
)
from hand_perception.synthetic.backgrounds import BACKGROUNDS
from hand_perception.synthetic.bodies import Body, BodyBuilder, Solid
from hand_perception.synthetic.camera_effects import Lens, distort, photograph
from hand_perception.synthetic.depth_sensor import sense_depth
from hand_perception.synthetic.drawing import Drawer, Outline, pinhole_pixels
from hand_perception.synthetic.props import Occluder, place_occluder
from hand_perception.synthetic.scripts import SCRIPTS
from hand_perception.synthetic.shading import Light
from hand_perception.synthetic.situations import Storyline, storyline
from hand_perception.synthetic.spec import SceneSpec
from hand_perception.synthetic.table import TABLE_UP
from hand_perception.synthetic.textures import linear_from_srgb
from hand_perception.synthetic.truth import HandTruth

__all__ = ['Scene', 'SceneImage', 'SceneSpec', 'render_scene']

_SLEEVES: Final = ((58, 78, 110), (96, 62, 66), (66, 86, 74), (84, 84, 90))
#: Distances stay true when the depth sensor looks; its noise has a seed of its own.
_DEPTH_SEED: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneImage:
    """One rendered picture and what is in it.

    Attributes:
        image_bgr: (H, W, 3), blue-green-red.
        hands: right hand, left hand.
        depth_m: (H, W) true distance along the viewing axis, metres, NaN where it is endless;
            None when it was not asked for.
        sensed_depth_m: (H, W) what the depth sensor tells, metres, NaN where it knows nothing
            (``depth_sensor.millimetres`` makes the 16-bit form); None without a sensor.
        situation: name of the situation; empty without any.
    """

    image_bgr: ImageArray
    hands: tuple[HandTruth, ...]
    depth_m: FloatArray | None = None
    sensed_depth_m: FloatArray | None = None
    situation: str = ''


class Scene:
    """A scene ready to be rendered at any time."""

    def __init__(self, spec: SceneSpec) -> None:
        """Draw everything that stays: table, light, hands, their way of moving."""
        self.spec = spec
        self.camera = spec.camera
        rng = np.random.default_rng(spec.seed)
        self._period_s = spec.period_s
        self._story = storyline(spec.situations) if spec.situations else None
        self._motions = _draw_motions(rng, spec, self._story)
        light = _draw_light(rng)
        betas = np.clip(rng.normal(0, 0.5, 10), -1, 1)
        model = load_hand_model('default')
        # Distances follow from the size: the model's own unless another one is asked for.
        betas[0] = model.betas_for_scale(spec.hand_scale)[0]
        sleeve = _SLEEVES[int(rng.integers(len(_SLEEVES)))]
        texture = linear_from_srgb(BACKGROUNDS[spec.background](rng))
        self._builder = BodyBuilder(
            model, betas, skin_tone=spec.skin_tone, sleeve=sleeve, seed=spec.seed
        )
        self._lens = Lens(self.camera) if self.camera.is_distorted else None
        pinhole = self.camera if self._lens is None else self._lens.pinhole
        self._drawer = Drawer(pinhole, texture, light, self._builder)

    @property
    def palm_width_m(self) -> float:
        """From the knuckle of the index finger to that of the little finger, flat hand."""
        return self._builder.palm_width_m

    def moving_otherwise(
        self, *, script: str, duration_s: float, motion_seed: int, variety: float
    ) -> 'Scene':
        """Let the same person at the same table do something else; costs next to nothing.

        The arguments are those of ``SceneSpec``; a scene of that spec looks the same.
        """
        other = copy.copy(self)
        other.spec = dataclasses.replace(
            self.spec, script=script, duration_s=duration_s, motion_seed=motion_seed,
            variety=variety, situations=(),
        )  # fmt: skip
        other._story = None
        other._period_s = other.spec.period_s
        other._motions = _draw_motions(np.random.default_rng(self.spec.seed), other.spec, None)
        for cached in ('_is_eventful', '_occluders'):
            other.__dict__.pop(cached, None)
        return other

    def bodies(self, time_s: float) -> tuple[Body, ...]:
        """Place right and left hand with their arms."""
        return tuple(self._builder.body(state) for state in self._states(time_s))

    def situation(self, time_s: float) -> str:
        """Name the situation of a moment; empty when the scene has none."""
        return '' if self._story is None else self._story.name_at(time_s)

    def truth(self, time_s: float, *, with_visibility: bool = False) -> tuple[HandTruth, ...]:
        """Tell where the hands are, without rendering; counting what is seen of them costs more.

        Args:
            time_s: seconds from the start.
            with_visibility: also tell ``visible_share``.
        """
        bodies = self.bodies(time_s)
        outline = self._outline(bodies, time_s) if with_visibility else None
        return self._truth_of(bodies, time_s, outline)

    def render(self, time_s: float, *, with_depth: bool = False) -> SceneImage:
        """Render the picture of one moment.

        Args:
            time_s: seconds from the start; the motion repeats after ``spec.period_s``.
            with_depth: also give the depth image, and the sensor's where there is one.
        """
        spec, lens, bodies = self.spec, self._lens, self.bodies(time_s)
        outline = self._outline(bodies, time_s)
        light = self._exposed(bodies, outline, time_s)
        depth = self._drawer.depth(outline) if with_depth else None
        if lens is not None:
            light = lens.bend(light)
            depth = None if depth is None else lens.bend_depth(depth)
        sensed = None
        if depth is not None and spec.depth_sensor is not None:
            seed = [spec.seed, round(time_s * 1e6), _DEPTH_SEED]
            sensed = sense_depth(
                depth, self.camera, spec.depth_sensor, np.random.default_rng(seed)
            )
        return SceneImage(
            image_bgr=photograph(
                light, noise_sigma=spec.noise_sigma, effects=spec.effects, time_s=time_s,
                seed=spec.seed,
            ),
            hands=self._truth_of(bodies, time_s, outline),
            depth_m=depth,
            sensed_depth_m=sensed,
            situation=self.situation(time_s),
        )  # fmt: skip

    def _exposed(self, bodies: tuple[Body, ...], outline: Outline, time_s: float) -> FloatArray:
        """Gather light while the shutter is open."""
        effects, fine = self.spec.effects, self.spec.supersampling
        times = np.array([time_s])
        if effects is not None and effects.exposure_s > 0:
            times = effects.sub_times(time_s, self._moved_px(time_s, effects.exposure_s))
        if len(times) == 1:
            return self._light(outline, fine)
        # Averaging pictures of moving edges smooths them as finer samples would.
        total = np.zeros(0, np.float32)
        for moment in times:
            light = self._light(self._outline(self.bodies(moment), moment), 1)
            total = light if not total.size else total + light
        return total / np.float32(len(times))

    def _light(self, outline: Outline, supersampling: int) -> FloatArray:
        return self._drawer.light(
            outline, supersampling=supersampling, creases_apart=self._is_eventful
        )

    def _moved_px(self, time_s: float, exposure_s: float) -> float:
        """Say how far anything moves on the image around a moment."""
        before, after = (
            self._solids(self.bodies(moment), moment)
            for moment in (time_s - exposure_s / 2, time_s + exposure_s / 2)
        )
        moved = [
            np.abs(
                pinhole_pixels(self.camera, a.vertices) - pinhole_pixels(self.camera, b.vertices)
            )
            for a, b in zip(before, after, strict=False)
            if a.vertices.shape == b.vertices.shape
        ]
        return max(float(np.nanmax(way)) for way in moved)

    @cached_property
    def _is_eventful(self) -> bool:
        return bool(self.spec.occluders) or self._story is not None

    @cached_property
    def _occluders(self) -> tuple[Occluder, ...]:
        return self.spec.occluders + (() if self._story is None else self._story.occluders)

    def _solids(self, bodies: tuple[Body, ...], time_s: float) -> list[Solid]:
        within = time_s % self._period_s
        placed = [place_occluder(occluder, within) for occluder in self._occluders]
        return [*bodies, *(solid for solid in placed if solid is not None)]

    def _outline(self, bodies: tuple[Body, ...], time_s: float) -> Outline:
        return self._drawer.outline(self._solids(bodies, time_s))

    def _states(self, time_s: float) -> tuple[HandState, ...]:
        duration_s = self._period_s
        return tuple(hand_at(motion, time_s, duration_s=duration_s) for motion in self._motions)

    def _truth_of(
        self, bodies: tuple[Body, ...], time_s: float, outline: Outline | None
    ) -> tuple[HandTruth, ...]:
        shares: tuple[float | None, ...] = (None,) * len(bodies)
        if outline is not None:
            shares = self._drawer.visible_shares(outline, bodies)
        truths = []
        for body, state, share in zip(bodies, self._states(time_s), shares, strict=True):
            keypoints_2d = self._pixels(body.keypoints)
            size = (self.camera.width - 0.5, self.camera.height - 0.5)
            inside = ((keypoints_2d > -0.5) & (keypoints_2d < size)).all(1)
            truths.append(
                HandTruth(
                    is_right=body.is_right,
                    keypoints_3d=body.keypoints,
                    keypoints_2d=keypoints_2d,
                    primitive=state.primitive,
                    wrist_rotation=body.wrist_rotation,
                    in_image=bool(inside.any()),
                    visible_share=share,
                    parameters=body.parameters,
                )
            )
        return tuple(truths)

    def _pixels(self, points: DoubleArray) -> DoubleArray:
        """Project points to pixels of the picture, lens included."""
        if self._lens is None:
            return pinhole_pixels(self.camera, points)
        camera = self.camera
        bent = distort(points[:, :2] / points[:, 2:], np.array(camera.distortion))
        return bent * (camera.fx, camera.fy) + (camera.cx, camera.cy)


def _draw_motion(
    rng: np.random.Generator, spec: SceneSpec, story: Storyline | None, is_right: bool
) -> HandMotion:
    """Draw the motion of one hand: that of the script, or on the way that a story takes."""
    motion = draw_motion(rng, SCRIPTS[spec.script].steps(is_right=is_right), is_right=is_right)
    if story is None:
        return motion
    route = story.right if is_right else story.left
    return dataclasses.replace(motion, steps=route.steps, route=route)


def _draw_motions(
    rng: np.random.Generator, spec: SceneSpec, story: Storyline | None
) -> list[HandMotion]:
    """Draw how both hands move; takes as much from ``rng`` whatever the seed of motion."""
    motions = [_draw_motion(rng, spec, story, side) for side in (True, False)]
    if spec.motion_seed is None:
        return motions
    own = np.random.default_rng(spec.motion_seed)
    motions = [_draw_motion(own, spec, story, side) for side in (True, False)]
    return [vary_motion(own, motion, spec.variety) for motion in motions]


def render_scene(spec: SceneSpec, time_s: float, *, with_depth: bool = False) -> SceneImage:
    """Render one picture; :class:`Scene` saves the preparation when there are more."""
    return Scene(spec).render(time_s, with_depth=with_depth)


def _draw_light(rng: np.random.Generator) -> Light:
    """Draw a lamp over and a little in front of the person, and the light of the room."""
    ahead = np.array([0.0, TABLE_UP[2], -TABLE_UP[1]])  # along the table, away from the person
    to_lamp = TABLE_UP + 0.45 * ahead + np.array([float(rng.uniform(-0.55, 0.55)), 0.0, 0.0])
    warmth = float(rng.uniform(-0.05, 0.05))
    return Light(
        to_lamp=to_lamp / np.linalg.norm(to_lamp),
        lamp=0.62 * np.array([1.0 + warmth, 0.97, 0.92 - warmth]),
        sky=0.36 * np.array([0.94, 0.98, 1.04]),
        bounce=0.20 * np.array([1.05, 1.0, 0.92]),
        up=TABLE_UP,
    )
