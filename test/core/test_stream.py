"""The flow of one stream: identity, searches, resets and bounded memory."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from stream_fakes import ScriptedBackend, frame, landmarks, open_hand_px

from hand_perception.config import PipelineSettings
from hand_perception.pipeline.stream import HandPipeline
from hand_perception.pipeline.stream_state import StreamState


class TrackReporter:
    """Stands in for the pose fit: reports the tracks as hands."""

    takes_boxes = False
    model = None
    evidence = 0.0

    def __init__(self):
        self.asked = []  # hands per image whose side was asked for

    def __call__(self, image_frame, tracks, shapes):
        return tuple(tracks)

    def side_evidence(self, camera, hands):
        self.asked.append(len(hands))
        return [self.evidence] * len(hands)

    def with_settings(self, settings):
        self.hand_scale = settings.hand_scale
        return self


@pytest.fixture(autouse=True)
def tracks_pass(monkeypatch):
    """Tracks are no hands: they have no numbers that could be wrong."""
    monkeypatch.setattr('hand_perception.pipeline.stream.finite_hands', tuple)


#: Tracks are no hands: they cannot be smoothed, and they have no place in space to jump from.
AS_THEY_COME = {'smoothing': 'none', 'predict_horizon_s': 0.0, 'jump_gate': False}


def make_pipeline(hands=(), **settings):
    backend = ScriptedBackend(hands)
    settings = PipelineSettings(**AS_THEY_COME, **settings)
    return HandPipeline(settings, backend, TrackReporter()), backend


def run(pipeline, state, times_s):
    return [pipeline.step(state, frame(t)) for t in times_s]


def ids(result):
    return [track.track_id for track in result.hands]


LEFT = {'center': (200, 240), 'right_score': 0.05}
RIGHT = {'center': (450, 240), 'right_score': 0.95}


def test_an_image_without_hands_gives_an_empty_result():
    pipeline, _ = make_pipeline()
    (result,) = run(pipeline, pipeline.new_stream(), [0.0])
    assert result.hands == ()
    assert result.num_detections > 0


def test_two_hands_are_found_left_first_and_keep_their_ids():
    pipeline, _ = make_pipeline([landmarks(**RIGHT), landmarks(**LEFT)])
    results = run(pipeline, pipeline.new_stream(), np.arange(10) / 30)
    assert [track.is_right for track in results[0].hands] == [False, True]
    assert {tuple(ids(result)) for result in results} == {tuple(ids(results[0]))}


def test_followed_hands_are_not_searched_for():
    pipeline, backend = make_pipeline([landmarks(**RIGHT), landmarks(**LEFT)])
    run(pipeline, pipeline.new_stream(), np.arange(10) / 30)
    assert len(backend.searches) == 1
    assert backend.looks == 4 + 9 * 2  # two looks at each palm, then one per hand and image


def test_with_one_hand_of_two_the_search_runs_at_its_interval():
    pipeline, backend = make_pipeline([landmarks(**RIGHT)], search_interval_s=0.2)
    run(pipeline, pipeline.new_stream(), np.arange(31) / 30)
    assert 5 <= len(backend.searches) <= 6  # 1 s at one search per 0.2 s


@pytest.mark.parametrize(('back_s', 'is_the_same'), [(0.1, True), (0.5, True), (0.7, False)])
def test_a_hand_is_gone_in_the_first_image_without_it_and_keeps_its_id_for_half_a_second(
    back_s, is_the_same
):
    pipeline, backend = make_pipeline([landmarks(**RIGHT)])
    state = pipeline.new_stream()
    first = run(pipeline, state, [0.0, 0.033])[-1]
    backend.hands = []
    for gone in run(pipeline, state, np.arange(0.066, back_s, 0.033)):
        assert gone.hands == ()
    backend.hands = [landmarks(**RIGHT)]
    again = run(pipeline, state, [back_s])[0]
    assert (ids(again) == ids(first)) is is_the_same
    assert ids(again)[0] >= ids(first)[0]


def test_a_hand_that_jumps_out_of_its_region_is_found_in_the_same_image():
    pipeline, backend = make_pipeline([landmarks((450, 240))])
    state = pipeline.new_stream()
    first = run(pipeline, state, [0.0])[0]
    backend.hands = [landmarks((150, 100))]
    jumped = run(pipeline, state, [0.033])[0]
    assert len(jumped.hands) == 1
    assert ids(jumped) != ids(first)  # nobody can say that it is the same hand


def test_two_views_of_one_hand_are_one_hand():
    pipeline, _ = make_pipeline([landmarks((450, 240)), landmarks((455, 242))])
    (result,) = run(pipeline, pipeline.new_stream(), [0.0])
    assert len(result.hands) == 1


@pytest.mark.parametrize(
    'hand',
    [
        landmarks((320, 240), presence=0.3),
        landmarks((320, 240), size=4.0),
        landmarks((320, 240), presence=float('nan')),
        landmarks((-300, 240)),
    ],
    ids=['absent', 'tiny', 'not a number', 'outside'],
)
def test_what_is_no_hand_is_not_reported(hand):
    pipeline, _ = make_pipeline([hand])
    (result,) = run(pipeline, pipeline.new_stream(), [0.0])
    assert result.hands == ()


def test_landmarks_that_are_not_numbers_end_the_track():
    hand = landmarks((320, 240))
    hand.keypoints_2d[5] = np.nan
    pipeline, _ = make_pipeline([hand])
    (result,) = run(pipeline, pipeline.new_stream(), [0.0])
    assert result.hands == ()


def test_at_most_max_hands_are_followed():
    hands = [landmarks((100 + 140 * i, 240), right_score=0.5 + 0.1 * i) for i in range(4)]
    pipeline, _ = make_pipeline(hands, max_hands=3, one_hand_per_side=False)
    (result,) = run(pipeline, pipeline.new_stream(), [0.0])
    assert len(result.hands) == 3


def test_a_stamp_that_goes_back_resets_the_stream_and_says_why():
    pipeline, _ = make_pipeline([landmarks(**RIGHT)])
    state = pipeline.new_stream()
    before = run(pipeline, state, [5.0, 5.033])[-1]
    after = run(pipeline, state, [1.0])[0]
    assert 'went back' in after.reset_reason
    assert ids(after)[0] > ids(before)[0]  # ids are never reused in a run of the process


def test_a_long_gap_resets_the_stream_and_a_short_one_does_not():
    pipeline, _ = make_pipeline([landmarks(**RIGHT)], stream_gap_s=1.0)
    state = pipeline.new_stream()
    short, long = run(pipeline, state, [0.0, 0.9, 2.0])[1:]
    assert short.reset_reason == ''
    assert 'no image for 1.1' in long.reset_reason


def test_another_size_of_hands_begins_a_new_run_with_new_ids():
    pipeline, _ = make_pipeline([landmarks(**RIGHT)])
    state = pipeline.new_stream()
    before = run(pipeline, state, [0.0, 0.03])[-1]
    pipeline.replace_settings(pipeline.settings.replace(hand_scale=1.1))
    after, later = run(pipeline, state, [0.06, 0.09])
    assert 'hand_scale is 1.1 now' in after.reset_reason
    assert set(ids(after)).isdisjoint(ids(before))
    assert ids(later) == ids(after)
    assert later.reset_reason == ''


def test_a_hand_whose_votes_turn_its_side_has_a_new_id_on_the_other_side():
    pipeline, backend = make_pipeline([landmarks(**RIGHT)])
    state = pipeline.new_stream()
    before = run(pipeline, state, np.arange(5) / 30)[-1]
    backend.hands = [landmarks(**{**RIGHT, 'right_score': 0.05})]
    results = run(pipeline, state, (5 + np.arange(15)) / 30)
    sides = {track.track_id: track.is_right for result in results for track in result.hands}
    assert sides[ids(before)[0]]  # as long as it has this id it is a right hand
    assert not sides[ids(results[-1])[0]]
    assert all(len(result.hands) == 1 for result in results)


def test_reset_equals_new_but_for_the_track_ids_given():
    pipeline, _ = make_pipeline([landmarks(**RIGHT)])
    state = pipeline.new_stream()
    run(pipeline, state, [0.0, 0.033])
    given = state.next_track_id
    state.reset()
    assert (state.tracks, state.last_stamp_ns, len(state.shapes)) == ((), None, 0)
    assert state.next_track_id == given


def test_the_fit_of_both_sides_is_asked_until_the_side_is_sure():
    pipeline, _ = make_pipeline([landmarks((320, 240), right_score=0.55)], max_hands=1)
    pipeline._reconstructor.evidence = -1.0
    results = run(pipeline, pipeline.new_stream(), np.arange(8) / 30)
    assert not any(track.is_right for result in results for track in result.hands)
    # Each image adds 0.2 - 1.0: sure, at -4, after the fifth or sixth.
    assert pipeline._reconstructor.asked in ([1] * 5 + [0] * 3, [1] * 6 + [0] * 2)


def test_live_settings_take_effect_in_the_next_image():
    pipeline, _ = make_pipeline([landmarks((320, 240), presence=0.6)])
    state = pipeline.new_stream()
    assert len(run(pipeline, state, [0.0])[0].hands) == 1
    pipeline.replace_settings(pipeline.settings.replace(presence_threshold=0.7, hand_scale=1.1))
    assert run(pipeline, state, [0.033])[0].hands == ()
    assert pipeline._reconstructor.hand_scale == 1.1


def test_memory_stays_bounded_over_ten_thousand_images():
    pipeline, backend = make_pipeline([landmarks(**RIGHT), landmarks(**LEFT)])
    state = pipeline.new_stream()
    blank, both = [], list(backend.hands)
    image = frame(0.0).image

    def step(n):
        backend.hands = blank if n % 7 == 0 else both
        object.__setattr__(shown, 'stamp_ns', n * 33_000_000)
        pipeline.step(state, shown)

    shown = frame(0.0)
    object.__setattr__(shown, 'image', image)
    sizes = []
    for n in range(1, 10_001):
        step(n)
        if n in (1_000, 10_000):
            sizes.append((len(state.tracks), sys.getsizeof(state.tracks)))
    assert sizes[0] == sizes[1]
    assert set(StreamState.__slots__) == {
        'tracks',
        'next_track_id',
        'last_stamp_ns',
        'last_search_ns',
        'last_tiles_ns',
        'last_look_ns',
        'is_doubtful',
        'shapes',
        'gate',
        'recognised_gate',
        'renamed',
        'motion',
        'camera',
        'hand_scale',
        'recognised',
        'told',
    }  # fmt: skip - nothing else may grow


class KeypointReporter(TrackReporter):
    """Stands in for HaMeR: sees the hands go two pixels to the right in every image."""

    takes_boxes = True
    confidence = 0.9

    def __init__(self):
        super().__init__()
        self.num_images = 0

    def __call__(self, image_frame, tracks, shapes):
        shift = (2.0 * self.num_images, 0.0)
        self.num_images += 1
        return tuple(
            SimpleNamespace(
                track_id=track.track_id,
                is_right=track.is_right,
                confidence=self.confidence,
                keypoints_2d=open_hand_px((RIGHT if track.is_right else LEFT)['center']) + shift,
                keypoints_3d=np.zeros((21, 3)),
                seen_at=track.known_landmarks.keypoints_2d.mean(0),
            )
            for track in tracks
        )


def followed_pipeline(**settings):
    backend = ScriptedBackend([landmarks(**RIGHT), landmarks(**LEFT)])
    settings = PipelineSettings(landmark_interval_s=0.2, **AS_THEY_COME, **settings)
    return HandPipeline(settings, backend, KeypointReporter()), backend


def test_between_looks_hands_are_followed_by_the_keypoints_of_the_reconstruction():
    pipeline, backend = followed_pipeline()
    results = run(pipeline, pipeline.new_stream(), np.arange(7) / 30)
    # The image at 0.2 s is looked at again: four looks at first, two then.
    assert backend.looks == 4 + 2
    assert {tuple(ids(result)) for result in results} == {tuple(ids(results[0]))}
    # Looked for where the reconstruction saw it going, after one image to learn its velocity.
    x = np.array([result.hands[0].seen_at[0] for result in results[:6]])
    np.testing.assert_allclose(np.diff(x[2:]), 2.0, atol=0.1)  # px


def test_a_doubtful_hand_is_looked_at_in_the_next_image():
    pipeline, backend = followed_pipeline()
    pipeline._reconstructor.confidence = 0.1
    run(pipeline, pipeline.new_stream(), np.arange(4) / 30)
    assert backend.looks == 4 + 3 * 2


def test_a_hand_that_is_still_wanted_is_searched_for_at_its_interval_all_the_same():
    pipeline, backend = followed_pipeline(search_interval_s=0.1, max_hands=3,
                                          one_hand_per_side=False)  # fmt: skip
    run(pipeline, pipeline.new_stream(), np.arange(10) / 30)
    assert 3 <= len(backend.searches) <= 4
