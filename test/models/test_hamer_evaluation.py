"""HaMeR is scored on crops, keypoints and meshes as its own evaluation does, part by part."""

import dataclasses
import json
import zipfile
from pathlib import Path

import cv2
import hamer_files
import numpy as np
import pytest
import torch
from drawn_hands import BENCHMARK, SIZE, DrawnHands, K, blank, changed, drawn, sample

from hand_perception.datasets import hands as single_hands
from hand_perception.datasets.hands import open_hands
from hand_perception.datasets.sample import ManoTruth
from hand_perception.errors import ConfigError, DatasetError
from hand_perception.evaluation import hamer_run
from hand_perception.evaluation.hamer_benchmarks import (
    BENCHMARKS,
    HandBenchmark,
    benchmark_for,
)
from hand_perception.evaluation.hamer_hands import (
    DOUBLED,
    THREE_BY_FOUR,
    FoundHands,
    SeenHands,
    find_hands,
    see_hands,
)
from hand_perception.evaluation.hamer_run import evaluate_hamer
from hand_perception.evaluation.hamer_scores import score_hands, sum_up
from hand_perception.models.hamer.network import HamerNetwork
from hand_perception.models.hand_model import load_hand_model

CROPS = Path(__file__).parents[1] / 'data' / 'hamer_crops.npz'


@pytest.fixture(scope='module')
def network(tmp_path_factory):
    folder = hamer_files.write_flat(tmp_path_factory.mktemp('hamer'))
    return HamerNetwork.load(folder, device='cpu')


def evaluate(hands, network, **options):
    given = {'benchmark': BENCHMARK, 'identity': {'weights': 'tiny'}, **options}
    return evaluate_hamer(hands, lambda: network, **given)


@pytest.fixture(scope='module')
def official():
    with np.load(CROPS) as file:
        return {name: file[name] for name in file.files}


def test_crops_and_keypoints_of_an_evaluation_file_are_the_official_ones(
    network, official, tmp_path
):
    image = cv2.imdecode(official['image_png'], cv2.IMREAD_COLOR)
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    boxes = official['boxes'][:2]  # the first two hands of the official evaluation are these
    np.savez(
        tmp_path / 'TEST_newdays_img_all.npz', imgname=np.array(['a.png'] * 2),
        center=(boxes[:, :2] + boxes[:, 2:]) / 2, scale=boxes[:, 2:] - boxes[:, :2],
        right=official['eval/right'][:2], hand_keypoints_2d=official['eval/r2/pck_gt'][:2],
    )  # fmt: skip
    path = tmp_path / 'TEST_newdays_img_all.npz'
    hands = open_hands('hamer_eval', path, 'test')
    benchmark = benchmark_for('hamer_eval', path, 'test')
    assert benchmark.square == DOUBLED
    seen = see_hands(hands, range(2), benchmark.square)
    np.testing.assert_array_equal(seen.sides, official['eval/r2/box_size'][:2])
    np.testing.assert_array_equal(seen.centers, official['eval/r2/box_center'][:2])
    wanted = official['eval/r2/pred_keypoints_2d'][:2].copy()
    wanted[official['eval/right'][:2] == 0, :, 0] *= -1
    wanted = wanted * seen.sides[:, None, None] + seen.centers[:, None]
    found = find_hands(network, seen, batch=2)
    # Pixels: 5e-6 of a square of 381, and 2 grey levels between versions of OpenCV.
    is_same_opencv = int(cv2.__version__.split('.')[0]) == int(official['opencv_major'])
    np.testing.assert_allclose(found.keypoints_px, wanted, atol=2e-3 if is_same_opencv else 0.5)
    report = evaluate(hands, network, benchmark=benchmark)
    assert set(report.figures) == {'pck_05_all', 'pck_10_all', 'pck_15_all'}


def test_hands_that_are_the_truth_have_no_error(network):
    hands, _ = drawn(network, 5)
    figures = evaluate(hands, network).figures
    for key in ('pa_mpjpe', 'pa_mpvpe', 'mpjpe_root', 'mpvpe_root', 'mpjpe_scale_translation'):
        assert figures[key] == pytest.approx(0, abs=1e-3)  # mm
    assert figures['f_5'] == figures['f_15'] == 1
    assert min(figures['auc_j'], figures['auc_v']) > 0.99  # the first step is at 0 mm
    for group in ('all', 'visible', 'occluded'):
        assert figures[f'pck_05_{group}'] == 100


def test_larger_or_turned_truth_is_an_error_until_it_is_aligned(network):
    hands, _ = drawn(network, 3)
    turn = cv2.Rodrigues(np.array([0.2, -0.4, 0.3]))[0]

    def moved(matrix):
        rows = np.asarray(matrix.T, np.float32)
        return changed(
            hands,
            lambda truth: {
                'joints_3d': truth.joints_3d @ rows, 'vertices': truth.vertices @ rows
            },
        )  # fmt: skip

    larger, turned = (evaluate(moved(m), network).figures for m in (1.2 * np.eye(3), turn))
    for figures in (larger, turned):
        assert figures['pa_mpjpe'] == pytest.approx(0, abs=1e-3)  # mm
        assert figures['mpvpe_root'] > 10 < figures['mpjpe_root']
    assert larger['mpjpe_scale_translation'] == pytest.approx(0, abs=1e-3)
    assert turned['mpjpe_scale_translation'] > 10


def test_left_hand_in_a_mirrored_picture_is_scored_as_the_right_one(network):
    hands, found = drawn(network, 3)
    off = changed(hands, lambda truth: {'joints_3d': truth.joints_3d * np.float32([1, 1.1, 0.9])})
    mirrored = []
    for number, item in enumerate(off.samples):
        truth = item.truth
        boxes = truth.boxes.copy()
        # Column c is W - 1 - c in the mirrored picture.
        boxes[..., [0, 2]] = SIZE[0] - 1 - truth.boxes[..., [2, 0]]
        flip = np.float32([-1, 1, 1])
        pixels = truth.joints_2d * flip[:2] + np.float32([SIZE[0] - 1, 0])
        left = dataclasses.replace(
            truth, joints_3d=truth.joints_3d * flip, vertices=truth.vertices * flip,
            joints_2d=pixels, boxes=boxes,
        )  # fmt: skip
        image = np.ascontiguousarray(item.images[0][:, ::-1])
        mirrored.append(sample(number, left, is_right=False, image=image))
    rights, lefts = (evaluate(side, network).figures for side in (off, DrawnHands(mirrored)))
    assert lefts.keys() == rights.keys()
    for key, value in rights.items():
        assert lefts[key] == pytest.approx(value, abs=1e-3)
    assert rights['mpjpe_root'] > 1


def test_hands_come_into_the_camera_where_their_crops_show_them(network):
    hands, found = drawn(network, 4)
    places = found.translation @ K.T.astype(np.float64)
    seen = see_hands(hands, range(4), BENCHMARK.square)
    crops = torch.from_numpy(seen.crops)
    with torch.inference_mode():
        s, x, y = network(network.normalize(crops)).pred_cam.double().numpy().T
    # The crop's camera is weak: it shows the model's origin at s (tx, ty) / 2 squares.
    wanted = seen.centers + (seen.sides * s / 2)[:, None] * np.stack([x, y * 320 / 300], 1)
    np.testing.assert_allclose(places[:, :2] / places[:, 2:], wanted, atol=1e-3)  # pixels
    np.testing.assert_allclose(found.translation[:, 2], 2 * 300 / (seen.sides * s), rtol=1e-6)


def test_meshes_of_the_default_hand_are_made_from_the_true_parameters():
    hand = load_hand_model('default')
    rng = np.random.default_rng(3)
    angles, betas = rng.normal(0, 0.3, (2, 48)), rng.normal(0, 0.5, (2, 10))
    sign = np.where(np.arange(48) % 3 == 0, 1.0, -1.0)
    mesh = hand(
        global_orient=torch.tensor(angles[:, :3]).float(), betas=torch.tensor(betas).float(),
        hand_pose=torch.tensor(angles[:, 3:]).float(), transl=torch.zeros(2, 3),
    )  # fmt: skip
    # The first hand is a left one: mirrored points, mirrored parameters.
    flip = np.float32([[[-1, 1, 1]], [[1, 1, 1]]])
    points, vertices = mesh.keypoints.numpy() * flip, mesh.vertices.numpy() * flip
    told = np.stack([angles[0] * sign, angles[1]]).astype(np.float32)
    truths = tuple(
        dataclasses.replace(
            blank(number),
            joints_3d=(points[number] + 0.5)[None, None],
            mano=ManoTruth(
                global_orient=told[None, None, number, :3], hand_pose=told[None, None, number, 3:],
                betas=betas[None, None, number].astype(np.float32),
                has_pose=np.ones((1, 1), np.bool_), has_betas=np.ones((1, 1), np.bool_),
            ),
        )
        for number in range(2)
    )  # fmt: skip
    seen = SeenHands(
        crops=np.zeros((2, 1, 1, 3), np.uint8), centers=np.zeros((2, 2), np.float32),
        sides=np.ones(2, np.float32), box_sizes=np.ones(2, np.float32), truths=truths,
        is_right=np.array([False, True]), image_sizes=np.full((2, 2), 9), K=np.stack([K, K]),
    )  # fmt: skip
    found = FoundHands(
        keypoints=points, vertices=vertices, keypoints_px=np.zeros((2, 21, 2)),
        translation=np.zeros((2, 3)),
    )  # fmt: skip
    arrays = score_hands(found, seen, with_pck=False, with_scaled=False, hand=hand)
    scores = sum_up([arrays])
    assert scores.num_with_mesh == 2
    assert scores.figures['mpvpe_root'] == pytest.approx(0, abs=1e-3)  # mm
    assert scores.figures['f_5'] == 1
    without = score_hands(found, seen, with_pck=False, with_scaled=False)
    assert sum_up([without]).num_with_mesh == 0


def test_interrupted_evaluation_goes_on_and_comes_to_the_same(network, tmp_path, monkeypatch):
    monkeypatch.setattr(hamer_run, 'PART_HANDS', 2)
    hands, _ = drawn(network, 5)
    hands = changed(hands, lambda truth: {'joints_3d': truth.joints_3d * np.float32([1, 1.1, 1])})
    wanted = evaluate(hands, network).figures
    looked_at = []

    class Counted(DrawnHands):
        def __getitem__(self, index):
            looked_at.append(index)
            if len(looked_at) == 4:
                raise DatasetError('this image is damaged')
            return super().__getitem__(index)

    counted = Counted(hands.samples)
    with pytest.raises(DatasetError, match='damaged'):
        evaluate(counted, network, folder=tmp_path)
    looked_at[:] = [0] * 4
    report = evaluate(counted, network, folder=tmp_path, resume=True)
    assert report.figures == pytest.approx(wanted, rel=1e-5)  # float32
    assert 0 not in looked_at[4:]  # the first part is not computed again
    looked_at[:] = [0] * 4
    assert evaluate(counted, None, folder=tmp_path, resume=True).figures == report.figures
    assert len(looked_at) == 4
    with pytest.raises(ConfigError, match='weights .tiny, now other'):
        evaluate(hands, network, folder=tmp_path, resume=True, identity={'weights': 'other'})


def test_file_for_the_challenge_holds_all_hands_in_the_camera(network, tmp_path):
    hands, found = drawn(network, 3)
    benchmark = dataclasses.replace(BENCHMARK, submission='freihand')
    report = evaluate(hands, network, folder=tmp_path, benchmark=benchmark)
    assert any('freihand_submission.zip' in note for note in report.notes)
    with zipfile.ZipFile(tmp_path / 'freihand_submission.zip') as archive:
        keypoints, vertices = json.loads(archive.read('pred.json'))
    shift = found.translation[:, None]
    np.testing.assert_allclose(keypoints, found.keypoints + shift, atol=1e-6)
    np.testing.assert_allclose(vertices, found.vertices + shift, atol=1e-6)


def test_hands_without_truth_have_no_figures_and_a_file_all_the_same(network, tmp_path):
    hands = changed(
        drawn(network, 2)[0],
        lambda truth: {'confidence_3d': np.zeros((1, 1, 21), np.float32), 'vertices': None},
    )
    benchmark = HandBenchmark(square=THREE_BY_FOUR, with_scaled=True, submission='ho3d')
    report = evaluate(hands, network, folder=tmp_path, benchmark=benchmark)
    assert not report.figures
    assert 'no truth' in report.notes[0]
    assert (tmp_path / 'ho3d_submission.zip').is_file()


def test_hand_with_a_joint_nobody_knows_is_left_out_and_counted(network):
    hands, _ = drawn(network, 3)
    some = np.ones((1, 1, 21), np.float32)
    some[..., 5] = 0
    hands.samples[1] = changed(
        DrawnHands(hands.samples[1:2]), lambda truth: {'confidence_3d': some}
    ).samples[0]
    report = evaluate(hands, network)
    assert report.figures['pa_mpjpe'] == pytest.approx(0, abs=1e-3)
    assert any(note.startswith('2 of 3 hands') for note in report.notes)


def test_hand_without_a_box_takes_that_of_its_joints(network):
    hands, _ = drawn(network, 1)
    seen = see_hands(changed(hands, lambda truth: {'boxes': None}), [0], DOUBLED)
    joints = hands.samples[0].truth.joints_2d[0, 0]
    low, high = joints.min(0), joints.max(0)
    np.testing.assert_allclose(seen.centers[0], (low + high) / 2, rtol=1e-6)
    np.testing.assert_allclose(seen.box_sizes[0], (high - low).max(), rtol=1e-5)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda truth: {'boxes': truth.boxes * 0}, '000 has no box'),
        (lambda truth: {'joints_3d': truth.joints_3d * np.nan}, 'true points are not finite'),
    ],
    ids=['box', 'truth'],
)
def test_hands_that_cannot_be_scored_are_refused(network, change, message):
    with pytest.raises(DatasetError, match=message):
        evaluate(changed(drawn(network, 1)[0], change), network)


def test_network_that_says_no_numbers_is_refused(network):
    hands, found = drawn(network, 2)
    seen = see_hands(hands, range(2), THREE_BY_FOUR)
    broken = dataclasses.replace(found, keypoints=found.keypoints * np.nan)
    with pytest.raises(DatasetError, match='predictions are not finite'):
        score_hands(broken, seen, with_pck=False, with_scaled=False)


def test_every_kind_of_single_hands_can_be_evaluated():
    for kind in single_hands.KINDS:
        assert benchmark_for(kind, Path('x'), 'test').square.growth >= 1


def test_benchmarks_are_cut_as_the_published_figures_were():
    assert BENCHMARKS['hint'].square == BENCHMARKS['hamer_eval/hint'].square == DOUBLED
    for name, is_challenge in (('freihand_val', True), ('ho3d_val', True), ('TEST_x_occ', False)):
        benchmark = benchmark_for('hamer_eval', Path(f'{name}.npz'), 'test')
        assert (benchmark.square == THREE_BY_FOUR) == is_challenge == bool(benchmark.submission)
    assert not benchmark_for('freihand', Path('x'), 'train').submission
    with pytest.raises(ConfigError, match='no data set of single hands'):
        benchmark_for('fpha', Path('x'), 'test')


def test_nothing_to_evaluate_is_refused(network):
    with pytest.raises(ConfigError, match='no hands'):
        evaluate(DrawnHands([]), network)
    with pytest.raises(ConfigError, match='batch'):
        evaluate(drawn(network, 1)[0], network, batch=0)
