"""Measure ways to place HaMeR's hands in the true camera, on synthetic truth.

    python -m tools.measure_hamer_placement [--hands 120]

Hands of the built-in clip are put, turned at random, in front of a camera; an ideal network sees
the crop: with the true pose it finds the orientation and the weak-perspective camera that explain
the crop's keypoints best, up to noise. From these alone the hand is placed again. scipy is needed.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

import hand_perception
from hand_perception.geometry import rotation_from_axis_angle, swing_rotation
from hand_perception.models.hamer.cameras import Placement, place_hands
from hand_perception.models.hamer.crop_geometry import square_boxes

Array = NDArray[np.float64]
_CLIP = Path(hand_perception.__path__[0]) / 'data' / 'synthetic_ego.json'
_SIZE = (1280, 720)
_CENTER = np.array(_SIZE) / 2


class _Sight(NamedTuple):
    """What the network says of one hand: in the axes of the crop, and in the image."""

    keypoints: Array  # (21, 3)
    pred_cam: Array  # (3,)
    keypoints_px: Array  # (21, 2)
    center: Array  # (2,)
    size: float


def crop_keypoints(keypoints: Array, pred_cam: Array) -> Array:
    """Project (21, 3) into the crop, crop units."""
    depth = keypoints[:, 2:] + 2 * 5000 / (256 * pred_cam[0])
    return 5000 / 256 * (keypoints[:, :2] + pred_cam[1:]) / depth


def ideal_sight(pose: Array, seen_px: Array, start: Array, rng: np.random.Generator) -> _Sight:
    """Explain what a crop shows by turning the pose and choosing the crop's camera."""
    box = np.concatenate([seen_px.min(0), seen_px.max(0)])
    centers, sizes = square_boxes(box)
    size = float(sizes[0])
    center = centers[0] + rng.uniform(-0.12, 0.12, 2) * size
    target = (seen_px - center) / size + rng.normal(0, 0.01, seen_px.shape)

    def turned(values: Array) -> Array:
        return pose @ (rotation_from_axis_angle(values[3:]) @ start).T

    def error(values: Array) -> Array:
        return (crop_keypoints(turned(values), values[:3]) - target).ravel()

    found = least_squares(error, [5.0, 0, 0, 0, 0, 0]).x
    keypoints = turned(found)
    return _Sight(
        keypoints, found[:3], crop_keypoints(keypoints, found[:3]) * size + center, center, size
    )


def official_place(sight: _Sight, focal: Array) -> Array:
    """Use the official formula with the true focal length; the hand is not turned."""
    scale, shift = sight.pred_cam[0] * sight.size, sight.pred_cam[1:]
    depth = 2 * focal.mean() / scale
    return sight.keypoints + np.append(2 * (sight.center - _CENTER) / scale + shift, depth)


def placed(sight: _Sight, focal: Array) -> Array:
    """Place as the package does."""
    placement = _placement(sight, focal)
    return placement.place(sight.keypoints[None])[0]


def unturned(sight: _Sight, focal: Array) -> Array:
    """Solve for the translation alone: the package's method for a hand turned back beforehand."""
    turn = _placement(sight, focal).rotation[0]
    kept = sight._replace(keypoints=sight.keypoints @ turn)
    return _placement(kept, focal).place(kept.keypoints[None])[0]


def _placement(sight: _Sight, focal: Array) -> Placement:
    return place_hands(
        sight.keypoints[None], sight.keypoints_px[None], lambda pixels: (pixels - _CENTER) / focal
    )


def measure(poses: list[Array], focal: Array, angle_rad: float, hands: int) -> None:
    """Print the errors of the ways for hands within an angle of the axis."""
    ways: dict[str, Callable[[_Sight, Array], Array]] = {
        'package': placed, 'not turned': unturned, 'official formula': official_place,
    }  # fmt: skip
    rng = np.random.default_rng(0)
    errors: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    while len(errors['package']) < hands:
        ray = np.append(rng.uniform(-1, 1, 2) * np.tan(angle_rad), 1.0)
        if (np.abs(ray[:2] * focal) > _CENTER).any():
            continue
        axis = rng.normal(size=3)
        turn = rotation_from_axis_angle(axis / np.linalg.norm(axis) * rng.uniform(0, np.pi))
        pose = poses[rng.integers(len(poses))]
        truth = pose @ turn.T + ray * rng.uniform(0.3, 0.6)
        pixels = truth[:, :2] / truth[:, 2:] * focal + _CENTER
        start = swing_rotation(np.array([0.0, 0, 1]), ray).T @ turn
        sight = ideal_sight(pose, pixels, start, rng)
        for way, place in ways.items():
            points = place(sight, focal)
            again = points[:, :2] / points[:, 2:] * focal + _CENTER
            errors[way].append(
                (float(np.linalg.norm(points - truth, axis=1).mean()) * 1e3,
                 float(np.linalg.norm(again - pixels, axis=1).mean()) / sight.size * 256)
            )  # fmt: skip
    print(f'\nwithin {np.degrees(angle_rad):.0f} degrees, fx, fy = {focal} px')
    for way, values in errors.items():
        joints, image = np.median(values, 0)
        print(f'  {way:17s} joints {joints:5.1f} mm   image {image:5.2f} px of the crop')


def main() -> None:
    """Measure near the axis, far from it, and with unequal focal lengths."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--hands', type=int, default=120)
    options = parser.parse_args()
    frames = json.loads(_CLIP.read_text())['frames'][::10]
    poses = [np.array(hand['keypoints_3d']) for frame in frames for hand in frame]
    poses = [pose - pose.mean(0) for pose in poses]
    for focal, degrees in (((600, 600), 5), ((600, 600), 45), ((600, 580), 25)):
        measure(poses, np.array(focal, np.float64), np.radians(degrees), options.hands)


if __name__ == '__main__':
    main()
