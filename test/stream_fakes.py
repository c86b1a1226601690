"""Scripted stand-ins for the networks, so that the flow is tested without weights."""

import numpy as np

from hand_perception.datatypes import Camera, Frame, HandLandmarks, Region
from hand_perception.models.landmarks.backend import PalmDetection

CAMERA = Camera(width=640, height=480, fx=520.0, fy=520.0, cx=320.0, cy=240.0)


def open_hand_px(center, *, size=120.0):
    """Keypoints of an upright open hand, pixels."""
    points = np.zeros((21, 2))
    points[0] = (0, 0.5)
    for finger in range(5):
        for bone in range(4):
            points[1 + 4 * finger + bone] = (-0.3 + 0.15 * finger, 0.2 - 0.22 * bone)
    return points * size + center


def landmarks(center, *, size=120.0, presence=0.99, right_score=0.95):
    """An observed hand at a place of the image."""
    points = open_hand_px(center, size=size)
    world = np.concatenate([(points - points.mean(0)) / size * 0.15, np.zeros((21, 1))], -1)
    return HandLandmarks(
        keypoints_2d=points,
        world_m=world,
        presence=presence,
        right_score=right_score,
        region=Region(center_px=tuple(center), size_px=2 * size, angle_rad=0.0),
    )


def frame(stamp_s, *, depth_m=None):
    """An empty image at a time; the scripted networks do not look at it."""
    return Frame(
        image=np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8),
        is_rgb=True,
        stamp_ns=round(stamp_s * 1e9),
        frame_id='camera_optical_frame',
        camera=CAMERA,
        depth_m=depth_m,
    )


class ScriptedBackend:
    """Sees the hands it is told of, where it is asked to look.

    ``hands`` is what the image holds: the palm search finds all of them, a region the nearest.
    """

    device = 'cpu'

    def __init__(self, hands=()):
        self.hands = list(hands)
        self.searches = []  # with_tiles of each search
        self.looks = 0  # regions looked at

    def search(self, image, *, is_rgb, threshold, with_tiles):
        self.searches.append(with_tiles)
        return [
            PalmDetection(region=hand.region, score=0.9, is_from_tile=False) for hand in self.hands
        ]

    def observe(self, image, regions, *, is_rgb):
        self.looks += len(regions)
        return [self._nearest(region) for region in regions]

    def _nearest(self, region):
        nothing = landmarks(region.center_px, presence=0.01)
        near = [
            (np.hypot(*np.subtract(hand.keypoints_2d.mean(0), region.center_px)), i)
            for i, hand in enumerate(self.hands)
        ]
        near = [pair for pair in near if pair[0] < region.size_px / 2]
        return self.hands[min(near)[1]] if near else nothing
