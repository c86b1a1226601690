"""Smoothed hands are steady at rest, quick in motion, and whole: everything in them agrees."""

import dataclasses

import numpy as np
import pytest
import torch
from hands import posed_hand, renamed
from moving_hands import RATE_HZ, Stream, hand_at, quaternions_of, rms, wrists
from stream_fakes import CAMERA

from hand_perception import geometry
from hand_perception.datatypes import Camera
from hand_perception.models.hand_model import load_hand_model
from hand_perception.pipeline import quaternions
from hand_perception.pipeline.lift import project

NOISE_M, NOISE_RAD = 0.002, np.radians(2)  # per axis, of every image
DISTORTED = Camera(
    width=640, height=480, fx=520.0, fy=520.0, cx=320.0, cy=240.0,
    distortion_model='plumb_bob', distortion=(-0.2, 0.05, 0.001, -0.001, 0.0),
)  # fmt: skip


@pytest.fixture(scope='module')
def model():
    return load_hand_model('default')


def noisy(model, rng, **more):
    """A hand at rest as it is measured: every image a little elsewhere."""
    turn = more.pop('turn', np.zeros(3)) + NOISE_RAD * rng.normal(size=3)
    moved_m = more.pop('moved_m', np.zeros(3)) + NOISE_M * rng.normal(size=3)
    fingers = NOISE_RAD * rng.normal(size=(15, 3))
    return hand_at(model, moved_m=moved_m, turn=turn, fingers=fingers, **more)


def run(stream, hands):
    return [stream(hand)[0] for hand in hands]


@pytest.mark.parametrize('smoothing', ['one_euro', 'none'])
def test_the_first_image_of_a_hand_passes_as_it_is(model, smoothing):
    hand = posed_hand(model)
    assert Stream(model, smoothing=smoothing)(hand) == (hand,)


def test_a_hand_that_does_not_move_stays_where_it_is(model):
    hand = posed_hand(model, is_right=False)
    smooth = run(Stream(model), [hand] * 5)[-1]
    np.testing.assert_allclose(smooth.vertices, hand.vertices, atol=1e-6)  # metres: float32
    np.testing.assert_allclose(smooth.keypoints_2d, hand.keypoints_2d, atol=1e-3)  # pixels
    np.testing.assert_allclose(smooth.bbox_xyxy, hand.bbox_xyxy, atol=1e-3)
    np.testing.assert_allclose(smooth.flexion, hand.flexion, atol=1e-5)  # radians
    np.testing.assert_allclose(smooth.wrist_rotation, hand.wrist_rotation, atol=1e-6)


@pytest.mark.parametrize('is_right', [True, False])
@pytest.mark.parametrize('camera', [CAMERA, DISTORTED], ids=['pinhole', 'distorted'])
def test_everything_in_a_smoothed_hand_agrees(model, is_right, camera):
    rng, stream = np.random.default_rng(0), Stream(model)
    for k in range(12):
        betas = 0.3 * rng.normal(size=10)
        measured = noisy(model, rng, moved_m=(0.01 * k, 0, 0), betas=betas, is_right=is_right,
                         camera=camera)  # fmt: skip
        stream.stamp_ns += 33_333_333
        hand = stream.smoother.step(stream.state, camera, [measured], stream.stamp_ns)[0]
    parameters = hand.parameters
    orient, pose, transl = parameters.global_orient, parameters.hand_pose, parameters.transl
    if not is_right:
        orient, transl = geometry.mirror_axis_angle(orient), geometry.mirror_points(transl)
        pose = geometry.mirror_axis_angle(pose.reshape(15, 3)).reshape(45)
    mesh = model(
        **{
            name: torch.from_numpy(array)[None].float()
            for name, array in zip(
                ('global_orient', 'hand_pose', 'betas', 'transl'),
                (orient, pose, parameters.betas, transl),
                strict=True,
            )
        }
    )
    vertices, keypoints = mesh.vertices[0].double().numpy(), mesh.keypoints[0].double().numpy()
    if not is_right:
        vertices, keypoints = map(geometry.mirror_points, (vertices, keypoints))
    np.testing.assert_allclose(hand.vertices, vertices, atol=1e-6)  # metres: float32
    np.testing.assert_allclose(hand.keypoints_3d, keypoints, atol=1e-6)
    np.testing.assert_allclose(hand.keypoints_2d, project(camera, keypoints), atol=2e-3)  # pixels
    outline = project(camera, vertices)
    np.testing.assert_allclose(hand.bbox_xyxy, [*outline.min(0), *outline.max(0)], atol=2e-3)
    np.testing.assert_allclose(hand.flexion, geometry.flexion_angles(keypoints), atol=1e-4)
    np.testing.assert_allclose(
        hand.wrist_rotation,
        geometry.wrist_rotation(parameters.global_orient, is_right=is_right), atol=1e-9,
    )  # fmt: skip
    assert np.abs(hand.vertices - measured.vertices).max() > 1e-3  # it was smoothed at all
    assert hand.vertices.dtype == hand.keypoints_3d.dtype == np.float32


def test_left_hands_are_mirrored_right_hands(model):
    smooth = {}
    for is_right in (True, False):
        rng, stream = np.random.default_rng(1), Stream(model)
        hands = [noisy(model, rng, is_right=is_right) for _ in range(8)]
        smooth[is_right] = run(stream, hands)[-1]
    right, left = smooth[True], smooth[False]
    for name in ('vertices', 'keypoints_3d'):
        found = geometry.mirror_points(getattr(left, name))
        np.testing.assert_allclose(found, getattr(right, name), atol=1e-6)
    np.testing.assert_allclose(left.flexion, right.flexion, atol=1e-4)
    np.testing.assert_allclose(
        geometry.mirror_axis_angle(left.parameters.hand_pose.reshape(15, 3)).reshape(45),
        right.parameters.hand_pose, atol=1e-6,
    )  # fmt: skip


def test_two_hands_are_smoothed_as_each_alone(model):
    rng = np.random.default_rng(2)
    lefts = [noisy(model, rng, is_right=False, track_id=1) for _ in range(6)]
    rights = [noisy(model, rng, moved_m=(0.1, 0, 0), track_id=2) for _ in range(6)]
    both = Stream(model)
    together = [both(*hands) for hands in zip(lefts, rights, strict=True)][-1]
    alone = (run(Stream(model), lefts)[-1], run(Stream(model), rights)[-1])
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_allclose(a.vertices, b.vertices, atol=1e-6)


def test_what_grippers_listen_to_and_what_only_was_measured_is_not_touched(model):
    rng, stream = np.random.default_rng(3), Stream(model)
    run(stream, [noisy(model, rng) for _ in range(5)])
    measured = dataclasses.replace(
        noisy(model, rng), keypoint_confidence=np.full(21, 0.5, np.float32)
    )
    smooth = stream(measured)[0]
    same = (
        'track_id', 'is_right', 'handedness_score', 'confidence', 'keypoint_confidence',
        'pinch_distance_m', 'pinch', 'grasp', 'depth_source', 'depth_stddev_m', 'is_predicted',
    )  # fmt: skip
    for name in same:
        assert getattr(smooth, name) is getattr(measured, name)
    fingers = geometry.pinch_and_grasp(smooth.keypoints_3d.astype(np.float64))
    assert fingers[0] != pytest.approx(measured.pinch_distance_m, abs=1e-6)


def test_the_shape_is_the_mean_of_the_images_of_the_track(model):
    shapes = np.random.default_rng(4).normal(0, 0.5, (10, 10))
    smooth = run(Stream(model), [posed_hand(model, betas=betas) for betas in shapes])
    for count, hand in enumerate(smooth, start=1):
        np.testing.assert_allclose(hand.parameters.betas, shapes[:count].mean(0), atol=1e-12)


def test_the_mean_shape_follows_a_size_that_was_corrected(model):
    small, large = posed_hand(model), posed_hand(model, betas=np.full(10, 0.5))
    smooth = run(Stream(model), [small] * 60 + [large] * 90)
    assert smooth[-1].parameters.betas.min() > 0.45  # within three times 30 images


@pytest.mark.parametrize('is_right', [True, False])
def test_shipped_settings_halve_the_jitter_of_a_hand_at_rest(model, is_right):
    rng = np.random.default_rng(5)
    measured = [noisy(model, rng, is_right=is_right) for _ in range(150)]
    smooth = run(Stream(model), measured)
    raw, found = (wrists(hands[20:]) for hands in (measured, smooth))
    assert rms(np.diff(raw, axis=0)) >= 2 * rms(np.diff(found, axis=0))  # what trembles
    assert raw.std(0).mean() >= 2 * found.std(0).mean()  # and how far it strays
    turns = [
        quaternions.turn_between(q[:-1], q[1:])
        for q in (np.stack([quaternions_of(h) for h in hs[20:]]) for hs in (measured, smooth))
    ]
    assert rms(turns[0][:, 0]) >= 2 * rms(turns[1][:, 0])  # palm
    assert rms(turns[0][:, 1:]) >= 2 * rms(turns[1][:, 1:])  # fingers
    tips = [np.array([hand.keypoints_3d[8] for hand in hands]) for hands in (measured, smooth)]
    assert rms(np.diff(tips[0][20:], axis=0)) >= 2 * rms(np.diff(tips[1][20:], axis=0))


@pytest.mark.parametrize(
    'way', [lambda t: 0.12 * np.sin(2 * np.pi * t), lambda t: _reach(t % 2.4)],
    ids=['wave', 'reach'],
)  # fmt: skip
def test_shipped_settings_lag_at_most_15_ms_behind_a_moving_hand(model, way):
    rng, times = np.random.default_rng(6), np.arange(165) / RATE_HZ
    axis, turn_axis = np.array([0.8, 0.4, 0.2]), np.array([0.6, 0.0, 0.8])
    turns_per_m = np.radians(40) / 0.12
    measured = [
        noisy(model, rng, moved_m=way(t) * axis, turn=way(t) * turns_per_m * turn_axis)
        for t in times
    ]
    smooth = run(Stream(model), measured)[15:]
    settled = times[15:]
    found = wrists(smooth)
    shifts = np.arange(-0.02, 0.1, 0.0005)
    start = wrists([hand_at(model)])[0]
    late = [rms(found - start - way(settled - s)[:, None] * axis) for s in shifts]
    assert shifts[int(np.argmin(late))] <= 0.015  # seconds
    still = quaternions_of(hand_at(model))[0]
    turned = np.stack([quaternions_of(hand)[0] for hand in smooth])
    angles = quaternions.turn_between(np.broadcast_to(still, turned.shape), turned)
    # Turns about axes of the camera, told in those of the hand.
    own_axis = quaternions.to_rotation(still).T @ turn_axis
    late = [rms(angles @ own_axis - turns_per_m * way(settled - s)) for s in shifts]
    assert shifts[int(np.argmin(late))] <= 0.015


def _reach(phase):
    """0.3 m in 0.6 s, a rest, and back."""
    out, back = (np.clip((phase - start) / 0.6, 0, 1) for start in (0.0, 1.2))
    return 0.3 * sum(sign * p**3 * (10 - 15 * p + 6 * p * p) for sign, p in ((1, out), (-1, back)))


def settled_stream(model):
    """A stream that has seen a still hand for a while."""
    stream = Stream(model)
    run(stream, [hand_at(model)] * 10)
    return stream


MOVED = (0.05, 0.0, 0.0)


def test_a_step_is_smoothed(model):
    moved = hand_at(model, moved_m=MOVED)
    assert settled_stream(model)(moved)[0] is not moved


def test_a_new_track_starts_anew(model):
    moved = renamed(hand_at(model, moved_m=MOVED), 2)
    assert settled_stream(model)(moved) == (moved,)


def test_a_changed_side_starts_anew(model):
    other = posed_hand(model, is_right=False)
    assert settled_stream(model)(other) == (other,)


def test_a_hand_that_was_away_for_longer_than_a_quarter_second_starts_anew(model):
    moved = hand_at(model, moved_m=MOVED)
    assert settled_stream(model)(moved, after_s=0.26) == (moved,)


def test_a_hand_that_was_missed_in_a_few_images_goes_on(model):
    stream, moved = settled_stream(model), hand_at(model, moved_m=MOVED)
    for _ in range(3):
        assert stream() == ()
    smooth = stream(moved)[0]
    way = wrists([smooth])[0] - wrists([hand_at(model)])[0]
    assert 0 < way[0] < MOVED[0]


@pytest.mark.parametrize('after_s', [0.0, -0.01, -5.0])
def test_a_stamp_that_does_not_go_on_starts_anew(model, after_s):
    stream, moved = settled_stream(model), hand_at(model, moved_m=MOVED)
    assert stream(moved, after_s=after_s) == (moved,)
    assert stream.state.motions[1].stamp_ns == stream.stamp_ns
    assert not stream.state.motions[1].velocity.any()


def test_a_hand_that_is_nowhere_passes_and_leaves_nothing_behind(model):
    stream = settled_stream(model)
    lost = dataclasses.replace(hand_at(model), keypoints_3d=np.full((21, 3), np.nan, np.float32))
    assert stream(lost) == (lost,)
    hand = hand_at(model, moved_m=MOVED)
    assert stream(hand) == (hand,)
    assert np.isfinite(stream(hand)[0].vertices).all()


def test_without_smoothing_hands_pass_and_their_motion_is_known(model):
    stream = Stream(model, smoothing='none')
    hands = [hand_at(model, moved_m=(0.02 * k, 0, 0)) for k in range(15)]
    assert all(stream(hand)[0] is hand for hand in hands)
    motion = stream.state.motions[1]
    np.testing.assert_allclose(motion.velocity, (0.6, 0, 0), atol=0.001)  # m/s
    np.testing.assert_allclose(motion.pose.wrist, hands[-1].keypoints_3d[0], atol=1e-9)


def test_the_velocity_is_that_of_the_hand_and_not_of_the_smoothed_one(model):
    stream = Stream(model, smoothing_min_cutoff_hz=0.1, smoothing_beta=0.0)
    for k in range(20):
        stream(hand_at(model, moved_m=(0.01 * k, 0, 0), turn=(0, 0.05 * k, 0)))
    motion = stream.state.motions[1]
    np.testing.assert_allclose(motion.velocity, (0.3, 0, 0), atol=1e-3)  # m/s
    assert np.linalg.norm(motion.turn) == pytest.approx(1.5, abs=1e-3)  # rad/s


def test_settings_changed_live_act_on_the_next_image_and_keep_the_state(model):
    stream, moved = settled_stream(model), hand_at(model, moved_m=MOVED)
    quick = dataclasses.replace(stream.settings, smoothing_min_cutoff_hz=100.0)
    stream.smoother = stream.smoother.with_settings(quick)
    way = (wrists(stream(moved)) - wrists([hand_at(model)]))[0, 0]
    slow = settled_stream(model)
    assert way > (wrists(slow(moved)) - wrists([hand_at(model)]))[0, 0] + 1e-4
    assert 0.9 * MOVED[0] < way < MOVED[0]  # not started anew, hardly smoothed


def test_memory_is_bounded_over_ten_thousand_images(model):
    stream = Stream(model, smoothing='none')
    hands = [hand_at(model), hand_at(model, moved_m=MOVED)]
    for k in range(10_000):
        stream(renamed(hands[0], 1), renamed(hands[1], 2 + k // 3))
    assert len(stream.state.motions) <= 5  # what was seen in the last quarter second
    for k in range(100):  # at once, under ever new ids
        stream(renamed(hands[0], 100_000 + k), after_s=1e-6)
    assert len(stream.state.motions) <= 33
    stream(after_s=1.0)
    assert stream.state.motions == {}
