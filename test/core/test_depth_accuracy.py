"""How far away hands are, by their size and by a depth camera, on rendered hands."""

import numpy as np
import pytest

from hand_perception.config import PipelineSettings
from hand_perception.datatypes import DepthSource, Frame
from hand_perception.evaluation.clip_errors import match_hands
from hand_perception.pipeline.stream import HandPipeline
from hand_perception.synthetic.depth_sensor import DepthSensor, sense_depth
from hand_perception.synthetic.scene import Scene, SceneSpec

SEEDS = (1, 2, 3)
#: Open hands, a pinch, and fists, whose palms the landmarks tip by 30 to 50 degrees.
TIMES_S = (0.4, 1.3, 2.1, 3.4, 4.4)


@pytest.fixture(scope='module')
def pictures():
    """Scenes with what a depth camera tells of them."""
    rng, made = np.random.default_rng(0), []
    for seed in SEEDS:
        scene = Scene(SceneSpec(seed=seed, supersampling=1))
        for time_s in TIMES_S:
            picture = scene.render(time_s, with_depth=True)
            told = sense_depth(picture.depth_m, scene.camera, DepthSensor(), rng)
            made.append((scene.camera, picture, told))
    return made


def wrist_errors(pictures, *, with_depth, hand_scale=1.0):
    """(M, 2) error and told standard deviation of the wrist's distance, metres."""
    pipeline = HandPipeline.load(
        PipelineSettings(device='cpu', hand_scale=hand_scale, action_source='none')
    )
    rows = []
    for camera, picture, told in pictures:
        frame = Frame(
            image=picture.image_bgr,
            is_rgb=False,
            stamp_ns=0,
            frame_id='camera',
            camera=camera,
            depth_m=told if with_depth else None,
        )
        hands = pipeline.step(pipeline.new_stream(), frame).hands
        for i, j in match_hands(picture.hands, hands):
            wanted = DepthSource.SENSOR if with_depth else DepthSource.MONO
            assert hands[j].depth_source == wanted
            missed_m = hands[j].keypoints_3d[0, 2] - picture.hands[i].keypoints_3d[0, 2]
            rows.append((missed_m, hands[j].depth_stddev_m))
    assert len(rows) >= 24  # of 30: single images of fists are missed now and then
    return np.array(rows)


def share_covered(rows):
    """Share of the hands whose error is at most twice what was told as standard deviation."""
    return float((np.abs(rows[:, 0]) <= 2 * rows[:, 1]).mean())


@pytest.mark.parametrize('hand_scale', [1.0, 0.9], ids=['hand measured', 'size off by 10 %'])
def test_with_a_depth_image_wrists_are_where_they_are(pictures, hand_scale):
    rows = wrist_errors(pictures, with_depth=True, hand_scale=hand_scale)
    # Promised are 12 mm; measured 1 to 2 mm, and 3 to 5 mm in the worst tenth.
    assert np.median(np.abs(rows[:, 0])) <= 0.004
    assert np.percentile(np.abs(rows[:, 0]), 90) <= 0.012
    assert share_covered(rows) >= 0.9
    assert np.median(rows[:, 1]) < 0.015  # and it is known how well


def test_by_the_size_of_a_measured_hand_wrists_are_some_centimetres_off(pictures):
    rows = wrist_errors(pictures, with_depth=False)
    assert np.median(np.abs(rows[:, 0])) <= 0.040  # measured 11 mm
    assert share_covered(rows) >= 0.9
