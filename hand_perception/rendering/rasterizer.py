"""A z-buffer rasteriser in vectorised numpy.

Every triangle is cut into one horizontal span per pixel row, every span into pixels; both steps
are array operations over all triangles at once, so the cost follows the number of covered
pixels. Only covered pixels are returned: a hand that fills a corner of a large image costs what
the corner costs.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hand_perception.datatypes import DoubleArray, FloatArray

IntArray = NDArray[np.int64]

#: Pixels handled at a time: bounds memory at about 100 bytes each when triangles are huge.
MAX_PIXELS_AT_ONCE = 1 << 20
#: Spans reach this far (pixels) over their edge, so rounding leaves no gap between neighbours.
_SPAN_SLACK = 1e-6
#: Triangles smaller than this (square pixels, doubled) are seen edge-on and skipped.
_MIN_DOUBLE_AREA = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragments:
    """The visible surface, one entry per covered pixel, P in all, each pixel once.

    Attributes:
        rows: (P,) pixel row.
        columns: (P,) pixel column.
        face: (P,) number of the nearest face there.
        barycentric: (P, 3) float32 weights of the face's corners; perspective-correct.
        depth: (P,) float32 distance, in the unit of the depths that were given.
    """

    rows: IntArray
    columns: IntArray
    face: IntArray
    barycentric: FloatArray
    depth: FloatArray

    def interpolate(
        self, faces: NDArray[np.integer], values: FloatArray | DoubleArray
    ) -> FloatArray:
        """Interpolate (V,) or (V, D) values of the vertices at every pixel: (P,) or (P, D)."""
        corners = values[faces[self.face]]  # (P, 3) or (P, 3, D)
        subscripts = 'pc,pc->p' if values.ndim == 1 else 'pc,pcd->pd'
        return np.einsum(subscripts, self.barycentric, corners).astype(np.float32, copy=False)


@dataclass(frozen=True, slots=True)
class _Triangles:
    """Triangles that touch the image, T in all.

    Attributes:
        face: (T,) which face each one is.
        edge: (T, 3, 3) a, b, c so that corner i has weight a x + b y + c at pixel (x, y).
        inverse_depth: (T, 3) of the corners.
        first_row: (T,) first pixel row.
        num_rows: (T,) number of pixel rows.
    """

    face: IntArray
    edge: DoubleArray
    inverse_depth: DoubleArray
    first_row: IntArray
    num_rows: IntArray


def rasterize(
    points_px: DoubleArray,
    depth: DoubleArray,
    faces: NDArray[np.integer],
    *,
    width: int,
    height: int,
    near: float = 1e-3,
    cull_sign: int = 0,
    perspective: bool = True,
) -> Fragments:
    """Find which face is seen at every pixel.

    Faces with a corner nearer than ``near`` (behind the camera) or not finite are left out.
    Pixels have their centres at whole numbers, the first at (0, 0).

    Args:
        points_px: (V, 2) projected vertices, x right and y down.
        depth: (V,) distance of the vertices along the viewing axis.
        faces: (F, 3) vertex numbers.
        width: columns of the image.
        height: rows of the image.
        near: smallest depth that is drawn.
        cull_sign: 0 draws both sides; 1 draws only faces that are clockwise on the screen (x
            right, y down), -1 only counter-clockwise ones. A closed mesh with outward
            counter-clockwise faces shows its outside with -1.
        perspective: False for parallel projection, where depth runs linearly over a face.

    Returns:
        The visible pixels, in no particular but a reproducible order.
    """
    triangles = _set_up(points_px, depth, faces, width, height, near, cull_sign, perspective)
    nearest = np.full(width * height, np.inf, np.float32)
    chunks = [
        _fill(part, nearest, width, perspective) for part in _chunks(triangles, width)
    ]  # later chunks see the depths of earlier ones
    if not chunks:
        empty = np.empty(0, np.int64)
        return Fragments(
            rows=empty, columns=empty, face=empty,
            barycentric=np.empty((0, 3), np.float32), depth=np.empty(0, np.float32),
        )  # fmt: skip
    pixel, face, weights, z = (np.concatenate(parts) for parts in zip(*chunks, strict=True))
    seen = np.flatnonzero(z == nearest[pixel])
    # Two faces at exactly the same depth (a shared edge): the last one keeps the pixel.
    owner = np.empty(width * height, np.int64)
    owner[pixel[seen]] = seen
    seen = seen[owner[pixel[seen]] == seen]
    pixel = pixel[seen]
    return Fragments(
        rows=pixel // width,
        columns=pixel % width,
        face=face[seen],
        barycentric=weights[seen],
        depth=z[seen],
    )


def _set_up(
    points_px: DoubleArray,
    depth: DoubleArray,
    faces: NDArray[np.integer],
    width: int,
    height: int,
    near: float,
    cull_sign: int,
    perspective: bool,
) -> _Triangles:
    """Keep the faces that can be seen and find their edge functions (Pineda 1988)."""
    corner_depth = depth[faces]
    with np.errstate(invalid='ignore'):  # points behind the camera may be NaN
        is_point = depth > near
    is_point &= np.isfinite(points_px[:, 0]) & np.isfinite(points_px[:, 1])
    # Corner by corner, here and below: NumPy is slow at reducing axes of length three.
    index = np.flatnonzero(is_point[faces[:, 0]] & is_point[faces[:, 1]] & is_point[faces[:, 2]])
    corners = np.asarray(points_px, np.float64)[faces[index]]  # (T, 3, 2)
    edge, double_area = _edge_functions(corners)
    first, second, third = corners[:, 0], corners[:, 1], corners[:, 2]
    low = np.minimum(np.minimum(first, second), third)
    high = np.maximum(np.maximum(first, second), third)
    first_row = np.maximum(np.ceil(low[:, 1]), 0)
    last_row = np.minimum(np.floor(high[:, 1]), height - 1)
    keep = (np.abs(double_area) > _MIN_DOUBLE_AREA) & (first_row <= last_row)
    keep &= (low[:, 0] <= width - 1) & (high[:, 0] >= 0)
    if cull_sign:
        keep &= np.sign(double_area) == cull_sign
    safe_depth = corner_depth[index][keep]
    return _Triangles(
        face=index[keep],
        edge=edge[keep] / double_area[keep, None, None],
        inverse_depth=1 / safe_depth if perspective else safe_depth,
        first_row=first_row[keep].astype(np.int64),
        num_rows=(last_row - first_row)[keep].astype(np.int64) + 1,
    )


def _edge_functions(corners: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
    """Find (T, 3, 3) a, b, c of the edge across from each corner, and (T,) doubled areas.

    a x + b y + c is 0 on the edge and the doubled area at the corner.
    """
    start, end = np.roll(corners, -1, 1), np.roll(corners, -2, 1)
    a = start[..., 1] - end[..., 1]
    b = end[..., 0] - start[..., 0]
    c = -(a * start[..., 0] + b * start[..., 1])
    double_area = a[:, 0] * corners[:, 0, 0] + b[:, 0] * corners[:, 0, 1] + c[:, 0]
    return np.stack([a, b, c], -1), double_area


def _chunks(triangles: _Triangles, width: int) -> list[_Triangles]:
    """Split triangles so that each part covers about MAX_PIXELS_AT_ONCE pixels at most.

    One triangle is at least one part, so an image-filling triangle makes a larger one.
    """
    slope = np.abs(triangles.edge[..., 0]).max(1)  # weights run from 0 to 1 over 1 / slope
    widest = np.minimum(1 / np.maximum(slope, 1 / width), width) + 1
    filled = np.cumsum(triangles.num_rows * widest)
    part = (filled / MAX_PIXELS_AT_ONCE).astype(np.int64)
    if not len(part):
        return []
    if part[-1] == 0:
        return [triangles]
    borders = np.flatnonzero(np.diff(part)) + 1
    starts, ends = [0, *borders.tolist()], [*borders.tolist(), len(part)]
    return [
        _Triangles(
            triangles.face[i:j], triangles.edge[i:j], triangles.inverse_depth[i:j],
            triangles.first_row[i:j], triangles.num_rows[i:j],
        )
        for i, j in zip(starts, ends, strict=True)
    ]  # fmt: skip


def _fill(
    triangles: _Triangles, nearest: FloatArray, width: int, perspective: bool
) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    """List the pixels of triangles and lower ``nearest`` (H*W,) to their depth.

    Returns:
        pixel number (Q,), face (Q,), barycentric weights (Q, 3), depth (Q,); hidden pixels that
        were seen to be hidden are left out already.
    """
    span_triangle, row = _expand(triangles.first_row, triangles.num_rows)
    a, b, c = (triangles.edge[span_triangle, :, i].T for i in range(3))  # (3, spans) each
    at_row = b * row + c  # weights at column 0
    with np.errstate(divide='ignore', invalid='ignore'):
        crossing = -at_row / a  # where each weight is 0
    left = np.where(a > 0, crossing, -np.inf)
    right = np.where(a < 0, crossing, np.inf)
    # A level edge bounds no span: its weight has one sign along the row, and rows were chosen
    # between the lowest and the highest corner.
    most_left = np.maximum(np.maximum(left[0], left[1]), left[2]) - _SPAN_SLACK
    most_right = np.minimum(np.minimum(right[0], right[1]), right[2]) + _SPAN_SLACK
    first = np.ceil(np.maximum(most_left, 0)).astype(np.int64)
    last = np.floor(np.minimum(most_right, width - 1)).astype(np.int64)
    span, column = _expand(first, np.maximum(last - first + 1, 0))
    pixel = (row * width)[span] + column
    # 1 / depth (parallel projection: depth) is linear over the screen, like the weights.
    corners = triangles.inverse_depth[span_triangle].T
    linear_start, linear_step = (at_row * corners).sum(0), (a * corners).sum(0)
    linear = linear_start[span] + linear_step[span] * column
    z = ((1 / linear) if perspective else linear).astype(np.float32)
    np.minimum.at(nearest, pixel, z)
    seen = np.flatnonzero(z == nearest[pixel])  # so far: what is hidden needs no weights
    span, column, linear = span[seen], column[seen], linear[seen]
    weights = np.empty((len(seen), 3), np.float32)
    for corner in range(3):
        weight = at_row[corner][span] + a[corner][span] * column
        if perspective:
            weight *= corners[corner][span] / linear
        weights[:, corner] = weight
    return pixel[seen], triangles.face[span_triangle[span]], weights, z[seen]


def _expand(start: IntArray, count: IntArray) -> tuple[IntArray, IntArray]:
    """Write out runs: for each run i, ``count[i]`` whole numbers from ``start[i]``.

    Returns:
        The run of every number, and the number.
    """
    run = np.repeat(np.arange(len(count)), count)
    offset = np.arange(len(run)) - np.repeat(np.cumsum(count) - count, count)
    return run, start[run] + offset
