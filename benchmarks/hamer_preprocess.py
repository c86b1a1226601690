"""Time image and boxes to HaMeR's input: our crops against the published preprocessing.

    python -m benchmarks.hamer_preprocess [--rounds 20] [--threads 1] [--json FILE]

``published`` works on the whole image for every hand and normalises on the host; ``ours`` ends in
the grey levels that the network normalises on its device; ``ours, normalised`` does that on the
host too. Before timing, all ways are checked against each other. scipy is needed (development).
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.common import environment, report, time_interleaved
from benchmarks.hamer_published import published_crops
from hand_perception.datatypes import FloatArray, ImageArray
from hand_perception.models.hamer.crops import cut_crops
from hand_perception.models.hamer.device_crops import plan_crops, sample_crops

_SIZES = {'720p': (720, 1280), '1080p': (1080, 1920), '2160p': (2160, 3840)}
#: Side of the square over the height of the image; sampled as it is, blurred little, much, most.
_SQUARES = (0.45, 0.65, 0.93, 1.3, 1.85)
_MEAN = 255 * torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
_STD = 255 * torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
#: Input units: across OpenCV's majors 2 grey levels, else far less.
_LARGEST_DIFFERENCE = 0.04


def two_hands(width: int, height: int, square: float) -> tuple[FloatArray, np.ndarray]:
    """Place a left and a right hand whose squares have this side, in heights of the image."""
    tall, wide = square * height / 2, square * height / 2 * 0.7
    center = np.array([[0.35 * width, 0.55 * height], [0.65 * width, 0.5 * height]]) + 0.37
    half = np.array([wide, tall]) / 2
    boxes = np.concatenate([center - half, center + half], 1).astype(np.float32)
    return boxes, np.array([False, True])


def ours(image: ImageArray, boxes: FloatArray, right: np.ndarray) -> torch.Tensor:
    """Cut the crops the way the pipeline does."""
    return torch.from_numpy(cut_crops(image, boxes, right, is_rgb=False).images_rgb)


def normalised(crops_rgb: torch.Tensor) -> torch.Tensor:
    """Turn grey levels into the network's input."""
    return (crops_rgb.permute(0, 3, 1, 2) - _MEAN) / _STD


def on_device(image: ImageArray, boxes: FloatArray, right: np.ndarray) -> torch.Tensor:
    """Cut with torch, here on the CPU."""
    height, width = image.shape[:2]
    plan = plan_crops(boxes, right, image_size=(width, height))
    x_min, y_min, x_max, y_max = plan.window
    return sample_crops(torch.from_numpy(image[y_min:y_max, x_min:x_max]), plan).flip(-1)


def main() -> None:
    """Check and time all ways on three sizes of image and five of hand."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rounds', type=int, default=20)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--sizes', nargs='+', default=['720p', '1080p'], choices=list(_SIZES))
    parser.add_argument('--json', type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(options.threads)
    torch.set_num_threads(options.threads)
    results = {}
    for name in options.sizes:
        height, width = _SIZES[name]
        noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        image = cv2.GaussianBlur(noise, (0, 0), 1.0)
        for square in _SQUARES:
            boxes, right = two_hands(width, height, square)
            ways = {
                'published': lambda image=image, b=boxes, r=right: published_crops(image, b, r),
                'ours': lambda image=image, b=boxes, r=right: ours(image, b, r),
                'ours, normalised': lambda image=image, b=boxes, r=right: normalised(
                    ours(image, b, r)
                ),
                'torch, normalised': lambda image=image, b=boxes, r=right: normalised(
                    on_device(image, b, r)
                ),
            }
            truth = torch.from_numpy(ways['published']())
            for way in ('ours, normalised', 'torch, normalised'):
                difference = float((ways[way]() - truth).abs().max())
                if difference > _LARGEST_DIFFERENCE:
                    raise SystemExit(f'{way} differs by {difference:g} input units')
            case = f'{name}, 2 hands, square {square * height:.0f} px'
            results[case] = time_interleaved(ways, rounds=options.rounds, warm_up=2)
    where = environment(threads=options.threads)
    report(results, baseline='published', where=where, json_path=options.json)


if __name__ == '__main__':
    main()
