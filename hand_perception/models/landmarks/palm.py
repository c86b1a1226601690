"""From the raw output of the palm detector to palms in the image.

The anchors and the decoding are those of MediaPipe's palm_detection_full
(modules/palm_detection/palm_detection_gpu.pbtxt: SsdAnchorsCalculator with a fixed anchor size,
TensorsToDetectionsCalculator, weighted NonMaxSuppressionCalculator; version 0.10.21).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hand_perception.datatypes import DoubleArray, FloatArray, Region
from hand_perception.models.landmarks.crops import Letterbox
from hand_perception.models.landmarks.layout import (
    ANCHORS_STRIDE_8,
    ANCHORS_STRIDE_16,
    PALM_BOX_SIZE,
    PALM_INPUT_PX,
)
from hand_perception.models.landmarks.regions import region_from_palm

#: Of the 7 keypoints of a palm, those that say which way is up.
_WRIST, _MIDDLE_MCP = 0, 2
#: Boxes that overlap more than this (intersection over union) are the same palm.
SAME_PALM_IOU = 0.3
#: Logits are cut here as MediaPipe does, so that the sigmoid cannot overflow.
_LOGIT_LIMIT = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PalmCandidates:
    """Anchors above the threshold.

    Attributes:
        boxes_xyxy: (N, 4) pixels.
        keypoints: (N, 7, 2) pixels: wrist, index, middle, ring and little finger base, thumb
            base joints.
        scores: (N,) 0-1.
        is_from_tile: (N,) found in a tile rather than in the whole image.
    """

    boxes_xyxy: DoubleArray
    keypoints: DoubleArray
    scores: DoubleArray
    is_from_tile: NDArray[np.bool_]


def make_anchors() -> FloatArray:
    """Return the (2016, 2) anchor centres in input pixels, in the order of the output."""
    maps = []
    for stride, per_cell in ((8, ANCHORS_STRIDE_8), (16, ANCHORS_STRIDE_16)):
        centers = (np.arange(PALM_INPUT_PX // stride, dtype=np.float32) + 0.5) * stride
        y, x = np.meshgrid(centers, centers, indexing='ij')
        maps.append(np.repeat(np.stack([x, y], -1).reshape(-1, 2), per_cell, axis=0))
    return np.concatenate(maps)


_ANCHORS = make_anchors()


def decode_palms(
    raw: FloatArray, box: Letterbox, *, threshold: float, is_tile: bool
) -> PalmCandidates:
    """Turn the output for one window into candidates in image pixels.

    Args:
        raw: (2016, 19), see :class:`~hand_perception.models.landmarks.networks.PalmDetector`.
        box: how the window was fitted into the input.
        threshold: least score.
        is_tile: whether the window is a tile.
    """
    logits = np.clip(raw[:, PALM_BOX_SIZE].astype(np.float64), -_LOGIT_LIMIT, _LOGIT_LIMIT)
    scores = 1 / (1 + np.exp(-logits))
    keep = scores > threshold
    values = raw[keep, :PALM_BOX_SIZE].astype(np.float64).reshape(-1, 9, 2)
    anchors = _ANCHORS[keep]
    center, half = values[:, 0] + anchors, values[:, 1] / 2
    points = np.stack([center - half, center + half], 1)  # (N, 2, 2)
    points = np.concatenate([points, values[:, 2:] + anchors[:, None]], 1)  # (N, 9, 2)
    # The network counts from the outer corner of its input.
    points = (points - 0.5) * box.scale + box.offset_px
    return PalmCandidates(
        boxes_xyxy=points[:, :2].reshape(-1, 4),
        keypoints=points[:, 2:],
        scores=scores[keep],
        is_from_tile=np.full(int(keep.sum()), is_tile),
    )


def join_candidates(parts: list[PalmCandidates]) -> PalmCandidates:
    """Put the candidates of several windows together."""
    return PalmCandidates(
        boxes_xyxy=np.concatenate([p.boxes_xyxy for p in parts]),
        keypoints=np.concatenate([p.keypoints for p in parts]),
        scores=np.concatenate([p.scores for p in parts]),
        is_from_tile=np.concatenate([p.is_from_tile for p in parts]),
    )


def merge_palms(candidates: PalmCandidates) -> PalmCandidates:
    """Merge candidates of the same palm into their score-weighted mean, best palm first.

    A merged palm has the best of the scores; it counts as from a tile when no candidate of the
    whole image is in it (Bazarevsky et al. 2019, "BlazeFace", on weighted suppression).
    """
    order = np.argsort(-candidates.scores, kind='stable')
    boxes, keypoints, scores, from_tile = [], [], [], []
    while len(order):
        best = order[0]
        same = _iou(candidates.boxes_xyxy[best], candidates.boxes_xyxy[order]) > SAME_PALM_IOU
        same[0] = True  # also when its own box is empty
        group = order[same]
        weights = candidates.scores[group] / candidates.scores[group].sum()
        boxes.append(weights @ candidates.boxes_xyxy[group])
        keypoints.append(np.tensordot(weights, candidates.keypoints[group], 1))
        scores.append(candidates.scores[best])
        from_tile.append(candidates.is_from_tile[group].all())
        order = order[~same]
    return PalmCandidates(
        boxes_xyxy=np.array(boxes).reshape(-1, 4),
        keypoints=np.array(keypoints).reshape(-1, 7, 2),
        scores=np.array(scores),
        is_from_tile=np.array(from_tile, bool),
    )


def palm_regions(palms: PalmCandidates) -> list[Region]:
    """Return where to look for the hand of each palm."""
    return [
        region_from_palm(box, points[_WRIST], points[_MIDDLE_MCP])
        for box, points in zip(palms.boxes_xyxy, palms.keypoints, strict=True)
    ]


def _iou(box: DoubleArray, others: DoubleArray) -> DoubleArray:
    """Return the intersection over union of one (4,) box with (N, 4) boxes."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[2:], others[:, 2:])
    common = np.maximum(high - low, 0).prod(1)
    union = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(1) - common
    return np.asarray(common / np.maximum(union, 1e-9))
