"""Tracks keep their identity, predict their region and vote on their side."""

import numpy as np
import pytest
from stream_fakes import landmarks

from hand_perception.pipeline.track import (
    continue_track,
    give_sides,
    hide_track,
    predicted_region,
    start_track,
    with_ids,
)

MS = 1_000_000


def followed(track, scores, *, center=(320, 240)):
    for score in scores:
        hand = landmarks(center, right_score=score)
        track = continue_track(track, hand, track.stamp_ns + 33 * MS)
    return track


def new_track(track_id=1, *, right_score=0.95, center=(320, 240), presence=0.99):
    return start_track(track_id, landmarks(center, right_score=right_score, presence=presence), 0)


def test_one_wrong_image_does_not_turn_a_right_hand_into_a_left_one():
    track = followed(new_track(), [0.9, 0.95, 0.02, 0.9])
    (sided,) = give_sides([track], one_hand_per_side=True)
    assert sided.is_right
    assert sided.handedness_score > 0.9


def test_lasting_evidence_turns_the_side():
    turned = followed(followed(new_track(), [0.95] * 20), [0.05] * 20)
    (sided,) = give_sides([turned], one_hand_per_side=True)
    assert not sided.is_right


def test_evidence_of_the_fit_decides_where_the_network_is_unsure():
    hand = landmarks((320, 240), right_score=0.55)
    track = start_track(1, hand, 0, side_evidence=-1.5)
    assert not track.is_right
    assert not track.is_side_sure
    again = continue_track(track, hand, 33 * MS, side_evidence=-2.0)
    again = continue_track(again, hand, 66 * MS, side_evidence=-2.0)
    assert again.is_side_sure


def test_the_score_is_that_of_the_side_that_was_given():
    left = followed(new_track(right_score=0.05), [0.05] * 5)
    (sided,) = give_sides([left], one_hand_per_side=True)
    assert not sided.is_right
    assert sided.handedness_score > 0.99


def test_two_hands_with_one_vote_become_left_and_right_by_the_stronger_vote():
    sure = followed(new_track(1, right_score=0.9), [0.95] * 5)
    unsure = new_track(2, right_score=0.6)
    left, right = give_sides([sure, unsure], one_hand_per_side=True)
    assert (left.track_id, left.is_right) == (2, False)
    assert (right.track_id, right.is_right) == (1, True)


def test_a_second_hand_that_is_surely_of_the_same_side_is_not_the_wearers():
    first = followed(new_track(1), [0.95] * 5)
    second = followed(new_track(2), [0.95] * 5)
    kept = give_sides([second, first], one_hand_per_side=True)
    assert [track.track_id for track in kept] == [1]


def test_without_one_hand_per_side_all_hands_stay_with_their_votes():
    tracks = [new_track(i, right_score=score) for i, score in enumerate([0.9, 0.9, 0.1])]
    sided = give_sides(tracks, one_hand_per_side=False)
    assert [(t.track_id, t.is_right) for t in sided] == [(2, False), (0, True), (1, True)]


def test_a_region_moves_ahead_with_the_hand():
    track = new_track(center=(300, 240))
    hand = landmarks((310, 240))
    track = continue_track(track, hand, 50 * MS)
    np.testing.assert_allclose(track.velocity_px_s, (200, 0), atol=1e-6)
    ahead = predicted_region(track, 100 * MS)
    now = predicted_region(track, 50 * MS)
    assert ahead.center_px[0] - now.center_px[0] == pytest.approx(10)
    assert ahead.center_px[1] == pytest.approx(now.center_px[1])


def test_a_region_never_runs_away():
    track = continue_track(new_track(center=(100, 240)), landmarks((500, 240)), 33 * MS)
    now = predicted_region(track, 33 * MS)
    later = predicted_region(track, 10_000 * MS)
    moved = np.hypot(*np.subtract(later.center_px, now.center_px))
    assert moved <= 0.25 * now.size_px + 1e-6


def sided(*tracks):
    return give_sides(tracks, one_hand_per_side=True)


def settled(track_id, *, is_right):
    """A hand whose side was clear for half a second."""
    score = 0.95 if is_right else 0.05
    return sided(followed(new_track(track_id, right_score=score), [score] * 15))[0]


def test_a_settled_side_is_kept_against_a_burst_of_wrong_looks():
    track = settled(1, is_right=False)
    for _ in range(7):  # a quarter of a second at 30 Hz
        (track,) = sided(followed(track, [0.99]))
        assert not track.is_right
        assert not track.is_turned


def test_a_settled_side_turns_once_when_all_later_looks_deny_it():
    track, turns = settled(1, is_right=False), 0
    for _ in range(30):
        (track,) = sided(followed(track, [0.95]))
        turns += track.is_turned
    assert track.is_right
    assert turns == 1


def test_looks_that_go_back_and_forth_do_not_turn_a_settled_side():
    track = settled(1, is_right=True)
    for score in [0.05, 0.95] * 50:
        (track,) = sided(followed(track, [score]))
        assert track.is_right


def test_two_settled_hands_keep_their_sides_while_the_net_calls_both_right():
    left, right = settled(1, is_right=False), settled(2, is_right=True)
    for _ in range(7):
        left, right = sided(followed(left, [0.97]), followed(right, [0.97]))
        assert (left.track_id, right.track_id) == (1, 2)
        assert (left.is_right, right.is_right) == (False, True)


def test_a_look_without_a_vote_moves_the_hand_and_leaves_its_side():
    track = settled(1, is_right=True)
    hand = landmarks((330, 240), right_score=0.01)
    moved = continue_track(track, hand, track.stamp_ns + 33 * MS, has_vote=False)
    assert moved.right_log_odds == track.right_log_odds
    assert moved.landmarks is hand


def test_a_hidden_hand_keeps_its_side_until_a_seen_hand_takes_it():
    hidden = hide_track(settled(1, is_right=False))
    alone = sided(hidden)
    assert [(track.track_id, track.is_right) for track in alone] == [(1, False)]
    beside_right = sided(hidden, settled(2, is_right=True))
    assert [track.track_id for track in beside_right] == [1, 2]
    beside_left = sided(hidden, settled(3, is_right=False))
    assert [track.track_id for track in beside_left] == [3]


def test_a_hidden_hand_is_looked_for_farther_ahead_than_a_seen_one():
    track = continue_track(new_track(center=(300, 240)), landmarks((320, 240)), 33 * MS)
    now = predicted_region(track, 33 * MS)

    def lead(track):
        later = predicted_region(track, 400 * MS)
        return (later.center_px[0] - now.center_px[0]) / now.size_px

    assert lead(track) == pytest.approx(0.25)
    assert lead(hide_track(track)) == pytest.approx(0.5)


def test_new_ids_go_to_the_tracks_that_are_named():
    tracks = (new_track(1), new_track(2))
    renamed = with_ids(tracks, {2: 7})
    assert [track.track_id for track in renamed] == [1, 7]
    assert renamed[0] is tracks[0]
