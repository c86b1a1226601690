"""HTT token by token against HTT on whole clips, and what is remembered."""

import pickle

import numpy as np
import pytest
import torch
from htt_streams import (
    ATOL,
    FakeNetwork,
    clip_forward,
    expect_same_step,
    features,
    run_engine,
    small_network,
    softmax,
    token,
)

from hand_perception.config import PipelineSettings
from hand_perception.errors import ConfigError
from hand_perception.pipeline.htt_stream import make_engine
from hand_perception.pipeline.temporal_state import TemporalSettings

T, POSE_WINDOW = 12, 4
ENGINES = ('tiled', 'sliding', 'two_phase')


def settings(engine='tiled', *, lookahead=0, rolling=False, window=T):
    return TemporalSettings(
        engine=engine,
        lookahead=lookahead,
        window=window,
        pose_window=POSE_WINDOW,
        is_rolling=rolling,
    )


def engine_of(name='tiled', *, dataset='fpha', **changes):
    return make_engine(small_network(dataset), settings(name, **changes))


# tiled


@pytest.mark.parametrize('dataset', ['fpha', 'h2o'])
def test_tiled_equals_the_clip_after_every_token(dataset):
    feats = features(T)
    _, steps = run_engine(engine_of(dataset=dataset), feats)
    for n, step in enumerate(steps, 1):
        clip = clip_forward(small_network(dataset), feats[:n], window=T, pose_window=POSE_WINDOW)
        np.testing.assert_allclose(step.told.raw[0], clip.raw[n - 1], atol=ATOL)
        told_objects = softmax(step.told.object_logits[0])
        np.testing.assert_allclose(told_objects, clip.object_prob[n - 1], atol=ATOL)
        np.testing.assert_allclose(step.action_prob, clip.action_prob, atol=ATOL)


@pytest.mark.parametrize('count', [1, 3, 4, 7, 12])
def test_closed_windows_and_the_end_of_the_clip_tell_the_poses_of_the_clip(count):
    engine = engine_of()
    feats = features(count)
    state, steps = run_engine(engine, feats)
    told = [step.finals for step in steps if step.finals is not None]
    ended = engine.finish(state)
    told += [ended.finals] if ended.finals is not None else []
    clip = clip_forward(small_network(), feats, window=T, pose_window=POSE_WINDOW)
    assert [t.index for rows in told for t in rows.tokens] == list(range(count))
    np.testing.assert_allclose(np.concatenate([rows.raw for rows in told]), clip.raw, atol=ATOL)
    np.testing.assert_allclose(ended.action_prob, clip.action_prob, atol=ATOL)
    assert ended.span.is_final


@pytest.mark.parametrize('interval', [2, 5, 100])
def test_an_action_every_nth_token_is_that_of_every_token(interval):
    feats = features(T)
    _, every = run_engine(engine_of(), feats)
    _, some = run_engine(engine_of(), feats, action_interval=interval)
    told = [i for i, step in enumerate(some) if step.action_prob is not None]
    assert told == sorted({*range(interval - 1, T, interval), T - 1})  # always the last one
    for i in told:
        np.testing.assert_allclose(some[i].action_prob, every[i].action_prob, atol=ATOL)
    for one, other in zip(some, every, strict=True):
        np.testing.assert_allclose(one.told.raw, other.told.raw, atol=ATOL)


def test_interval_of_the_action_may_change_between_tokens():
    engine = engine_of()
    state = engine.new_state()
    feats = features(8)
    intervals = [4, 4, 1, 1, 3, 3, 3, 1]
    told = [
        engine.step(state, feats[i], token(i), action_interval=interval).action_prob is not None
        for i, interval in enumerate(intervals)
    ]
    assert told == [False, False, True, True, False, False, True, True]


def test_a_full_clip_is_left_for_a_new_one():
    feats = features(T + 5)
    _, steps = run_engine(engine_of(), feats)
    _, fresh = run_engine(engine_of(), feats[T:])
    assert steps[T - 1].span.is_final
    for step, other in zip(steps[T:], fresh, strict=True):
        expect_same_step(step, other)


def test_a_rolling_window_drops_its_oldest_pose_window_and_counts_anew():
    network = small_network()
    feats = features(3 * T, seed=4)
    _, steps = run_engine(engine_of(rolling=True), feats)
    windows = feats.view(-1, POSE_WINDOW, feats.shape[1])
    inputs = network.heads(network.pose(windows).flatten(0, 1)).action_inputs
    fill = []
    for n, step in enumerate(steps, 1):
        dropped = max(0, -(-(n - T) // POSE_WINDOW)) * POSE_WINDOW
        first_open = (n - 1) // POSE_WINDOW * POSE_WINDOW
        open_inputs = network.heads(network.pose(feats[None, first_open:n])[0]).action_inputs
        known = torch.cat([inputs[dropped:first_open], open_inputs])
        wanted = softmax(network.action(known[None])[0].numpy())
        np.testing.assert_allclose(step.action_prob, wanted, atol=ATOL)
        assert step.span.start_ns == token(dropped).stamp_ns
        fill.append(step.span.num_tokens)
    assert fill[: T + 5] == [*range(1, T + 1), 9, 10, 11, 12, 9]
    assert [step.span.is_final for step in steps] == [count == T for count in fill]


# sliding


@pytest.mark.parametrize('lookahead', [0, 1, 3])
def test_sliding_looks_back_over_the_last_tokens_wherever_they_lie(lookahead):
    network = small_network()
    feats = features(T, seed=1)
    _, steps = run_engine(engine_of('sliding', lookahead=lookahead), feats)
    inputs = []
    for k, step in enumerate(steps[:-1]):  # the last one of the clip tells all the rest
        index = k - lookahead
        if index < 0:
            assert step.told is None
            assert step.action_prob is None
            continue
        first = max(0, k - POSE_WINDOW + 1)
        heads = network.heads(network.pose(feats[None, first : k + 1])[0, index - first :][:1])
        inputs.append(heads.action_inputs)
        assert [t.index for t in step.told.tokens] == [index]
        np.testing.assert_allclose(step.told.raw, heads.raw.numpy(), atol=ATOL)
        wanted = softmax(network.action(torch.cat(inputs)[None])[0].numpy())
        np.testing.assert_allclose(step.action_prob, wanted, atol=ATOL)


@pytest.mark.parametrize('rolling', [False, True])
@pytest.mark.parametrize('lookahead', [0, 1, 3])
@pytest.mark.parametrize('count', [1, 2, 3, 11, 12, 13, 40])
def test_sliding_tells_every_token_once_and_in_order(count, lookahead, rolling):
    engine = engine_of('sliding', lookahead=lookahead, rolling=rolling)
    state, steps = run_engine(engine, features(count))
    steps.append(engine.finish(state))
    rows = [step.told for step in steps if step is not None and step.told is not None]
    assert [t.index for told in rows for t in told.tokens] == list(range(count))
    assert all(step.finals is None for step in steps)
    assert max(step.span.num_tokens for step in steps) <= T


def test_sliding_flushes_the_open_tokens_at_the_end_from_the_last_window():
    network = small_network()
    feats = features(7, seed=2)
    engine = engine_of('sliding', lookahead=2)
    state, _ = run_engine(engine, feats)
    ended = engine.finish(state)
    heads = network.heads(network.pose(feats[None, 3:7])[0, 2:])
    assert [t.index for t in ended.told.tokens] == [5, 6]
    np.testing.assert_allclose(ended.told.raw, heads.raw.numpy(), atol=ATOL)
    assert ended.span.num_tokens == 7


def test_full_sliding_clip_is_final_and_left_for_a_new_one():
    feats = features(T + 6)
    _, steps = run_engine(engine_of('sliding', lookahead=2), feats)
    _, fresh = run_engine(engine_of('sliding', lookahead=2), feats[T:])
    assert steps[T - 1].span.is_final
    for step, other in zip(steps[T:], fresh, strict=True):
        expect_same_step(step, other)


def test_a_rolling_sliding_window_keeps_the_features_of_the_last_tokens():
    feats = features(3 * T)
    _, rolling = run_engine(engine_of('sliding', rolling=True), feats)
    _, long = run_engine(engine_of('sliding', window=3 * T), feats)
    for step, other in zip(rolling, long, strict=True):
        np.testing.assert_allclose(step.told.raw, other.told.raw, atol=ATOL)
    assert [step.span.num_tokens for step in rolling[T - 1 : T + 5]] == [12, 9, 10, 11, 12, 9]


# two phases


@pytest.mark.parametrize('count', [1, 2, 7, 23, 24])
def test_vote_of_two_phases_is_the_published_sum_over_both_windows(count):
    feats = features(count, seed=5)
    engine = engine_of('two_phase')
    state, steps = run_engine(engine, feats, phases=2)
    clips = [
        clip_forward(small_network(), feats[phase::2], window=T, pose_window=POSE_WINDOW)
        for phase in range(2)
        if len(feats[phase::2])
    ]
    total = np.sum([clip.action_prob for clip in clips], axis=0)
    np.testing.assert_allclose(steps[-1].action_prob * len(clips), total, atol=ATOL)
    ended = engine.finish(state)
    np.testing.assert_allclose(ended.action_prob * len(clips), total, atol=ATOL)
    told = [step.finals for step in [*steps, ended] if step.finals is not None]
    poses = {t.index: row for rows in told for t, row in zip(rows.tokens, rows.raw, strict=True)}
    for phase, clip in enumerate(clips):
        for i, raw in enumerate(clip.raw):
            np.testing.assert_allclose(poses[2 * i + phase], raw, atol=ATOL)
    assert sorted(poses) == list(range(count))


def test_two_phases_are_full_when_both_are():
    _, steps = run_engine(engine_of('two_phase'), features(2 * T), phases=2)
    assert [step.span.num_tokens for step in steps] == list(range(1, 2 * T + 1))
    assert [step.span.is_final for step in steps] == [False] * (2 * T - 1) + [True]
    assert steps[0].span.num_full == 2 * T


def test_a_new_clip_of_two_phases_does_not_vote_with_the_one_before():
    feats = features(2 * T + 3)
    _, steps = run_engine(engine_of('two_phase'), feats, phases=2)
    _, fresh = run_engine(engine_of('two_phase'), feats[2 * T :], phases=2)
    for step, other in zip(steps[2 * T :], fresh, strict=True):
        expect_same_step(step, other)


def test_a_phase_that_told_nothing_in_a_new_clip_has_no_vote_in_it():
    engine, feats = engine_of('two_phase'), features(2 * T + 8)

    def run(feats, count):
        state = engine.new_state()
        steps = [
            engine.step(state, feature, token(i, phase=i % 2), action_interval=3)
            for i, feature in enumerate(feats)
        ]
        return [step.action_prob for step in steps[-count:]]

    after_another, fresh = run(feats, 8), run(feats[2 * T :], 8)
    for prob, other in zip(after_another, fresh, strict=True):
        assert (prob is None) == (other is None)
        if prob is not None:
            np.testing.assert_allclose(prob, other, atol=ATOL)
    assert sum(prob is not None for prob in fresh) >= 2


def test_phases_that_end_in_different_clips_begin_the_next_together():
    engine, feats = engine_of('two_phase'), features(2 * T + 1)
    state, _ = run_engine(engine, feats, phases=2)  # only the even phase is in its second clip
    engine.finish(state)
    _, fresh = run_engine(engine, feats[:6], phases=2)
    for i, other in enumerate(fresh):
        step = engine.step(state, feats[i], token(i, phase=i % 2), action_interval=1)
        expect_same_step(step, other)


def test_a_lost_image_leaves_the_other_phase_as_it_is():
    engine = engine_of('two_phase')
    feats = features(8)
    state = engine.new_state()
    for i in (0, 1, 2, 4, 5, 6):  # the fourth is lost
        step = engine.step(state, feats[i], token(i, phase=i % 2), action_interval=1)
    even = clip_forward(small_network(), feats[[0, 2, 4, 6]], window=T, pose_window=POSE_WINDOW)
    odd = clip_forward(small_network(), feats[[1, 5]], window=T, pose_window=POSE_WINDOW)
    mean = (even.action_prob + odd.action_prob) / 2
    np.testing.assert_allclose(step.action_prob, mean, atol=ATOL)


# all engines


@pytest.mark.parametrize('name', ENGINES)
def test_an_engine_that_finished_is_as_new(name):
    feats = features(10, seed=6)
    engine = engine_of(name)
    phases = 2 if name == 'two_phase' else 1
    state, _ = run_engine(engine, feats[:5], phases=phases)
    engine.finish(state)
    _, fresh = run_engine(engine, feats, phases=phases)
    for i, (feature, other) in enumerate(zip(feats, fresh, strict=True)):
        step = engine.step(state, feature, token(i, phase=i % phases), action_interval=1)
        expect_same_step(step, other)


@pytest.mark.parametrize('name', ENGINES)
@pytest.mark.parametrize('count', [0, 1, 5, T + 1])
def test_an_engine_that_forgot_its_clip_is_as_one_that_finished_it(name, count):
    engine = engine_of(name)
    phases = 2 if name == 'two_phase' else 1
    feats = features(max(count, 10), seed=6)
    forgot, _ = run_engine(engine, feats[:count], phases=phases)
    finished, _ = run_engine(engine, feats[:count], phases=phases)
    engine.forget(forgot)
    engine.finish(finished)
    assert engine.finish(forgot) is None
    for i, feature in enumerate(feats[:10]):
        ours, theirs = (
            engine.step(state, feature, token(i, phase=i % phases), action_interval=1)
            for state in (forgot, finished)
        )
        expect_same_step(ours, theirs)


@pytest.mark.parametrize('name', ENGINES)
def test_nothing_is_told_at_the_end_of_nothing(name):
    engine = engine_of(name)
    state = engine.new_state()
    assert engine.finish(state) is None
    assert engine.span(state).num_tokens == 0


@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
@pytest.mark.parametrize(('rolling', 'interval'), [(False, 1), (True, 3)])
@pytest.mark.parametrize(('name', 'lookahead'), [('tiled', 0), ('sliding', 0), ('sliding', 2)])
def test_a_feature_that_is_not_finite_is_as_if_it_had_not_come(
    name, lookahead, interval, rolling, bad
):
    feats = features(2 * T + 3)
    engine = engine_of(name, lookahead=lookahead, rolling=rolling)
    _, clean = run_engine(engine, feats, action_interval=interval)
    state = engine.new_state()
    poison = torch.full((64,), bad)
    poison[1:] = 0.5
    for i, feature in enumerate(feats):
        if i % 5 in (0, 3) or i in (T, 2 * T):
            left_out = engine.step(state, poison, token(1000 + i), action_interval=interval)
            assert left_out is None
        step = engine.step(state, feature, token(i), action_interval=interval)
        expect_same_step(step, clean[i])
        if step.told is not None:
            assert [t.index for t in step.told.tokens] == [t.index for t in clean[i].told.tokens]
    ended = engine.finish(state)
    assert ended.action_prob is not None
    assert np.isfinite(ended.action_prob).all()


@pytest.mark.parametrize('rolling', [False, True])
@pytest.mark.parametrize(
    ('name', 'lookahead'), [('tiled', 0), ('sliding', 0), ('sliding', 2), ('two_phase', 0)]
)
def test_a_token_left_out_behind_a_full_window_leaves_the_window_full(name, lookahead, rolling):
    phases = 2 if name == 'two_phase' else 1
    feats = features(T * phases, seed=8)
    engine = engine_of(name, lookahead=lookahead, rolling=rolling)

    def full_window():
        return run_engine(engine, feats, phases=phases)[0]

    state, clean = full_window(), full_window()
    span = engine.span(state)
    poison = torch.full((64,), float('nan'))
    assert engine.step(state, poison, token(len(feats)), action_interval=1) is None
    assert engine.span(state) == span
    ended, wanted = engine.finish(state), engine.finish(clean)
    expect_same_step(ended, wanted)
    assert ended.span == wanted.span


def test_outputs_that_are_not_finite_leave_the_token_out():
    network = FakeNetwork()
    network.action = lambda inputs: torch.full((1, 4), float('nan'))
    engine = make_engine(network, settings())
    state = engine.new_state()
    assert engine.step(state, torch.zeros(8), token(0), action_interval=1) is None
    assert engine.step(state, torch.zeros(8), token(1), action_interval=5) is not None
    assert engine.span(state).num_tokens == 1


@pytest.mark.parametrize(
    ('name', 'lookahead', 'rolling', 'num_tokens'),
    [
        ('tiled', 0, True, 100_000),
        ('tiled', 0, False, 10_240),
        ('sliding', 3, True, 10_240),
        ('sliding', 3, False, 10_240),
        ('two_phase', 0, True, 10_240),
        ('two_phase', 0, False, 10_240),
    ],
)
def test_memory_does_not_grow(name, lookahead, rolling, num_tokens):
    engine = make_engine(
        FakeNetwork(),
        TemporalSettings(
            engine=name, lookahead=lookahead, window=32, pose_window=8, is_rolling=rolling
        ),
    )
    state = engine.new_state()
    feature = torch.zeros(8)
    tokens = (token(0), token(0, phase=1 if name == 'two_phase' else 0))
    sizes = []
    with torch.inference_mode():
        for i in range(1, num_tokens + 1):
            engine.step(state, feature, tokens[i % 2], action_interval=4)
            if i % (num_tokens // 2) == 0:
                # All of it: arrays, deques and what they hold.
                sizes.append(len(pickle.dumps(state)))
                assert engine.span(state).num_tokens <= engine.span(state).num_full
    assert max(sizes) - min(sizes) < 16  # bytes: a counter takes more digits


# settings


def test_windows_come_from_the_settings():
    made = TemporalSettings.of(
        PipelineSettings(
            htt_engine='sliding',
            htt_lookahead=3,
            htt_window=64,
            htt_pose_window=8,
            htt_endless='clip',
        )
    )
    assert made == TemporalSettings(
        engine='sliding', lookahead=3, window=64, pose_window=8, is_rolling=False
    )
    assert TemporalSettings.of(PipelineSettings()) == TemporalSettings()


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'window': 100}, 'htt_window is 100 tokens, expected a multiple of htt_pose_window'),
        ({'lookahead': 16}, 'htt_lookahead is 16 tokens, expected fewer than htt_pose_window'),
        ({'window': 8}, 'multiple'),
    ],
)
def test_windows_that_do_not_fit_are_refused(changes, words):
    with pytest.raises(ConfigError, match=words):
        TemporalSettings(**changes)
