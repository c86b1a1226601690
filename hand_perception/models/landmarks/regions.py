"""Rotated squares that hold a hand: from a palm, from landmarks; what is found in them.

The rules and constants are MediaPipe's (modules/hand_landmark/*.pbtxt and
calculators/hand_landmarks_to_rect_calculator.cc, version 0.10.21).
"""

import math

import numpy as np

from hand_perception.datatypes import DoubleArray, FloatArray, HandLandmarks, Region
from hand_perception.models.landmarks.layout import LANDMARK_INPUT_PX

#: Side of the region over the long side of the palm box, and its shift towards the fingers in
#: box heights.
PALM_SCALE, PALM_SHIFT = 2.6, 0.5
#: The same over the box of the palm and finger-base landmarks.
TRACK_SCALE, TRACK_SHIFT = 2.0, 0.1
#: The landmarks a tracking region is laid around: wrist, thumb to its end joint, and the two
#: lower joints of each finger. Finger tips would make it jump when a finger bends.
_TRACK_LANDMARKS = np.array([0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18])
_WRIST, _INDEX_MCP, _MIDDLE_MCP, _RING_MCP = 0, 5, 9, 13

#: Two hands are one when their landmarks are closer than this on average, in hand sizes, ...
DUPLICATE_DISTANCE = 0.2
#: ... or when more than this share of the smaller box lies in the other.
DUPLICATE_OVERLAP = 0.6


def region_from_palm(box_xyxy: DoubleArray, wrist: DoubleArray, middle_mcp: DoubleArray) -> Region:
    """Lay a region around the hand of a detected palm.

    Args:
        box_xyxy: (4,) palm box, pixels.
        wrist: (2,) pixels.
        middle_mcp: (2,) pixels.
    """
    angle = _upright_angle(middle_mcp - wrist)
    width, height = box_xyxy[2:] - box_xyxy[:2]
    center = (box_xyxy[:2] + box_xyxy[2:]) / 2
    return _region(center, max(width, height) * PALM_SCALE, angle, height * PALM_SHIFT)


def region_from_keypoints(keypoints_2d: DoubleArray) -> Region:
    """Lay the region for the next image around the (21, 2) landmarks of a hand, pixels."""
    knuckles = (keypoints_2d[_INDEX_MCP] + keypoints_2d[_RING_MCP]) / 2
    knuckles = (knuckles + keypoints_2d[_MIDDLE_MCP]) / 2
    angle = _upright_angle(knuckles - keypoints_2d[_WRIST])
    upright = keypoints_2d[_TRACK_LANDMARKS] @ rotation_2d(angle)  # the axes of the turned square
    low, high = upright.min(0), upright.max(0)
    width, height = high - low
    center = rotation_2d(angle) @ ((low + high) / 2)
    return _region(center, max(width, height) * TRACK_SCALE, angle, height * TRACK_SHIFT)


def image_from_crop(region: Region, crop_px: int) -> DoubleArray:
    """Return the (2, 3) affine from a square upright crop to pixels of the image.

    In the crop, positions count from its outer corner, as the landmark network counts: 0 to
    ``crop_px``, its centre ``crop_px / 2`` is the centre of the region. Pixel i is at i + 0.5.
    """
    linear = rotation_2d(region.angle_rad) * (region.size_px / crop_px)
    offset = np.asarray(region.center_px) - linear @ np.full(2, crop_px / 2)
    return np.column_stack([linear, offset])


def read_landmarks(values: FloatArray, region: Region) -> HandLandmarks:
    """Turn the (128,) output of the network for one crop into image pixels and camera axes."""
    values_64 = values.astype(np.float64)
    crop_points = values_64[:63].reshape(21, 3)  # z, relative to the wrist, is not used
    world = values_64[63:126].reshape(21, 3)
    affine = image_from_crop(region, LANDMARK_INPUT_PX)
    world_xy = world[:, :2] @ rotation_2d(region.angle_rad).T
    return HandLandmarks(
        keypoints_2d=crop_points[:, :2] @ affine[:, :2].T + affine[:, 2],
        world_m=np.column_stack([world_xy, world[:, 2]]),
        presence=float(values_64[126]),
        right_score=float(values_64[127]),
        region=region,
    )


def hand_size_px(keypoints_2d: DoubleArray) -> float:
    """Return the long side of the upright box around (21, 2) landmarks, in their unit."""
    return float(np.ptp(keypoints_2d, axis=0).max())


def are_duplicates(a: HandLandmarks, b: HandLandmarks) -> bool:
    """Tell whether two results are the same hand found twice."""
    size = max(hand_size_px(a.keypoints_2d), hand_size_px(b.keypoints_2d))
    distance = np.linalg.norm(a.keypoints_2d - b.keypoints_2d, axis=1).mean()
    return bool(
        distance < DUPLICATE_DISTANCE * size
        or _overlap(a.keypoints_2d, b.keypoints_2d) > DUPLICATE_OVERLAP
    )


def _overlap(a: DoubleArray, b: DoubleArray) -> float:
    """Return the share of the smaller upright box of two point sets that lies in the other."""
    low = np.maximum(a.min(0), b.min(0))
    high = np.minimum(a.max(0), b.max(0))
    smaller = min(np.ptp(a, axis=0).prod(), np.ptp(b, axis=0).prod())
    return float(np.maximum(high - low, 0).prod() / smaller) if smaller > 0 else 0.0


def _upright_angle(direction: DoubleArray) -> float:
    """Return how far clockwise a direction in the image points from straight up, radians."""
    return math.atan2(float(direction[0]), 0.0 - float(direction[1]))  # no length: upright


def rotation_2d(angle_rad: float) -> DoubleArray:
    """Return the (2, 2) matrix that turns image vectors (y down) clockwise."""
    cosine, sine = math.cos(angle_rad), math.sin(angle_rad)
    return np.array([[cosine, -sine], [sine, cosine]])


def _region(center: DoubleArray, size: float, angle: float, shift: float) -> Region:
    """Make a region whose centre is moved towards the fingers."""
    x, y = center + rotation_2d(angle) @ np.array([0.0, -shift])
    return Region(center_px=(float(x), float(y)), size_px=float(size), angle_rad=angle)
