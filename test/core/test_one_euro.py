"""The One-Euro filter does what the paper says, in space and on rotations."""

import numpy as np
import pytest

from hand_perception import geometry
from hand_perception.config import PipelineSettings
from hand_perception.pipeline import quaternions
from hand_perception.pipeline.one_euro import OneEuro, share, step_places, step_rotations

RATE_HZ = 30.0
AXIS = np.array([0.6, 0.64, 0.48])


class PaperFilter:
    """Algorithm 1 and 2 of Casiez et al. (CHI 2012), one number at a time, written anew."""

    def __init__(self, min_cutoff, beta, speed_cutoff):
        self.min_cutoff, self.beta, self.speed_cutoff = min_cutoff, beta, speed_cutoff
        self.value = self.speed = None

    @staticmethod
    def alpha(rate, cutoff):
        tau, te = 1 / (2 * np.pi * cutoff), 1 / rate
        return 1 / (1 + tau / te)

    def __call__(self, new, rate):
        if self.value is None:
            self.value, self.speed = new, 0.0
            return new
        a = self.alpha(rate, self.speed_cutoff)
        self.speed = a * (new - self.value) * rate + (1 - a) * self.speed
        a = self.alpha(rate, self.min_cutoff + self.beta * abs(self.speed))
        self.value = a * new + (1 - a) * self.value
        return self.value


def filtered_places(measured, to, *, rate_hz=RATE_HZ):
    place, velocity, found = measured[0], np.zeros(3), [measured[0]]
    for new in measured[1:]:
        place, velocity = step_places(place, velocity, new, seconds=1 / rate_hz, to=to)
        found.append(place)
    return np.stack(found)


def filtered_rotations(measured, to, *, rate_hz=RATE_HZ):
    rotation, velocity, found = measured[0], np.zeros(3), [measured[0]]
    for new in measured[1:]:
        rotation, velocity = step_rotations(rotation, velocity, new, seconds=1 / rate_hz, to=to)
        found.append(rotation)
    return np.stack(found)


def shipped(*, turns=False):
    settings = PipelineSettings()
    return OneEuro(
        min_cutoff_hz=settings.smoothing_min_cutoff_hz,
        beta=settings.smoothing_beta_turn if turns else settings.smoothing_beta,
    )


def rotations_about(axis, angles):
    return quaternions.from_axis_angle(np.asarray(angles)[:, None] * axis)


@pytest.mark.parametrize(('cutoff', 'beta', 'speed_cutoff'), [(1, 0, 1), (1, 30, 1), (0.3, 5, 2)])
@pytest.mark.parametrize('rate_hz', [15.0, 30.0, 120.0])
def test_along_one_axis_it_is_the_filter_of_the_paper(cutoff, beta, speed_cutoff, rate_hz):
    rng = np.random.default_rng(3)
    values = np.cumsum(rng.normal(0, 0.02, 200))
    paper = PaperFilter(cutoff, beta, speed_cutoff)
    expected = [paper(value, rate_hz) for value in values]
    to = OneEuro(min_cutoff_hz=cutoff, beta=beta, speed_cutoff_hz=speed_cutoff)
    found = filtered_places(values[:, None] * AXIS, to, rate_hz=rate_hz)
    np.testing.assert_allclose(found, np.outer(expected, AXIS), atol=1e-12)  # metres: rounding


@pytest.mark.parametrize('beta', [0, 4])
def test_turning_about_one_axis_it_is_the_filter_of_the_paper(beta):
    angles = np.cumsum(np.random.default_rng(4).normal(0, 0.1, 200))
    paper = PaperFilter(1.0, beta, 1.0)
    expected = [paper(angle, RATE_HZ) for angle in angles]
    to = OneEuro(min_cutoff_hz=1.0, beta=beta, speed_cutoff_hz=1.0)
    found = filtered_rotations(rotations_about(AXIS, angles), to)
    wrong = quaternions.turn_between(rotations_about(AXIS, expected), found)
    assert np.abs(wrong).max() < 1e-9  # radians: rounding


def test_all_three_axes_share_the_cutoff_of_their_common_speed():
    # A noisy axis square to a fast one is smoothed as little as the fast one: no bent paths.
    way = np.linspace(0, 1, 30)[:, None] * np.array([0.6, 0.0, 0.8])
    found = filtered_places(way, OneEuro(min_cutoff_hz=1.0, beta=10.0))
    assert np.abs(np.cross(found, [0.6, 0.0, 0.8])).max() < 1e-12  # on the straight line


def test_the_result_does_not_depend_on_the_axes_of_the_camera():
    rng = np.random.default_rng(5)
    measured = np.cumsum(rng.normal(0, 0.01, (60, 3)), 0)
    turn = geometry.rotation_from_axis_angle(np.array([0.4, -1.0, 0.7]))
    turned = filtered_places(measured @ turn.T, shipped())
    np.testing.assert_allclose(turned, filtered_places(measured, shipped()) @ turn.T, atol=1e-12)


def test_rotations_stay_rotations_over_ten_thousand_steps():
    rng = np.random.default_rng(6)
    rotation, velocity = quaternions.from_axis_angle(rng.normal(0, 1, (16, 3))), np.zeros((16, 3))
    for _ in range(10_000):
        new = quaternions.from_axis_angle(rng.normal(0, 2, (16, 3)))
        rotation, velocity = step_rotations(rotation, velocity, new, seconds=1 / 30, to=shipped())
    assert np.abs(np.linalg.norm(rotation, axis=-1) - 1).max() < 1e-12
    matrices = quaternions.to_rotation(rotation)
    np.testing.assert_allclose(
        matrices @ matrices.swapaxes(1, 2), np.tile(np.eye(3), (16, 1, 1)), atol=1e-12
    )


@pytest.mark.parametrize('sign', [1, -1])
def test_a_quaternion_and_its_negative_are_the_same_measurement(sign):
    angles = np.linspace(0, 1.5, 20)
    measured = rotations_about(AXIS, angles)
    other = measured * np.where(np.arange(20) % 2, sign, 1)[:, None]
    turn = quaternions.turn_between(
        filtered_rotations(measured, shipped(turns=True)),
        filtered_rotations(other, shipped(turns=True)),
    )
    assert np.abs(turn).max() < 1e-12


def test_a_hand_that_turns_past_half_a_turn_goes_on_the_short_way():
    # Axis-angle vectors jump from +pi to -pi here; averaging them would swing through zero.
    angles = np.radians(np.arange(150, 211, 3.0))
    found = filtered_rotations(rotations_about(AXIS, angles), shipped(turns=True))
    turns = quaternions.turn_between(found[:-1], found[1:]) @ AXIS
    assert (turns > 0).all()
    assert turns.max() < np.radians(6)
    behind = quaternions.turn_between(found[-1], rotations_about(AXIS, angles[-1:])[0]) @ AXIS
    assert 0 <= behind < np.radians(3)


def test_a_step_is_approached_without_overshoot():
    measured = np.zeros((90, 3))
    measured[1:] = 0.1 * AXIS
    way = filtered_places(measured, OneEuro(min_cutoff_hz=1.0)) @ AXIS
    assert (np.diff(way) >= 0).all()
    assert way.max() <= 0.1 + 1e-12
    # Backward Euler of a first-order low-pass with a time constant of 1 / (2 pi 1 Hz).
    expected = 0.1 * (1 - (1 - share(1.0, 1 / RATE_HZ)) ** np.arange(90))
    np.testing.assert_allclose(way, expected, atol=1e-12)


def test_the_faster_the_ramp_the_smaller_the_lag():
    times = np.arange(120) / RATE_HZ
    lags = []
    for speed in (0.01, 0.1, 0.5, 1.0):
        found = filtered_places(speed * times[:, None] * AXIS, shipped()) @ AXIS
        lags.append((speed * times[-1] - found[-1]) / speed)
    assert sorted(lags, reverse=True) == lags
    assert lags[-1] < 0.006  # seconds at 1 m/s
    assert lags[0] > 0.05  # and at 10 mm/s it does smooth


@pytest.mark.parametrize('rate_hz', [60.0, 120.0])
def test_the_lag_in_time_does_not_depend_on_the_frame_rate(rate_hz):
    def lag_s(rate):
        times = np.arange(round(3 * rate)) / rate
        found = filtered_places(0.2 * times[:, None] * AXIS, OneEuro(min_cutoff_hz=2.0, beta=0.0),
                                rate_hz=rate)  # fmt: skip
        return times[-1] - found[-1] @ AXIS / 0.2

    # A low-pass lags behind a ramp by its time constant, 1 / (2 pi 2 Hz) = 80 ms.
    assert lag_s(30.0) == pytest.approx(1 / (4 * np.pi), abs=1e-6)
    assert lag_s(rate_hz) == pytest.approx(lag_s(30.0), abs=1e-6)


def test_images_at_uneven_times_lag_no_more_than_even_ones():
    rng = np.random.default_rng(7)
    gaps = rng.choice([1 / 60, 1 / 30, 1 / 15], 200)
    times = np.cumsum(gaps)
    to = OneEuro(min_cutoff_hz=2.0, beta=0.0)
    place, velocity, lags = 0.2 * times[0] * AXIS, np.zeros(3), []
    for time, gap in zip(times[1:], gaps[1:], strict=True):
        place, velocity = step_places(place, velocity, 0.2 * time * AXIS, seconds=gap, to=to)
        lags.append(time - place @ AXIS / 0.2)
    assert np.mean(lags[50:]) == pytest.approx(1 / (4 * np.pi), abs=0.003)  # seconds


def test_many_hands_with_times_of_their_own_are_filtered_as_each_alone():
    rng = np.random.default_rng(8)
    places, rotations = rng.normal(size=(3, 3)), rng.normal(size=(3, 16, 3))
    new = places + rng.normal(0, 0.1, (3, 3))
    turns = quaternions.from_axis_angle(rotations)
    new_turns = quaternions.from_axis_angle(rotations + rng.normal(0, 0.3, (3, 16, 3)))
    seconds = np.array([0.01, 1 / 30, 0.2])
    still, still_turns = rng.normal(size=(3, 3)), rng.normal(size=(3, 16, 3))
    together = step_places(places, still, new, seconds=seconds, to=shipped())
    together += step_rotations(
        turns, still_turns, new_turns, seconds=seconds[:, None], to=shipped(turns=True)
    )
    for i, gap in enumerate(seconds):
        alone = step_places(places[i], still[i], new[i], seconds=gap, to=shipped())
        alone += step_rotations(
            turns[i], still_turns[i], new_turns[i], seconds=gap, to=shipped(turns=True)
        )
        for batched, single in zip(together, alone, strict=True):
            np.testing.assert_allclose(batched[i], single, atol=1e-12)
