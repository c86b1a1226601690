"""A person's two hands over a table: what it is made of, and how it is rendered."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from hand_perception.datatypes import Camera, DoubleArray, FloatArray, ImageArray
from hand_perception.errors import ConfigError
from hand_perception.models.hand_model import load_hand_model
from hand_perception.rendering.rasterizer import rasterize
from hand_perception.synthetic.animation import HandState, draw_motion, hand_at
from hand_perception.synthetic.backgrounds import BACKGROUNDS
from hand_perception.synthetic.bodies import Body, BodyBuilder, merge_bodies
from hand_perception.synthetic.scripts import SCRIPTS
from hand_perception.synthetic.shading import Light, Surface, lamp_visibility, openness, shade
from hand_perception.synthetic.skin import SKIN_TONES
from hand_perception.synthetic.table import TABLE_UP, draw_table, table_depth, table_shadow
from hand_perception.synthetic.textures import linear_from_srgb, srgb_from_linear
from hand_perception.synthetic.truth import HandTruth

#: Creases between fingers darken over about this length, metres.
_CREASE_REACH: Final = 0.009
#: Blur of a small lens, pixels at 640 x 480.
_LENS_BLUR_PX: Final = 0.45
_SLEEVES: Final = ((58, 78, 110), (96, 62, 66), (66, 86, 74), (84, 84, 90))


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
        supersampling: samples per pixel and axis on hands and arms.
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
        if self.duration_s <= 0 or self.supersampling < 1 or self.noise_sigma < 0:
            raise ConfigError(
                'a scene needs duration_s above 0, supersampling from 1 and noise_sigma from 0, '
                f'got {self.duration_s}, {self.supersampling}, {self.noise_sigma}'
            )

    @property
    def camera(self) -> Camera:
        """The camera that takes the pictures: no distortion."""
        focal = self.focal_ratio * self.height
        return Camera(
            width=self.width, height=self.height, fx=focal, fy=focal,
            cx=(self.width - 1) / 2, cy=(self.height - 1) / 2,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneImage:
    """One rendered picture and what is in it.

    Attributes:
        image_bgr: (H, W, 3), blue-green-red.
        hands: right hand, left hand.
        depth_m: (H, W) true distance along the viewing axis, metres, NaN where it is endless;
            None when it was not asked for.
    """

    image_bgr: ImageArray
    hands: tuple[HandTruth, ...]
    depth_m: FloatArray | None = None


class Scene:
    """A scene ready to be rendered at any time."""

    def __init__(self, spec: SceneSpec) -> None:
        """Draw everything that stays: table, light, hands, their way of moving."""
        self.spec = spec
        self.camera = spec.camera
        rng = np.random.default_rng(spec.seed)
        script = SCRIPTS[spec.script]
        self._motions = [
            draw_motion(rng, script.steps(is_right=is_right), is_right=is_right)
            for is_right in (True, False)
        ]
        self._light = _draw_light(rng)
        betas = np.clip(rng.normal(0, 0.5, 10), -1, 1)
        betas[0] = 0.0  # a hand of the model's own size: distances follow from it
        sleeve = _SLEEVES[int(rng.integers(len(_SLEEVES)))]
        texture = linear_from_srgb(BACKGROUNDS[spec.background](rng))
        self._table = draw_table(texture, self.camera)
        self._builder = BodyBuilder(
            load_hand_model('default'), betas,
            skin_tone=spec.skin_tone, sleeve=sleeve, seed=spec.seed,
        )  # fmt: skip

    def bodies(self, time_s: float) -> tuple[Body, ...]:
        """Place right and left hand with their arms."""
        return tuple(self._builder.body(state) for state in self._states(time_s))

    def truth(self, time_s: float) -> tuple[HandTruth, ...]:
        """Tell where the hands are, without rendering."""
        return self._truth_of(self.bodies(time_s), time_s)

    def render(self, time_s: float, *, with_depth: bool = False) -> SceneImage:
        """Render the picture of one moment.

        Args:
            time_s: seconds from the start; the motion repeats after ``duration_s``.
            with_depth: also give the depth image.
        """
        camera, bodies = self.camera, self.bodies(time_s)
        mesh = merge_bodies(bodies)
        pixels = self._project(mesh.vertices)
        drawn = rasterize(
            pixels, mesh.vertices[:, 2], mesh.faces,
            width=camera.width, height=camera.height, cull_sign=-1,
        )  # fmt: skip
        depth = np.full((camera.height, camera.width), np.inf, np.float32)
        depth[drawn.rows, drawn.columns] = drawn.depth
        table = self._lit_table(mesh)
        colour, cover = self._lit_hands(mesh, pixels, depth)
        light = table * (1 - cover[..., None]) + colour
        return SceneImage(
            image_bgr=self._photograph(light, time_s),
            hands=self._truth_of(bodies, time_s),
            depth_m=np.fmin(depth, table_depth(camera)) if with_depth else None,
        )

    def _lit_table(self, mesh: Body) -> FloatArray:
        """Light the table and cast the shadows of hands and arms on it: (H, W, 3)."""
        source = self._light
        dark = table_shadow(mesh.vertices, mesh.faces, source.to_lamp, self.camera)
        direct = source.lamp * float(source.to_lamp @ TABLE_UP)
        # Hands also keep some of the sky's light away.
        open_sky = source.sky * (1 - 0.35 * dark[..., None])
        arriving = direct * (1 - dark[..., None]) + open_sky
        return (self._table * arriving).astype(np.float32)

    def _lit_hands(
        self, mesh: Body, pixels: DoubleArray, depth: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Shade hands and arms: (H, W, 3) light, 0 where there is none, and (H, W) cover 0-1."""
        camera, fine = self.camera, self.spec.supersampling
        drawn = rasterize(
            (pixels + 0.5) * fine - 0.5, mesh.vertices[:, 2], mesh.faces,
            width=camera.width * fine, height=camera.height * fine, cull_sign=-1,
        )  # fmt: skip
        place = drawn.interpolate(mesh.faces, mesh.vertices.astype(np.float32))
        normal = drawn.interpolate(mesh.faces, mesh.normals.astype(np.float32))
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
        colour, gloss, is_skin = self._builder.look(mesh, drawn)
        surface = Surface(
            position=place, normal=normal, colour=colour, gloss=gloss, is_skin=is_skin
        )
        lit = lamp_visibility(surface, mesh.vertices, mesh.faces, self._light)
        typical = float(np.median(drawn.depth)) if len(drawn.depth) else 1.0
        opened = openness(depth, _CREASE_REACH * camera.fx / typical)
        open_sky = opened[drawn.rows // fine, drawn.columns // fine]
        size = (camera.height * fine, camera.width * fine)
        light, cover = np.zeros((*size, 3), np.float32), np.zeros(size, np.float32)
        light[drawn.rows, drawn.columns] = shade(surface, self._light, lit, open_sky)
        cover[drawn.rows, drawn.columns] = 1
        small = (camera.width, camera.height)
        return (
            cv2.resize(light, small, interpolation=cv2.INTER_AREA),
            cv2.resize(cover, small, interpolation=cv2.INTER_AREA),
        )

    def _photograph(self, light: FloatArray, time_s: float) -> ImageArray:
        """Turn light into a picture: lens blur, gamma, noise, 8 bits."""
        blurred = cv2.GaussianBlur(light, (0, 0), _LENS_BLUR_PX * self.spec.height / 480)
        values = srgb_from_linear(blurred)
        if self.spec.noise_sigma > 0:
            rng = np.random.default_rng([self.spec.seed, round(time_s * 1e6)])
            values += rng.normal(0, self.spec.noise_sigma, values.shape).astype(np.float32)
        rounded: ImageArray = np.clip(np.rint(values[..., ::-1]), 0, 255).astype(np.uint8)
        return np.ascontiguousarray(rounded)

    def _project(self, points: DoubleArray) -> DoubleArray:
        focal = (self.camera.fx, self.camera.fy)
        with np.errstate(divide='ignore', invalid='ignore'):  # behind the camera: not drawn
            projected: DoubleArray = points[:, :2] / points[:, 2:] * focal
        return projected + (self.camera.cx, self.camera.cy)

    def _states(self, time_s: float) -> tuple[HandState, ...]:
        duration_s = self.spec.duration_s
        return tuple(hand_at(motion, time_s, duration_s=duration_s) for motion in self._motions)

    def _truth_of(self, bodies: tuple[Body, ...], time_s: float) -> tuple[HandTruth, ...]:
        return tuple(
            HandTruth(
                is_right=body.is_right,
                keypoints_3d=body.keypoints,
                keypoints_2d=self._project(body.keypoints),
                primitive=state.primitive,
            )
            for body, state in zip(bodies, self._states(time_s), strict=True)
        )


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
