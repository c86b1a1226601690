"""Looking ahead is nearer to the truth for hands that move and does not shake hands at rest."""

import numpy as np
import pytest
from hands import renamed
from moving_hands import RATE_HZ, Stream, hand_at, quaternions_of, rms, wrists
from stream_fakes import CAMERA

from hand_perception.models.hand_model import load_hand_model
from hand_perception.pipeline import quaternions
from hand_perception.pipeline.predict_ahead import faded_share, look_ahead

HORIZON_S = 0.1


@pytest.fixture(scope='module')
def model():
    return load_hand_model('default')


def ahead(model, stream, hands, seconds, *, longest_s=HORIZON_S):
    return look_ahead(
        model, stream.state, CAMERA, hands, stream.stamp_ns + round(seconds * 1e9),
        image_ns=stream.stamp_ns, longest_s=longest_s,
    )  # fmt: skip


@pytest.mark.parametrize('is_right', [True, False])
@pytest.mark.parametrize('smoothing', ['one_euro', 'none'])
def test_a_hand_at_constant_velocity_and_turn_is_where_it_was_foreseen(model, is_right, smoothing):
    stream = Stream(model, smoothing=smoothing)

    def at(seconds):
        moved_m, turn = (0.8 * seconds - 0.3, 0, 0.1 * seconds), (0, 2.5 * seconds, 0)
        return hand_at(model, moved_m=moved_m, turn=turn, is_right=is_right)

    for k in range(25):
        hands = stream(at(k / RATE_HZ))
    reached_ns, (hand,) = ahead(model, stream, hands, 0.05)
    true = at(24 / RATE_HZ + 0.05)
    assert reached_ns == stream.stamp_ns + 50_000_000
    # What is left is the lag of smoothing: 5 ms at 0.8 m/s.
    tolerance_m = 0.006 if smoothing == 'one_euro' else 1e-5
    assert np.linalg.norm(wrists([hand]) - wrists([true])) < tolerance_m
    turn = quaternions.turn_between(quaternions_of(hand)[0], quaternions_of(true)[0])
    assert np.linalg.norm(turn) < (0.04 if smoothing == 'one_euro' else 1e-4)  # radians
    assert np.linalg.norm(wrists(hands) - wrists([true])) > 0.035  # unpredicted


def test_a_predicted_hand_says_so_and_everything_in_it_is_moved(model):
    stream = Stream(model)
    for k in range(20):
        measured = hand_at(model, moved_m=(0.03 * k - 0.3, 0, 0))
        hands = stream(measured)
    _, (hand,) = ahead(model, stream, hands, 0.05)
    assert hand.is_predicted
    assert not hands[0].is_predicted
    way = wrists([hand])[0] - wrists(hands)[0]
    assert way[0] == pytest.approx(0.9 * 0.05, abs=0.002)  # metres
    np.testing.assert_allclose(
        hand.vertices - hands[0].vertices, np.tile(way, (1159, 1)), atol=1e-5
    )
    assert (hand.keypoints_2d[:, 0] > hands[0].keypoints_2d[:, 0] + 30).all()  # pixels
    assert hand.bbox_xyxy[0] > hands[0].bbox_xyxy[0] + 30
    for name in ('track_id', 'pinch_distance_m', 'pinch', 'grasp', 'confidence'):
        assert getattr(hand, name) == getattr(measured, name)


def test_a_hand_at_rest_is_not_moved(model):
    stream = Stream(model)
    for _ in range(10):
        hands = stream(hand_at(model))
    _, (hand,) = ahead(model, stream, hands, 0.1)
    np.testing.assert_allclose(hand.vertices, hands[0].vertices, atol=1e-6)  # metres: float32


@pytest.mark.parametrize(
    ('asked_s', 'reached_s'), [(0.0, 0.0), (0.03, 0.03), (0.1, 0.1), (0.4, 0.1), (-0.2, 0.0)]
)
def test_it_looks_ahead_no_farther_than_allowed_and_says_how_far(model, asked_s, reached_s):
    stream = Stream(model)
    for k in range(20):
        hands = stream(hand_at(model, moved_m=(0.02 * k - 0.2, 0, 0)))
    reached_ns, (hand,) = ahead(model, stream, hands, asked_s)
    assert reached_ns - stream.stamp_ns == round(reached_s * 1e9)
    way_m = wrists([hand])[0, 0] - wrists(hands)[0, 0]
    assert way_m == pytest.approx(0.6 * reached_s, abs=0.002)


def test_nothing_is_looked_ahead_when_the_horizon_is_zero(model):
    stream = Stream(model)
    for k in range(20):
        hands = stream(hand_at(model, moved_m=(0.02 * k - 0.2, 0, 0)))
    reached_ns, (hand,) = ahead(model, stream, hands, 0.05, longest_s=0.0)
    assert reached_ns == stream.stamp_ns
    np.testing.assert_allclose(hand.vertices, hands[0].vertices, atol=1e-6)


def test_hands_that_nobody_followed_are_left_out(model):
    stream = Stream(model)
    known = stream(hand_at(model))[0]
    stranger = renamed(known, 7)
    _, found = ahead(model, stream, [stranger, known], 0.05)
    assert [hand.track_id for hand in found] == [known.track_id]
    assert ahead(model, stream, [stranger], 0.05)[1] == ()
    assert ahead(model, stream, [], 0.05)[1] == ()


def test_what_is_known_of_an_earlier_image_is_not_told_of_this_one(model):
    stream = Stream(model)
    for k in range(10):
        hands = stream(hand_at(model, moved_m=(0.02 * k - 0.2, 0, 0)))
    later_ns = stream.stamp_ns + 33_000_000  # an image that the smoother was not shown
    reached_ns, found = look_ahead(
        model, stream.state, CAMERA, hands, later_ns, image_ns=later_ns, longest_s=HORIZON_S
    )
    assert found == ()
    assert reached_ns == later_ns


def test_the_time_reached_is_bounded_even_without_hands(model):
    stream = Stream(model)
    stream(hand_at(model))
    reached_ns, found = ahead(model, stream, [], 5.0)
    assert found == ()
    assert reached_ns - stream.stamp_ns == round(HORIZON_S * 1e9)


def test_looking_ahead_changes_no_state(model):
    stream = Stream(model)
    for k in range(10):
        hands = stream(hand_at(model, moved_m=(0.02 * k, 0, 0)))
    before = dict(stream.state.motions)
    first, second = (ahead(model, stream, hands, 0.05)[1][0] for _ in range(2))
    assert stream.state.motions == before
    np.testing.assert_array_equal(first.vertices, second.vertices)


@pytest.mark.parametrize('delay_s', [0.02, 0.05, 0.1])
def test_a_waving_hand_is_nearer_to_the_truth_than_without_looking_ahead(model, delay_s):
    rng, stream = np.random.default_rng(0), Stream(model)
    times = np.arange(90) / RATE_HZ

    def way(seconds):
        return np.outer(0.12 * np.sin(2 * np.pi * seconds), (0.8, 0.6, 0))

    start, missed, missed_ahead = wrists([hand_at(model)])[0], [], []
    for time, place in zip(times, way(times), strict=True):
        hands = stream(hand_at(model, moved_m=place + 0.002 * rng.normal(size=3)))
        _, later = ahead(model, stream, hands, delay_s)
        true = start + way(np.array([time + delay_s]))[0]
        missed.append(wrists(hands)[0] - true)
        missed_ahead.append(wrists(later)[0] - true)
    assert rms(missed_ahead[15:]) < 0.8 * rms(missed[15:])


def test_looking_ahead_does_not_shake_a_hand_at_rest(model):
    rng, stream, seen, seen_ahead = np.random.default_rng(1), Stream(model), [], []
    for _ in range(120):
        measured = hand_at(
            model, moved_m=0.002 * rng.normal(size=3), turn=np.radians(1) * rng.normal(size=3)
        )
        hands = stream(measured)
        seen.append((measured, hands[0]))
        seen_ahead.append(ahead(model, stream, hands, 0.05)[1][0])
    raw, smooth = (wrists(hands)[20:] for hands in zip(*seen, strict=True))
    trembles = [rms(np.diff(p, axis=0)) for p in (raw, smooth, wrists(seen_ahead)[20:])]
    assert trembles[2] < 2 * trembles[1]
    assert trembles[2] < trembles[0]  # still steadier than what was measured
    turns = [
        rms(quaternions.turn_between(q[20:-1], q[21:])[:, 0])
        for q in (
            np.stack([quaternions_of(hand) for hand in hands])
            for hands in ([pair[0] for pair in seen], seen_ahead)
        )
    ]
    assert turns[1] < turns[0]


def test_how_far_ahead_grows_with_the_speed_without_a_step():
    shares = [faded_share(speed, 0.5) for speed in np.linspace(0, 1, 201)]
    assert shares[0] == 0
    assert shares[100:] == [1.0] * 101
    assert (np.diff(shares) >= 0).all()
    assert np.diff(shares).max() < 0.02
