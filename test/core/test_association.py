"""Looks and followed hands are put together by motion, shape and side, not by boxes alone."""

import dataclasses

import numpy as np
import pytest
from stream_fakes import ScriptedBackend, frame, landmarks

from hand_perception.config import PipelineSettings
from hand_perception.pipeline.association import assign, is_known, overlap_others
from hand_perception.pipeline.detect import observe_hands
from hand_perception.pipeline.track import continue_track, hide_track, start_track

MS = 1_000_000
STEP_NS = 33 * MS


def mirrored(hand):
    """The other hand at the same place: its landmarks mirrored, its score turned round."""
    points = hand.keypoints_2d
    x = 2 * points[:, 0].mean() - points[:, 0]
    return dataclasses.replace(
        hand,
        keypoints_2d=np.column_stack([x, points[:, 1]]),
        right_score=1 - hand.right_score,
    )


def turned(hand, degrees):
    """The hand turned in the image about its middle."""
    angle = np.radians(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = hand.keypoints_2d.mean(0)
    return dataclasses.replace(
        hand, keypoints_2d=(hand.keypoints_2d - middle) @ rotation.T + middle
    )


def sure_track(track_id, center, *, right_score=0.95, velocity=(0.0, 0.0), images=5):
    """A hand followed to a place, its side sure."""
    seconds = STEP_NS * 1e-9
    places = [np.subtract(center, np.multiply(velocity, k * seconds)) for k in range(images)]
    places.reverse()
    track = start_track(track_id, landmarks(places[0], right_score=right_score), 0)
    for place in places[1:]:
        hand = landmarks(place, right_score=right_score)
        track = continue_track(track, hand, track.stamp_ns + STEP_NS)
    return track.with_side(track.right_log_odds > 0)


def assigned(tracks, looks, *, later_ns=STEP_NS, are_own=True, one_hand_per_side=True):
    stamp_ns = max(track.stamp_ns for track in tracks) + later_ns
    return assign(tracks, looks, stamp_ns, are_own=are_own, one_hand_per_side=one_hand_per_side)


def test_two_looks_at_the_upper_of_two_crossing_hands_leave_the_lower_one_without():
    right = sure_track(1, (320, 240), right_score=0.95)
    left = sure_track(2, (380, 240), right_score=0.05)
    upper = landmarks((322, 240), right_score=0.95)
    again = landmarks((325, 242), right_score=0.9)
    assert assigned([right, left], [upper, again]) == [0, None]
    assert assigned([left, right], [again, upper]) == [None, 1]


def test_hands_whose_looks_changed_places_get_their_own_again():
    right, left = sure_track(1, (300, 240)), sure_track(2, (350, 240), right_score=0.05)
    seen_right = landmarks((302, 240))
    seen_left = landmarks((348, 240), right_score=0.05)
    assert assigned([right, left], [seen_left, seen_right]) == [1, 0]


def test_crossing_hands_are_told_apart_by_where_they_were_going():
    # Unsure sides, opposite ways, 5 px past each other: only motion tells who is who.
    first = sure_track(1, (318, 240), right_score=0.5, velocity=(300, 0))
    second = sure_track(2, (322, 240), right_score=0.5, velocity=(-300, 0))
    goes_right, goes_left = landmarks((348, 240)), landmarks((292, 240))
    assert assigned([first, second], [goes_left, goes_right]) == [1, 0]


def test_a_hand_resting_on_another_is_followed_though_its_box_lies_in_the_others():
    below = sure_track(1, (320, 240))
    above = sure_track(2, (320, 240), right_score=0.05)
    looks = [landmarks((320, 240)), turned(mirrored(landmarks((325, 245))), 60)]
    assert assigned([below, above], looks) == [0, 1]


def test_a_look_that_says_the_other_side_far_away_is_another_hand():
    left = sure_track(1, (320, 240), right_score=0.05)
    assert assigned([left], [landmarks((370, 240), right_score=0.97)]) == [None]
    assert assigned([left], [landmarks((325, 240), right_score=0.97)]) == [0]  # a slip of the net


def test_a_followed_hand_may_move_as_far_as_its_region_reaches():
    track = sure_track(1, (320, 240))
    assert assigned([track], [landmarks((440, 240))]) == [0]


@pytest.mark.parametrize(
    ('look', 'is_the_hand'),
    [
        (landmarks((350, 240)), True),
        (landmarks((350, 240), presence=0.55), False),
        (landmarks((350, 240), size=60.0), False),
        (landmarks((350, 240), right_score=0.05), False),
        (landmarks((560, 240)), False),
    ],
    ids=['as expected', 'hardly there', 'half the size', 'other side', 'elsewhere'],
)
def test_a_hidden_hand_is_seen_again_only_as_it_was(look, is_the_hand):
    hidden = hide_track(sure_track(1, (320, 240)))
    found = assigned([hidden], [look], later_ns=150 * MS)
    assert found == ([0] if is_the_hand else [None])


def test_the_only_hand_of_its_side_may_have_moved_farther_while_it_was_hidden():
    hidden = hide_track(sure_track(1, (320, 240)))
    far = [landmarks((450, 240))]  # 1.1 hand sizes
    assert assigned([hidden], far, later_ns=200 * MS) == [0]
    assert assigned([hidden], far, later_ns=200 * MS, one_hand_per_side=False) == [None]


def test_a_palm_found_on_a_followed_hand_is_no_second_hand():
    hand = landmarks((320, 240))
    assert is_known(landmarks((330, 250)), [hand])
    assert is_known(landmarks((330, 230), size=50.0), [hand])


def test_a_left_hand_found_on_a_right_one_is_a_second_hand():
    hand = landmarks((320, 240))
    other = turned(mirrored(landmarks((335, 240))), 70)
    assert not is_known(other, [hand])
    assert is_known(dataclasses.replace(other, right_score=0.6), [hand])  # its side is not clear


def test_hands_that_cover_each_other_are_named():
    far, near = landmarks((100, 240)), landmarks((330, 240))
    assert overlap_others([landmarks((320, 240)), far, near]) == [True, False, True]


def observe(backend, tracks, stamp_ns, **settings):
    shown = dataclasses.replace(frame(0.0), stamp_ns=stamp_ns)
    return observe_hands(
        backend,
        shown,
        tracks,
        PipelineSettings(**settings),
        since_search_s=0.0,
        since_tiles_s=0.0,
    )


def test_a_hand_that_is_covered_is_hidden_at_once_and_comes_back_as_itself():
    left, right = sure_track(1, (320, 240), right_score=0.05), sure_track(2, (420, 240))
    backend = ScriptedBackend([landmarks((420, 240))])
    gone = observe(backend, [left, right], left.stamp_ns + STEP_NS)
    assert [track.track_id for track, _ in gone.followed] == [2]
    assert [(track.track_id, track.is_hidden) for track in gone.hidden] == [(1, True)]
    backend.hands.append(landmarks((330, 240), right_score=0.05))
    back = observe(backend, [*gone.hidden, right], left.stamp_ns + 3 * STEP_NS)
    assert {track.track_id for track, _ in back.followed} == {1, 2}
    assert back.hidden == ()


def test_a_hand_that_stays_away_is_not_waited_for():
    track = sure_track(1, (320, 240))
    backend = ScriptedBackend()
    waiting = observe(backend, [track], track.stamp_ns + 400 * MS)
    assert len(waiting.hidden) == 1
    assert observe(backend, waiting.hidden, track.stamp_ns + 501 * MS).hidden == ()


def test_without_waiting_a_hand_that_is_not_seen_is_lost_at_once():
    track = sure_track(1, (320, 240))
    shown = dataclasses.replace(frame(0.0), stamp_ns=track.stamp_ns + STEP_NS)
    seen = observe_hands(
        ScriptedBackend(),
        shown,
        [track],
        PipelineSettings(occlusion_s=0.0),
        since_search_s=0.0,
        since_tiles_s=0.0,
    )
    assert seen.hidden == ()


def test_hidden_hands_are_no_more_than_may_be_followed():
    tracks = [sure_track(i, (100 + 10 * i, 240)) for i in range(9)]
    seen = observe(ScriptedBackend(), tracks, tracks[0].stamp_ns + STEP_NS, max_hands=3)
    assert len(seen.hidden) == 3
