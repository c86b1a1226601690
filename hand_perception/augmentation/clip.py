"""Clips for HTT change as a whole: one shift, scale and set of colour factors for all images.

Source: Wen et al., "Hierarchical Temporal Transformer for 3D Hand Pose Estimation and Action
Recognition from Egocentric RGB Videos" (CVPR 2023), and the training program published with it:
blur, colours, then an affine map that picks the nearest pixel. Blur and the order of the colour
operations are drawn anew for every image.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hand_perception.augmentation.colour import ColourFactors, change_colours
from hand_perception.augmentation.settings import ClipAugmentation
from hand_perception.datasets.sample import HandTruth, Sample
from hand_perception.datatypes import DoubleArray, FloatArray, ImageArray


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipChange:
    """What was drawn for a clip of T images.

    Attributes:
        center: (2,) pixel of the image that comes to its middle.
        width: pixels of the image that fill its width.
        colours: factors of all images.
        orders: (T, 4) which operation comes first, second, ...: numbers of ``OPERATIONS``.
        blur_px: (T,) radii.
    """

    center: DoubleArray
    width: float
    colours: ColourFactors
    orders: NDArray[np.int64]
    blur_px: DoubleArray


def draw_clip_change(
    augmentation: ClipAugmentation,
    *,
    num_images: int,
    size: tuple[int, int],
    rng: np.random.Generator,
) -> ClipChange:
    """Draw how a clip is changed.

    Args:
        augmentation: how far.
        num_images: T.
        size: width and height of the images, pixels.
        rng: gives the numbers; always as many, whatever is switched off.
    """
    width, height = size
    offsets = augmentation.shift * width * rng.uniform(-1, 1, 2)
    uniform = rng.uniform(-1, 1, 4)
    normal, sane = rng.standard_normal(), rng.uniform(-1, 1)
    share = augmentation.scale
    if augmentation.scale_rule == 'sane':
        scale = 1 + share * sane
    else:
        scale = float(np.clip(share * (normal + 1), 1 - share, 1 + share))
    orders = np.stack([rng.permutation(4) for _ in range(num_images)])
    blur_px = augmentation.blur * rng.uniform(0, 1, num_images)
    return ClipChange(
        center=np.array([width / 2, height / 2]) + np.trunc(offsets),
        width=width * scale,
        colours=ColourFactors(
            brightness=1 + augmentation.brightness * float(uniform[0]),
            contrast=1 + augmentation.contrast * float(uniform[1]),
            saturation=1 + augmentation.saturation * float(uniform[2]),
            hue=augmentation.hue * float(uniform[3]),
        ),
        orders=orders,
        blur_px=blur_px,
    )


def change_clip(sample: Sample, change: ClipChange) -> Sample:
    """Apply a change to images, 2D joints and intrinsics; joints in metres stay where they are."""
    height, width = sample.images.shape[1:3]
    affine = clip_affine(change, size=(width, height))
    images = np.empty_like(sample.images)
    for place, image in enumerate(sample.images):
        if place and not sample.not_padding[place]:
            # Nothing that counts sees it, so it need not be changed in a way of its own.
            images[place] = images[place - 1]
            continue
        changed = change_colours(
            image, change.colours, order=change.orders[place], blur_px=float(change.blur_px[place])
        )
        move_image(changed, affine, out=images[place])
    return dataclasses.replace(
        sample,
        images=images,
        truth=_moved_truth(sample.truth, affine),
        K=np.asarray(affine @ sample.K.astype(np.float64), np.float32),
    )


def clip_affine(change: ClipChange, *, size: tuple[int, int]) -> DoubleArray:
    """Return the (3, 3) map from pixels of the image to pixels of the changed one, as float32."""
    width, height = size
    ratio = width / height
    x, y = (float(value) for value in change.center)
    matrix = np.array(
        [
            [width / change.width, 0, width * (-x / change.width + 0.5)],
            [0, height / change.width * ratio, height * (-y / change.width * ratio + 0.5)],
            [0, 0, 1],
        ]
    )
    # The published program keeps it in 32 bits.
    return matrix.astype(np.float32).astype(np.float64)


def move_image(image: ImageArray, affine: DoubleArray, *, out: ImageArray) -> None:
    """Pick for each pixel of the changed image the nearest of the image; black outside.

    Args:
        image: (H, W, 3).
        affine: of ``clip_affine``.
        out: (H, W, 3), which is written to.
    """
    height, width = image.shape[:2]
    inverse = np.linalg.inv(affine)
    columns, from_x = _nearest(inverse[0, 0], inverse[0, 2], width)
    rows, from_y = _nearest(inverse[1, 1], inverse[1, 2], height)
    to_x, to_y = slice(from_x, from_x + len(columns)), slice(from_y, from_y + len(rows))
    for outside in (out[: to_y.start], out[to_y.stop :]):
        outside[...] = 0
    for outside in (out[to_y, : to_x.start], out[to_y, to_x.stop :]):
        outside[...] = 0
    if not len(columns) or not len(rows):
        return
    if affine[0, 0] == affine[1, 1] == 1:
        out[to_y, to_x] = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    else:
        out[to_y, to_x] = image[rows].take(columns, 1)


def _nearest(step: float, start: float, length: int) -> tuple[NDArray[np.int64], int]:
    """Tell which pixels of an axis are picked, and where the first of them goes.

    Positions are summed up one by one, as Pillow does.
    """
    steps = np.full(length, step)
    steps[0] = start + step * 0.5
    positions = np.cumsum(steps)
    inside = np.flatnonzero((positions >= 0) & (positions < length))
    return positions[inside].astype(np.int64), int(inside[0]) if len(inside) else 0


def _moved_truth(truth: HandTruth, affine: DoubleArray) -> HandTruth:
    boxes = None if truth.boxes is None else _moved(
        truth.boxes.reshape(*truth.boxes.shape[:-1], 2, 2), affine
    ).reshape(truth.boxes.shape)  # fmt: skip
    return dataclasses.replace(truth, joints_2d=_moved(truth.joints_2d, affine), boxes=boxes)


def _moved(points: FloatArray, affine: DoubleArray) -> FloatArray:
    return np.asarray(points @ affine[:2, :2].T + affine[:2, 2], np.float32)
