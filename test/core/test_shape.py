"""The shape of a hand is averaged over its track and held."""

import numpy as np
import pytest

from hand_perception.pipeline.shape import ShapeMemory

EXACT = 1e-12  # float64 means of numbers of about 1


def guesses(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 10))


def feed(memory, betas, *, track_id=1, is_confident=True, hold_after=3):
    return [
        memory.step([track_id], row[None], [is_confident], hold_after=hold_after)[0]
        for row in betas
    ]


def test_shape_is_the_running_mean_and_then_held():
    betas = guesses(6)
    memory = ShapeMemory()
    used = feed(memory, betas)
    for i, row in enumerate(used):
        np.testing.assert_allclose(row, betas[: min(i + 1, 3)].mean(0), atol=EXACT)
    assert memory.is_held(1, hold_after=3)


def test_unsure_images_use_the_shape_but_do_not_change_it():
    betas = guesses(4)
    memory = ShapeMemory()
    np.testing.assert_array_equal(
        feed(memory, betas[:1], is_confident=False)[0], betas[0]
    )  # nothing known yet: as predicted
    feed(memory, betas[1:2])
    np.testing.assert_allclose(
        feed(memory, betas[2:3], is_confident=False)[0], betas[1], atol=EXACT
    )
    np.testing.assert_allclose(feed(memory, betas[3:])[0], betas[[1, 3]].mean(0), atol=EXACT)
    assert not memory.is_held(1, hold_after=3)


def test_numbers_that_are_not_finite_never_enter_the_mean():
    betas = guesses(2)
    betas[0, 4] = np.nan
    memory = ShapeMemory()
    feed(memory, betas[:1])
    np.testing.assert_array_equal(feed(memory, betas[1:])[0], betas[1])


def test_reset_equals_a_new_memory():
    memory = ShapeMemory()
    feed(memory, guesses(5))
    memory.reset()
    betas = guesses(2, seed=1)
    np.testing.assert_array_equal(feed(memory, betas), feed(ShapeMemory(), betas))


def test_tracks_have_their_own_shapes_whatever_their_order():
    betas = guesses(2)
    memory = ShapeMemory()
    memory.step([1, 2], betas, [True, True], hold_after=1)
    used = memory.step([2, 1], guesses(2, seed=1), [True, True], hold_after=1)
    np.testing.assert_array_equal(used, betas[::-1])


def test_memory_stays_bounded_over_ten_thousand_tracks():
    memory = ShapeMemory()
    betas = guesses(2)
    for i in range(10_000):
        memory.step([i, i + 1], betas, [True, True], hold_after=5)
        assert len(memory) == 2
    memory.step([], np.zeros((0, 10)), [], hold_after=5)
    assert len(memory) == 0


def test_no_holding_gives_the_guesses_back():
    betas = guesses(3)
    memory = ShapeMemory()
    np.testing.assert_array_equal(feed(memory, betas, hold_after=0), betas)
    assert len(memory) == 0
    assert not memory.is_held(1, hold_after=0)


def test_given_betas_are_not_changed():
    betas = guesses(1)
    before = betas.copy()
    memory = ShapeMemory()
    feed(memory, guesses(3, seed=2))
    memory.step([1], betas, [True], hold_after=3)
    np.testing.assert_array_equal(betas, before)


@pytest.mark.parametrize('hold_after', [1, 30])
def test_held_shape_jitters_less_than_its_guesses(hold_after):
    betas = guesses(200)
    used = np.array(feed(ShapeMemory(), betas, hold_after=hold_after))
    assert np.ptp(used[hold_after:], axis=0).max() == 0
    assert np.abs(used[-1]).mean() <= np.abs(betas).mean() * (1.5 if hold_after == 1 else 0.4)
