"""Which images HTT looks at: told by stamps, whatever the camera and the computer do."""

import numpy as np
import pytest

from hand_perception.pipeline.tokens import TokenClock

START_NS = 1_700_000_000_000_000_000
MS = 1_000_000


def stamps(rate_hz, seconds):
    """Stamps of a camera without jitter, whole nanoseconds as drivers give them."""
    return [START_NS + round(i * 1e9 / rate_hz) for i in range(round(rate_hz * seconds))]


def run(stamps_ns, *, rate_hz=15.0, gap_s=0.5, num_phases=1):
    """The clock after all images, and what it said of each."""
    clock = TokenClock(rate_hz, gap_s=gap_s, num_phases=num_phases)
    return clock, [clock.choose(int(stamp)) for stamp in stamps_ns]


def chosen(stamps_ns, **settings):
    """Numbers of the images that are tokens."""
    _, choices = run(stamps_ns, **settings)
    return [i for i, choice in enumerate(choices) if choice.is_token]


def spacings_ms(stamps_ns, **settings):
    tokens = np.asarray(stamps_ns)[chosen(stamps_ns, **settings)]
    return np.diff(tokens) / MS


@pytest.mark.parametrize(('rate_hz', 'step'), [(30, 2), (60, 4), (120, 8), (15, 1), (45, 3)])
def test_every_nth_image_of_a_camera_of_an_exact_multiple_is_a_token(rate_hz, step):
    images = stamps(rate_hz, 120)
    assert chosen(images) == list(range(0, len(images), step))


@pytest.mark.parametrize('rate_hz', [29.97, 30.03, 59.94, 28, 32])
def test_grid_follows_a_camera_that_is_nearly_a_multiple(rate_hz):
    images = stamps(rate_hz, 600)
    step = round(rate_hz / 15)
    assert chosen(images) == list(range(0, len(images), step))


@pytest.mark.parametrize('rate_hz', [20, 24, 25])
def test_other_cameras_give_the_nearest_images_and_no_drift(rate_hz):
    images = stamps(rate_hz, 60)
    tokens = np.asarray(images)[chosen(images)]
    due = START_NS + np.arange(len(tokens)) * 1e9 / 15
    half_interval = 0.5e9 / rate_hz
    assert len(tokens) == 15 * 60
    assert np.abs(tokens - due).max() <= half_interval + 1  # a nanosecond of rounding


@pytest.mark.parametrize('rate_hz', [12, 10, 8, 5])
def test_every_image_of_a_slow_camera_is_a_token(rate_hz):
    images = stamps(rate_hz, 30)
    clock, choices = run(images)
    assert all(choice.is_token for choice in choices)
    assert not any(choice.reset_reason for choice in choices)
    assert bool(clock.slow_reason) == (rate_hz < 10)


def test_a_camera_that_is_too_slow_is_told_with_both_rates():
    clock, _ = run(stamps(5, 10))
    assert clock.slow_reason == 'images come too slowly: 5.0 per second, HTT wants 15.0'


def test_one_long_gap_between_tokens_is_not_a_slow_camera():
    images = stamps(30, 2)
    clock, _ = run(images + [images[-1] + 400 * MS])
    assert clock.slow_reason == ''


def test_jitter_of_the_stamps_changes_no_token():
    rng = np.random.default_rng(3)
    images = np.array(stamps(30, 100)) + rng.integers(-5 * MS, 5 * MS, 3000)
    assert chosen(images) == list(range(0, 3000, 2))


def test_a_lost_token_is_replaced_by_the_next_image_and_the_grid_goes_on_from_there():
    images = stamps(30, 1)
    del images[10]  # a token
    assert np.array_equal(np.round(spacings_ms(images)[3:8]), [67, 100, 67, 67, 67])


def test_a_lost_image_between_tokens_changes_nothing():
    images = stamps(30, 1)
    del images[11]
    assert np.allclose(spacings_ms(images), 1e3 / 15, atol=1e-5)  # 10 ns: rounding of stamps


def test_tokens_are_never_nearer_than_two_images_when_many_are_lost():
    rng = np.random.default_rng(1)
    images = np.array(stamps(30, 100))
    images = images[rng.random(len(images)) > 0.3]
    assert spacings_ms(images).min() > 66


def test_a_late_image_is_taken_and_is_no_reset():
    images = stamps(30, 1)
    images[20] += 25 * MS
    _, choices = run(images)
    assert choices[20].is_token
    assert not any(choice.reset_reason for choice in choices)


@pytest.mark.parametrize('rate_hz', [30, 29.97, 30.03])
def test_phases_take_turns_and_lost_images_do_not_swap_them(rate_hz):
    rng = np.random.default_rng(2)
    images = np.array(stamps(rate_hz, 200)) + rng.integers(-3 * MS, 3 * MS, round(rate_hz * 200))
    kept = np.flatnonzero(rng.random(len(images)) > 0.25)
    clock, choices = run(images[kept], num_phases=2)
    assert all(choice.is_token for choice in choices)
    wanted = (kept - kept[0]) % 2
    assert [choice.phase for choice in choices] == wanted.tolist()
    assert 'two phases' not in clock.slow_reason


def test_two_phases_of_a_fast_camera_take_every_second_image():
    images = stamps(60, 20)
    _, choices = run(images, num_phases=2)
    tokens = [i for i, choice in enumerate(choices) if choice.is_token]
    assert tokens == list(range(0, len(images), 2))
    assert [choices[i].phase for i in tokens[:4]] == [0, 1, 0, 1]


@pytest.mark.parametrize('rate_hz', [15, 14.9, 7.5])
def test_a_camera_that_leaves_a_phase_empty_is_told(rate_hz):
    clock, choices = run(stamps(rate_hz, 20), num_phases=2)
    if rate_hz == 15:
        assert {choice.phase for choice in choices} == {0}
    assert clock.slow_reason == (
        f'images come too slowly for two phases: {rate_hz:.1f} per second, all in one of them, '
        'HTT wants 30.0'
    )
    one_phase, _ = run(stamps(15, 20))
    assert one_phase.slow_reason == ''


def test_a_phase_that_gets_its_images_back_is_no_longer_empty():
    images = stamps(30, 4)
    clock, _ = run([*images[:60:2], *images[60:64]], num_phases=2)
    assert clock.slow_reason == ''


def test_a_camera_too_slow_for_two_phases_is_told():
    clock, _ = run(stamps(10, 20), num_phases=2)
    assert 'in each phase' in clock.slow_reason


@pytest.mark.parametrize('num_phases', [1, 2])
def test_rate_0_takes_every_image_and_phases_take_turns(num_phases):
    images = [START_NS + ms * MS for ms in (0, 3, 200, 201, 500, 500, 740)]
    clock, choices = run(images, rate_hz=0.0, num_phases=num_phases)
    assert all(choice.is_token for choice in choices)
    assert [choice.phase for choice in choices] == [i % num_phases for i in range(7)]
    assert clock.slow_reason == ''


def test_a_gap_starts_anew_with_its_reason():
    images = stamps(30, 1)
    images += [stamp + 1_700 * MS for stamp in images]
    _, choices = run(images)
    reasons = {i: choice.reset_reason for i, choice in enumerate(choices) if choice.reset_reason}
    # The last token is the 29th image, 933 ms after the first; the gap ends 1700 ms after it.
    assert reasons == {30: 'no image to look at for 0.767 s'}
    assert choices[30].is_token


def test_stamps_that_go_back_start_anew_with_their_reason():
    images = stamps(30, 1)
    _, choices = run([*images, images[10]])
    assert choices[-1].is_token
    assert choices[-1].reset_reason == 'stamps went back by 0.633 s'


def test_the_same_stamp_again_is_no_token():
    images = stamps(30, 1)
    _, choices = run([images[0], images[0], *images[1:]])
    assert not choices[1].is_token
    assert [i for i, choice in enumerate(choices) if choice.is_token][:3] == [0, 3, 5]


def test_a_rate_below_the_gap_does_not_start_anew_at_every_token():
    images = stamps(30, 20)
    _, choices = run(images, rate_hz=1.0, gap_s=0.5)
    assert sum(choice.is_token for choice in choices) == 20
    assert not any(choice.reset_reason for choice in choices)


def test_a_clock_that_started_anew_chooses_as_a_new_one():
    images = stamps(30, 5)
    later = [stamp + 20_000 * MS for stamp in stamps(29.97, 5)]
    clock, _ = run(images)
    again = [clock.choose(stamp).is_token for stamp in later]
    assert again == [choice.is_token for choice in run(later)[1]]


@pytest.mark.parametrize(('rate_hz', 'num_phases'), [(10, 1), (10, 2), (15, 2)])
def test_a_clock_whose_stamps_went_back_measures_the_camera_anew(rate_hz, num_phases):
    images = stamps(rate_hz, 2)
    later = [images[-1] - 50 * MS + round(i * 1e9 / rate_hz) for i in range(12)]
    clock, _ = run(images, num_phases=num_phases)
    fresh = TokenClock(15.0, gap_s=0.5, num_phases=num_phases)
    for stamp in later:
        again, wanted = clock.choose(stamp), fresh.choose(stamp)
        assert (again.is_token, again.phase) == (wanted.is_token, wanted.phase)
        assert clock.slow_reason == fresh.slow_reason
