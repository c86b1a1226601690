"""Draws the solids of a scene over its table: light and distance of every pixel."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from hand_perception.datatypes import Camera, DoubleArray, FloatArray
from hand_perception.rendering.rasterizer import Fragments, rasterize
from hand_perception.synthetic.bodies import CLOTH, SKIN, BodyBuilder, Mesh, Solid, merge_solids
from hand_perception.synthetic.props import prop_look
from hand_perception.synthetic.shading import Light, Surface, lamp_visibility, openness, shade
from hand_perception.synthetic.table import TABLE_UP, draw_table, table_depth, table_shadow

#: Creases between fingers darken over about this length, metres.
_CREASE_REACH: Final = 0.009


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """Where solids are on the image, without light.

    Attributes:
        mesh: all solids.
        pixels: (V, 2) where its vertices fall.
        drawn: what is seen at every covered pixel.
    """

    mesh: Mesh
    pixels: DoubleArray
    drawn: Fragments


class Drawer:
    """Draws solids over one table, in one light, with one pinhole camera."""

    def __init__(
        self, camera: Camera, table: FloatArray, light: Light, builder: BodyBuilder
    ) -> None:
        """Draw the table once.

        Args:
            camera: without distortion.
            table: light that the table gives back, as ``table.draw_table`` takes it.
            light: of the scene.
            builder: knows how hands look.
        """
        self._camera, self._light, self._builder = camera, light, builder
        self._table = draw_table(table, camera)

    def outline(self, solids: Sequence[Solid]) -> Outline:
        """Find what is seen at every pixel."""
        mesh = merge_solids(solids)
        pixels = pinhole_pixels(self._camera, mesh.vertices)
        return Outline(mesh=mesh, pixels=pixels, drawn=self._rasterize(mesh, pixels, 1))

    def depth(self, outline: Outline) -> FloatArray:
        """Give the (H, W) distance of solids and table along the viewing axis, NaN if endless."""
        return np.fmin(self._solid_depth(outline.drawn), self._table_depth)

    def light(
        self, outline: Outline, *, supersampling: int, creases_apart: bool = False
    ) -> FloatArray:
        """Give the (H, W, 3) light that arrives.

        Args:
            outline: what is where.
            supersampling: samples per pixel and axis on solids.
            creases_apart: solids do not darken each other's creases; right where they hover far
                apart.
        """
        table = self._lit_table(outline.mesh)
        colour, cover = self._lit_solids(outline, supersampling, creases_apart)
        return table * (1 - cover[..., None]) + colour

    def visible_shares(self, outline: Outline, bodies: Sequence[Solid]) -> tuple[float, ...]:
        """Say how much of each hand's surface is seen that would be seen if it were alone.

        Args:
            outline: of solids of which the ``bodies`` come first.
            bodies: hands with arms.
        """
        camera, mesh = self._camera, outline.mesh
        drawn_hand = mesh.is_hand[outline.drawn.face]
        owners = mesh.owner[outline.drawn.face][drawn_hand]
        seen = np.bincount(owners, minlength=len(bodies))
        shares = []
        for number, body in enumerate(bodies):
            faces = body.faces[body.is_hand]
            pixels = pinhole_pixels(camera, body.vertices)
            corner = pixels[np.unique(faces)]
            # A hand that is partly outside needs a larger image to be seen whole.
            low = np.minimum(np.floor(np.nanmin(corner, axis=0)), 0).clip(-3 * camera.width)
            high = np.nanmax(corner, axis=0).clip(None, 4 * camera.width)
            width = max(camera.width, int(high[0]) + 1) - int(low[0])
            height = max(camera.height, int(high[1]) + 1) - int(low[1])
            whole = rasterize(
                pixels - low, body.vertices[:, 2], faces,
                width=width, height=height, cull_sign=-1,
            )  # fmt: skip
            shares.append(min(1.0, float(seen[number]) / max(len(whole.rows), 1)))
        return tuple(shares)

    @cached_property
    def _table_depth(self) -> FloatArray:
        return table_depth(self._camera)

    def _rasterize(self, mesh: Mesh, pixels: DoubleArray, fine: int) -> Fragments:
        return rasterize(
            pixels, mesh.vertices[:, 2], mesh.faces,
            width=self._camera.width * fine, height=self._camera.height * fine, cull_sign=-1,
        )  # fmt: skip

    def _solid_depth(self, drawn: Fragments) -> FloatArray:
        depth = np.full((self._camera.height, self._camera.width), np.inf, np.float32)
        depth[drawn.rows, drawn.columns] = drawn.depth
        return depth

    def _lit_table(self, mesh: Mesh) -> FloatArray:
        """Light the table and cast the shadows of all solids on it: (H, W, 3)."""
        source = self._light
        dark = table_shadow(mesh.vertices, mesh.faces, source.to_lamp, self._camera)
        direct = source.lamp * float(source.to_lamp @ TABLE_UP)
        # Hands also keep some of the sky's light away.
        open_sky = source.sky * (1 - 0.35 * dark[..., None])
        arriving = direct * (1 - dark[..., None]) + open_sky
        return (self._table * arriving).astype(np.float32)

    def _lit_solids(
        self, outline: Outline, fine: int, creases_apart: bool
    ) -> tuple[FloatArray, FloatArray]:
        """Shade solids: (H, W, 3) light, 0 where there is none, and (H, W) cover 0-1."""
        camera, mesh = self._camera, outline.mesh
        drawn = outline.drawn
        if fine > 1:
            drawn = self._rasterize(mesh, (outline.pixels + 0.5) * fine - 0.5, fine)
        place = drawn.interpolate(mesh.faces, mesh.vertices.astype(np.float32))
        normal = drawn.interpolate(mesh.faces, mesh.normals.astype(np.float32))
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
        colour, gloss, is_skin = self._look(mesh, drawn)
        surface = Surface(
            position=place, normal=normal, colour=colour, gloss=gloss, is_skin=is_skin
        )
        lit = lamp_visibility(surface, mesh.vertices, mesh.faces, self._light)
        typical = float(np.median(drawn.depth)) if len(drawn.depth) else 1.0
        open_sky = self._open_sky(outline, drawn, fine, typical, creases_apart)
        size = (camera.height * fine, camera.width * fine)
        light, cover = np.zeros((*size, 3), np.float32), np.zeros(size, np.float32)
        light[drawn.rows, drawn.columns] = shade(surface, self._light, lit, open_sky)
        cover[drawn.rows, drawn.columns] = 1
        if fine == 1:
            return light, cover
        small = (camera.width, camera.height)
        return (
            cv2.resize(light, small, interpolation=cv2.INTER_AREA),
            cv2.resize(cover, small, interpolation=cv2.INTER_AREA),
        )

    def _look(
        self, mesh: Mesh, drawn: Fragments
    ) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
        """Give colour (P, 3), gloss (P,) and whether it is skin (P,) at the drawn places."""
        places = drawn.interpolate(mesh.faces, mesh.rest)
        normals = drawn.interpolate(mesh.faces, mesh.rest_normals)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)
        material = mesh.material[drawn.face]
        colour, gloss = self._builder.look(places, normals, material)
        is_thing = material > CLOTH
        if is_thing.any():
            colour[is_thing], gloss[is_thing] = prop_look(
                places[is_thing], normals[is_thing], material[is_thing]
            )
        return colour, gloss, material == SKIN

    def _open_sky(
        self, outline: Outline, drawn: Fragments, fine: int, typical: float, creases_apart: bool
    ) -> FloatArray:
        """Give (P,) 1 in the open, less in creases, at the drawn places."""
        reach = _CREASE_REACH * self._camera.fx / typical
        depth = self._solid_depth(outline.drawn)
        rows, columns = drawn.rows // fine, drawn.columns // fine
        if not creases_apart:
            return openness(depth, reach)[rows, columns]
        owner = np.full(depth.shape, -1)
        owner[outline.drawn.rows, outline.drawn.columns] = outline.mesh.owner[outline.drawn.face]
        drawn_owner = outline.mesh.owner[drawn.face]
        result = np.ones(len(rows), np.float32)
        for number in np.unique(drawn_owner):
            mine = drawn_owner == number
            alone = np.where(owner == number, depth, np.float32(np.inf))
            result[mine] = openness(alone, reach)[rows[mine], columns[mine]]
        return result


def pinhole_pixels(camera: Camera, points: DoubleArray) -> DoubleArray:
    """Project (..., 3) points to (..., 2) pixels, without distortion; senseless behind it."""
    with np.errstate(divide='ignore', invalid='ignore'):  # behind the camera: not drawn
        projected: DoubleArray = points[..., :2] / points[..., 2:] * (camera.fx, camera.fy)
    return projected + (camera.cx, camera.cy)
