import pickle

import numpy as np
import pytest
from primitive_hands import TrueHand, image_at, scripted_scene, tell_all, true_hands

from hand_perception.actions import PRIMITIVES, RELEASE_S
from hand_perception.config import PipelineSettings
from hand_perception.datatypes import Frame
from hand_perception.evaluation.actions import evaluate_actions
from hand_perception.geometry import mirror_points, rotation_from_axis_angle
from hand_perception.labels import load_label_map
from hand_perception.pipeline.primitive_shapes import SHAPES, measure_shape, score_shapes
from hand_perception.pipeline.primitives import PrimitiveRecogniser
from hand_perception.pipeline.stream import HandPipeline

RATE_HZ = 30.0
ONSET_S = 0.2  # what is promised


@pytest.fixture(scope='module')
def truth():
    """True hands of the script that shows every primitive: (stamp, (right, left)) per image."""
    scene = scripted_scene('primitives')
    times = np.arange(round(scene.spec.duration_s * RATE_HZ)) / RATE_HZ
    return [(time_s, scene.truth(time_s)) for time_s in times]


@pytest.fixture(scope='module')
def desk():
    scene = scripted_scene('desk')
    times = np.arange(round(scene.spec.duration_s * RATE_HZ)) / RATE_HZ
    return [(time_s, scene.truth(time_s)) for time_s in times]


@pytest.fixture(scope='module')
def told(truth):
    return tell_all([t for t, _ in truth], [true_hands(hands) for _, hands in truth])


@pytest.fixture(scope='module')
def poses(truth):
    """One true right hand for each still primitive, long after it was reached."""
    shown = {name: [] for name in SHAPES}
    for _, (right, _) in truth:
        shown.setdefault(right.primitive, []).append(right.keypoints_3d)
    return {name: shown[name][10] for name in SHAPES}


def labels_of(told):
    return [tuple(action.label for action in of_image) for of_image in told]


def compare(truth, told):
    return evaluate_actions(
        [round(t * 1e9) for t, _ in truth], [h for _, h in truth], told, labels=PRIMITIVES
    )


def test_every_primitive_of_both_hands_is_told_on_time(truth, told, capsys):
    errors = compare(truth, told)
    with capsys.disabled():
        print('\ntrue joints, 30 Hz\n' + '\n'.join(errors.table()))
    for number, name in enumerate(PRIMITIVES):
        delays = errors.onset_delay_s[errors.label == number]
        known = delays[np.isfinite(delays)]
        assert len(known) >= 2, name  # by each hand
        assert abs(np.median(known)) < ONSET_S, name
    assert errors.accuracy > 0.8  # the rest is within the time that telling takes
    # The hand at rest is straight enough to be told open, which is not what the script calls it.
    assert errors.num_false <= 4 and errors.num_missed <= 3


def test_closed_hands_and_pointing_are_never_taken_for_each_other(truth, told):
    confusion = compare(truth, told).confusion
    names = [PRIMITIVES.index(name) for name in ('fist', 'point', 'pinch', 'grasp')]
    block = confusion[np.ix_(names, names)]
    assert np.trace(block) == block.sum() > 200  # images


def test_size_and_distance_of_the_hand_do_not_matter(truth, told):
    for scale in (0.6, 2.5):
        hands = [
            [TrueHand(scale * h.keypoints_3d, h.is_right, 1 + h.is_right) for h in of_image]
            for _, of_image in truth
        ]
        assert labels_of(tell_all([t for t, _ in truth], hands)) == labels_of(told)


def test_left_and_right_are_treated_alike(truth, told):
    mirrored = [
        [TrueHand(h.keypoints_3d * (-1, 1, 1), not h.is_right, 1 + h.is_right) for h in of_image]
        for _, of_image in truth
    ]
    swapped = labels_of(tell_all([t for t, _ in truth], mirrored))
    assert [(right, left) for left, right in swapped] == labels_of(told)


def test_turning_the_hand_does_not_change_its_shape(poses):
    for name, points in poses.items():
        turned = points @ rotation_from_axis_angle(np.array([0.4, -1.2, 2.0])).T
        np.testing.assert_allclose(
            score_shapes(measure_shape(turned)), score_shapes(measure_shape(points)), atol=1e-9
        )
        mirrored = score_shapes(measure_shape(mirror_points(points)))
        assert SHAPES[int(np.argmax(mirrored))] == name


@pytest.mark.parametrize('name', SHAPES)
def test_a_clear_shape_scores_alone(poses, name):
    scores = dict(zip(SHAPES, score_shapes(measure_shape(poses[name])), strict=True))
    assert scores.pop(name) > 0.8
    assert max(scores.values()) < 0.5


@pytest.mark.parametrize('rate_hz', [8, 15, 60, 120])
def test_waving_is_told_by_stamps_whatever_the_frame_rate(rate_hz):
    scene = scripted_scene('primitives')
    times = np.arange(4.0, 9.0, 1 / rate_hz)
    truth = [(t, scene.truth(t)) for t in times]
    told = tell_all(times, [true_hands(hands) for _, hands in truth])
    errors = compare(truth, told)
    waves = errors.label == PRIMITIVES.index('wave')
    # Right from 5.6 s, left from 3.4 s on, which is shown in the first image and not counted.
    assert waves.sum() == 1
    assert abs(errors.onset_delay_s[waves][0]) < 0.25  # 0.2 s, and up to an image of 8 Hz


def test_a_working_hand_does_not_wave(desk):
    told = tell_all([t for t, _ in desk], [true_hands(hands) for _, hands in desk])
    assert 'wave' not in {label for labels in labels_of(told) for label in labels}


def test_closing_further_or_pointing_releases_nothing(desk):
    # The right hand goes from grasp over fist to point between 2.1 and 4.6 s.
    told = tell_all([t for t, _ in desk], [true_hands(hands) for _, hands in desk])
    right = [
        of_image[1].label for (t, _), of_image in zip(desk, told, strict=True) if 2.1 < t < 4.6
    ]
    assert {'grasp', 'fist', 'point'} <= set(right)
    assert 'release' not in right


def test_a_release_is_told_for_its_time_and_ends_when_the_hand_closes_again(poses):
    times = np.arange(0, 2, 1 / RATE_HZ)

    def tell(is_closed):
        hands = [[TrueHand(poses['fist' if is_closed(t) else 'open'])] for t in times]
        return [of_image[1].label for of_image in tell_all(times, hands)]

    opened = tell(lambda t: t < 0.5)
    assert opened.count('release') / RATE_HZ == pytest.approx(RELEASE_S - 0.1, abs=0.05)  # s
    assert opened[-1] == 'open'
    closed_again = tell(lambda t: t < 0.5 or t > 0.7)
    assert 0 < closed_again.count('release') / RATE_HZ < RELEASE_S - 0.1
    assert closed_again[-1] == 'fist' and 'open' not in closed_again


def test_an_onset_is_the_first_image_although_telling_takes_its_time(poses):
    times = np.arange(0, 1, 1 / RATE_HZ)
    hands = [[TrueHand(poses['open' if t < 0.5 else 'pinch'])] for t in times]
    told = [of_image[1] for of_image in tell_all(times, hands, action_min_duration_s=0.1)]
    first = next(action for action in told if action.label == 'pinch')
    assert first.onset_ns == 500_000_000
    assert first.stamp_ns == 600_000_000
    pending = [a for a in told if first.onset_ns <= a.stamp_ns < first.stamp_ns]
    assert {a.label for a in pending} == {'open'}  # until something else lasts
    assert not any(a.is_final for a in pending) and first.is_final


def test_without_a_minimum_duration_a_pinch_is_told_in_its_first_image(poses):
    times = np.arange(0, 1, 1 / RATE_HZ)
    hands = [[TrueHand(poses['open' if t < 0.5 else 'pinch'])] for t in times]
    told = [of_image[1] for of_image in tell_all(times, hands, action_min_duration_s=0.0)]
    first = next(action for action in told if action.label == 'pinch')
    assert first.stamp_ns == first.onset_ns == 500_000_000


def test_one_odd_image_changes_nothing(poses):
    times = np.arange(0, 1, 1 / RATE_HZ)
    hands = [[TrueHand(poses['fist' if i == 15 else 'pinch'])] for i in range(len(times))]
    told = [of_image[1] for of_image in tell_all(times, hands)]
    assert {a.label for a in told[5:]} == {'pinch'}
    assert {a.onset_ns for a in told[5:]} == {0}


def test_a_hand_that_is_not_seen_is_unknown_with_its_reason(poses):
    times = np.arange(0, 0.5, 1 / RATE_HZ)
    left, right = zip(*tell_all(times, [[TrueHand(poses['open'])]] * len(times)), strict=True)
    assert {a.unknown_reason for a in left} == {'no left hand is seen'}
    assert {(a.is_right, a.label, a.score, a.onset_ns, a.tokens_seen) for a in left} == {
        (False, '', 0.0, 0, 0)
    }
    assert right[0].unknown_reason == 'open is seen for less than 0.1 s'
    assert right[-1].label == 'open' and right[-1].unknown_reason == ''


@pytest.mark.parametrize('finger', [5, 9, 13])
def test_a_hand_between_primitives_is_unknown(poses, finger):
    # One finger of an open hand is bent as in a fist: nobody has a name for that.
    own = slice(finger + 1, finger + 4)
    between = poses['open'].copy()
    between[own] = poses['fist'][own] - poses['fist'][finger] + poses['open'][finger]
    times = np.arange(0, 0.5, 1 / RATE_HZ)
    told = tell_all(times, [[TrueHand(between)]] * len(times))
    assert {of_image[1].unknown_reason for of_image in told} == {'between primitives'}
    assert {of_image[1].onset_ns for of_image in told} == {0}


@pytest.mark.parametrize('joints', [slice(None), slice(8, 9)])
def test_joints_that_are_not_known_make_the_hand_unknown_and_start_it_anew(poses, joints):
    broken = poses['pinch'].copy()
    broken[joints] = np.nan
    times = np.arange(0, 1, 1 / RATE_HZ)
    hands = [[TrueHand(broken if i == 15 else poses['pinch'])] for i in range(len(times))]
    told = [of_image[1] for of_image in tell_all(times, hands)]
    assert told[14].label == 'pinch'
    assert told[15].unknown_reason == 'the joints of the right hand are not known'
    assert told[16].label == '' and told[-1].label == 'pinch'
    assert told[-1].onset_ns == told[16].stamp_ns


def test_a_new_track_starts_anew(poses):
    times = np.arange(0, 1, 1 / RATE_HZ)
    hands = [[TrueHand(poses['pinch'], track_id=1 + (t >= 0.5))] for t in times]
    told = [of_image[1] for of_image in tell_all(times, hands)]
    assert told[-1].onset_ns == 500_000_000
    assert '' in [a.label for a in told if a.stamp_ns >= 500_000_000]


def test_of_two_hands_on_one_side_the_surest_is_followed_and_not_given_up_for_a_trifle(poses):
    times = np.arange(0, 1, 1 / RATE_HZ)
    hands = [
        [
            TrueHand(poses['fist'], track_id=1, confidence=0.7 if i % 2 else 0.75),
            TrueHand(poses['open'], track_id=2, confidence=0.8 if i < 20 else 0.65),
            TrueHand(poses['point'], track_id=3, confidence=float('nan')),
        ]
        for i in range(len(times))
    ]
    told = [of_image[1] for of_image in tell_all(times, hands)]
    assert {a.label for a in told[5:]} == {'open'}


def test_stamps_that_jump_start_anew_and_say_why(poses):
    recogniser = PrimitiveRecogniser.load(PipelineSettings(stream_gap_s=1.0))
    state = recogniser.new_state()
    hands = [TrueHand(poses['fist'])]
    for stamp in (5.0, 5.1, 5.2):
        result = recogniser.step(state, image_at(stamp), hands)
    assert result.actions[1].label == 'fist' and result.reset_reason == ''
    result = recogniser.step(state, image_at(6.5), hands)
    assert result.reset_reason == 'no image for 1.300 s'
    assert result.actions[1].label == ''
    result = recogniser.step(state, image_at(2.0), hands)
    assert result.reset_reason == 'stamps went back by 4.500 s'
    assert result.actions[1].onset_ns == 2_000_000_000


def test_after_a_reset_everything_is_as_in_a_new_stream(truth):
    recogniser = PrimitiveRecogniser.load(PipelineSettings())
    used, new = recogniser.new_state(), recogniser.new_state()
    for time_s, hands in truth[:90]:
        recogniser.step(used, image_at(100 + time_s), true_hands(hands))
    for time_s, hands in truth[90:150]:
        first, second = (
            recogniser.step(state, image_at(time_s), true_hands(hands)) for state in (used, new)
        )
        assert first.actions == second.actions


def test_memory_does_not_grow(truth):
    recogniser = PrimitiveRecogniser.load(PipelineSettings())
    state, sizes = recogniser.new_state(), []
    for number in range(10_000):
        _, hands = truth[number % len(truth)]
        recogniser.step(state, image_at(number / RATE_HZ), true_hands(hands))
        if number % 1000 == 999:
            sizes.append(len(pickle.dumps(state)))
    assert max(sizes[1:]) - min(sizes[1:]) < 200  # bytes: numbers of more or fewer digits


def test_windows_say_how_many_images_have_shown_it_and_how_many_it_takes(poses):
    times = np.arange(0, 0.5, 1 / RATE_HZ)
    told = [a[1] for a in tell_all(times, [[TrueHand(poses['open'])]] * len(times))]
    assert [a.tokens_seen for a in told[:6]] == [1, 2, 3, 4, 4, 4]
    assert {a.tokens_full for a in told[1:]} == {4}  # 0.1 s at 30 Hz: the fourth image
    assert [bool(a.label) for a in told[:5]] == [False, False, False, True, True]
    assert {a.window_start_ns for a in told} == {0}


def test_the_ranking_lists_the_most_likely_first(poses):
    times = np.arange(0, 0.5, 1 / RATE_HZ)
    for top_k in (1, 3, 100):
        told = tell_all(times, [[TrueHand(poses['grasp'])]] * len(times), action_top_k=top_k)
        ranking = told[-1][1].ranking
        assert len(ranking.labels) == len(ranking.scores) == min(top_k, len(PRIMITIVES))
        assert ranking.labels[0] == 'grasp' == told[-1][1].label
        assert list(ranking.scores) == sorted(ranking.scores, reverse=True)
        assert told[-1][1].score == ranking.scores[0]


def test_the_label_map_is_the_one_that_is_installed():
    assert PrimitiveRecogniser.label_map == load_label_map('primitives')


def test_live_settings_are_taken_over_between_two_images(poses):
    recogniser = PrimitiveRecogniser.load(PipelineSettings(action_min_duration_s=5.0))
    state, hands = recogniser.new_state(), [TrueHand(poses['fist'])]
    for stamp in (0.0, 0.1, 0.2):
        slow = recogniser.step(state, image_at(stamp), hands).actions[1]
    assert slow.unknown_reason == 'fist is seen for less than 5 s'
    recogniser = recogniser.with_settings(PipelineSettings(action_min_duration_s=0.1))
    quick = recogniser.step(state, image_at(0.3), hands).actions[1]
    assert (quick.label, quick.onset_ns) == ('fist', 0)


@pytest.mark.slow
def test_primitives_are_told_on_time_through_the_whole_pipeline(capsys):
    rate_hz, until_s = 15.0, 9.0  # all seven primitives have begun by then
    scene = scripted_scene('primitives', width=320, height=240, supersampling=1)
    pipeline = HandPipeline.load(PipelineSettings(device='cpu'))
    state, truth, told = pipeline.new_stream(), [], []
    for number in range(round(until_s * rate_hz)):
        time_s = number / rate_hz
        picture = scene.render(time_s)
        frame = Frame(
            image=picture.image_bgr, is_rgb=False, stamp_ns=round(time_s * 1e9),
            frame_id='eyes', camera=scene.camera,
        )  # fmt: skip
        result = pipeline.step(state, frame)
        truth.append((time_s, picture.hands))
        told.append(pipeline.recognise(state, frame, result).actions)
    errors = compare(truth, told)
    with capsys.disabled():
        print('\nwhole pipeline, 320 x 240, 15 Hz\n' + '\n'.join(errors.table()))
    for number, name in enumerate(PRIMITIVES):
        delays = errors.onset_delay_s[errors.label == number]
        known = delays[np.isfinite(delays)]
        assert len(known), name
        assert abs(np.median(known)) <= ONSET_S, name
    assert errors.accuracy > 0.7  # measured: 0.82; telling takes two images of 15 Hz
    assert errors.num_false <= 3
