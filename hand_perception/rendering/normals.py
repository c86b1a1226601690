"""Normals of triangle meshes."""

import numpy as np
from numpy.typing import NDArray

from hand_perception.datatypes import DoubleArray


def vertex_normals(vertices: DoubleArray, faces: NDArray[np.integer]) -> DoubleArray:
    """Average the normals of the faces around each vertex, weighted by their area.

    Args:
        vertices: (V, 3) in any frame.
        faces: (F, 3) vertex numbers, counter-clockwise seen from outside (right-handed axes).

    Returns:
        (V, 3) unit vectors pointing outwards; zero where no face of any area touches the vertex.
    """
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    corner_vertices = faces.ravel()
    # bincount adds up an order of magnitude faster than np.add.at.
    sums = np.stack(
        [
            np.bincount(corner_vertices, np.repeat(normals[:, axis], 3), len(vertices))
            for axis in range(3)
        ],
        -1,
    )
    return sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-20)
