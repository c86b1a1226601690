import dataclasses

import numpy as np
import pytest
from primitive_hands import scripted_scene

from hand_perception.actions import PRIMITIVES, RELEASE_S
from hand_perception.errors import ConfigError, SourceError
from hand_perception.synthetic.poses import POSE_SHAPES
from hand_perception.synthetic.scene import SceneSpec
from hand_perception.synthetic.scripts import SCRIPTS, Step, moment_at
from hand_perception.synthetic.truth import load_clip_truth, save_clip_truth

MOVE = (Step(pose='fist', move=0.5, hold=1.0), Step(pose='open', move=0.5, hold=1.0))


def shown(steps, *, duration_s, step_s=0.001):
    """(start, primitive) of every change, seconds."""
    changes = []
    for time_s in np.arange(0, duration_s, step_s):
        primitive = moment_at(steps, time_s / duration_s, duration_s=duration_s).primitive
        if not changes or changes[-1][1] != primitive:
            changes.append((time_s, primitive))
    return changes


@pytest.mark.parametrize('name', SCRIPTS)
def test_scripts_are_as_long_for_both_hands_and_use_known_poses(name):
    script = SCRIPTS[name]
    lengths = [sum(s.move + s.hold for s in steps) for steps in (script.right, script.left)]
    assert lengths[0] == pytest.approx(lengths[1])
    assert {step.pose for step in (*script.right, *script.left)} <= set(POSE_SHAPES)


def test_the_script_of_primitives_shows_each_of_them_with_both_hands():
    script = SCRIPTS['primitives']
    for steps in (script.right, script.left):
        names = {name for _, name in shown(steps, duration_s=script.duration_s)}
        assert names == {'', *PRIMITIVES}


def test_a_pose_is_shown_from_when_it_is_nearly_reached_until_it_is_left():
    changes = shown(MOVE, duration_s=3.0)
    # 15 % of the way take 29 % of a move's time: it starts and ends gently.
    near = 0.29 * 0.5
    assert [name for _, name in changes] == ['open', '', 'fist', 'release', 'open']
    expected = [0, near, 0.5 - near, 1.5 + near, 1.5 + near + RELEASE_S]
    np.testing.assert_allclose([start for start, _ in changes], expected, atol=2e-3)  # s


def test_a_release_takes_its_time_however_slow_the_script_is_played():
    for duration_s in (3.0, 12.0):
        changes = dict((name, start) for start, name in shown(MOVE, duration_s=duration_s))
        last = max(start for name, start in changes.items() if name == 'open')
        assert last - changes['release'] >= RELEASE_S - 2e-3  # s


def test_closing_and_pointing_are_no_release():
    steps = tuple(Step(pose=pose) for pose in ('pinch', 'grasp', 'fist', 'point', 'relaxed'))
    assert 'release' not in {name for _, name in shown(steps, duration_s=5.0)}


def test_a_waving_hand_goes_to_both_sides_as_often_as_it_is_told_to():
    steps = (Step(pose='open', move=0.5, hold=2.0, waves=3), Step(pose='fist'))
    times = np.arange(0, 3.5, 0.01)
    moments = [moment_at(steps, t / 3.5, duration_s=3.5) for t in times]
    way = np.array([moment.waving for moment in moments])
    waving = np.array([moment.primitive == 'wave' for moment in moments])
    assert (way[~waving] == 0).all() and times[waving][0] == pytest.approx(0.5, abs=0.011)
    assert waving.sum() * 0.01 == pytest.approx(2.0, abs=0.02)
    assert (np.diff(np.sign(way[np.abs(way) > 0.5])) != 0).sum() == 5  # 3 there, 3 back
    assert np.abs(np.diff(way)).max() < 0.2  # no jump


def test_hands_that_show_primitives_move_without_jumps():
    scene = scripted_scene('primitives', seed=2)
    times = np.arange(3, 8, 1 / 30)  # both hands wave in these seconds
    joints = np.array([[h.keypoints_3d for h in scene.truth(t)] for t in times])
    speed = np.linalg.norm(np.diff(joints, axis=0), axis=-1) * 30
    assert speed.max() < 2.0  # m/s: waving finger tips; a jump would be far above


def test_onsets_are_the_same_for_every_seed():
    first, second = (scripted_scene('primitives', seed=seed) for seed in (0, 5))
    for time_s in np.arange(0, 14, 0.37):
        names = [[h.primitive for h in scene.truth(time_s)] for scene in (first, second)]
        assert names[0] == names[1]


def test_an_unknown_script_is_refused():
    with pytest.raises(ConfigError, match='script must be one of desk, primitives'):
        SceneSpec(script='opera')


def test_the_clip_that_ships_names_what_its_hands_show():
    names = {hand.primitive for hands in load_clip_truth().frames for hand in hands}
    assert names == {'', *PRIMITIVES} - {'wave'}


def test_truths_from_before_primitives_can_still_be_read(tmp_path):
    truth = load_clip_truth()
    save_clip_truth(dataclasses.replace(truth, frames=truth.frames[:2]), tmp_path / 'new.json')
    text = (tmp_path / 'new.json').read_text()
    old = text.replace('"primitive":"open",', '').replace('"primitive":"",', '')
    assert old != text
    (tmp_path / 'old.json').write_text(old)
    loaded = load_clip_truth(tmp_path / 'old.json')
    assert {hand.primitive for hands in loaded.frames for hand in hands} == {''}
    (tmp_path / 'wrong.json').write_text(text.replace('"open"', '"jump"'))
    with pytest.raises(SourceError, match='jump'):
        load_clip_truth(tmp_path / 'wrong.json')
