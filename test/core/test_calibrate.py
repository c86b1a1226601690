"""The size of a hand from depth images of it held flat and still, or from its palm's width."""

import numpy as np
import pytest
from hands import BACK_OF_HAND, half_closed, posed_hand

from hand_perception import geometry
from hand_perception.datatypes import DepthSource, FrameResult
from hand_perception.errors import HandPerceptionError
from hand_perception.models.hand_model import load_hand_model
from hand_perception.pipeline.calibrate import HandMeasurement, palm_width, scale_of_palm

SENSOR = (DepthSource.SENSOR, 0.006)


@pytest.fixture(scope='module')
def model():
    return load_hand_model('default')


def flat_hand(model, *, scale=1.08, tilt_deg=0.0, curl=0.0, depth=SENSOR, **options):
    turn = geometry.rotation_from_axis_angle(np.radians(tilt_deg) * np.array([1.0, 0, 0]))
    return posed_hand(
        model,
        betas=model.betas_for_scale(scale),
        hand_pose=half_closed(curl),
        rotation=turn @ BACK_OF_HAND,
        depth=depth,
        **options,
    )


def seen(*hands, raw=None):
    return FrameResult(stamp_ns=0, frame_id='camera', hands=hands, raw_hands=raw)


def test_the_size_is_the_middle_of_many_images_with_its_spread(model):
    rng = np.random.default_rng(0)
    measurement = HandMeasurement(model, num_images=30)
    scales = 1.08 * (1 + 0.01 * rng.standard_normal(30))
    done = [measurement.add(seen(flat_hand(model, scale=scale))) for scale in scales]
    assert done == [False] * 29 + [True]
    scale, stddev = measurement.outcome()
    assert scale == pytest.approx(1.08, abs=0.008)
    assert 0.01 < stddev < 0.02  # a depth camera is not surer than one percent
    assert abs(scale - 1.08) < 2 * stddev


@pytest.mark.parametrize('is_right', [True, False])
def test_either_hand_can_be_measured_beside_the_other(model, is_right):
    measurement = HandMeasurement(model, is_right=is_right, num_images=3)
    hands = [
        flat_hand(model, scale=1.08 if side == is_right else 0.9, is_right=side, track_id=side)
        for side in (False, True)
    ]
    assert [measurement.add(seen(*hands)) for _ in range(3)] == [False, False, True]
    assert measurement.outcome()[0] == pytest.approx(1.08, abs=0.002)


@pytest.mark.parametrize(
    ('wrong', 'hint'),
    [
        ({'curl': 0.6}, 'stretch the fingers'),
        ({'tilt_deg': 60.0}, 'turn the palm or the back'),
        ({'wrist_m': (0.08, 0.05, 0.45)}, 'hold the hand still'),
        ({'tilt_deg': 20.0}, 'hold the hand still'),
    ],
    ids=['bent', 'turned away', 'moved', 'turned'],
)
def test_a_hand_that_does_not_stay_as_asked_begins_anew_and_is_told_why(model, wrong, hint):
    measurement = HandMeasurement(model, num_images=5)
    for _ in range(4):
        assert not measurement.add(seen(flat_hand(model)))
    assert not measurement.add(seen(flat_hand(model, **wrong)))
    assert hint in measurement.hint
    assert measurement.progress <= 0.2
    with pytest.raises(HandPerceptionError, match='of 5 images'):
        measurement.outcome()


def test_a_lost_hand_begins_anew(model):
    measurement = HandMeasurement(model, num_images=2)
    measurement.add(seen(flat_hand(model)))
    measurement.add(seen())
    assert measurement.progress == 0
    assert 'show the hand' in measurement.hint


def test_of_two_hands_nobody_guesses_which_is_meant(model):
    measurement = HandMeasurement(model, num_images=1)
    both = seen(flat_hand(model, track_id=1, is_right=False), flat_hand(model, track_id=2))
    assert not measurement.add(both)
    assert 'one hand only' in measurement.hint


def test_sizes_that_do_not_agree_are_not_used(model):
    measurement = HandMeasurement(model, num_images=6)
    for scale in (0.9, 1.2) * 3:
        assert not measurement.add(seen(flat_hand(model, scale=scale)))
    assert 'still' in measurement.hint


def test_without_depth_it_ends_with_what_to_do(model):
    measurement = HandMeasurement(model)
    hand = flat_hand(model, depth=(DepthSource.MONO, 0.03))
    with pytest.raises(HandPerceptionError, match='palm_width'):
        for _ in range(100):
            measurement.add(seen(hand))


def test_what_was_measured_counts_and_not_what_was_smoothed(model):
    measurement = HandMeasurement(model, num_images=1)
    raw = flat_hand(model, scale=1.1)
    assert measurement.add(seen(flat_hand(model, scale=1.0), raw=(raw,)))
    assert measurement.outcome()[0] == pytest.approx(1.1, abs=0.002)


def test_a_wider_palm_is_a_larger_hand(model):
    width = palm_width(model)
    # Hands 190 mm long are 80 to 88 mm wide (ANSUR II).
    assert 0.078 < width < 0.090
    assert scale_of_palm(model, width) == pytest.approx(1.0)
    assert scale_of_palm(model, 1.1 * width) == pytest.approx(1.1)


def test_the_thumb_does_not_count(model):
    vertices = np.asarray(model.arrays.v_template)
    assert palm_width(model) < 0.8 * np.ptp(vertices[:, 2])


def test_a_measured_size_is_taken_by_the_reconstruction(model):
    measurement = HandMeasurement(model, num_images=3)
    while not measurement.add(seen(flat_hand(model, scale=0.93))):
        pass
    scale, _ = measurement.outcome()
    flat = model.rest(model.betas_for_scale(scale)).joints
    true = model.rest(model.betas_for_scale(0.93)).joints
    np.testing.assert_allclose(flat, true, atol=1e-3)  # 1 mm
