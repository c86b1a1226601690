"""How skin, nails and cloth look: colour and gloss at places on the flat hand.

Everything is a function of the place on the flat hand, so a mark stays on its finger when the
finger bends. Colours are light (linear), 0-1, red-green-blue.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hand_perception.datatypes import DoubleArray, FloatArray
from hand_perception.synthetic.textures import noise_3d

#: Colour of the back of the hand per skin tone, 8-bit red-green-blue.
SKIN_TONES: Final[Mapping[str, tuple[int, int, int]]] = MappingProxyType(
    {
        'light': (226, 183, 158),
        'medium': (205, 153, 124),
        'tan': (172, 119, 88),
        'dark': (112, 74, 55),
    }
)
#: Light of the cloth.
_GAMMA: Final = 2.2


@dataclass(frozen=True, slots=True, kw_only=True)
class FingerFrame:
    """The last bone of a finger and its joints on the flat hand.

    Attributes:
        joints: (3, 3) base, middle and end joint, metres.
        tip: (3,) finger tip.
        back: (3,) unit vector out of the nail.
    """

    joints: DoubleArray
    tip: DoubleArray
    back: DoubleArray


def finger_frames(keypoints: DoubleArray) -> tuple[FingerFrame, ...]:
    """Find the five fingers of a flat hand from its (21, 3) keypoints; the thumb is first."""
    frames = []
    for finger in range(5):
        joints = keypoints[1 + 4 * finger : 4 + 4 * finger]
        tip = keypoints[4 + 4 * finger]
        along = (tip - joints[2]) / np.linalg.norm(tip - joints[2])
        # The thumb's nail looks sideways and up, the others' straight up.
        out = np.array([0.0, 0.55, 0.83]) if finger == 0 else np.array([0.0, 1.0, 0.0])
        out = out - along * (out @ along)
        frames.append(FingerFrame(joints=joints, tip=tip, back=out / np.linalg.norm(out)))
    return tuple(frames)


def skin_look(
    places: FloatArray,
    normals: FloatArray,
    fingers: tuple[FingerFrame, ...],
    *,
    tone: str,
    seed: int,
) -> tuple[FloatArray, FloatArray]:
    """Give colour and gloss of skin and nails.

    Args:
        places: (P, 3) metres on the flat hand.
        normals: (P, 3) unit vectors out of the flat hand.
        fingers: of the flat hand.
        tone: one of ``SKIN_TONES``.
        seed: of the mottling.

    Returns:
        (P, 3) colour and (P,) gloss, 0-1.
    """
    base = ((np.array(SKIN_TONES[tone]) / 255) ** _GAMMA).astype(np.float32)
    palm = np.clip(-normals[:, 1] * 1.5, 0, 1)[:, None]
    palm_colour = np.minimum(base * (1.18, 1.10, 1.08) + (0.10, 0.045, 0.035), 0.9)
    colour: FloatArray = (base + palm * (palm_colour - base)).astype(np.float32)
    coarse = noise_3d(places, 0.011, seed)[:, None]
    fine = noise_3d(places, 0.0022, seed + 1)[:, None]
    colour *= 1 + 0.05 * coarse + 0.05 * fine
    blotches = np.array([0.0, -0.05, -0.05], np.float32)
    colour *= 1 + noise_3d(places, 0.02, seed + 2)[:, None] * blotches
    gloss = np.full(len(places), 0.10, np.float32) * (1 + 0.5 * fine[:, 0])
    for finger in fingers:
        _add_knuckles(colour, places, normals, finger)
        _add_nail(colour, gloss, places, finger)
    return np.clip(colour, 0, 1).astype(np.float32), np.clip(gloss, 0, 1)


def _add_knuckles(
    colour: FloatArray, places: FloatArray, normals: FloatArray, finger: FingerFrame
) -> None:
    """Redden the skin over each joint and draw its creases."""
    chain = np.vstack([finger.joints, finger.tip])
    for joint in range(3):
        along = chain[joint + 1] - chain[joint]
        along = along / np.linalg.norm(along)
        near = _near(places, chain[joint])
        offset = places[near] - chain[joint]
        distance = offset @ along
        radius = np.linalg.norm(offset, axis=1)
        is_back = np.clip(normals[near] @ finger.back * 1.6 - 0.2, 0, 1)
        patch = np.exp(-((radius / 0.012) ** 2)) * is_back
        colour[near] *= 1 + patch[:, None] * np.array([0.02, -0.10, -0.10])
        if joint == 0:
            continue  # no creases over the knuckles of the fist
        sideways = np.linalg.norm(
            offset - np.outer(distance, along) - np.outer(offset @ finger.back, finger.back),
            axis=1,
        )
        wave = distance - 0.0008 * np.cos(sideways * 600)
        lines = sum(np.exp(-(((wave - at) / 0.0005) ** 2)) for at in (-0.0026, 0.0, 0.0026))
        reach = np.exp(-((sideways / 0.006) ** 2)) * is_back
        colour[near] *= 1 - 0.22 * (lines * reach)[:, None]


def _near(places: FloatArray, centre: DoubleArray) -> NDArray[np.int64]:
    """Number the places within 2 cm of a centre along each axis."""
    # Axis by axis: NumPy is slow at finding the largest of three numbers many times.
    off = [np.abs(places[:, axis].astype(np.float64) - centre[axis]) < 0.02 for axis in range(3)]
    return np.flatnonzero(off[0] & off[1] & off[2])


def _add_nail(
    colour: FloatArray, gloss: FloatArray, places: FloatArray, finger: FingerFrame
) -> None:
    """Paint a nail: pink, pale at both ends, shiny, with a dark rim."""
    along = finger.tip - finger.joints[2]
    length = np.linalg.norm(along)
    along = along / length
    side = np.cross(along, finger.back)
    near = np.flatnonzero(np.linalg.norm(places - finger.tip, axis=1) < 0.02)
    offset = places[near] - finger.tip
    u = (offset @ along + 0.30 * length) / (0.22 * length)  # -1 root to 1 free edge
    v = (offset @ side) / (0.205 * length)
    outside = np.abs(u) ** 2.6 + np.abs(v) ** 2.6
    is_top = np.clip(offset @ finger.back / 0.001 + 1, 0, 1)
    inside = np.clip((1 - outside) / 0.15, 0, 1) * is_top
    rim = np.exp(-(((outside - 1.1) / 0.25) ** 2)) * is_top
    colour[near] *= 1 - 0.24 * rim[:, None]
    bed = np.minimum(colour[near] * (1.16, 1.06, 1.08) + (0.06, 0.035, 0.04), 0.85)
    pale = np.clip((u - 0.68) / 0.15, 0, 1) * 0.45 + np.clip((-0.5 - u) / 0.3, 0, 1) * 0.18
    bed = bed + pale[:, None] * (np.array([0.80, 0.72, 0.66]) - bed)
    colour[near] += inside[:, None] * (bed - colour[near])
    gloss[near] += inside * 0.35


def cloth_look(places: FloatArray, *, colour: tuple[int, int, int]) -> FloatArray:
    """Give the (P, 3) colour of a knitted sleeve at (P, 3) places on the straight arm."""
    base = (np.array(colour, np.float32) / 255) ** _GAMMA
    angle = np.arctan2(places[:, 1], places[:, 2])
    ribs = 0.86 + 0.14 * np.cos(angle * 56)
    rows = 1 + 0.06 * np.cos(places[:, 0] * 2 * np.pi / 0.004)
    blotches = 1 + 0.10 * noise_3d(places, 0.012, 5)
    return np.clip(base * (ribs * rows * blotches)[:, None], 0, 1).astype(np.float32)
