"""What the report of a teleoperation says of runs in which everything is known."""

import dataclasses

import cv2
import numpy as np
import pytest
from teleop_runs import (
    AGE_NS,
    DISENGAGED_S,
    ENGAGED_S,
    LOST_S,
    PRESSED_S,
    SECOND,
    SETTINGS,
    arm_position,
    at,
    poses,
    run,
    true_hand,
)

from hand_perception.cli.demo_teleop_plot import write_plot
from hand_perception.cli.demo_teleop_report import rest_after
from hand_perception.evaluation.teleop_records import StateChange, changes_of, engagements_of
from hand_perception.evaluation.teleop_safety import motion_of, safety_counts
from hand_perception.evaluation.teleop_tracking import (
    angles_between,
    goals_of,
    gripper_differences,
    tracking_errors,
)
from hand_perception.teleop.states import State
from hand_perception.teleop.vectors import quaternion_from_vector

#: The true path is straight between images: 0.05 m x 0.7^2 / s^2 x (1/15 s)^2 / 8.
INTERPOLATION_M = 2e-5


def bad(record, **options):
    """The names of the counts that are not 0."""
    return {name for name, count in safety_counts(record, SETTINGS, **options).items() if count}


def with_states(record, *changes):
    states = tuple(StateChange(at_ns=int(at(s)), state=state, reason='') for s, state in changes)
    return dataclasses.replace(record, states=states)


def test_an_engagement_has_its_press_its_end_and_what_became_of_it():
    (one,) = engagements_of(run())
    assert one.engaged_ns == at(ENGAGED_S) and one.ended_ns == at(LOST_S)
    assert one.pressed_ns == at(PRESSED_S)
    assert one.is_lost and one.reason == 'not tracked'
    assert one.disengaged_ns == at(DISENGAGED_S)


def test_repeated_states_of_a_latched_topic_are_one_change():
    told = [StateChange(at_ns=n, state=state, reason='') for n, state in enumerate(
        (State.IDLE, State.IDLE, State.ENGAGED, State.ENGAGED, State.IDLE))]  # fmt: skip
    assert [change.at_ns for change in changes_of(told)] == [0, 2, 4]


def test_a_recording_that_ends_while_engaged_ends_the_engagement_with_the_last_command():
    record = with_states(run(), (0, State.IDLE), (ENGAGED_S, State.ENGAGED))
    (one,) = engagements_of(record)
    assert one.ended_ns == record.targets.times_ns[-1]
    assert not one.is_lost and one.reason == ''


def test_a_run_that_is_as_it_should_be_counts_nothing():
    assert bad(run(lag_s=0.1)) == set()


def test_commands_after_the_hand_was_told_untracked_are_counted():
    seconds = np.arange(ENGAGED_S + 0.02, LOST_S + 0.2, 0.02)
    record = run(targets=poses(seconds, arm_position(seconds)))
    record = dataclasses.replace(
        record, states=(*record.states[:3], StateChange(
            at_ns=int(at(LOST_S + 0.2)), state=State.HOLDING, reason='late'))
    )  # fmt: skip
    # First told at 8.00 s + 50 ms, heard at most stall_s (80 ms) later.
    told_s = LOST_S + AGE_NS / SECOND + SETTINGS.stall_s
    late = (seconds >= told_s).sum()
    assert safety_counts(record, SETTINGS)['commands while the hand is not tracked'] == late > 0


def test_commands_by_a_hand_that_is_too_old_are_counted():
    hands = run().hands
    kept = hands.stamps_ns < at(5.0)
    few = dataclasses.replace(
        hands, stamps_ns=hands.stamps_ns[kept], published_ns=hands.published_ns[kept],
        is_tracked=hands.is_tracked[kept], positions=hands.positions[kept],
    )  # fmt: skip
    assert bad(run(hands=few)) == {'commands by a stale hand'}


def test_a_command_before_engaging_is_counted():
    seconds = np.arange(ENGAGED_S - 0.04, LOST_S - 0.05, 0.02)
    counts = safety_counts(run(targets=poses(seconds, arm_position(seconds))), SETTINGS)
    assert counts['commands while not engaged'] == 2


def test_an_engagement_without_a_press_since_the_end_before_is_counted():
    record = with_states(
        run(),
        (0, State.IDLE), (ENGAGED_S, State.ENGAGED), (4.0, State.HOLDING),
        (4.3, State.DISENGAGED), (4.5, State.ENGAGED), (LOST_S, State.HOLDING),
        (DISENGAGED_S, State.DISENGAGED),
    )  # fmt: skip
    counts = safety_counts(record, SETTINGS)
    assert counts['engagements that nobody asked for'] == 1  # the button stayed down


@pytest.mark.parametrize('after', [(), ((LOST_S + 1.0, State.DISENGAGED),)])
def test_a_loss_that_is_not_disengaged_in_time_is_counted(after):
    record = with_states(
        run(), (0, State.IDLE), (ENGAGED_S, State.ENGAGED), (LOST_S, State.HOLDING), *after
    )
    assert bad(record) == {'losses that did not hold, then disengage'}


def test_a_jump_of_a_command_is_counted_as_speed_and_acceleration():
    targets = run().targets
    positions = targets.positions.copy()
    positions[100:] += (0.0, 0.006, 0.0)  # 0.3 m/s over 20 ms, limit 0.25
    record = run(targets=dataclasses.replace(targets, positions=positions))
    assert bad(record) == {
        'steps above the limits of speed',
        'steps above the limits of acceleration',
    }
    motion = motion_of(record.targets, engagements_of(record), SETTINGS)
    assert motion.speed == pytest.approx(0.3, abs=0.06)  # and the motion itself
    assert motion.too_fast == 1


def test_a_turn_that_is_too_fast_is_counted():
    targets = run().targets
    angle = 1.0 * np.arange(len(targets.times_ns)) * 0.02  # 1 rad/s, limit 0.8
    turns = np.array([quaternion_from_vector((0.0, a, 0.0)) for a in angle])
    record = run(targets=dataclasses.replace(targets, quaternions=turns))
    assert motion_of(record.targets, engagements_of(record), SETTINGS).turn_speed == (
        pytest.approx(1.0, abs=1e-6)
    )
    assert bad(record) == {'steps above the limits of speed'}


def test_a_command_outside_the_box_is_counted():
    targets = run().targets
    positions = targets.positions + (0.0, 0.0, 0.8)
    record = run(targets=dataclasses.replace(targets, positions=positions))
    assert bad(record) == {'commands outside the box'}


def test_what_the_arm_refuses_as_late_is_no_fault_but_what_it_should_not_be_told_is():
    assert bad(run(arm_complaints={'stale': 3})) == set()
    assert bad(run(arm_complaints={'twist': 1})) == {'complaints of the arm'}


def test_commands_by_the_hand_of_the_other_side_are_counted():
    record = run()
    is_other = (record.hands.stamps_ns > at(5.0)) & (record.hands.stamps_ns < at(5.5))
    assert bad(record, is_other_hand=is_other) == {'commands by the other hand'}


@pytest.mark.parametrize('lag_s', [0.0, 0.12, 0.3])
def test_the_lag_of_an_arm_that_is_late_is_found_and_without_it_nothing_is_wrong(lag_s):
    hand = true_hand()
    errors = tracking_errors(run(lag_s=lag_s), hand, SETTINGS)
    assert errors.lag_s == pytest.approx(lag_s, abs=0.006)  # tried in steps of 5 ms
    assert errors.is_slow.all()
    # An anchor is the mean of a hand that drifts, and the arm's start is late, too: both move
    # the whole path by at most the way of anchor_s and the lag at 0.06 m/s.
    assert np.median(errors.position_shifted_m) < 0.06 * (SETTINGS.anchor_s + lag_s)
    assert np.median(errors.position_m) >= np.median(errors.position_shifted_m) - INTERPOLATION_M
    np.testing.assert_allclose(errors.angle_shifted_rad, 0, atol=1e-6)


def test_goals_start_at_the_arm_and_follow_the_axis_map():
    record, hand = run(), true_hand()
    is_before = hand.times_ns[:, None] <= at(ENGAGED_S)
    places = np.where(is_before, (0.1, 0.0, 0.45), (0.13, -0.02, 0.55))
    still = dataclasses.replace(hand, positions=places)
    goals = goals_of(record, engagements_of(record)[0], still, SETTINGS)
    arm = record.arm.positions[record.arm.before(int(at(ENGAGED_S)))]
    np.testing.assert_allclose(goals.positions[0], arm, atol=1e-12)
    # 0.1 away is ahead, 0.03 right is -y, 0.02 up (-y of the camera) is z.
    np.testing.assert_allclose(goals.positions[-1] - arm, (0.1, -0.03, 0.02), atol=1e-9)


def test_a_hand_that_is_faster_than_the_arm_may_be_is_told_apart():
    hand = true_hand()
    jumped = hand.positions + np.where(hand.times_ns[:, None] >= at(5.0), (0.1, 0.0, 0.0), 0.0)
    errors = tracking_errors(run(), dataclasses.replace(hand, positions=jumped), SETTINGS)
    # 0.1 m between two images is 1.5 m/s; it counts for half a second.
    fast_s = (~errors.is_slow).sum() * 0.02
    assert fast_s == pytest.approx(0.5, abs=0.07)  # one image


def test_a_run_without_engagement_has_no_errors():
    record = with_states(run(), (0, State.IDLE))
    errors = tracking_errors(record, true_hand(), SETTINGS)
    assert np.isnan(errors.lag_s) and not len(errors.position_m)


def test_the_gripper_is_compared_with_the_true_pinch_in_the_same_image():
    record = run()
    pinch = np.where(record.images_ns >= at(5.0), 0.9, 0.1)  # where the settings say 1 and 0
    commands, wanted = gripper_differences(record, pinch, SETTINGS)
    assert len(commands) == len(record.gripper)
    changes = record.gripper_ns[np.flatnonzero(np.diff(wanted))[0] + 1]
    # The first image of 5.0 s is published 50 ms later; commands come every 20 ms.
    assert changes == pytest.approx(int(at(5.0)) + AGE_NS, abs=0.021 * SECOND)
    assert set(wanted) == {0.0, 1.0}


def test_how_an_arm_comes_to_rest_is_measured():
    seconds = np.arange(0, 2, 0.02)
    places = np.zeros((len(seconds), 3))
    places[:, 0] = np.minimum(seconds, 1.1) * 0.2
    rest_s, way_m = rest_after(poses(seconds, places), int(at(1.0)))
    assert rest_s == pytest.approx(0.1, abs=0.021) and way_m == pytest.approx(0.02, abs=1e-6)
    assert rest_after(poses(seconds, places), int(at(1.5))) == (0.0, 0.0)


def test_angles_do_not_care_for_the_sign_of_quaternions():
    turned = np.array([quaternion_from_vector((0.3, 0.0, 0.0))])
    unit = np.array([(0.0, 0.0, 0.0, 1.0)])
    assert angles_between(turned, unit) == pytest.approx([0.3])
    assert angles_between(-turned, unit) == pytest.approx([0.3])


def test_the_picture_shows_both_paths_and_the_states(tmp_path):
    record = run(lag_s=0.2)
    path = tmp_path / 'teleop.png'
    names = ['work'] * len(record.images_ns)
    write_plot(
        path, record, true_hand(), np.zeros(len(names)), SETTINGS, situations=names
    )  # fmt: skip
    image = cv2.imread(str(path))

    def count(*colour):
        return int((image == colour).all(-1).sum())

    # Less what lines cover: 6 s were engaged, 0.3 s held.
    engaged, holding = count(222, 245, 222), count(150, 150, 255)
    assert engaged / holding == pytest.approx(6.0 / 0.3, rel=0.15)
    assert count(150, 60, 20) > 1000 and count(30, 110, 230) > 100  # arm and hand
