"""From landmarks to pose: closed form, derivatives, and the fit on hands whose truth is known."""

import numpy as np
import pytest
import torch
from hand_poses import TrueHands, keypoints_of

from hand_perception import geometry
from hand_perception.models.closed_form import closed_form_frames
from hand_perception.models.hand_model import load_hand_model
from hand_perception.models.landmark_fit import (
    NETWORK_LANDMARKS,
    LandmarkFitter,
    target_of,
    turn_to_view,
)
from hand_perception.models.pose_residuals import Pose, PoseResiduals
from hand_perception.models.pose_solver import compose_turns
from hand_perception.models.skeleton import (
    EXACT_LANDMARKS,
    Skeleton,
    frames_from_rotations,
    rotations_from_frames,
)

NUM_HANDS = 48


@pytest.fixture(scope='module')
def model():
    return load_hand_model('default')


@pytest.fixture(scope='module')
def hands(model):
    return TrueHands(model, NUM_HANDS)


@pytest.fixture(scope='module')
def fitter(model):
    return LandmarkFitter(model, landmarks=EXACT_LANDMARKS)


def fitted_keypoints(skeleton, fits):
    rotations = np.stack([fit.rotations for fit in fits])
    wrist = np.stack([fit.transl for fit in fits]) + skeleton.wrist
    return keypoints_of(skeleton, rotations, wrist)


def noisy(hands, *, image=0.0, space_m=0.0, seed=1):
    """Landmarks with errors: image as a share of the hand's size, space in metres."""
    rng = np.random.default_rng(seed)
    size = np.ptp(hands.points, axis=1).max(1)[:, None, None]
    points = hands.points + image * size * rng.normal(size=hands.points.shape)
    return points, hands.world() + space_m * rng.normal(size=hands.keypoints.shape)


def test_skeleton_moves_as_the_mesh_does(model, hands):
    mesh = model.from_rotations(
        rotations=torch.from_numpy(hands.rotations).float(),
        betas=torch.zeros(NUM_HANDS, 10),
        transl=torch.from_numpy(hands.wrist - hands.skeleton.wrist).float(),
    )
    np.testing.assert_allclose(mesh.keypoints, hands.keypoints, atol=1e-6)  # float32 of metres


def test_frames_and_rotations_are_inverse(hands):
    again = rotations_from_frames(frames_from_rotations(hands.rotations))
    np.testing.assert_allclose(again, hands.rotations, atol=1e-12)


def test_closed_form_finds_the_joints_exactly_from_exact_points(hands):
    frames = closed_form_frames(hands.skeleton, hands.keypoints)
    found = hands.skeleton.landmarks(frames) + hands.wrist[:, None]
    np.testing.assert_allclose(found, hands.keypoints, atol=1e-4)  # 0.1 mm
    np.testing.assert_allclose(
        frames @ frames.swapaxes(-1, -2), np.broadcast_to(np.eye(3), frames.shape), atol=1e-12
    )


def test_closed_form_does_not_depend_on_scale_and_origin(hands):
    frames = closed_form_frames(hands.skeleton, hands.keypoints)
    moved = closed_form_frames(hands.skeleton, 7.0 * hands.keypoints + (1.0, 2.0, 3.0))
    np.testing.assert_allclose(moved, frames, atol=1e-9)


def test_closed_form_of_coinciding_points_is_a_rotation(hands):
    frames = closed_form_frames(hands.skeleton, np.zeros((1, 21, 3)))
    np.testing.assert_allclose(np.linalg.det(frames), 1, atol=1e-9)


@pytest.mark.parametrize('landmarks', [EXACT_LANDMARKS, NETWORK_LANDMARKS])
def test_analytic_derivatives_equal_finite_differences(model, hands, landmarks):
    model_residuals = PoseResiduals(Skeleton.from_rest(model.rest(np.zeros(10)), landmarks))
    points, world = noisy(hands, image=0.05, space_m=0.01)
    target = target_of(points, world)
    rng = np.random.default_rng(2)
    rotations = hands.rotations @ geometry.rotation_from_axis_angle(
        rng.normal(0, 0.3, (NUM_HANDS, 16, 3))
    )
    pose = model_residuals.evaluate(frames_from_rotations(rotations), hands.wrist, target)
    assert (pose.residual[:, :, 29:] < 0).any()  # some finger is bent backwards
    jacobian, wrist_jacobian = model_residuals.jacobian(pose, target)

    def moved(column: int, by: float) -> Pose:
        change = np.zeros((NUM_HANDS, 51))
        change[:, column] = by
        turn = compose_turns(change[:, 3:6], change[:, 6:].reshape(NUM_HANDS, 5, 9))
        return model_residuals.evaluate(turn @ pose.frames, pose.wrist + change[:, :3], target)

    gradient = np.zeros((NUM_HANDS, 51))
    analytic = np.zeros((NUM_HANDS, 51))
    by_finger = np.einsum('nfrc,nfr->nfc', jacobian[..., :15], pose.residual)
    analytic[:, :6] = by_finger[:, :, :6].sum(1)
    analytic[:, :6] += np.einsum('nrc,nr->nc', wrist_jacobian, pose.wrist_residual)
    analytic[:, 6:] = by_finger[:, :, 6:].reshape(NUM_HANDS, 45)
    step = 1e-6
    for column in range(51):
        ahead, behind = moved(column, step), moved(column, -step)
        rows = (ahead.residual - behind.residual) / (2 * step)
        gradient[:, column] = (ahead.cost - behind.cost) / (4 * step)
        # Image and direction rows, column by column: 1e-6 is what differences of 1e-6 can show.
        if column < 6:
            expected = jacobian[:, :, :20, column]
            np.testing.assert_allclose(rows[:, :, :20], expected, atol=1e-6)
        else:
            finger, own = divmod(column - 6, 9)
            expected = jacobian[:, finger, :20, 6 + own]
            np.testing.assert_allclose(rows[:, finger, :20], expected, atol=1e-6)
    # All rows together; the cost is about 100 and so are gradients.
    np.testing.assert_allclose(analytic, gradient, atol=1e-5)


def test_fit_reproduces_exact_landmarks_in_the_image_and_in_space(hands, fitter):
    fits = fitter.fit(*noisy(hands))
    assert max(fit.reprojection for fit in fits) < 1e-3
    error = np.linalg.norm(fitted_keypoints(hands.skeleton, fits) - hands.keypoints, axis=-1)
    assert error.max() < 1e-3  # 1 mm: hinges and limits pull a little


def test_fit_from_a_rough_start_reaches_the_landmarks_in_the_image(hands, fitter):
    # 5 mm errors in space turn the end bones by 10 to 20 degrees; points in the image are exact.
    points, world = noisy(hands, space_m=0.005)
    residuals = np.array([fit.reprojection for fit in fitter.fit(points, world)])
    assert np.median(residuals) < 0.005  # of the hand's size; the directions pull a little
    assert residuals.max() < 0.01


def test_distance_is_right_under_noise_of_a_network(hands, fitter):
    # 2 % of the hand's size in the image and 10 mm in space are what the network shows.
    fits = fitter.fit(*noisy(hands, image=0.02, space_m=0.01))
    found = fitted_keypoints(hands.skeleton, fits)
    error_m = np.abs(found[:, 0, 2] - hands.keypoints[:, 0, 2])
    assert np.median(error_m) < 0.025  # 5 % of half a metre
    palm = 0.5 * np.linalg.norm(found[:, [5, 17]] - hands.keypoints[:, [5, 17]], axis=-1)
    assert np.median(palm) < 0.015  # 15 mm


def test_distance_grows_with_the_size_of_the_hand(model):
    large = TrueHands(model, 8, scale=1.2)
    points, world = noisy(large)
    told = LandmarkFitter(model, hand_scale=1.2, landmarks=EXACT_LANDMARKS).fit(points, world)
    not_told = LandmarkFitter(model, landmarks=EXACT_LANDMARKS).fit(points, world)
    for told_fit, fit, wrist in zip(told, not_told, large.wrist, strict=True):
        at = told_fit.transl + large.skeleton.wrist
        np.testing.assert_allclose(at, wrist, atol=2e-3)  # 2 mm
        near = fit.transl + large.skeleton.wrist / 1.2
        np.testing.assert_allclose(near, wrist / 1.2, atol=3e-3)


def test_landmarks_beside_the_joints_are_taken_into_account(model, hands):
    palm = hands.keypoints[:, 9] - hands.keypoints[:, 0]
    shifted = hands.keypoints.copy()
    shifted[:, 0] += NETWORK_LANDMARKS.wrist * palm
    shifted[:, [5, 9, 13, 17]] += NETWORK_LANDMARKS.knuckles * palm[:, None]
    points = shifted[..., :2] / shifted[..., 2:]
    world = hands.world() + (shifted - hands.keypoints)
    knowing = LandmarkFitter(model).fit(points, world)
    naive = LandmarkFitter(model, landmarks=EXACT_LANDMARKS).fit(points, world)
    errors = [
        np.linalg.norm(fitted_keypoints(hands.skeleton, fits) - hands.keypoints, axis=-1).mean()
        for fits in (knowing, naive)
    ]
    assert errors[0] < 0.5 * errors[1]


def test_batch_equals_one_by_one(hands, fitter):
    points, world = noisy(hands, image=0.02, space_m=0.01)
    together = fitter.fit(points[:6], world[:6])
    for i, fit in enumerate(together):
        (alone,) = fitter.fit(points[i : i + 1], world[i : i + 1])
        np.testing.assert_allclose(alone.rotations, fit.rotations, atol=1e-9)
        np.testing.assert_allclose(alone.transl, fit.transl, atol=1e-9)
        assert alone.num_steps == fit.num_steps


def test_fit_turns_with_the_camera(hands, fitter):
    # The same hands seen by a camera that is rolled by 40 degrees.
    roll = geometry.rotation_from_axis_angle(np.array([0, 0, np.radians(40)]))
    points, world = noisy(hands, image=0.01, space_m=0.005)
    upright = fitter.fit(points, world)
    size = np.ptp(points @ roll[:2, :2].T, axis=1).max(1) / np.ptp(points, axis=1).max(1)
    rolled = fitter.fit(points @ roll[:2, :2].T, world @ roll.T)
    steady = np.abs(size - 1) < 0.1  # the size in the image weighs the landmarks
    assert steady.sum() >= 8
    for fit, turned in (
        pair for pair, same in zip(zip(upright, rolled, strict=True), steady, strict=True) if same
    ):
        before = fit.transl + hands.skeleton.wrist
        after = turned.transl + hands.skeleton.wrist
        np.testing.assert_allclose(after, roll @ before, atol=5e-3)  # 5 mm


def test_fingers_do_not_bend_backwards_for_ambiguous_landmarks(model, hands, fitter):
    # Directions in space that say the index finger bends 60 degrees the wrong way.
    flat = np.tile(np.eye(3), (1, 16, 1, 1))
    flat[:, 0] = geometry.rotation_from_axis_angle(np.array([np.pi / 2, 0, 0]))
    wrist = np.array([[0, 0, 0.5]])
    wrong = flat.copy()
    wrong[:, 2] = geometry.rotation_from_axis_angle(np.array([0, 0, -1.05]))
    true = keypoints_of(hands.skeleton, flat, wrist)
    misled = keypoints_of(hands.skeleton, wrong, wrist)
    points = true[..., :2] / true[..., 2:]
    (fit,) = fitter.fit(points, misled - misled.mean(1, keepdims=True))
    bend = geometry.axis_angle_from_rotation(fit.rotations[2])[2]
    assert bend > np.radians(-20)


@pytest.mark.parametrize(
    'points',
    [
        np.zeros((1, 21, 2)),
        np.full((1, 21, 2), 1e4),
        np.linspace(-1, 1, 42).reshape(1, 21, 2),
        np.random.default_rng(0).normal(size=(1, 21, 2)),
    ],
    ids=['one point', 'far outside', 'a line', 'noise'],
)
@pytest.mark.parametrize('space_m', [0.0, 0.1])
def test_nonsense_gives_a_finite_hand_in_front_of_the_camera(model, points, space_m):
    world = space_m * np.random.default_rng(1).normal(size=(1, 21, 3))
    (fit,) = LandmarkFitter(model).fit(points, world)
    assert np.isfinite(fit.rotations).all()
    assert np.isfinite(fit.transl).all()
    assert np.isfinite(fit.reprojection)
    np.testing.assert_allclose(np.linalg.det(fit.rotations), 1, atol=1e-9)
    mesh = model.from_rotations(
        rotations=torch.from_numpy(fit.rotations[None]).float(),
        betas=torch.zeros(1, 10),
        transl=torch.from_numpy(fit.transl[None]).float(),
    )
    assert (mesh.keypoints[..., 2] > 0).all()


def test_landmarks_that_are_not_finite_are_refused(hands, fitter):
    points, world = noisy(hands)
    points[0, 3, 0] = np.nan
    with pytest.raises(ValueError, match='finite'):
        fitter.fit(points, world)


def test_no_hands_give_no_fits(fitter):
    assert fitter.fit(np.zeros((0, 21, 2)), np.zeros((0, 21, 3))) == []


def test_view_of_a_hand_beside_the_axis_is_turned_towards_it():
    world = np.array([[[0.0, 0.0, 1.0]]])
    turned = turn_to_view(world, np.array([[1.0, 0.0]]))
    np.testing.assert_allclose(turned[0, 0], [np.sqrt(0.5), 0, np.sqrt(0.5)], atol=1e-12)
