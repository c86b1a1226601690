"""A hand mesh that grows a forearm and a sleeve, without a seam at the wrist.

The open hand ends in a ring of vertices closed by a flat cap. The cap is taken off and the ring
is pulled along the forearm, so hand and arm share their vertices and their normals.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hand_perception.datatypes import DoubleArray
from hand_perception.errors import WeightsError
from hand_perception.geometry import swing_rotation

#: Where rings of the bare arm lie, metres from the end of the hand.
_ARM_RINGS: Final = np.concatenate([np.linspace(0.004, 0.06, 12), np.linspace(0.075, 0.30, 11)])
#: Where the sleeve starts, and its rings; the first two make the hem.
SLEEVE_START: Final = 0.085
_SLEEVE_RINGS: Final = np.concatenate([[0.0, 0.0], np.linspace(0.004, 0.03, 4),
                                       np.linspace(0.05, 0.225, 8)])  # fmt: skip
#: How far the sleeve stands off the arm, metres.
_SLEEVE_GAP: Final = 0.007
#: The hand turns into the forearm over about this length, metres.
_BEND_LENGTH: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmMesh:
    """A right hand with forearm and sleeve.

    Attributes:
        faces: (F, 3) triangles, counter-clockwise from outside.
        first_sleeve_face: faces from this one on are cloth, those before are skin.
        rest: (V, 3) metres, where each vertex lies on the flat hand with a straight arm.
        ring: (R,) the hand's last ring of vertices.
        ring_rest: (R, 3) their place on the flat hand.
        num_hand_vertices: vertices of the hand come first.
    """

    faces: NDArray[np.int64]
    first_sleeve_face: int
    rest: DoubleArray
    ring: NDArray[np.int64]
    ring_rest: DoubleArray
    num_hand_vertices: int


def build_arm(template: DoubleArray, faces: NDArray[np.integer]) -> ArmMesh:
    """Grow a forearm on a flat right hand.

    Args:
        template: (V, 3) flat hand, fingers towards -x.
        faces: (F, 3) triangles of the closed hand mesh.

    Raises:
        WeightsError: the mesh does not end in one flat ring at its wrist.
    """
    hand_faces = np.asarray(faces, np.int64)
    is_cap = _find_cap(template, hand_faces)
    ring = _border(hand_faces[is_cap])
    count, num_hand = len(ring), len(template)
    arm_first = num_hand + count * np.arange(len(_ARM_RINGS))
    sleeve_first = arm_first[-1] + count * np.arange(1, len(_SLEEVE_RINGS) + 1)
    arm_rings = np.vstack([ring, arm_first[:, None] + np.arange(count)])
    sleeve_rings = sleeve_first[:, None] + np.arange(count)
    skin = np.vstack([hand_faces[~is_cap], _tube(arm_rings)])
    rest = _extrude_rest(template[ring], np.array(_ARM_RINGS), 0.0)
    sleeve_rest = _extrude_rest(template[ring], SLEEVE_START + _SLEEVE_RINGS, _SLEEVE_GAP)
    return ArmMesh(
        faces=np.vstack([skin, _tube(sleeve_rings)]),
        first_sleeve_face=len(skin),
        rest=np.vstack([template, rest, sleeve_rest]),
        ring=ring,
        ring_rest=template[ring],
        num_hand_vertices=num_hand,
    )


def pose_arm(
    arm: ArmMesh, hand_vertices: DoubleArray, towards_arm: DoubleArray, elbow: DoubleArray
) -> DoubleArray:
    """Place the vertices of hand, forearm and sleeve.

    Args:
        arm: the mesh.
        hand_vertices: (num_hand_vertices, 3) posed hand, metres, any frame.
        towards_arm: (3,) unit vector from the hand along its wrist, same frame.
        elbow: (3,) metres, where the forearm leads to, same frame.

    Returns:
        (V, 3) metres, same frame.
    """
    ring = hand_vertices[arm.ring]
    start = ring.mean(0)
    offsets = ring - start
    along = (offsets @ towards_arm)[:, None] * towards_arm
    parts = [hand_vertices]
    for places, gap in ((_ARM_RINGS, 0.0), (SLEEVE_START + _SLEEVE_RINGS, _SLEEVE_GAP)):
        centres, turns = _centre_line(start, towards_arm, elbow, places)
        stretch = _thickness(places, gap, len(places))[:, None, None]
        # The ring is tilted against the arm; the tilt fades out in 3 cm.
        fade = np.clip(1 - places / 0.03, 0, 1)[:, None, None]
        shaped = (offsets - along) * stretch + along * fade
        parts.append((centres[:, None] + shaped @ turns.transpose(0, 2, 1)).reshape(-1, 3))
    return np.vstack(parts)


def _thickness(places: DoubleArray, gap: float, count: int) -> DoubleArray:
    """Give the size of each ring over the hand's last ring (about 21 mm in radius)."""
    share = np.clip(places / 0.22, 0, 1)
    arm = 1 + 0.42 * share * share * (3 - 2 * share)
    sleeve = np.zeros(count)
    if gap:
        sleeve[:] = gap / 0.021
        sleeve[0] = 0.02  # the hem's inner edge lies on the skin
        sleeve[2:] += 0.03 * np.sin(places[2:] * 90)  # folds
    return arm + sleeve


def _centre_line(
    start: DoubleArray, towards_arm: DoubleArray, elbow: DoubleArray, places: DoubleArray
) -> tuple[DoubleArray, DoubleArray]:
    """Bend from the hand's axis into the line to the elbow (a quadratic Bezier, then straight).

    Returns:
        (R, 3) centres and (R, 3, 3) turns of the rings at ``places``.
    """
    corner = start + _BEND_LENGTH / 2 * towards_arm
    to_elbow = (elbow - corner) / np.linalg.norm(elbow - corner)
    end = corner + _BEND_LENGTH / 2 * to_elbow
    share = np.clip(places / _BEND_LENGTH, 0, 1)[:, None]
    bent = (1 - share) ** 2 * start + 2 * share * (1 - share) * corner + share**2 * end
    beyond = np.maximum(places - _BEND_LENGTH, 0)[:, None]
    tangents = (1 - share) * towards_arm + share * to_elbow
    turns = swing_rotation(np.broadcast_to(towards_arm, tangents.shape), tangents)
    return bent + beyond * to_elbow, turns


def _extrude_rest(ring: DoubleArray, places: DoubleArray, gap: float) -> DoubleArray:
    """Lay the rings of the arm out on a straight line along +x, for textures."""
    centre = ring.mean(0)
    stretch = _thickness(places, gap, len(places))[:, None, None]
    spread = (ring - centre) * stretch * (0.0, 1.0, 1.0)
    along = np.zeros((len(places), 1, 3))
    along[:, 0, 0] = places
    return (centre + along + spread).reshape(-1, 3)


def _find_cap(template: DoubleArray, faces: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Find the faces that close the mesh at the wrist: level, and at the far end along x."""
    corners = template[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    facing = normals[:, 0] / np.maximum(np.linalg.norm(normals, axis=1), 1e-15)
    length = np.ptp(template[:, 0])
    at_end = corners[..., 0].min(1) > template[:, 0].max() - 0.1 * length
    return (facing > 0.8) & at_end


def _border(cap: NDArray[np.int64]) -> NDArray[np.int64]:
    """Walk round the border of the cap, in the direction of its faces."""
    edges = np.concatenate([cap[:, [0, 1]], cap[:, [1, 2]], cap[:, [2, 0]]]).tolist()
    inner = {(b, a) for a, b in edges}
    following = {a: b for a, b in edges if (a, b) not in inner}
    if not following:
        raise WeightsError('the hand mesh has no flat end at its wrist to grow an arm from')
    loop = [min(following)]
    while following[loop[-1]] != loop[0] and len(loop) <= len(following):
        loop.append(following[loop[-1]])
    if len(loop) != len(following):
        raise WeightsError('the hand mesh does not end in one ring of vertices at its wrist')
    return np.array(loop, np.int64)


def _tube(rings: NDArray[np.int64]) -> NDArray[np.int64]:
    """Join (N, R) rings of vertices by triangles, counter-clockwise from outside.

    The rings run counter-clockwise seen from the far end, as the border of a cap does.
    """
    here, there = rings[:-1], rings[1:]
    here_next, there_next = np.roll(here, -1, 1), np.roll(there, -1, 1)
    first = np.stack([here, here_next, there], -1)
    second = np.stack([here_next, there_next, there], -1)
    return np.concatenate([first.reshape(-1, 3), second.reshape(-1, 3)])
