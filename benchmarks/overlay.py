"""Time the rasteriser against a loop over faces, and the overlay against copying the image.

    python -m benchmarks.overlay [--rounds 60] [--json FILE]

Two synthetic hands, about as large as the case says, in a 1080p image; one thread. The loop is
the usual z-buffer in numpy: one small rectangle of pixels per face. The overlay is compared with
the copy of the image that any overlay has to make.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.common import environment, report, time_interleaved
from hand_perception.datatypes import (
    Camera,
    DepthSource,
    DoubleArray,
    Frame,
    FrameResult,
    Hand,
    ManoParameters,
)
from hand_perception.geometry import mirror_points
from hand_perception.models.hand_arrays import KEYPOINT_SOURCES, HandArrays, load_default_arrays
from hand_perception.pipeline.lift import project
from hand_perception.pipeline.overlay import draw_overlay
from hand_perception.rendering.rasterizer import rasterize

CAMERA = Camera(width=1920, height=1080, fx=1170.0, fy=1170.0, cx=959.5, cy=539.5)
#: Fingers up, back of the hand to the camera; an open hand is 0.21 m long.
CAMERA_FROM_HAND = np.array([[0.0, 0, -1], [1, 0, 0], [0, -1, 0]])
HAND_LENGTH_M = 0.21
SIZES_PX = (250, 500)


def make_hand(arrays: HandArrays, *, is_right: bool, size_px: int) -> Hand:
    """Make an open hand beside the middle of the image."""
    rest = arrays.rest(np.zeros(10))
    joints = np.vstack([rest.joints, rest.tips])[list(KEYPOINT_SOURCES)]
    distance = CAMERA.fx * HAND_LENGTH_M / size_px
    at = np.array([(0.25 if is_right else -0.25) * distance, 0.0, distance])

    def place(points: DoubleArray) -> DoubleArray:
        placed = points @ CAMERA_FROM_HAND.T
        return (placed if is_right else mirror_points(placed)) + at

    pixels = project(CAMERA, place(joints))
    numbers = {'wrist_rotation': np.eye(3), 'flexion': np.zeros(15, np.float32)}
    return Hand(
        track_id=1, is_right=is_right, handedness_score=1.0, confidence=1.0,
        bbox_xyxy=np.r_[pixels.min(0), pixels.max(0)].astype(np.float32),
        keypoints_3d=place(joints).astype(np.float32), keypoints_2d=pixels.astype(np.float32),
        keypoint_confidence=np.ones(21, np.float32),
        vertices=place(arrays.v_template).astype(np.float32),
        parameters=ManoParameters(
            global_orient=np.zeros(3), hand_pose=np.zeros(45), betas=np.zeros(10),
            transl=np.zeros(3),
        ),
        pinch_distance_m=0.1, pinch=0.0, grasp=0.0, depth_source=DepthSource.MONO,
        depth_stddev_m=0.0, **numbers,
    )  # fmt: skip


def rasterize_in_a_loop(
    points: DoubleArray, depth: DoubleArray, faces: NDArray[np.integer], width: int, height: int
) -> NDArray[np.int64]:
    """Draw face by face into a z-buffer; give the (height, width) face seen at every pixel."""
    nearest = np.full((height, width), np.inf)
    owner = np.full((height, width), -1)
    for number, face in enumerate(faces):
        (ax, ay), (bx, by), (cx, cy) = points[face]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area >= 0:  # seen from behind
            continue
        x0, y0 = np.maximum(np.floor(points[face].min(0)).astype(int), 0)
        x1, y1 = np.minimum(np.ceil(points[face].max(0)).astype(int) + 1, (width, height))
        x, y = np.meshgrid(np.arange(x0, x1), np.arange(y0, y1))
        u = ((bx - x) * (cy - y) - (by - y) * (cx - x)) / area
        v = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / area
        w = 1 - u - v
        z = 1 / (u / depth[face[0]] + v / depth[face[1]] + w / depth[face[2]])
        window = nearest[y0:y1, x0:x1]
        seen = (u >= 0) & (v >= 0) & (w >= 0) & (z < window)
        window[seen] = z[seen]
        owner[y0:y1, x0:x1][seen] = number
    return owner


def main() -> int:
    """Run all cases and print both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--rounds', type=int, default=60, help='default: %(default)s')
    parser.add_argument('--json', type=Path, help='write the table here too')
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    arrays = load_default_arrays()
    faces = arrays.faces.astype(np.int64)
    image = np.random.default_rng(0).integers(0, 255, (1080, 1920, 3)).astype(np.uint8)
    frame = Frame(image=image, is_rgb=False, stamp_ns=0, frame_id='camera', camera=CAMERA)
    drawing, overlaying = {}, {}
    for size_px in SIZES_PX:
        hands = tuple(
            make_hand(arrays, is_right=is_right, size_px=size_px) for is_right in (False, True)
        )
        result = FrameResult(stamp_ns=0, frame_id='camera', hands=hands)
        hand = hands[1]
        points = project(CAMERA, hand.vertices)
        points = points - np.floor(points.min(0))
        width, height = (np.ceil(points.max(0)).astype(int) + 1).tolist()
        patch = {'width': width, 'height': height}
        depth = hand.vertices[:, 2].astype(np.float64)
        drawing[f'one hand, {size_px} px'] = time_interleaved(
            {
                'loop': lambda p=points, z=depth, s=patch: rasterize_in_a_loop(p, z, faces, **s),
                'spans': lambda p=points, z=depth, s=patch: rasterize(
                    p, z, faces, cull_sign=-1, **s
                ),
            },
            rounds=max(arguments.rounds // 3, 5),
            warm_up=2,
        )
        overlaying[f'two hands, {size_px} px'] = time_interleaved(
            {
                'copy': lambda: image.copy(),
                'overlay': lambda r=result: draw_overlay(frame, r, arrays.faces),
            },
            rounds=arguments.rounds,
            warm_up=5,
        )
    where = environment(threads=1)
    report(drawing, baseline='loop', where=where, json_path=arguments.json)
    print()
    report(overlaying, baseline='copy', where={})
    return 0


if __name__ == '__main__':
    sys.exit(main())
