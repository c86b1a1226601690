"""Quaternions agree with the rotation matrices that everything else is made of."""

import numpy as np
import pytest

from hand_perception import geometry
from hand_perception.pipeline import quaternions


@pytest.fixture
def vectors():
    """Axis-angle vectors of every length up to half a turn, none and nearly none among them."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(200, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lengths = np.concatenate([[0.0, 1e-12, 1e-7, 1e-5, np.pi - 1e-6], rng.uniform(0, 3.1, 195)])
    return lengths[:, None] * directions


def test_axis_angle_goes_there_and_back(vectors):
    found = quaternions.to_axis_angle(quaternions.from_axis_angle(vectors))
    np.testing.assert_allclose(found, vectors, rtol=1e-9, atol=1e-15)


def test_they_give_the_matrices_of_the_axis_angle_vectors(vectors):
    found = quaternions.to_rotation(quaternions.from_axis_angle(vectors))
    np.testing.assert_allclose(found, geometry.rotation_from_axis_angle(vectors), atol=1e-12)


def test_products_turn_as_products_of_matrices_do(vectors):
    a, b = vectors, vectors[::-1]
    product = quaternions.multiply(*map(quaternions.from_axis_angle, (a, b)))
    expected = geometry.rotation_from_axis_angle(a) @ geometry.rotation_from_axis_angle(b)
    np.testing.assert_allclose(quaternions.to_rotation(product), expected, atol=1e-12)


def test_turning_on_by_the_turn_between_two_leads_from_one_to_the_other(vectors):
    a, b = map(quaternions.from_axis_angle, (vectors, vectors[::-1]))
    turn = quaternions.turn_between(a, b)
    assert np.linalg.norm(turn, axis=-1).max() <= np.pi + 1e-12
    found = quaternions.turned(a, turn)
    np.testing.assert_allclose(
        quaternions.to_rotation(found), quaternions.to_rotation(b), atol=1e-9
    )


def test_mirroring_is_that_of_points(vectors):
    points = np.random.default_rng(1).normal(size=(200, 3))
    turned = quaternions.to_rotation(quaternions.from_axis_angle(vectors)) @ points[..., None]
    other = quaternions.mirrored(quaternions.from_axis_angle(vectors))
    found = quaternions.to_rotation(other) @ geometry.mirror_points(points)[..., None]
    np.testing.assert_allclose(found[..., 0], geometry.mirror_points(turned[..., 0]), atol=1e-12)
