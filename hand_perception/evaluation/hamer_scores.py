"""Scores of HaMeR: errors of hands, kept hand by hand, and the figures that benchmarks tell.

Which figures there are follows from what a data set knows: 3D keypoints, meshes, keypoints in
images with their visibility. docs/evaluation.md defines each.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from hand_perception.datatypes import NUM_JOINTS, DoubleArray
from hand_perception.errors import DatasetError
from hand_perception.evaluation.alignment import procrustes_align, scale_and_wrist_align
from hand_perception.evaluation.curves import FREIHAND, MILLIMETRES
from hand_perception.evaluation.hamer_hands import FoundHands, SeenHands
from hand_perception.evaluation.hint import GROUPS, HintEvaluator
from hand_perception.evaluation.mean_hand import is_known
from hand_perception.evaluation.mesh_errors import MeshEvaluator
from hand_perception.evaluation.partial_results import Arrays
from hand_perception.evaluation.plots import Curve
from hand_perception.evaluation.point_errors import PointErrors, PointScores
from hand_perception.geometry import mirror_axis_angle, mirror_points
from hand_perception.models.hand_model import HandModel

#: Errors over the size of the box; 0.05, 0.1 and 0.15 are reported, all are drawn.
PCK_STEPS: Final = tuple(step / 100 for step in range(31))
_REPORTED: Final = {'05': 0.05, '10': 0.1, '15': 0.15}
_MESH: Final = 'mesh_'
_PCK: Final = 'pck_'


@dataclass(frozen=True, slots=True, kw_only=True)
class HamerScores:
    """What all hands of a data set come to.

    Attributes:
        figures: by keys of ``figures.KINDS``, in their units.
        curves: for plots.
        num_hands: hands that were looked at.
        num_with_keypoints: those with all 21 keypoints known in 3D.
        num_with_mesh: those with a true mesh.
    """

    figures: Mapping[str, float]
    curves: tuple[Curve, ...]
    num_hands: int
    num_with_keypoints: int
    num_with_mesh: int


def score_hands(
    found: FoundHands, seen: SeenHands, *, with_pck: bool, with_scaled: bool,
    hand: HandModel | None = None,
) -> dict[str, NDArray[Any]]:  # fmt: skip
    """Compare N hands with their truth, into arrays that can be kept.

    Args:
        found: what HaMeR says.
        seen: the same hands with their truth.
        with_pck: keypoints in the image are compared, too.
        with_scaled: HO-3D's error with size and wrist put right.
        hand: hand model that the parameters of the truth are of, where its meshes are not told.

    Raises:
        DatasetError: what HaMeR says is not finite.
    """
    joints, is_whole = _true_joints(seen)
    arrays: dict[str, NDArray[Any]] = {'num_hands': np.array([len(seen)])}
    points, truth = found.keypoints[is_whole].astype(np.float64), joints[is_whole]
    relative, aligned, scaled = (PointErrors(NUM_JOINTS) for _ in range(3))
    # The first comparison refuses what is not finite, which no alignment can take.
    relative.add(points - points[:, :1], truth - truth[:, :1])
    if len(points):
        aligned.add(procrustes_align(points, truth, may_mirror=True), truth)
    arrays['relative'] = relative.distances_m
    arrays['aligned'] = aligned.distances_m
    if with_scaled:
        scaled.add(scale_and_wrist_align(points, truth), truth)
        arrays['scaled'] = scaled.distances_m
    vertices, has_mesh = _true_vertices(seen, found.vertices.shape[1], hand)
    rows = is_whole & has_mesh
    if rows.any():
        mesh = MeshEvaluator(found.vertices.shape[1])
        meshes = found.vertices[rows].astype(np.float64)
        mesh.add(found.keypoints[rows], joints[rows], meshes, vertices[rows])
        arrays |= {_MESH + name: array for name, array in mesh.arrays().items()}
        in_place = PointErrors(found.vertices.shape[1])
        in_place.add(meshes - found.keypoints[rows][:, :1], vertices[rows] - joints[rows][:, :1])
        arrays['relative_mesh'] = in_place.distances_m
    if with_pck:
        arrays |= {_PCK + name: counts for name, counts in _pck(found, seen).arrays().items()}
    return arrays


def sum_up(parts: Iterable[Arrays]) -> HamerScores:
    """Put the arrays of all parts together."""
    relative, aligned, scaled = (PointErrors(NUM_JOINTS) for _ in range(3))
    mesh: MeshEvaluator | None = None
    in_place: PointErrors | None = None
    pck: HintEvaluator | None = None
    num_hands = 0
    for part in parts:
        num_hands += int(part['num_hands'][0])
        relative.add_distances(part['relative'])
        aligned.add_distances(part['aligned'])
        if 'scaled' in part:
            scaled.add_distances(part['scaled'])
        if 'relative_mesh' in part:
            num_vertices = part['relative_mesh'].shape[1]
            mesh = mesh or MeshEvaluator(num_vertices)
            in_place = in_place or PointErrors(num_vertices)
            mesh.add_arrays(_below(_MESH, part))
            in_place.add_distances(part['relative_mesh'])
        counts = _below(_PCK, part)
        if counts:
            pck = pck or HintEvaluator(PCK_STEPS)
            pck.add_arrays(counts)
    figures: dict[str, float] = {}
    lines: dict[str, PointScores] = {}
    num_meshes = 0
    joints = aligned.finish(FREIHAND)
    if joints.num_images:
        figures |= {'pa_mpjpe': joints.mean_mm, 'auc_j': joints.auc}
        lines['keypoints, aligned'] = joints
    if mesh is not None and in_place is not None:
        scores, unaligned = mesh.finish(), in_place.finish(FREIHAND)
        num_meshes = scores.vertices.num_images
        figures |= {'pa_mpvpe': scores.vertices.mean_mm, 'auc_v': scores.vertices.auc}
        figures |= dict(zip(('f_5', 'f_15'), scores.f_scores, strict=True))
        figures['mpvpe_root'] = unaligned.mean_mm
        lines['vertices, aligned'] = scores.vertices
    if joints.num_images:
        beside = relative.finish(FREIHAND)
        figures['mpjpe_root'] = beside.mean_mm
        lines['keypoints, wrists together'] = beside
    scaled_scores = scaled.finish(FREIHAND)
    if scaled_scores.num_images:
        figures['mpjpe_scale_translation'] = scaled_scores.mean_mm
        figures['auc_scale_translation'] = scaled_scores.auc
        lines['keypoints, size and wrist put right'] = scaled_scores
    curves = [_error_curve(lines)] if lines else []
    if pck is not None:
        told, curve = _pck_figures(pck)
        figures |= told
        curves += curve
    return HamerScores(
        figures=figures, curves=tuple(curves), num_hands=num_hands,
        num_with_keypoints=joints.num_images, num_with_mesh=num_meshes,
    )  # fmt: skip


def _true_joints(seen: SeenHands) -> tuple[DoubleArray, NDArray[np.bool_]]:
    """Give (N, 21, 3) metres, and which hands have all of them."""
    joints = np.stack([truth.joints_3d[0, 0] for truth in seen.truths]).astype(np.float64)
    is_whole = np.array([is_known(truth) for truth in seen.truths], np.bool_)
    return joints, is_whole


def _true_vertices(
    seen: SeenHands, count: int, hand: HandModel | None
) -> tuple[DoubleArray, NDArray[np.bool_]]:
    """Give (N, V, 3) metres, and which hands have them in the layout that was predicted."""
    vertices = np.zeros((len(seen), count, 3))
    has_mesh = np.zeros(len(seen), np.bool_)
    for place, truth in enumerate(seen.truths):
        told = None if truth.vertices is None else truth.vertices[0, 0]
        if told is None and hand is not None:
            told = _posed(seen, place, hand)
        if told is not None and len(told) == count and told.any():
            vertices[place], has_mesh[place] = told, True
    return vertices, has_mesh


def _posed(seen: SeenHands, place: int, hand: HandModel) -> DoubleArray | None:
    """Pose the hand model with the true parameters and put its wrist to the true one."""
    truth, is_right = seen.truths[place], bool(seen.is_right[place])
    mano = truth.mano
    if mano is None or not (mano.has_pose[0, 0] and mano.has_betas[0, 0]):
        return None
    angles = np.concatenate([mano.global_orient[0, 0], mano.hand_pose[0, 0]]).astype(np.float64)
    angles = angles.reshape(16, 3) if is_right else mirror_axis_angle(angles.reshape(16, 3))
    device = hand.device
    with torch.inference_mode():
        mesh = hand(
            global_orient=torch.tensor(angles[:1], dtype=torch.float32, device=device),
            hand_pose=torch.tensor(angles[1:].reshape(1, 45), dtype=torch.float32, device=device),
            betas=torch.tensor(mano.betas[0], dtype=torch.float32, device=device),
            transl=torch.zeros(1, 3, device=device),
        )
    vertices = mesh.vertices[0].double().cpu().numpy()
    wrist = mesh.keypoints[0, 0].double().cpu().numpy()
    if not is_right:
        vertices, wrist = mirror_points(vertices), mirror_points(wrist)
    placed: DoubleArray = vertices - wrist + truth.joints_3d[0, 0, 0]
    return placed


def _pck(found: FoundHands, seen: SeenHands) -> HintEvaluator:
    truths = seen.truths
    confidence = np.stack(
        [
            np.full(NUM_JOINTS, float(truth.hand_valid[0, 0]))
            if truth.confidence_2d is None
            else truth.confidence_2d[0, 0] * truth.hand_valid[0, 0]
            for truth in truths
        ]
    )
    occluded = [truth.is_occluded for truth in truths]
    known = [marks[0, 0] for marks in occluded if marks is not None]
    if known and len(known) < len(occluded):
        raise DatasetError('some hands tell which keypoints are hidden and some do not')
    evaluator = HintEvaluator(PCK_STEPS)
    evaluator.add(
        found.keypoints_px,
        np.stack([truth.joints_2d[0, 0] for truth in truths]),
        confidence,
        seen.box_sizes,
        ~np.stack(known) if known else None,
    )
    return evaluator


def _pck_figures(pck: HintEvaluator) -> tuple[dict[str, float], list[Curve]]:
    scores = pck.finish()
    groups = [group for group in GROUPS if scores.num_keypoints[group]]
    figures = {
        f'pck_{name}_{group}': 100 * float(scores.pck(group)[PCK_STEPS.index(step)])
        for group in groups
        for name, step in _REPORTED.items()
    }
    if not groups:
        return figures, []
    steps = np.array(PCK_STEPS)
    curve = Curve(
        name='pck', title='Keypoints in the image', x_label='error over the size of the box',
        y_label='share of keypoints, %', y_range=(0, 100),
        lines={group: (steps, 100 * scores.pck(group)) for group in groups},
    )  # fmt: skip
    return figures, [curve]


def _error_curve(lines: Mapping[str, PointScores]) -> Curve:
    return Curve(
        name='errors', title='Keypoints and vertices within an error', x_label='error, mm',
        y_label='share, %', y_range=(0, 100),
        lines={
            name: (scores.thresholds.values_m * MILLIMETRES, 100 * scores.curve)
            for name, scores in lines.items()
        },
    )  # fmt: skip


def _below(prefix: str, part: Arrays) -> dict[str, NDArray[Any]]:
    return {
        name.removeprefix(prefix): array for name, array in part.items() if name.startswith(prefix)
    }
