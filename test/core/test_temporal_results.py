"""Raw outputs to metres and to pixels of the picture they were seen in."""

import dataclasses

import numpy as np
import pytest
from htt_streams import CAMERA, token

from hand_perception.datatypes import Camera
from hand_perception.models.htt.lift import lift
from hand_perception.pipeline.lift import project
from hand_perception.pipeline.temporal import Rows
from hand_perception.pipeline.temporal_results import token_results

FULL_HD = Camera(width=1920, height=1080, fx=1395.7, fy=1395.7, cx=935.7, cy=540.7)
VGA = Camera(width=640, height=480, fx=520.0, fy=520.0, cx=321.0, cy=242.0)


def rows(*cameras, seed=0):
    """Raw outputs for one image of each camera: joints about the middle, at 0.3 to 0.6 m."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(0, 0.4, (len(cameras), 21, 3)).astype(np.float32)
    raw[..., 2] = rng.uniform(-2, 5, raw.shape[:2])
    return Rows(
        tokens=tuple(token(i, camera=camera) for i, camera in enumerate(cameras)),
        raw=raw,
        object_logits=rng.normal(size=(len(cameras), 3)).astype(np.float32),
    )


def test_an_image_of_the_networks_size_gets_the_published_arithmetic():
    made = rows(CAMERA)
    result = token_results(made, is_final=False)[0]
    pixels, depth, joints = lift(made.raw, CAMERA.K[None].astype(np.float32))
    np.testing.assert_array_equal(result.joints_3d, joints[0])
    np.testing.assert_array_equal(result.joints_2d, pixels[0])
    np.testing.assert_array_equal(result.depth, depth[0])


@pytest.mark.parametrize('camera', [FULL_HD, VGA], ids=['16:9', '4:3'])
def test_joints_lie_in_the_picture_where_their_projection_is(camera):
    result = token_results(rows(camera), is_final=True)[0]
    # 0.01 px: float32 over 2000 px.
    np.testing.assert_allclose(project(camera, result.joints_3d), result.joints_2d, atol=0.01)


@pytest.mark.parametrize(
    ('model', 'distortion'),
    [
        ('plumb_bob', (-0.25, 0.06, 1e-3, -5e-4, 0.0)),
        ('equidistant', (-0.02, 0.005, -0.002, 0.0003)),
    ],
)
def test_joints_of_a_distorted_camera_lie_on_true_viewing_rays(model, distortion):
    # fx and fy differ: the published arithmetic would take fx for both.
    camera = dataclasses.replace(FULL_HD, fy=1420.0, distortion_model=model, distortion=distortion)
    result = token_results(rows(camera), is_final=True)[0]
    np.testing.assert_allclose(project(camera, result.joints_3d), result.joints_2d, atol=0.01)
    np.testing.assert_array_equal(result.joints_3d[:, 2], result.depth)


def test_every_image_has_its_own_camera():
    made = rows(FULL_HD, VGA, CAMERA)
    together = token_results(made, is_final=True)
    for i, result in enumerate(together):
        alone = token_results(
            Rows(
                tokens=(made.tokens[i],),
                raw=made.raw[i : i + 1],
                object_logits=made.object_logits[i : i + 1],
            ),
            is_final=True,
        )[0]
        np.testing.assert_array_equal(result.joints_3d, alone.joints_3d)
        np.testing.assert_array_equal(result.joints_2d, alone.joints_2d)


def test_distance_is_proportional_to_the_focal_length_beyond_the_fixed_part():
    near, far = (
        token_results(rows(dataclasses.replace(CAMERA, fx=fx)), is_final=True)[0].depth
        for fx in (300.0, 600.0)
    )
    np.testing.assert_allclose(far - 0.4, 2 * (near - 0.4), atol=1e-6)  # a micrometre


def test_the_action_stands_with_the_newest_image():
    prob = np.array([0.2, 0.8], np.float32)
    results = token_results(rows(CAMERA, CAMERA), is_final=False, action_prob=prob)
    assert results[0].action_prob is None
    np.testing.assert_array_equal(results[1].action_prob, prob)
    assert [result.index for result in results] == [0, 1]
    assert results[1].stamp_ns == token(1).stamp_ns
    assert not results[0].is_final


def test_probabilities_of_objects_sum_to_1():
    result = token_results(rows(CAMERA), is_final=False)[0]
    assert result.object_prob.sum() == pytest.approx(1, abs=1e-6)


def test_no_rows_are_no_results():
    assert token_results(None, is_final=True) == ()
