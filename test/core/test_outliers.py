"""A hand that jumps is held back, and believed under a new id only when it stays."""

import dataclasses

import numpy as np
import pytest
from hands import BACK_OF_HAND, posed_hand, renamed

from hand_perception import geometry
from hand_perception.models.hand_model import load_hand_model
from hand_perception.pipeline.outliers import GateState, OutlierGate, finite_hands

STEP_NS = 33_333_333


@pytest.fixture(scope='module')
def model():
    return load_hand_model('default')


def turned(degrees, axis=(0.0, 1.0, 0.0)):
    """The orientation turned about a camera axis."""
    return geometry.rotation_from_axis_angle(np.radians(degrees) * np.array(axis)) @ BACK_OF_HAND


class Run:
    """Feeds hands to a gate image by image."""

    def __init__(self, **limits):
        gate = OutlierGate()
        self.gate = OutlierGate(dataclasses.replace(gate.limits, **limits))
        self.state = GateState()
        self.image = 0
        self.next_id = 100

    def __call__(self, *hands, images=1):
        self.image += images
        gated = self.gate.step(self.state, hands, self.image * STEP_NS, next_track_id=self.next_id)
        self.next_id = gated.next_track_id
        return gated


def ids(gated):
    return [hand.track_id for hand in gated.hands]


def test_a_hand_that_moves_as_hands_do_passes_untouched(model):
    run = Run()
    for k in range(20):
        hand = posed_hand(
            model, wrist_m=(0.06 * k - 0.6, 0.0, 0.5), rotation=turned(12 * k)
        )  # 1.8 m/s, 360 degrees/s
        gated = run(hand)
        assert gated.hands == (hand,)
        assert gated.held == gated.renamed == ()


@pytest.mark.parametrize(
    'jumped',
    [{'wrist_m': (0.3, 0.05, 0.45)}, {'wrist_m': (0.0, 0.05, 0.75)}, {'rotation': turned(50)}],
    ids=['sideways', 'away', 'tipped'],
)
def test_one_wrong_image_is_held_back_and_the_hand_goes_on(model, jumped):
    run, good = Run(), posed_hand(model)
    run(good)
    wrong = run(posed_hand(model, **jumped))
    assert wrong.hands == ()
    assert wrong.held == (1,)
    assert ids(run(good)) == [1]


def test_a_jump_that_stays_is_believed_in_the_third_image_under_a_new_id(model):
    run = Run()
    run(posed_hand(model))
    elsewhere = posed_hand(model, wrist_m=(0.3, 0.05, 0.45))
    assert [ids(run(elsewhere)) for _ in range(3)] == [[], [], [100]]
    assert run.next_id == 101
    assert ids(run(renamed(elsewhere, 100))) == [100]


def test_a_jump_is_not_let_through_because_time_passed_while_it_was_held(model):
    # 40 degrees in one image are a jump, in two images they would be none.
    run = Run()
    run(posed_hand(model))
    tipped = posed_hand(model, rotation=turned(40))
    assert [ids(run(tipped)) for _ in range(3)] == [[], [], [100]]


def test_a_hand_that_jumps_to_and_fro_is_seen_only_where_it_was_believed(model):
    run = Run()
    here, there = posed_hand(model), posed_hand(model, wrist_m=(0.4, 0.05, 0.45))
    run(here)
    for _ in range(10):
        assert ids(run(there)) == []
        assert ids(run(here)) == [1]


def test_a_hand_that_jumps_anew_in_every_image_is_never_believed(model):
    run = Run()
    run(posed_hand(model))
    for k in range(30):
        gated = run(posed_hand(model, wrist_m=(0.4 * (-1) ** k, 0.3 * (k % 3), 0.45)))
        assert ids(gated) == []


def test_at_a_low_rate_a_jump_is_believed_in_the_second_image(model):
    run = Run()
    run(posed_hand(model))
    elsewhere = posed_hand(model, wrist_m=(0.8, 0.05, 0.45))
    assert [ids(run(elsewhere, images=3)) for _ in range(2)] == [[], [100]]  # 10 Hz


def test_a_hand_that_was_away_for_long_may_be_anywhere(model):
    run = Run()
    run(posed_hand(model))
    run(images=20)
    assert ids(run(posed_hand(model, wrist_m=(0.4, 0.05, 0.7)))) == [1]


def test_hands_are_judged_each_alone(model):
    run = Run()
    left, right = posed_hand(model, track_id=1, is_right=False), posed_hand(model, track_id=2)
    run(left, right)
    jumped = posed_hand(model, track_id=2, wrist_m=(0.4, 0.05, 0.45))
    gated = run(left, jumped)
    assert ids(gated) == [1]
    assert gated.held == (2,)


def spoiled(hand, name, number):
    """The hand with the last number of a field, or of its parameters, replaced."""
    is_parameter = hasattr(hand.parameters, name)
    values = np.array(getattr(hand.parameters if is_parameter else hand, name))
    values.flat[-1] = number
    if is_parameter:
        changed = dataclasses.replace(hand.parameters, **{name: values})
        return dataclasses.replace(hand, parameters=changed)
    return dataclasses.replace(hand, **{name: values if values.ndim else number})


@pytest.mark.parametrize('number', [np.nan, np.inf])
@pytest.mark.parametrize(
    'name',
    [
        'keypoints_3d', 'keypoints_2d', 'vertices', 'wrist_rotation', 'flexion', 'bbox_xyxy',
        'betas', 'hand_pose', 'transl', 'global_orient', 'pinch', 'grasp', 'pinch_distance_m',
        'confidence', 'depth_stddev_m',
    ],
)  # fmt: skip
def test_a_hand_with_a_number_that_is_none_is_held_back(model, name, number):
    run = Run()
    hand = posed_hand(model)
    wrong = spoiled(hand, name, number)
    assert finite_hands([hand, wrong]) == (hand,)
    gated = run(wrong)
    assert (gated.hands, gated.held) == ((), (1,))
    assert ids(run(hand)) == [1]
    assert run(wrong).hands == ()


def test_memory_is_bounded_by_time_and_number(model):
    run, hand = Run(), posed_hand(model)
    for k in range(200):
        run(renamed(hand, k))
    assert len(run.state.memories) <= 32
    run(images=100)
    assert run.state.memories == {}
