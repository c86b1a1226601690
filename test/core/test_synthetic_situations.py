"""Situations a robot must survive: what the hands of each do, by the truth alone."""

import dataclasses

import numpy as np
import pytest
import torch

from hand_perception.errors import ConfigError
from hand_perception.synthetic.routes import Leg, Route, waiting
from hand_perception.synthetic.scene import Scene, SceneSpec
from hand_perception.synthetic.situations import SITUATIONS, random_situations, storyline

SMALL = SceneSpec(width=160, height=120, supersampling=1)
RATE_HZ = 15.0
torch.set_num_threads(1)


def play(*names, rate_hz=RATE_HZ, with_visibility=False, **looks):
    """Give times and the truth of both hands at each."""
    scene = Scene(dataclasses.replace(SMALL, situations=names, **looks))
    times = np.arange(round(scene.spec.period_s * rate_hz)) / rate_hz
    return times, [scene.truth(t, with_visibility=with_visibility) for t in times]


def of_hand(truth, number, field):
    return np.array([getattr(hands[number], field) for hands in truth])


def runs(mask):
    """Count how often a run of True begins."""
    return int(np.sum(np.diff(np.concatenate([[False], mask]).astype(int)) == 1))


@pytest.mark.parametrize('name', SITUATIONS)
def test_every_situation_begins_and_ends_alike_for_both_hands(name):
    situation = SITUATIONS[name]
    left = sum(leg.duration_s for leg in situation.left)
    assert left == pytest.approx(situation.duration_s, abs=1e-9)
    for legs in (situation.right, situation.left):
        assert legs[-1].place == (0, 0, 0) and legs[-1].pose == 'relaxed'
        assert min(leg.hold_s for leg in legs) >= 0
    for thing in situation.occluders:
        assert thing.times_s[0] > 0 and thing.times_s[-1] < situation.duration_s


@pytest.mark.parametrize('name', SITUATIONS)
def test_hands_never_jump_and_never_come_too_near_the_camera(name):
    times, truth = play(name, rate_hz=60.0)
    for number in (0, 1):
        joints = of_hand(truth, number, 'keypoints_3d')
        speed = np.linalg.norm(np.diff(joints, axis=0), axis=-1) * 60.0
        assert speed.max() < 3.0  # m/s; the fastest reach, fingers closing on its way
        assert joints[..., 2].min() > 0.15  # m
        seam = np.abs(joints[-1] - joints[0]).max()
        assert seam < 0.03  # m; what is left to do in the last 1/60 s


@pytest.mark.parametrize(
    ('name', 'gone'), [('leave_right', (True, False)), ('leave_left', (False, True)),
                       ('leave_both', (True, True)), ('leave_short', (True, False))]
)  # fmt: skip
@pytest.mark.parametrize('seed', [0, 1])
def test_hands_leave_the_image_once_and_come_back(name, gone, seed):
    _, truth = play(name, seed=seed, with_visibility=True)
    for number, leaves in enumerate(gone):
        inside = of_hand(truth, number, 'in_image')
        share = of_hand(truth, number, 'visible_share').astype(float)
        assert runs(~inside) == (1 if leaves else 0)
        assert inside[0] and inside[-1]
        if leaves:
            assert 0.2 < (~inside).sum() / RATE_HZ < 2.5  # s
            assert share[~inside].max() < 0.02  # the rest of a wrist
        else:
            assert share.min() > 0.9  # a wrist near the lower edge


@pytest.mark.parametrize('seed', [0, 1])
def test_hands_at_the_edge_are_cut_in_two(seed):
    _, truth = play('edge', seed=seed, with_visibility=True)
    for number in (0, 1):
        share = of_hand(truth, number, 'visible_share').astype(float)
        assert 0.05 < share.min() < 0.8
        assert of_hand(truth, number, 'in_image').all()


@pytest.mark.parametrize(('name', 'upper'), [('cross_right_over', 0), ('cross_left_over', 1)])
@pytest.mark.parametrize('seed', [0, 1])
def test_crossing_hands_change_places_one_over_the_other(name, upper, seed):
    _, truth = play(name, seed=seed, with_visibility=True)
    right, left = (of_hand(truth, number, 'keypoints_2d')[:, 9, 0] for number in (0, 1))
    crossed = right < left
    assert runs(crossed) == 1 and crossed.sum() / RATE_HZ > 0.5  # s
    depth = [of_hand(truth, number, 'keypoints_3d')[..., 2] for number in (0, 1)]
    over = (depth[1 - upper].min(1) - depth[upper].max(1))[crossed]
    assert over.min() > -0.03  # m; seen along the same ray they are farther apart
    share = [of_hand(truth, number, 'visible_share').astype(float) for number in (0, 1)]
    assert share[1 - upper].min() < 0.5 and share[upper].min() > 0.95


def test_still_hands_stay_flat_and_within_millimetres():
    times, truth = play('still')
    held = (times > 1.0) & (times < 3.8)
    for number in (0, 1):
        joints = of_hand(truth, number, 'keypoints_3d')[held]
        assert np.ptp(joints, axis=0).max() < 0.008  # m
        assert set(of_hand(truth, number, 'primitive')[held]) == {'open'}


def test_reach_is_fast():
    _, truth = play('reach', rate_hz=60.0)
    for number in (0, 1):
        wrist = of_hand(truth, number, 'keypoints_3d')[:, 0]
        speed = np.linalg.norm(np.diff(wrist, axis=0), axis=-1) * 60.0
        assert speed.max() > 1.2  # m/s


@pytest.mark.parametrize(
    ('name', 'least'), [('occlude_board', (0.05, 1)), ('occlude_box', (1, 0.05)),
                        ('occlude_mug', (0.6, 0.6)), ('sweep_board', (0.1, 0.1))]
)  # fmt: skip
@pytest.mark.parametrize('seed', [0, 1])
def test_things_hide_the_hands_they_are_named_for(name, least, seed):
    _, truth = play(name, seed=seed, with_visibility=True)
    for number in (0, 1):
        share = of_hand(truth, number, 'visible_share').astype(float)
        assert of_hand(truth, number, 'in_image').all()
        if least[number] == 1:
            assert share.min() > 0.9
        else:
            assert share.min() < least[number]
            assert share[0] > 0.95 and share[-1] > 0.95


def test_situations_follow_each_other_without_a_jump():
    names = ('reach', 'leave_both', 'occlude_mug')
    story = storyline(names)
    assert story.duration_s == pytest.approx(sum(SITUATIONS[n].duration_s for n in names))
    assert story.occluders[0].times_s[0] > story.starts_s[2]
    scene = Scene(dataclasses.replace(SMALL, situations=names))
    for time_s in (*story.starts_s[1:], story.duration_s):
        before, after = scene.truth(time_s - 1e-4), scene.truth(time_s + 1e-4)
        for a, b in zip(before, after, strict=True):
            assert np.abs(a.keypoints_3d - b.keypoints_3d).max() < 1e-3  # m in 0.2 ms
    assert [scene.situation(t + 0.01) for t in story.starts_s] == list(names)
    assert scene.situation(story.duration_s + 0.01) == names[0]  # it repeats


def test_length_of_a_clip_follows_from_its_situations():
    spec = dataclasses.replace(SMALL, situations=('still', 'reach'), duration_s=1.0)
    expected = SITUATIONS['still'].duration_s + SITUATIONS['reach'].duration_s
    assert spec.period_s == pytest.approx(expected)
    assert SMALL.period_s == SMALL.duration_s


def test_random_situations_fill_any_length_and_repeat_for_their_seed():
    drawn = random_situations(4, 600.0)
    assert storyline(drawn).duration_s >= 600.0
    assert storyline(drawn[:-1]).duration_s < 600.0
    assert drawn == random_situations(4, 600.0) != random_situations(5, 600.0)
    assert set(drawn) == set(SITUATIONS)  # ten minutes show each of them
    assert all(a != b for a, b in zip(drawn, drawn[1:], strict=False))
    assert set(random_situations(1, 60.0, names=('work', 'edge'))) == {'work', 'edge'}


def test_motion_of_a_situation_comes_from_the_seed():
    first, second = (play('work', rate_hz=5.0, seed=seed)[1] for seed in (1, 2))
    again = play('work', rate_hz=5.0, seed=1)[1]
    wrists = [of_hand(truth, 0, 'keypoints_3d')[:, 0] for truth in (first, second, again)]
    assert np.abs(wrists[0] - wrists[1]).max() > 0.005  # m
    np.testing.assert_array_equal(wrists[0], wrists[2])


def test_route_reaches_its_places_and_waits_there():
    route = Route((Leg(place=(0.1, 0, 0), move_s=1.0, hold_s=1.0, life=0.0), Leg(move_s=2.0)))
    assert route.duration_s == pytest.approx(4.4)
    np.testing.assert_allclose(route.at(0.5).offset, (0.05, 0, 0))
    for time_s in (1.0, 1.7, 2.0, 5.4 + 0.3):
        np.testing.assert_allclose(route.at(time_s).offset, (0.1, 0, 0), atol=1e-12)
    assert route.at(1.5).life == 0.0 and route.at(4.2).life == 1.0
    longer = waiting(route.legs, 10.0)
    assert Route(longer).duration_s == pytest.approx(10.0)


def test_unknown_situation_is_told_with_those_there_are():
    with pytest.raises(ConfigError, match="work, still.*got \\['dance'\\]"):
        SceneSpec(situations=('dance',))


def test_route_that_takes_no_time_is_refused():
    with pytest.raises(ConfigError, match='legs that take time'):
        Route((Leg(move_s=0.0),))
