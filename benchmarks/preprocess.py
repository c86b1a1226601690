"""Time images to network inputs: letterbox and crops from the image in place, or the usual way.

    python -m benchmarks.preprocess [--rounds 60] [--json FILE]

``usual`` turns the whole image to RGB floats first, as most demos do; ``ours`` reads the image as
it is and touches only what the networks see. Both end in the same uint8 or float inputs.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from benchmarks.common import environment, report, time_interleaved
from hand_perception.datatypes import ImageArray, Region
from hand_perception.models.landmarks.crops import crop_region, letterbox, whole_window
from hand_perception.models.landmarks.layout import LANDMARK_INPUT_PX, PALM_INPUT_PX

_SIZES = {'480p': (480, 640), '1080p': (1080, 1920), '2160p': (2160, 3840)}


def regions(image: ImageArray, count: int) -> list[Region]:
    """Place hands of a third of the image's height."""
    height, width = image.shape[:2]
    return [
        Region(
            center_px=(width * (i + 1) / (count + 1), height / 2),
            size_px=height / 1.5,
            angle_rad=0.3,
        )
        for i in range(count)
    ]


def ours(image: ImageArray, hands: list[Region]) -> list[np.ndarray]:
    """Make the inputs of both networks the way the pipeline does."""
    whole = np.empty((1, PALM_INPUT_PX, PALM_INPUT_PX, 3), np.uint8)
    letterbox(image, whole_window(image), whole[0], is_rgb=False)
    crops = np.empty((len(hands), LANDMARK_INPUT_PX, LANDMARK_INPUT_PX, 3), np.uint8)
    for region, crop in zip(hands, crops, strict=True):
        crop_region(image, region, crop, is_rgb=False)
    return [whole / np.float32(255), crops / np.float32(255)]


def usual(image: ImageArray, hands: list[Region]) -> list[np.ndarray]:
    """Convert the whole image, then cut."""
    rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.float32) / 255
    height, width = rgb.shape[:2]
    scale = PALM_INPUT_PX / max(height, width)
    small = cv2.resize(rgb, (round(width * scale), round(height * scale)))
    top, left = (PALM_INPUT_PX - small.shape[0]) // 2, (PALM_INPUT_PX - small.shape[1]) // 2
    whole = np.zeros((1, PALM_INPUT_PX, PALM_INPUT_PX, 3), np.float32)
    whole[0, top : top + small.shape[0], left : left + small.shape[1]] = small
    crops = []
    for region in hands:
        turn = cv2.getRotationMatrix2D(
            region.center_px, np.rad2deg(region.angle_rad), LANDMARK_INPUT_PX / region.size_px
        )
        turn[:, 2] += LANDMARK_INPUT_PX / 2 - np.array(region.center_px)
        crops.append(cv2.warpAffine(rgb, turn, (LANDMARK_INPUT_PX, LANDMARK_INPUT_PX)))
    return [whole, np.stack(crops)]


def main() -> None:
    """Time both ways on three sizes of image."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rounds', type=int, default=60)
    parser.add_argument('--json', type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    results = {}
    for name, (height, width) in _SIZES.items():
        image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        for count in (1, 2):
            hands = regions(image, count)
            results[f'{name}, {count} hands'] = time_interleaved(
                {
                    'usual': lambda image=image, hands=hands: usual(image, hands),
                    'ours': lambda image=image, hands=hands: ours(image, hands),
                },
                rounds=options.rounds,
                warm_up=5,
            )
    report(results, baseline='usual', where=environment(threads=1), json_path=options.json)


if __name__ == '__main__':
    main()
