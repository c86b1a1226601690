"""Hands of a data set as HaMeR is evaluated on them: crops in, hands of the image out.

Evaluation crops are not those of the demo: nothing is blurred, and the square is made of the box
that the data set tells by the rule of the benchmark (Pavlakos et al., CVPR 2024, and the
evaluation program published with it).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from hand_perception.augmentation.crop import NO_CHANGE, crop_affine, cut_crop, square_side
from hand_perception.datasets.hands import HandImages
from hand_perception.datasets.sample import HandTruth, Sample
from hand_perception.datatypes import NUM_JOINTS, DoubleArray, FloatArray, ImageArray
from hand_perception.errors import DatasetError
from hand_perception.models.hamer.cameras import CROP_FOCAL_PX, keypoints_in_image
from hand_perception.models.hamer.crop_geometry import CROP_PX
from hand_perception.models.hamer.mirroring import CropHands, mirror_left
from hand_perception.models.hamer.network import HamerNetwork

#: Least scale of the weak-perspective camera: keeps untrained networks at finite distances.
_MIN_SCALE: Final = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class SquareRule:
    """How the square of a crop is made of the box of a hand.

    Attributes:
        rule: one of ``augmentation.crop.SQUARE_RULES``.
        growth: factor of the box.
    """

    rule: str
    growth: float

    def __str__(self) -> str:
        """Tell it in one word, for files."""
        return f'{self.rule} x {self.growth:g}'


#: HaMeR's evaluation files of FreiHAND and HO-3D, whose boxes are grown already.
THREE_BY_FOUR: Final = SquareRule(rule='three_by_four', growth=1.0)
#: Tight boxes of FreiHAND and HO-3D themselves: as in HaMeR's demo.
DOUBLED_THREE_BY_FOUR: Final = SquareRule(rule='three_by_four', growth=2.0)
#: HInt, and what was trained with the usual settings here: twice the longer side of tight boxes.
DOUBLED: Final = SquareRule(rule='longer_side', growth=2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenHands:
    """Crops of N hands, each of its own image, with their truth.

    Attributes:
        crops: (N, 256, 256, 3) uint8 RGB, left hands mirrored.
        centers: (N, 2) of the squares, pixels of the image.
        sides: (N,) of the squares, pixels.
        box_sizes: (N,) longer sides of the boxes as published, pixels.
        is_right: (N,).
        image_sizes: (N, 2) width and height, pixels.
        K: (N, 3, 3) intrinsics, NaN where nobody tells.
        truths: of each hand, T = N = 1.
    """

    crops: ImageArray
    centers: FloatArray
    sides: FloatArray
    box_sizes: FloatArray
    is_right: NDArray[np.bool_]
    image_sizes: NDArray[np.int64]
    K: FloatArray
    truths: tuple[HandTruth, ...]

    def __len__(self) -> int:
        """How many hands there are."""
        return len(self.sides)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundHands:
    """What HaMeR says of N hands; left hands are left hands again.

    Attributes:
        keypoints: (N, 21, 3) metres, about the origin of the hand model, axes of the crop.
        vertices: (N, V, 3) the same.
        keypoints_px: (N, 21, 2) pixels of the image.
        translation: (N, 3) metres, from there into the camera, its own focal length where it is
            known.
    """

    keypoints: FloatArray
    vertices: FloatArray
    keypoints_px: DoubleArray
    translation: DoubleArray


def see_hands(hands: HandImages, numbers: Sequence[int], square: SquareRule) -> SeenHands:
    """Read hands and cut their crops.

    Args:
        hands: the data set.
        numbers: which hands.
        square: how squares are made of boxes.

    Raises:
        DatasetError: an image or annotation is missing or damaged, or a hand has no box.
    """
    crops = np.empty((len(numbers), CROP_PX, CROP_PX, 3), np.uint8)
    centers = np.empty((len(numbers), 2), np.float32)
    sides, box_sizes = np.empty((2, len(numbers)), np.float32)
    samples = []
    for place, number in enumerate(numbers):
        sample = hands[number]
        center, size = _box(sample)
        side, growth = square_side(size, rule=square.rule, growth=square.growth)
        image, is_right = sample.images[0], sample.is_right[0]
        affine = crop_affine(
            center, side, NO_CHANGE, is_right=is_right, image_width=image.shape[1]
        )
        crops[place] = cut_crop(image, affine, is_right=is_right)
        centers[place], sides[place], box_sizes[place] = center, side, side / growth
        samples.append(sample)
    return SeenHands(
        crops=crops, centers=centers, sides=sides, box_sizes=box_sizes,
        is_right=np.array([sample.is_right[0] for sample in samples], np.bool_),
        image_sizes=np.array([sample.images.shape[2:0:-1] for sample in samples], np.int64),
        K=np.stack([sample.K[0] for sample in samples]),
        truths=tuple(sample.truth for sample in samples),
    )  # fmt: skip


def find_hands(network: HamerNetwork, seen: SeenHands, *, batch: int) -> FoundHands:
    """Reconstruct hands, ``batch`` at a time."""
    parts = []
    for start in range(0, len(seen), batch):
        crops = torch.from_numpy(seen.crops[start : start + batch]).to(network.device)
        with torch.inference_mode():
            output = network(network.normalize(crops))
        parts.append(
            {
                name: getattr(output, name).float().cpu().numpy()
                for name in CropHands.__dataclass_fields__
            }
        )
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    hands = mirror_left(CropHands(**joined), seen.is_right)
    return FoundHands(
        keypoints=hands.keypoints,
        vertices=hands.vertices,
        keypoints_px=keypoints_in_image(hands.pred_keypoints_2d, seen.centers, seen.sides),
        translation=camera_translation(hands.pred_cam, seen),
    )


def camera_translation(pred_cam: FloatArray, seen: SeenHands) -> DoubleArray:
    """Give (N, 3) metres that bring hands into the camera, where the crop shows them.

    Where intrinsics are not known the focal length is the long one that HaMeR's demo guesses.

    Args:
        pred_cam: (N, 3) s, tx, ty of the crops, after mirroring.
        seen: the hands.
    """
    sizes = seen.image_sizes.astype(np.float64)
    K = seen.K.astype(np.float64)
    is_known = np.isfinite(K.reshape(-1, 9).sum(1))[:, None]
    focal = np.where(
        is_known, K[:, (0, 1), (0, 1)], CROP_FOCAL_PX / CROP_PX * sizes.max(1)[:, None]
    )
    middle = np.where(is_known, K[:, :2, 2], sizes / 2)
    scale = np.maximum(pred_cam[:, 0].astype(np.float64), _MIN_SCALE)
    depth = 2 * focal[:, 0] / (seen.sides * scale)
    shift = (seen.centers - middle) / focal * depth[:, None] + pred_cam[:, 1:]
    return np.concatenate([shift, depth[:, None]], 1)


def _box(sample: Sample) -> tuple[FloatArray, FloatArray]:
    """Give centre and size, pixels: of the published box, else around what is annotated in 2D."""
    truth = sample.truth
    if truth.boxes is not None:
        box = truth.boxes[0, 0].astype(np.float64)
    else:
        known = np.broadcast_to(truth.hand_valid[0, 0], NUM_JOINTS)
        if truth.confidence_2d is not None:
            known = known & (truth.confidence_2d[0, 0] > 0)
        joints = truth.joints_2d[0, 0][known]
        box = np.concatenate([joints.min(0), joints.max(0)]) if len(joints) else np.zeros(4)
    low, high = box[:2], box[2:]
    if not (high > low).all():
        raise DatasetError(
            f'{sample.dataset} {sample.segment} has no box, which says where its crop is; check '
            f'the folder with `hand_perception data check {sample.dataset} DIR`'
        )
    return ((low + high) / 2).astype(np.float32), (high - low).astype(np.float32)
