"""Things that pass in front of the hands: a clipboard, a cardboard box, a mug; textured, solid."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hand_perception.datatypes import DoubleArray, FloatArray
from hand_perception.errors import ConfigError
from hand_perception.geometry import rotation_from_axis_angle
from hand_perception.rendering.normals import vertex_normals
from hand_perception.synthetic.bodies import CLOTH, Solid
from hand_perception.synthetic.textures import noise_3d

_FIRST_MATERIAL: Final = CLOTH + 1
#: Sides of the board and of the box, metres: across, up, thick.
_BOARD_SIZE: Final = (0.16, 0.21, 0.006)
_BOX_SIZE: Final = (0.13, 0.11, 0.09)
_MUG_RADIUS: Final = 0.041
_MUG_HEIGHT: Final = 0.095
_MUG_WALL: Final = 0.004
#: Pieces round a mug and round its handle.
_ROUND: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Occluder:
    """A thing on its way through the scene. It is there from its first place to its last.

    Attributes:
        kind: one of ``PROPS``.
        times_s: when it is where; increasing. It speeds up and slows down between places.
        places: one (x, y, z) per time, metres, camera axes.
        turn: axis-angle from its own axes (x across, y down, z away from the camera), radians.
    """

    kind: str
    times_s: tuple[float, ...]
    places: tuple[tuple[float, float, float], ...]
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        """Refuse things and ways that are not there."""
        if self.kind not in PROPS:
            raise ConfigError(f'kind must be one of {", ".join(PROPS)}, got {self.kind!r}')
        if len(self.times_s) != len(self.places) or len(self.times_s) < 2:
            raise ConfigError(
                'an occluder needs one place per time and at least two, got '
                f'{len(self.times_s)} times and {len(self.places)} places'
            )
        if not (np.diff(self.times_s) > 0).all():
            raise ConfigError(f'times_s must increase, got {self.times_s}')

    def place_at(self, time_s: float) -> DoubleArray | None:
        """Give its (3,) place, metres; None when it is not there."""
        if not self.times_s[0] <= time_s <= self.times_s[-1]:
            return None
        last = len(self.times_s) - 2
        leg = min(int(np.searchsorted(self.times_s, time_s, side='right')) - 1, last)
        start, end = self.times_s[leg], self.times_s[leg + 1]
        share = (time_s - start) / (end - start)
        share = share * share * (3 - 2 * share)
        before, after = np.array(self.places[leg]), np.array(self.places[leg + 1])
        place: DoubleArray = before + share * (after - before)
        return place

    def later(self, seconds: float) -> 'Occluder':
        """Return the same thing on the same way, later."""
        times_s = tuple(time_s + seconds for time_s in self.times_s)
        return Occluder(kind=self.kind, times_s=times_s, places=self.places, turn=self.turn)


def place_occluder(occluder: Occluder, time_s: float) -> Solid | None:
    """Give the thing where it is at a time; None when it is not there."""
    place = occluder.place_at(time_s)
    if place is None:
        return None
    vertices, normals, faces = PROPS[occluder.kind].mesh
    rotation = rotation_from_axis_angle(np.array(occluder.turn))
    number = _FIRST_MATERIAL + list(PROPS).index(occluder.kind)
    return Solid(
        vertices=vertices @ rotation.T + place,
        normals=normals @ rotation.T,
        faces=faces,
        material=np.full(len(faces), number),
        is_hand=np.zeros(len(faces), np.bool_),
        rest=vertices,
        rest_normals=normals,
    )


def prop_look(
    places: FloatArray, normals: FloatArray, material: NDArray[np.int64]
) -> tuple[FloatArray, FloatArray]:
    """Give colour (P, 3) and gloss (P,), 0-1, at (P, 3) places on things."""
    colour = np.zeros((len(places), 3), np.float32)
    gloss = np.zeros(len(places), np.float32)
    for number, prop in enumerate(PROPS.values()):
        mine = np.flatnonzero(material == _FIRST_MATERIAL + number)
        if len(mine):
            colour[mine] = prop.paint(places[mine], normals[mine])
            gloss[mine] = prop.gloss
    return np.clip(colour, 0, 1), gloss


def _paint_board(places: FloatArray, normals: FloatArray) -> FloatArray:
    """Lay a sheet with lines of writing on hardboard, under a metal clip."""
    x, y = places[:, 0], places[:, 1]
    grain = noise_3d(places, 0.003, 11)[:, None]
    colour = np.array([0.20, 0.11, 0.055]) * (1 + 0.25 * grain)
    width, height, _ = _BOARD_SIZE
    is_front = normals[:, 2] < -0.5
    is_sheet = is_front & (np.abs(x) < 0.44 * width) & (y < 0.45 * height)
    is_sheet &= y > -0.40 * height
    row = np.floor(y / 0.011)
    margin = np.abs(x) < 0.36 * width - 0.02 * (np.sin(row * 12.9) > 0.3)
    is_word = np.sin(x * 420 + row * 7.3) + 0.6 * np.sin(x * 991 + row * 3.1) > -0.55
    is_ink = is_sheet & margin & is_word & (np.abs(y / 0.011 - row - 0.5) < 0.13)
    is_clip = is_front & (np.abs(x) < 0.035) & (y < -0.40 * height)
    colour[is_sheet] = (0.80, 0.80, 0.76)
    colour[is_ink] = (0.13, 0.14, 0.18)
    colour[is_clip] = (0.46, 0.47, 0.50)
    return colour.astype(np.float32)


def _paint_box(places: FloatArray, normals: FloatArray) -> FloatArray:
    """Paint corrugated cardboard with tape across the middle and a label on its front."""
    fibres = noise_3d(places * np.array([1.0, 4.0, 1.0], np.float32), 0.004, 12)[:, None]
    waves = (np.sin(places[:, 0] * 2 * np.pi / 0.006) * 0.03)[:, None]
    colour = np.array([0.40, 0.25, 0.13]) * (1 + 0.12 * fibres + waves)
    is_tape = (np.abs(places[:, 0]) < 0.017) & (np.abs(normals[:, 0]) < 0.5)
    colour[is_tape] = np.array([0.50, 0.36, 0.20])
    is_front = normals[:, 2] < -0.5
    x, y = places[:, 0] - 0.030, places[:, 1] - 0.016
    is_label = is_front & (np.abs(x) < 0.026) & (np.abs(y) < 0.026)
    colour[is_label] = (0.78, 0.77, 0.74)
    is_bar = is_label & (np.abs(y) < 0.013) & (np.sin(x * 900) + np.sin(x * 2300) > 0.2)
    colour[is_bar] = (0.04, 0.04, 0.05)
    return colour.astype(np.float32)


def _paint_mug(places: FloatArray, normals: FloatArray) -> FloatArray:
    """Glaze a mug: pale, with a band of dots, coffee-stained inside."""
    radius = np.hypot(places[:, 0], places[:, 2])
    speckle = noise_3d(places, 0.0012, 13)[:, None]
    colour = np.array([0.62, 0.64, 0.60]) * (1 + 0.05 * speckle)
    angle = np.arctan2(places[:, 2], places[:, 0])
    is_outside = (radius > _MUG_RADIUS - 0.001) & (radius < _MUG_RADIUS + 0.002)
    is_band = is_outside & (np.abs(places[:, 1]) < 0.024)
    colour[is_band] = (0.06, 0.16, 0.26)
    dot = (angle * 14 / (2 * np.pi)) % 1 - 0.5, places[:, 1] / 0.0184
    is_dot = is_band & (dot[0] ** 2 + dot[1] ** 2 < 0.09)
    colour[is_dot] = (0.70, 0.42, 0.10)
    depth = places[:, 1] + _MUG_HEIGHT / 2
    is_inside = (radius < _MUG_RADIUS - _MUG_WALL / 2) & (depth > 0.03)
    colour[is_inside & (depth < _MUG_HEIGHT - 0.002)] = (0.10, 0.055, 0.03)
    return colour.astype(np.float32)


def _box(size: tuple[float, float, float]) -> tuple[DoubleArray, NDArray[np.int64]]:
    """Make a box about the origin: (8, 3) vertices, (12, 3) faces seen from outside."""
    signs = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float64)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [(a, b, c) for a, b, c, _ in quads] + [(a, c, d) for a, _, c, d in quads]
    return signs * np.array(size) / 2, np.array(faces, np.int64)


def _mug() -> tuple[DoubleArray, NDArray[np.int64]]:
    """Make a cup about the origin, open towards -y, with a handle on its +x side."""
    half, wall = _MUG_HEIGHT / 2, _MUG_WALL
    outline = np.array(  # radius, y: down the outside from the middle of the bottom, back inside
        [(0, half), (0.92 * _MUG_RADIUS, half), (_MUG_RADIUS, half - 0.004),
         (_MUG_RADIUS, -half + 0.001), (_MUG_RADIUS - wall / 2, -half),
         (_MUG_RADIUS - wall, -half + 0.001), (_MUG_RADIUS - wall, half - wall),
         (0, half - wall)]
    )  # fmt: skip
    angles = 2 * np.pi * np.arange(_ROUND) / _ROUND
    around = np.stack([np.cos(angles), np.zeros(_ROUND), np.sin(angles)], 1)
    rings = outline[:, :1, None] * around + outline[:, 1:, None] * (0.0, 1.0, 0.0)
    bend = np.linspace(-0.5 * np.pi, 0.5 * np.pi, 16)
    centre = np.stack(
        [_MUG_RADIUS - 0.002 + 0.026 * np.cos(bend), 0.030 * np.sin(bend), 0 * bend], 1
    )
    outwards = np.stack([np.cos(bend), np.sin(bend), 0 * bend], 1)
    across = 0.006 * np.cos(angles)[:, None] * outwards[:, None]
    handle = centre[:, None] + across + 0.006 * np.sin(angles)[:, None] * (0.0, 0.0, 1.0)
    cup = _tube_faces(len(rings))
    grip = _tube_faces(len(handle)) + rings.size // 3
    vertices = np.vstack([rings.reshape(-1, 3), handle.reshape(-1, 3)])
    return vertices, np.vstack([cup, grip[:, ::-1]])


def _tube_faces(num_rings: int) -> NDArray[np.int64]:
    """Join rings of ``_ROUND`` vertices by triangles."""
    number = np.arange(num_rings * _ROUND).reshape(num_rings, _ROUND)
    here, there = number[:-1], number[1:]
    here_next, there_next = np.roll(here, -1, 1), np.roll(there, -1, 1)
    first = np.stack([here, here_next, there], -1)
    second = np.stack([here_next, there_next, there], -1)
    return np.concatenate([first.reshape(-1, 3), second.reshape(-1, 3)])


_Mesh = tuple[DoubleArray, DoubleArray, NDArray[np.int64]]


def _flat(vertices: DoubleArray, faces: NDArray[np.int64]) -> _Mesh:
    """Give vertices, normals and faces of a thing with sharp edges: no face shares a corner."""
    corners = vertices[faces].reshape(-1, 3)
    own = np.arange(faces.size).reshape(-1, 3)
    return corners, vertex_normals(corners, own), own


def _smooth(vertices: DoubleArray, faces: NDArray[np.int64]) -> _Mesh:
    """Give vertices, normals and faces of a thing that is round all over."""
    return vertices, vertex_normals(vertices, faces), faces


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prop:
    mesh: _Mesh
    paint: Callable[[FloatArray, FloatArray], FloatArray]
    gloss: float


PROPS: Final[Mapping[str, _Prop]] = MappingProxyType(
    {
        'board': _Prop(mesh=_flat(*_box(_BOARD_SIZE)), paint=_paint_board, gloss=0.05),
        'box': _Prop(mesh=_flat(*_box(_BOX_SIZE)), paint=_paint_box, gloss=0.03),
        'mug': _Prop(mesh=_smooth(*_mug()), paint=_paint_mug, gloss=0.45),
    }
)
