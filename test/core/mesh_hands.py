"""Hands with meshes that differ from the truth: a function of nothing but a frozen stream."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnHands:
    """N hands of 21 keypoints and 778 vertices, metres."""

    keypoints: NDArray[np.float64]
    true_keypoints: NDArray[np.float64]
    vertices: NDArray[np.float64]
    true_vertices: NDArray[np.float64]


def draw(count: int = 6) -> DrawnHands:
    """Clouds of the size of a hand, turned, scaled, moved, noisy; the last one is mirrored."""
    random = np.random.RandomState(7)
    truth = random.standard_normal((count, 21 + 778, 3)) * (0.04, 0.025, 0.015) + (0, 0, 0.6)
    noise = random.standard_normal(truth.shape) * (0.003 + 0.002 * np.arange(count))[:, None, None]
    turn, _ = np.linalg.qr(random.standard_normal((count, 3, 3)))
    turn *= np.sign(np.linalg.det(turn))[:, None, None]
    turn[-1, 0] *= -1
    points = 1.2 * (truth + noise) @ turn + (0.1, -0.2, 0.3)
    return DrawnHands(
        keypoints=points[:, :21], true_keypoints=truth[:, :21],
        vertices=points[:, 21:], true_vertices=truth[:, 21:],
    )  # fmt: skip
