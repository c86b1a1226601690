"""Depth images tell distance, size and tilt of palms, whatever else they show."""

import dataclasses

import numpy as np
import pytest
import torch
from hands import half_closed
from stream_fakes import CAMERA

from hand_perception import geometry
from hand_perception.datatypes import DepthSource
from hand_perception.models.hand_model import load_hand_model
from hand_perception.pipeline.lift import SIZE_RATIO, monocular_depth, project
from hand_perception.pipeline.palm_depth import PalmSurface, sensor_stddev
from hand_perception.rendering.rasterizer import rasterize
from hand_perception.synthetic.depth_sensor import DepthSensor, sense_depth

#: The back of a right hand towards the camera, fingers up.
BACK = np.array([[0.0, 0, -1], [1, 0, 0], [0, -1, 0]])
MONO_RATIO = 0.08
TABLE_M = 0.62


@pytest.fixture(scope='module')
def model():
    return load_hand_model('default')


@pytest.fixture(scope='module')
def palm(model):
    return PalmSurface(model)


def surface(model, *, turn=(0.0, 0.0, 0.0), scale=1.0, curl=0.35):
    """(V, 3) vertices of a right hand 0.48 m away, turned about its palm's middle, radians."""
    rotation = geometry.rotation_from_axis_angle(np.array(turn)) @ BACK
    mesh = model(
        global_orient=torch.from_numpy(geometry.axis_angle_from_rotation(rotation))[None].float(),
        hand_pose=torch.from_numpy(half_closed(curl).reshape(1, 45)).float(),
        betas=torch.from_numpy(model.betas_for_scale(scale))[None].float(),
        transl=torch.zeros(1, 3),
    )
    vertices = mesh.vertices[0].double().numpy()
    middle = vertices[np.asarray(model.arrays.weights)[:, 0] > 0.5].mean(0)
    return vertices - middle + np.array([0.03, 0.02, 0.48])


def image_of(model, vertices, *, behind_m=TABLE_M, is_right=True):
    """(H, W) true depth of a hand over a table."""
    faces = model.faces.astype(np.int64)
    drawn = rasterize(
        project(CAMERA, vertices), vertices[:, 2], faces if is_right else faces[:, ::-1],
        width=CAMERA.width, height=CAMERA.height, cull_sign=-1,
    )  # fmt: skip
    depth = np.full((CAMERA.height, CAMERA.width), behind_m, np.float32)
    depth[drawn.rows, drawn.columns] = drawn.depth
    return depth


def measure(palm, depth, believed, *, is_right=True, mono_ratio=MONO_RATIO):
    return palm.measure(CAMERA, depth, believed, is_right=is_right, mono_ratio=mono_ratio)


@pytest.mark.parametrize('ratio', [0.85, 1.0, 1.2])
def test_a_palm_farther_than_believed_is_farther_by_that_ratio(model, palm, ratio):
    true = surface(model)
    found = measure(palm, image_of(model, true), true / ratio)
    assert found.scale == pytest.approx(ratio, abs=0.004)  # 2 mm at half a metre
    assert np.linalg.norm(found.tilt) < np.radians(2)


@pytest.mark.parametrize(
    'turn', [(0.3, 0.0, 0.0), (-0.3, 0.0, 0.0), (0.0, 0.25, 0.0), (0.2, -0.2, 0.0)]
)
def test_the_tilt_that_the_fit_missed_is_found(model, palm, turn):
    believed, true = surface(model), surface(model, turn=turn)
    found = measure(palm, image_of(model, true), believed)
    # Each degree believes a little in the fit, and the rims of the palm go out of sight.
    np.testing.assert_allclose(found.tilt, turn, atol=np.radians(6))


def test_a_left_hand_gives_what_its_mirror_image_gives(model, palm):
    turn = (0.2, -0.2, 0.0)
    true, believed = surface(model, turn=turn), surface(model)
    right = measure(palm, image_of(model, true), believed)
    left_image = image_of(model, geometry.mirror_points(true), is_right=False)
    left = measure(palm, left_image, believed, is_right=False)
    assert left.scale == pytest.approx(right.scale, abs=0.003)
    np.testing.assert_allclose(left.tilt, right.tilt, atol=np.radians(3))  # pixels of the edge


def test_a_real_sensor_costs_some_millimetres(model, palm):
    true = surface(model)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        told = sense_depth(image_of(model, true), CAMERA, DepthSensor(), rng)
        found = measure(palm, told, true / 1.08)
        assert abs(found.scale / 1.08 - 1) * 0.48 < 0.004  # metres
        assert abs(found.scale / 1.08 - 1) * 0.48 < 2 * found.stddev_m


def test_holes_flying_pixels_and_a_pen_in_front_do_not_move_the_palm(model, palm):
    true, rng = surface(model), np.random.default_rng(0)
    depth = image_of(model, true)
    hit = rng.random(depth.shape)
    depth[hit < 0.4] = np.nan
    depth[hit > 0.85] = rng.uniform(0.3, TABLE_M, int((hit > 0.85).sum()))
    column = round(float(project(CAMERA, true.mean(0))[0]))
    depth[:, column - 8 : column + 8] = 0.38
    found = measure(palm, depth, true / 1.05)
    assert found.scale == pytest.approx(1.05, abs=0.01)  # 5 mm
    assert np.linalg.norm(found.tilt) < np.radians(6)


@pytest.mark.parametrize('value', [np.nan, 0.2, 1.5], ids=['nothing', 'a wall near', 'far away'])
def test_what_is_not_the_hand_is_no_measurement(model, palm, value):
    depth = np.full((CAMERA.height, CAMERA.width), value, np.float32)
    assert measure(palm, depth, surface(model)) is None


def test_a_palm_that_is_mostly_covered_is_no_measurement(model, palm):
    true = surface(model)
    depth = image_of(model, true)
    depth[: round(float(project(CAMERA, true)[:, 1].max())) - 8] = np.nan
    assert measure(palm, depth, true) is None


def test_a_hand_beside_the_image_is_no_measurement(model, palm):
    true = surface(model)
    assert measure(palm, image_of(model, true), true + (0.6, 0, 0)) is None


def test_a_hand_of_unknown_size_is_looked_for_farther_than_a_measured_one(model, palm):
    true = surface(model)
    depth = image_of(model, true, behind_m=np.nan)
    assert measure(palm, depth, true / 1.25) is not None
    assert measure(palm, depth, true / 1.25, mono_ratio=0.05) is None


def test_fewer_measured_places_are_told_to_be_less_sure(model, palm):
    true, rng = surface(model), np.random.default_rng(1)
    depth = image_of(model, true) + 0.02 * rng.standard_normal((480, 640)).astype(np.float32)
    sparse = np.where(rng.random(depth.shape) < 0.25, depth, np.nan).astype(np.float32)
    full, few = (measure(palm, image, true) for image in (depth, sparse))
    assert few.num_places < 0.4 * full.num_places
    assert few.stddev_m > full.stddev_m > sensor_stddev(0.48)


def test_a_measured_hand_is_surer_of_its_distance():
    unknown, known = (monocular_depth(CAMERA, 0.5, size_ratio=r)[1] for r in (SIZE_RATIO, 0.02))
    assert known < 0.75 * unknown
    assert known > 0.02 * 0.5  # the pose fit still adds its own
    source, assumed = monocular_depth(dataclasses.replace(CAMERA, is_assumed=True), 0.5)
    assert source == DepthSource.ASSUMED_CAMERA
    assert assumed > unknown
