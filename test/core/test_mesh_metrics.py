"""Aligned errors, F-scores and HInt's PCK are those of the benchmarks' own programs."""

import dataclasses
from pathlib import Path

import mesh_hands
import numpy as np
import pytest

from hand_perception.errors import DatasetError
from hand_perception.evaluation.alignment import (
    pa_mpjpe,
    procrustes_align,
    scale_and_wrist_align,
)
from hand_perception.evaluation.curves import FREIHAND as FREIHAND_THRESHOLDS
from hand_perception.evaluation.hint import HintEvaluator
from hand_perception.evaluation.mesh_errors import MeshEvaluator, f_scores
from hand_perception.evaluation.point_errors import PointErrors

CROPS = Path(__file__).parents[1] / 'data' / 'hamer_crops.npz'

#: What FreiHAND's eval.py gives for mesh_hands.draw() (align_w_scale, EvalUtil over 0-50 mm in 100
#: steps, calculate_fscore with nearest neighbours from scipy's cKDTree in place of Open3D's).
FREIHAND = {
    'keypoints': (0.011452592095525484, 0.01059613596679683, 0.7709636042969377),
    'vertices': (0.012022240119053475, 0.010938170720917387, 0.7595427280517256),
    'f_scores': (0.5064421107193267, 0.9854212018821845),
}
#: What HO-3D's align_sc_tr and EvalUtil give for the same hands in its joint order: mean error,
#: area under the curve.
HO3D_SCALED = (0.10426279004014742, 0.10293410293410295)


@pytest.fixture(scope='module')
def hands():
    return mesh_hands.draw()


def evaluator(hands, rows=slice(None)):
    made = MeshEvaluator(hands.vertices.shape[1])
    made.add(*(getattr(hands, field.name)[rows] for field in dataclasses.fields(hands)))
    return made


def test_aligned_errors_and_f_scores_are_those_of_freihand(hands):
    whole = evaluator(hands, slice(0, 1))
    whole.merge(evaluator(hands, slice(1, 6)))
    scores = whole.finish()
    for name in ('keypoints', 'vertices'):
        found = getattr(scores, name)
        # Metres; the official program divides by norms with 1e-8 added.
        assert (found.mean_m, found.median_m, found.auc) == pytest.approx(FREIHAND[name], abs=1e-9)
    assert scores.f_scores == pytest.approx(FREIHAND['f_scores'], abs=1e-12)
    assert scores.keypoints.num_images == 6


def test_hands_from_files_are_scored_as_those_that_were_fed(hands, tmp_path):
    whole = MeshEvaluator(hands.vertices.shape[1])
    for rows in (slice(0, 2), slice(2, 6)):
        np.savez(tmp_path / 'part.npz', **evaluator(hands, rows).arrays())
        with np.load(tmp_path / 'part.npz') as part:
            whole.add_arrays(part)
    fed, read = evaluator(hands).finish(), whole.finish()
    assert read.f_scores == fed.f_scores
    assert (read.vertices.mean_m, read.keypoints.auc) == (fed.vertices.mean_m, fed.keypoints.auc)
    with pytest.raises(DatasetError, match=r'\(N, 5\)'):
        MeshEvaluator(5).add_arrays(evaluator(hands).arrays())


def test_scaled_hands_with_the_wrist_in_place_are_those_of_ho3d(hands):
    errors = PointErrors(21)
    errors.add(scale_and_wrist_align(hands.keypoints, hands.true_keypoints), hands.true_keypoints)
    scores = errors.finish(FREIHAND_THRESHOLDS)
    assert (scores.mean_m, scores.auc) == pytest.approx(HO3D_SCALED, abs=1e-9)  # float32 inside


def test_hand_without_size_is_not_scaled():
    points = np.zeros((1, 21, 3))
    points[0, 4] = 0.01
    truth = np.ones((1, 21, 3))
    aligned = scale_and_wrist_align(points, truth)
    assert np.isfinite(aligned).all()
    np.testing.assert_allclose(aligned[0, 0], truth[0, 0])


def test_mirrored_hand_is_aligned_only_where_that_is_allowed(hands):
    points, truth = hands.keypoints[-1], hands.true_keypoints[-1]
    allowed = procrustes_align(points, truth, may_mirror=True)
    assert np.linalg.norm(allowed - truth, axis=-1).mean() < 0.02 < pa_mpjpe(points, truth)


def test_f_score_of_a_plane_half_of_which_is_off_by_a_centimetre():
    truth = np.stack([*np.meshgrid(np.arange(10), np.arange(10)), np.zeros((10, 10))], -1)
    truth = truth.reshape(-1, 3) * 0.1  # far apart
    points = truth.copy()
    points[:50, 2] += 0.010
    assert f_scores(points, truth).tolist() == pytest.approx([0.5, 1.0], abs=1e-12)
    assert f_scores(points + 1, truth).tolist() == [0, 0]


def test_without_hands_there_is_no_score():
    scores = MeshEvaluator(5).finish()
    assert np.isnan([scores.keypoints.mean_m, scores.vertices.auc, *scores.f_scores]).all()


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda a: [a[0][:, :20], a[1][:, :20], *a[2:]], r'\(N, 21, D\)'),
        (lambda a: [*a[:2], a[2][:3], a[3][:3]], '6 hands came with 3 meshes'),
        (lambda a: [*a[:3], a[3] * np.nan], 'true points are not finite'),
        (lambda a: [*a[:2], a[2] / 0.0, a[3]], 'predictions are not finite'),
    ],
    ids=['joints', 'meshes', 'truth', 'predictions'],
)
@pytest.mark.filterwarnings('ignore:divide by zero:RuntimeWarning')
def test_hands_that_do_not_fit_are_refused(hands, change, message):
    arrays = [getattr(hands, field.name) for field in dataclasses.fields(hands)]
    with pytest.raises(DatasetError, match=message):
        MeshEvaluator().add(*change(arrays))


@pytest.fixture(scope='module')
def hint():
    """Three hands of HaMeR's own evaluation, in pixels of the image, and its PCK."""
    with np.load(CROPS) as file:
        official = {name: file[name] for name in file.files if name.startswith('eval')}
    size = official['eval/r2/box_size']
    points = official['eval/r2/pred_keypoints_2d'].astype(np.float64)
    points[official['eval/right'] == 0, :, 0] *= -1
    points = points * size[:, None, None] + official['eval/r2/box_center'][:, None]
    truth = official['eval/r2/pck_gt']
    args = (points, truth[..., :2], truth[..., 2], size / official['eval/r2/bbox_expand_factor'])
    return args, official['eval/r2/pck_avg']


def test_pck_of_hint_fed_in_parts_is_the_official_one(hint):
    args, wanted = hint
    whole = HintEvaluator()
    for rows in (slice(0, 1), slice(1, 3)):
        part = HintEvaluator()
        part.add(*(array[rows] for array in args))
        whole.merge(part)
    scores = whole.finish()
    np.testing.assert_allclose(scores.pck('all'), wanted, atol=1e-12)
    read = HintEvaluator()
    read.add_arrays(whole.arrays())
    np.testing.assert_array_equal(read.finish().pck('all'), scores.pck('all'))
    assert np.isnan(scores.pck('visible')).all()  # visibility was not given


def test_visible_and_occluded_keypoints_are_scored_each_for_themselves(hint):
    (points, truth, confidence, size), _ = hint
    visible = np.random.RandomState(0).rand(*confidence.shape) < 0.6
    evaluator = HintEvaluator()
    evaluator.add(points, truth, confidence, size, visible)
    scores = evaluator.finish()
    for group, used in (('visible', visible), ('occluded', ~visible)):
        alone = HintEvaluator()
        alone.add(points, truth, np.where(used, confidence, 0), size)
        np.testing.assert_array_equal(scores.pck(group), alone.finish().pck('all'))
        assert 0 < scores.num_keypoints[group] < scores.num_keypoints['all']
    assert (
        scores.num_keypoints['visible'] + scores.num_keypoints['occluded']
        == (scores.num_keypoints['all'])
    )


def test_hands_of_hint_that_do_not_fit_are_refused(hint):
    points, truth, confidence, size = hint[0]
    with pytest.raises(DatasetError, match='above 0 pixels'):
        HintEvaluator().add(points, truth, confidence, size * 0)
    with pytest.raises(DatasetError, match='expected keypoints'):
        HintEvaluator().add(points, truth, confidence[:, :20], size)
    with pytest.raises(DatasetError, match='not finite'):
        HintEvaluator().add(points * np.nan, truth, confidence, size)
    with pytest.raises(DatasetError, match='cannot be put'):
        HintEvaluator().merge(HintEvaluator((0.1,)))
