"""Crops of single hands as HaMeR learns from them and is measured on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import torch
from torch import Tensor

from hand_perception.augmentation.crop import (
    NO_CHANGE,
    CropChange,
    crop_affine,
    crop_points,
    cut_crop,
    draw_crop_change,
    mirror_pose,
    square_side,
    turn_orientation,
    turn_points,
)
from hand_perception.augmentation.settings import CropAugmentation
from hand_perception.datasets.sample import HandTruth, Sample
from hand_perception.datatypes import FloatArray, ImageArray
from hand_perception.errors import DatasetError
from hand_perception.training.batches import pinned, sent_to
from hand_perception.training.hamer_losses import HamerTargets
from hand_perception.training.htt_batches import Samples
from hand_perception.training.task import Draw

#: Grey levels of the published normalisation (ImageNet).
MEAN_RGB: Final = tuple(255 * value for value in (0.485, 0.456, 0.406))
STD_RGB: Final = tuple(255 * value for value in (0.229, 0.224, 0.225))
#: How much the tight box of a hand is grown, as in the published demo and evaluation on HInt.
BOX_GROWTH: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HandCrop:
    """One hand; fields are those of ``HamerTargets`` and ``HamerBatch``, without B."""

    number: int
    name: str
    image: ImageArray
    colour: FloatArray
    keypoints_2d: FloatArray
    keypoints_3d: FloatArray
    global_orient: FloatArray
    hand_pose: FloatArray
    betas: FloatArray
    has_pose: float
    has_betas: float
    is_right: bool
    center: FloatArray
    side: float
    expansion: float
    image_size: tuple[int, int]


class HandCrops:
    """Crops of hands: a ``DrawDataset`` of crops for ``collate_crops``."""

    def __init__(
        self,
        hands: Samples,
        *,
        augmentation: CropAugmentation | None = None,
        seed: int = 0,
        square_rule: str = 'longer_side',
        box_growth: float = BOX_GROWTH,
    ) -> None:
        """Choose the hands.

        Args:
            hands: images with one hand each (T = N = 1).
            augmentation: how they are changed; None: not at all, as for evaluation.
            seed: of the run.
            square_rule: one of ``SQUARE_RULES``.
            box_growth: factor of the boxes; 1 where the data set has grown them already.
        """
        self.hands = hands
        self.augmentation = augmentation
        self.seed = seed
        self.square_rule = square_rule
        self.box_growth = box_growth

    def __len__(self) -> int:
        """How many hands an epoch has."""
        return len(self.hands)

    def __getitem__(self, draw: Draw) -> HandCrop:
        """Read, cut and change a hand."""
        sample = self.hands[draw.number]
        change = NO_CHANGE
        if self.augmentation is not None:
            rng = np.random.default_rng((self.seed, *draw))
            change = draw_crop_change(self.augmentation, rng)
        return crop_sample(
            sample, change, number=draw.number, square_rule=self.square_rule,
            box_growth=self.box_growth,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class HamerBatch:
    """B crops of hands, left ones mirrored to right ones.

    Attributes:
        crops: (B, 256, 256, 3) uint8 RGB.
        colours: (B, 3) factors of the channels.
        targets: the truth.
        is_right: (B,) bool, before mirroring.
        centers: (B, 2) of the boxes, pixels of the image, neither shifted nor mirrored.
        sides: (B,) of the squares, pixels, without augmentation.
        expansions: (B,) sides over the longer sides of the boxes.
        image_sizes: (B, 2) width, height, pixels.
        numbers: (B,) in the data set.
        names: of the B images.
    """

    crops: Tensor
    colours: Tensor
    targets: HamerTargets
    is_right: Tensor
    centers: Tensor
    sides: Tensor
    expansions: Tensor
    image_sizes: Tensor
    numbers: Tensor
    names: tuple[str, ...]

    @property
    def images(self) -> Tensor:
        """(B, 3, 256, 256) float32 normalised RGB; computed anew on the device of the batch."""
        if self.crops.device.type == 'cpu':
            return _looked_up(self.crops, self.colours)
        return normalise(self.crops, self.colours)

    def to(self, device: torch.device) -> 'HamerBatch':
        """Send all tensors to a device."""
        return sent_to(self, device)

    def pin_memory(self) -> 'HamerBatch':
        """Copy to memory from which a GPU fetches by itself."""
        return pinned(self)


def crop_sample(
    sample: Sample, change: CropChange, *, number: int, square_rule: str, box_growth: float
) -> HandCrop:
    """Cut the hand of a sample with T = N = 1.

    Raises:
        DatasetError: there is not one hand in one image, nothing tells where it is, or it has no
            size.
    """
    if sample.images.shape[0] != 1 or len(sample.is_right) != 1:
        raise DatasetError(
            f'{sample.segment} has {len(sample.images)} images of {len(sample.is_right)} hands; '
            'crops need one image of one hand'
        )
    truth, is_right, image = sample.truth, sample.is_right[0], sample.images[0]
    height, width = image.shape[:2]
    confidence_2d, confidence_3d = _confidences(truth)
    box = _box(truth, confidence_2d, sample.segment)
    center = (box[:2] + box[2:]) / np.float32(2)
    side, expansion = square_side(box[2:] - box[:2], rule=square_rule, growth=box_growth)
    if not side >= 1:  # NaN as well
        raise DatasetError(f'the hand in {sample.segment} is {side:g} pixels large')
    affine = crop_affine(center, side, change, is_right=is_right, image_width=width)
    mano, turn = truth.mano, change.rotation_deg
    has_pose = mano is not None and bool(mano.has_pose[0, 0])
    has_betas = mano is not None and bool(mano.has_betas[0, 0])
    orient, pose, betas = (np.zeros(size, np.float32) for size in (3, 45, 10))
    if mano is not None and has_pose:
        orient = turn_orientation(mano.global_orient[0, 0], turn, is_right=is_right)
        pose = mirror_pose(mano.hand_pose[0, 0], is_right=is_right)
    if mano is not None and has_betas:
        betas = mano.betas[0, 0]
    points = crop_points(truth.joints_2d[0, 0], affine, is_right=is_right, image_width=width)
    joints = turn_points(truth.joints_3d[0, 0], turn, is_right=is_right)
    return HandCrop(
        number=number,
        name=sample.segment,
        image=cut_crop(image, affine, is_right=is_right),
        colour=np.array(change.colour, np.float32),
        keypoints_2d=np.concatenate((points, confidence_2d[:, None]), 1),
        keypoints_3d=np.concatenate((joints, confidence_3d[:, None]), 1),
        global_orient=orient, hand_pose=pose, betas=betas,
        has_pose=float(has_pose), has_betas=float(has_betas), is_right=is_right,
        center=center, side=side, expansion=expansion, image_size=(width, height),
    )  # fmt: skip


def collate_crops(crops: Sequence[HandCrop]) -> HamerBatch:
    """Put crops together."""

    def stacked(name: str) -> Tensor:
        return torch.from_numpy(np.stack([np.asarray(getattr(crop, name)) for crop in crops]))

    has_pose, has_betas = stacked('has_pose').float(), stacked('has_betas').float()
    return HamerBatch(
        crops=stacked('image'),
        colours=stacked('colour'),
        targets=HamerTargets(
            keypoints_2d=stacked('keypoints_2d'),
            keypoints_3d=stacked('keypoints_3d'),
            global_orient=stacked('global_orient'),
            hand_pose=stacked('hand_pose'),
            betas=stacked('betas'),
            has_global_orient=has_pose, has_hand_pose=has_pose, has_betas=has_betas,
        ),
        is_right=stacked('is_right'),
        centers=stacked('center'),
        sides=stacked('side').float(),
        expansions=stacked('expansion').float(),
        image_sizes=stacked('image_size'),
        numbers=stacked('number'),
        names=tuple(crop.name for crop in crops),
    )  # fmt: skip


def normalise(crops: Tensor, colours: Tensor) -> Tensor:
    """Give each channel its factor and normalise as published.

    Args:
        crops: (B, H, W, 3) levels from 0 to 255.
        colours: (B, 3) factors; what exceeds 255 is cut.

    Returns:
        (B, 3, H, W) float32.
    """
    planes = crops.permute(0, 3, 1, 2).contiguous() * colours[..., None, None]
    mean, std = (planes.new_tensor(values).view(3, 1, 1) for values in (MEAN_RGB, STD_RGB))
    return planes.clamp_(0, 255).sub_(mean).div_(std)


def _looked_up(crops: Tensor, colours: Tensor) -> Tensor:
    """Do the same for uint8 on a CPU: once for each level, which is four times as fast."""
    count, height, width, _ = crops.shape
    levels = torch.arange(256).expand(count, 1, 3, 256).permute(0, 1, 3, 2)
    tables = normalise(levels, colours)[:, :, 0].numpy()  # (B, 3, 256)
    planes = np.empty((count, 3, height, width), np.float32)
    for crop, table, image in zip(crops.numpy(), tables, planes, strict=True):
        for channel, values, plane in zip(cv2.split(crop), table, image, strict=True):
            cv2.LUT(channel, values[None], dst=plane)
    return torch.from_numpy(planes)


def _confidences(truth: HandTruth) -> tuple[FloatArray, FloatArray]:
    """(21,) of 2D and of 3D joints; 0 where the hand is not annotated."""
    full = np.full(truth.joints_3d.shape[2], float(truth.hand_valid[0, 0]), np.float32)
    return (
        full if truth.confidence_2d is None else truth.confidence_2d[0, 0] * full,
        full if truth.confidence_3d is None else truth.confidence_3d[0, 0] * full,
    )


def _box(truth: HandTruth, confidence: FloatArray, name: str) -> FloatArray:
    """(4,) as published, else tight around the joints that are annotated in 2D."""
    if truth.boxes is not None:
        return truth.boxes[0, 0].astype(np.float32)
    seen = truth.joints_2d[0, 0][confidence > 0]
    if not len(seen):
        raise DatasetError(f'{name} has neither a box nor joints in the image')
    return np.concatenate((seen.min(0), seen.max(0))).astype(np.float32)
