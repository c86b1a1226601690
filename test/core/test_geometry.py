"""Rotations, mirroring and hand measures have known answers and inverses."""

import numpy as np
import pytest

from hand_perception import geometry
from hand_perception.datatypes import JOINT_NAMES, JOINT_PARENTS


def random_axis_angles(count, *, largest=np.pi):
    rng = np.random.default_rng(0)
    axis = rng.normal(size=(count, 3))
    axis /= np.linalg.norm(axis, axis=-1, keepdims=True)
    return axis * rng.uniform(0, largest, (count, 1))


def flat_hand():
    """Keypoints of a flat right hand: fingers -x, thumb +z, palm -y, 30 mm bones."""
    keypoints = np.zeros((21, 3))
    for finger in range(5):
        for bone in range(4):
            keypoints[1 + 4 * finger + bone] = [-0.06 - 0.03 * bone, 0, 0.04 - 0.02 * finger]
    return keypoints


def test_a_quarter_turn_about_z_takes_x_to_y():
    rotation = geometry.rotation_from_axis_angle(np.array([0, 0, np.pi / 2]))
    np.testing.assert_allclose(rotation @ [1, 0, 0], [0, 1, 0], atol=1e-15)
    np.testing.assert_allclose(
        geometry.quaternion_from_rotation(rotation), [0, 0, np.sqrt(0.5), np.sqrt(0.5)], atol=1e-15
    )


def test_axis_angle_round_trips_through_matrices():
    vectors = random_axis_angles(500, largest=np.pi - 1e-6)
    back = geometry.axis_angle_from_rotation(geometry.rotation_from_axis_angle(vectors))
    np.testing.assert_allclose(back, vectors, atol=1e-9)  # rad: float64 near half a turn


@pytest.mark.parametrize('size', [0.0, 1e-9, 1e-7, 1e-5])
def test_tiny_rotations_round_trip(size):
    vector = np.array([[size, -size, 2 * size]])
    back = geometry.axis_angle_from_rotation(geometry.rotation_from_axis_angle(vector))
    np.testing.assert_allclose(back, vector, atol=1e-15)


def test_half_turns_have_unit_quaternions():
    rotations = geometry.rotation_from_axis_angle(np.pi * np.eye(3))
    quaternions = geometry.quaternion_from_rotation(rotations)
    np.testing.assert_allclose(np.abs(quaternions), np.eye(4)[:3], atol=1e-9)


def test_swing_turns_one_direction_to_the_other_also_when_opposite():
    rng = np.random.default_rng(1)
    source = rng.normal(size=(100, 3))
    target = rng.normal(size=(100, 3))
    target[0] = -source[0]
    target[1] = source[1]
    rotation = geometry.swing_rotation(source, target)
    np.testing.assert_allclose(np.linalg.det(rotation), 1, atol=1e-9)
    turned = (rotation @ source[..., None])[..., 0] / np.linalg.norm(source, axis=-1)[:, None]
    wanted = target / np.linalg.norm(target, axis=-1)[:, None]
    np.testing.assert_allclose(turned, wanted, atol=1e-9)


def test_mirroring_twice_changes_nothing():
    points = np.random.default_rng(2).normal(size=(21, 3))
    np.testing.assert_array_equal(geometry.mirror_points(geometry.mirror_points(points)), points)
    vectors = random_axis_angles(10)
    back = geometry.mirror_axis_angle(geometry.mirror_axis_angle(vectors))
    np.testing.assert_array_equal(back, vectors)


def test_mirroring_a_rotation_mirrors_what_it_does_to_points():
    vectors = random_axis_angles(20)
    point = np.array([0.3, -0.2, 0.5])
    turned = geometry.rotation_from_axis_angle(vectors) @ point
    mirrored = geometry.rotation_from_axis_angle(
        geometry.mirror_axis_angle(vectors)
    ) @ geometry.mirror_points(point)
    np.testing.assert_allclose(mirrored, geometry.mirror_points(turned), atol=1e-12)


@pytest.mark.parametrize('is_right', [True, False])
def test_wrist_axes_point_to_the_fingers_and_out_of_the_back(is_right):
    towards_fingers = np.array([-1.0, 0, 0]) if is_right else np.array([1.0, 0, 0])
    rotation = geometry.wrist_rotation(np.zeros(3), is_right=is_right)
    np.testing.assert_allclose(np.linalg.det(rotation), 1)
    np.testing.assert_allclose(rotation @ [1, 0, 0], towards_fingers)
    np.testing.assert_allclose(rotation @ [0, 0, 1], [0, 1, 0])  # the palm faces -y


def test_a_flat_finger_is_straight_and_a_right_angle_is_measured():
    keypoints = flat_hand()
    np.testing.assert_allclose(geometry.flexion_angles(keypoints)[7:9], 0, atol=1e-7)
    keypoints[8] = keypoints[7] + [0, -0.03, 0]  # index tip bent to the palm
    flexion = geometry.flexion_angles(keypoints)
    assert flexion.shape == (15,)
    np.testing.assert_allclose(flexion[5], np.pi / 2, atol=1e-7)


def test_pinch_closes_when_the_tips_touch_and_grasp_when_fingers_curl():
    keypoints = flat_hand()
    distance, pinch, grasp = geometry.pinch_and_grasp(keypoints)
    assert distance == pytest.approx(0.02)
    assert grasp < 0.3
    keypoints[4] = keypoints[8]
    distance, pinch, _ = geometry.pinch_and_grasp(keypoints)
    assert (distance, pinch) == (0, 1)
    for first in (5, 9, 13, 17):
        keypoints[first + 1] = keypoints[first] + [0, -0.03, 0]
        keypoints[first + 2] = keypoints[first + 1] + [0.03, 0, 0]
        keypoints[first + 3] = keypoints[first + 2] + [0, 0.03, 0]
    assert geometry.pinch_and_grasp(keypoints)[2] == 1


def test_every_joint_has_a_parent_nearer_to_the_wrist():
    assert len(JOINT_NAMES) == len(set(JOINT_NAMES)) == len(JOINT_PARENTS) == 21
    assert all(parent < joint for joint, parent in enumerate(JOINT_PARENTS) if joint)
    bones = geometry.bone_vectors(flat_hand())
    np.testing.assert_allclose(bones[5], [-0.03, 0, 0], atol=1e-12)  # index pip from index mcp


@pytest.mark.parametrize('degrees', [0.0, 0.5, 30.0, 179.0])
def test_angle_between_rotations_is_that_of_the_turn(degrees):
    axis = np.array([0.6, -0.48, 0.64])
    turn = geometry.rotation_from_axis_angle(np.radians(degrees) * axis)
    first = geometry.rotation_from_axis_angle(np.array([0.3, 1.0, -2.0]))
    found = np.degrees(geometry.angle_between(first, first @ turn))
    assert found == pytest.approx(degrees, abs=1e-4)
