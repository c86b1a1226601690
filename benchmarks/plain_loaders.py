"""Training samples made in the plain way: one image after the other, as the published loaders do.

Own code with the operations of the published loaders of HTT (Pillow for each image, floats on the
CPU, dictionaries joined one by one) and of HaMeR (the whole image mirrored, one channel after the
other). Baselines of benchmarks.training.
"""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageFilter
from torch import Tensor
from torch.utils.data import default_collate

from hand_perception.datasets.sample import HandTruth
from hand_perception.training.hamer_batches import MEAN_RGB, STD_RGB

Item = dict[str, Any]
_WIDTH, _HEIGHT = 480, 270


def plain_clip(paths: Sequence[Path], truth: HandTruth, K: np.ndarray) -> list[Item]:
    """Read and change the images of a clip for HTT."""
    center = np.array((_WIDTH / 2, _HEIGHT / 2))
    center = center + (0.1 * _WIDTH * np.random.uniform(-1, 1, 2)).astype(int)
    factors = [random.uniform(0.5, 1.5) for _ in range(3)]
    hue = random.uniform(-0.15, 0.15)
    affine = np.eye(3)
    affine[:2, 2] = np.array((_WIDTH / 2, _HEIGHT / 2)) - center
    inverse = np.linalg.inv(affine)
    items = []
    for place, path in enumerate(paths):
        image = Image.open(path).convert('RGB')
        image = image.filter(ImageFilter.GaussianBlur(random.uniform(0, 0.5)))
        changes = [*zip(('Brightness', 'Color', 'Contrast'), factors, strict=True), ('hue', hue)]
        random.shuffle(changes)
        for name, factor in changes:
            if name == 'hue':
                image = _turned_hue(image, factor)
            else:
                image = getattr(ImageEnhance, name)(image).enhance(factor)
        image = image.transform((_WIDTH, _HEIGHT), Image.AFFINE, tuple(inverse[:2].ravel()))
        image = image.crop((0, 0, _WIDTH, _HEIGHT))
        levels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
        joints = truth.joints_2d[place].reshape(-1, 2)
        items.append(
            {
                'image': levels.to(torch.float32).div(255).sub(0.5),
                'joints_2d': _moved(joints, affine).astype(np.float32),
                'joints_3d': truth.joints_3d[place].reshape(-1, 3),
                'K': (affine @ K).astype(np.float32),
                'object': 1,
                'action': 2,
                'not_padding': 1,
            }
        )
    return items


def plain_clips(clips: Sequence[Sequence[Item]]) -> Item:
    """Put clips together, image after image."""
    return default_collate([item for clip in clips for item in clip])


def plain_crop(path: Path, truth: HandTruth, *, is_right: bool) -> Item:
    """Read, cut and change one hand for HaMeR."""
    image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    joints = truth.joints_2d[0, 0].astype(np.float64)
    low, high = joints.min(0), joints.max(0)
    side = 2 * float((high - low).max())
    drawn = np.clip(np.random.randn(4), (-1, -1, -1, -2), (1, 1, 1, 2))
    center = (low + high) / 2 + side * 0.02 * drawn[:2]
    scale, turn = 1 + 0.3 * drawn[2], 30 * drawn[3] if random.random() <= 0.6 else 0.0
    colours = [random.uniform(0.8, 1.2) for _ in range(3)]
    if not is_right:
        image = image[:, ::-1, :]
        center[0] = image.shape[1] - center[0] - 1
        joints[:, 0] = image.shape[1] - joints[:, 0] - 1
    # Turned, scaled to 256 pixels, its centre in the middle.
    size = 256 / (side * scale)
    sine, cosine = size * np.sin(np.deg2rad(-turn)), size * np.cos(np.deg2rad(-turn))
    matrix = np.array([[cosine, -sine, 0], [sine, cosine, 0]])
    matrix[:, 2] = 128 - matrix[:, :2] @ center
    crop = cv2.warpAffine(np.ascontiguousarray(image), matrix, (256, 256)).copy()
    planes = np.transpose(crop, (2, 0, 1)).astype(np.float32)
    for channel in range(3):
        planes[channel] = np.clip(planes[channel] * colours[channel], 0, 255)
        planes[channel] = (planes[channel] - MEAN_RGB[channel]) / STD_RGB[channel]
    points = np.ones((21, 3), np.float32)
    for joint in range(21):
        points[joint, :2] = matrix @ (*joints[joint], 1) / 256 - 0.5
    solid = truth.joints_3d[0, 0] * (1 if is_right else -1, 1, 1)
    turned = np.einsum('ij,kj->ki', _roll(-turn), solid)
    orient = cv2.Rodrigues(_roll(-turn) @ cv2.Rodrigues(np.array([0.1, 0.2, 0.3]))[0])[0]
    return {
        'image': planes, 'keypoints_2d': points, 'keypoints_3d': turned.astype(np.float32),
        'global_orient': orient[:, 0].astype(np.float32), 'hand_pose': np.zeros(45, np.float32),
        'betas': np.zeros(10, np.float32),
    }  # fmt: skip


def plain_crops(crops: Sequence[Item]) -> Item:
    """Put crops together."""
    return default_collate(list(crops))


def image_of(batch: Item) -> Tensor:
    """(N, 3, H, W) floats of a batch."""
    images: Tensor = batch['image']
    return images


def _turned_hue(image: Any, turn: float) -> Any:
    hue, saturation, value = image.convert('HSV').split()
    levels = np.array(hue, np.uint8)
    levels += np.uint8(int(255 * turn) % 256)
    return Image.merge('HSV', (Image.fromarray(levels), saturation, value)).convert('RGB')


def _moved(points: np.ndarray, affine: np.ndarray) -> np.ndarray:
    with_ones = np.concatenate([points, np.ones((len(points), 1))], 1)
    return affine.dot(with_ones.T).T[:, :2]


def _roll(degrees: float) -> np.ndarray:
    turn = np.deg2rad(degrees)
    sine, cosine = np.sin(turn), np.cos(turn)
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
