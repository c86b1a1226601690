"""Anchors of still hands, and the relative motion of an arm."""

import numpy as np
import pytest
from teleop_fakes import START_NS, STILL, observation

from hand_perception.geometry import quaternion_from_rotation, rotation_from_axis_angle
from hand_perception.teleop.mapping import RelativeMotion, StillHand
from hand_perception.teleop.settings import TeleopSettings
from hand_perception.teleop.vectors import (
    angle_between,
    as_quaternion,
    mean_quaternion,
    multiply,
    quaternion_from_vector,
    rotated,
    turn_between,
    vector_from_quaternion,
)

PERIOD_NS = 33_333_333


def show(still, positions, *, turns=None, first=0):
    for number, position in enumerate(positions, first):
        quaternion = STILL if turns is None else quaternion_from_vector(turns[number - first])
        stamp_ns = START_NS + number * PERIOD_NS
        still.add(observation(stamp_ns, number, position=position, quaternion=quaternion))


def test_the_anchor_is_the_mean_of_a_hand_that_is_held_still():
    rng = np.random.default_rng(0)
    still = StillHand(TeleopSettings(anchor_s=0.4))
    positions = np.array([0.1, 0.2, 0.4]) + rng.normal(0, 0.002, (14, 3))
    turns = np.array([0.3, -0.2, 0.1]) + rng.normal(0, 0.01, (14, 3))
    show(still, positions.tolist()[:13], turns=turns.tolist())
    assert still.anchor is None  # 0.3999996 s
    show(still, positions.tolist()[13:], turns=turns.tolist()[13:], first=13)
    position, quaternion = still.anchor
    assert position == pytest.approx(positions.mean(0))
    # The mean of 13 turns with 10 mrad of noise each is good to 3 mrad.
    assert angle_between(quaternion, quaternion_from_vector((0.3, -0.2, 0.1))) < 0.01


def test_a_hand_that_moves_gives_no_anchor():
    still = StillHand(TeleopSettings())
    show(still, [(0.1 + 0.003 * i, 0.1, 0.4) for i in range(60)])  # 9 cm/s
    assert not still.is_still
    assert still.anchor is None


def test_a_hand_that_turns_gives_no_anchor():
    still = StillHand(TeleopSettings())
    show(still, [(0.1, 0.1, 0.4)] * 60, turns=[(0.0, 0.04 * i, 0.0) for i in range(60)])
    assert not still.is_still
    assert still.anchor is None


def test_after_moving_the_anchor_holds_only_the_time_of_rest():
    still = StillHand(TeleopSettings(anchor_s=0.4))
    show(still, [(0.5 - 0.01 * i, 0.1, 0.4) for i in range(30)])
    show(still, [(0.21, 0.1, 0.4)] * 20, first=30)
    assert still.anchor[0] == pytest.approx((0.21, 0.1, 0.4))


def test_the_same_image_again_does_not_make_a_hand_stiller():
    still = StillHand(TeleopSettings(anchor_s=0.05))
    for _ in range(50):
        still.add(observation(START_NS))
    assert still.anchor is None


def motion(**settings):
    return RelativeMotion.from_settings(
        TeleopSettings(**settings),
        hand=((0.1, 0.2, 0.5), quaternion_from_vector((0.3, 0.1, -0.2))),
        arm=((0.4, -0.1, 0.3), quaternion_from_vector((0.0, 1.2, 0.4))),
    )


def test_at_its_anchor_the_hand_asks_for_the_arm_to_stay():
    relative = motion()
    position, quaternion = relative.goal(*relative.hand)
    assert position == pytest.approx(relative.arm[0])
    assert angle_between(quaternion, relative.arm[1]) < 1e-9


def test_a_camera_that_looks_ahead_maps_to_ahead_left_and_up():
    relative = motion()
    anchor = np.array(relative.hand[0])
    for hand, arm in (
        ((0, 0, 0.1), (0.1, 0, 0)),  # away from the camera: ahead
        ((0.1, 0, 0), (0, -0.1, 0)),  # right in the image: to the right of the robot
        ((0, 0.1, 0), (0, 0, -0.1)),  # down in the image: down
    ):
        position, _ = relative.goal(tuple(anchor + hand), relative.hand[1])
        assert np.subtract(position, relative.arm[0]) == pytest.approx(arm)


def test_the_scale_changes_the_way_but_not_the_turn():
    turned = multiply(quaternion_from_vector((0.0, 0.0, 0.5)), motion().hand[1])
    moved = (0.1, 0.2, 0.6)
    whole, half = motion().goal(moved, turned), motion(scale=0.5).goal(moved, turned)
    assert np.subtract(half[0], motion().arm[0]) == pytest.approx(
        np.subtract(whole[0], motion().arm[0]) / 2
    )
    assert half[1] == pytest.approx(whole[1])


def test_a_turn_about_an_axis_of_the_camera_is_a_turn_about_the_mapped_axis():
    relative = motion()
    # About the view axis z of the camera: that is x of the base.
    turned = multiply(quaternion_from_vector((0.0, 0.0, 0.5)), relative.hand[1])
    _, quaternion = relative.goal(relative.hand[0], turned)
    assert turn_between(relative.arm[1], quaternion) == pytest.approx((0.5, 0.0, 0.0), abs=1e-9)


def test_an_arm_that_does_not_turn_keeps_its_orientation():
    relative = motion(follow_rotation=False)
    turned = multiply(quaternion_from_vector((0.4, 0.2, 0.5)), relative.hand[1])
    assert relative.goal(relative.hand[0], turned)[1] == relative.arm[1]


def test_mapping_agrees_with_matrices():
    rng = np.random.default_rng(3)
    for _ in range(50):
        axis_map = rotation_from_axis_angle(rng.normal(size=3))
        relative = motion(axis_map=' '.join(f'{v:.15g}' for v in axis_map.ravel()), scale=0.7)
        hand = rotation_from_axis_angle(rng.normal(size=3))
        place = rng.normal(size=3)
        position, quaternion = relative.goal(
            tuple(place), as_quaternion(quaternion_from_rotation(hand))
        )
        anchor = rotation_from_axis_angle(np.array(vector_from_quaternion(relative.hand[1])))
        arm = rotation_from_axis_angle(np.array(vector_from_quaternion(relative.arm[1])))
        expected = axis_map @ hand @ anchor.T @ axis_map.T @ arm
        assert position == pytest.approx(
            np.array(relative.arm[0]) + 0.7 * axis_map @ (place - relative.hand[0])
        )
        got = rotation_from_axis_angle(np.array(vector_from_quaternion(quaternion)))
        assert got == pytest.approx(expected, abs=1e-9)


def test_vectors_and_quaternions_round_trip():
    rng = np.random.default_rng(1)
    for vector in [*rng.normal(size=(50, 3)), np.zeros(3), np.array([1e-12, 0, 0])]:
        if np.linalg.norm(vector) < np.pi:
            back = vector_from_quaternion(quaternion_from_vector(tuple(vector)))
            assert back == pytest.approx(tuple(vector), abs=1e-12)
        turned = rotated(quaternion_from_vector(tuple(vector)), (1.0, 2.0, 3.0))
        assert turned == pytest.approx(
            rotation_from_axis_angle(vector) @ [1.0, 2.0, 3.0], abs=1e-9
        )


def test_the_mean_of_orientations_does_not_depend_on_signs():
    a, b = quaternion_from_vector((0.2, 0.0, 0.0)), quaternion_from_vector((0.4, 0.0, 0.0))
    negative = tuple(-value for value in b)
    for mean in (mean_quaternion([a, b]), mean_quaternion([a, negative])):
        assert angle_between(mean, quaternion_from_vector((0.3, 0.0, 0.0))) < 1e-9
