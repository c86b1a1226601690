"""Images through HTT: tokens, resets, broken cameras, broken numbers."""

import contextlib
import pickle

import numpy as np
import pytest
import torch
from htt_streams import CAMERA, FakeNetwork, frame, small_network

from hand_perception.datatypes import Camera
from hand_perception.errors import ImageError
from hand_perception.pipeline.htt_stream import HttStream
from hand_perception.pipeline.temporal_state import TemporalSettings


def stream_of(
    network=None,
    *,
    engine='tiled',
    rate_hz=15.0,
    lookahead=0,
    rolling=True,
    window=12,
    tells_ended=False,
    cuda_stream=None,
):
    return HttStream(
        network or FakeNetwork(),
        TemporalSettings(
            engine=engine, window=window, pose_window=4, lookahead=lookahead, is_rolling=rolling
        ),
        kernel='antialias',
        token_rate_hz=rate_hz,
        token_gap_s=0.5,
        tells_ended=tells_ended,
        cuda_stream=cuda_stream,
    )


def run(stream, frames):
    """What the stream says of the tokens among images."""
    return [step for step in map(stream.step, frames) if step is not None]


def expect_same(steps, others):
    for step, other in zip(steps, others, strict=True):
        assert step.stamp_ns == other.stamp_ns
        np.testing.assert_array_equal(step.action_prob, other.action_prob)
        for token, wanted in zip(step.tokens, other.tokens, strict=True):
            np.testing.assert_array_equal(token.joints_3d, wanted.joints_3d)


def test_every_second_image_of_30_hz_is_looked_at_at_once():
    network = FakeNetwork()
    steps = run(stream_of(network), [frame(i) for i in range(20)])
    assert network.num_images == len(steps) == 10
    assert [step.tokens[0].index for step in steps] == list(range(10))
    assert [step.stamp_ns for step in steps] == [frame(i).stamp_ns for i in range(0, 20, 2)]
    assert all(step.tokens[0].stamp_ns == step.stamp_ns for step in steps)


def test_windows_that_close_tell_their_poses_again():
    steps = run(stream_of(), [frame(i) for i in range(0, 20, 2)])
    again = {i: [t.index for t in step.finals] for i, step in enumerate(steps) if step.finals}
    assert again == {3: [0, 1, 2, 3], 7: [4, 5, 6, 7]}
    assert all(t.is_final for step in steps for t in step.finals)
    assert not any(t.is_final for step in steps for t in step.tokens)


def test_poses_of_sliding_are_final_at_once_and_late_by_the_lookahead():
    stream = stream_of(engine='sliding', lookahead=2)
    steps = run(stream, [frame(i) for i in range(0, 12, 2)])
    assert [[t.index for t in step.tokens] for step in steps] == [[], [], [0], [1], [2], [3]]
    assert all(t.is_final for step in steps for t in step.tokens)
    ended = stream.finish()
    assert [t.index for t in ended.tokens] == [4, 5]
    assert ended.tokens[-1].action_prob is not None


def test_two_phases_look_at_every_image():
    steps = run(stream_of(engine='two_phase'), [frame(i) for i in range(8)])
    assert [step.tokens[0].token.phase for step in steps] == [0, 1] * 4
    assert [step.span.num_tokens for step in steps] == list(range(1, 9))


def test_every_image_is_a_token_when_asked_for():
    frames = [frame(i, stamp_ns=round(i * 2e8)) for i in range(6)]
    steps = run(stream_of(rate_hz=0.0), frames)
    assert len(steps) == 6
    assert not any(step.problem or step.reset_reason for step in steps)


@pytest.mark.parametrize('engine', ['tiled', 'sliding', 'two_phase'])
@pytest.mark.parametrize('jump_s', [-5.0, 3.0])
def test_a_stream_that_began_anew_is_as_a_new_one(engine, jump_s):
    lookahead = 2 if engine == 'sliding' else 0
    stream = stream_of(small_network(), engine=engine, lookahead=lookahead)
    run(stream, [frame(i) for i in range(10)])
    first = 10 + round(jump_s * 30)
    after = [frame(i) for i in range(first, first + 12)]
    steps = run(stream, after)
    fresh = run(stream_of(small_network(), engine=engine, lookahead=lookahead), after)
    assert steps[0].reset_reason
    assert not any(step.reset_reason for step in steps[1:])
    expect_same(steps, fresh)


def test_what_a_gap_ended_is_told_with_the_first_image_after_it():
    stream = stream_of(tells_ended=True)
    run(stream, [frame(i) for i in range(0, 12, 2)])
    step = stream.step(frame(60))
    assert step.reset_reason == 'no image to look at for 1.667 s'
    assert [t.index for t in step.ended.finals] == [4, 5]
    assert step.ended.span.is_final
    assert step.ended.stamp_ns == frame(10).stamp_ns
    assert [t.index for t in step.tokens] == [6]  # numbers go on


@pytest.mark.parametrize('engine', ['tiled', 'sliding', 'two_phase'])
def test_what_a_gap_ended_is_not_computed_where_nobody_asks_for_it(engine):
    network = CountingNetwork()
    stream = stream_of(network, engine=engine, lookahead=1 if engine == 'sliding' else 0)
    run(stream, [frame(i) for i in range(12)])
    network.num_poses = 0
    step = stream.step(frame(60))
    assert step.reset_reason
    assert step.ended is None
    assert network.num_poses == 1  # of the image itself


class CountingNetwork(FakeNetwork):
    """Counts how often it is asked for poses."""

    num_poses = 0

    def pose(self, feats):
        self.num_poses += 1
        return super().pose(feats)


@pytest.mark.parametrize('engine', ['tiled', 'sliding', 'two_phase'])
def test_all_work_of_a_stream_is_queued_in_one_place_from_its_memory_on(engine, monkeypatch):
    """Work that is queued elsewhere would not be waited for."""
    used = []

    class PlacedNetwork(FakeNetwork):
        def __getattribute__(self, name):
            if name in ('sizes', 'features', 'pose', 'heads', 'action'):
                used.append((name, place[-1]))
            return super().__getattribute__(name)

    place = ['elsewhere']

    @contextlib.contextmanager
    def queued(where):
        place.append(where)
        yield
        place.pop()

    monkeypatch.setattr(torch.cuda, 'stream', queued)
    stream = stream_of(PlacedNetwork(), engine=engine, cuda_stream='its own')
    run(stream, [frame(i) for i in range(4)])
    stream.finish()
    assert {name for name, _ in used} == {'sizes', 'features', 'pose', 'heads', 'action'}
    assert {where for _, where in used} == {'its own'}


def test_lost_and_late_images_give_the_tokens_that_are_there():
    network = small_network()
    frames = [frame(i) for i in range(40)]
    del frames[20], frames[9:12]
    late = frame(39, stamp_ns=frame(39).stamp_ns + 12_000_000)
    frames[-1] = late
    steps = run(stream_of(network), frames)
    looked_at = {step.stamp_ns for step in steps}
    wanted = run(stream_of(network, rate_hz=0.0), [f for f in frames if f.stamp_ns in looked_at])
    expect_same(steps, wanted)
    assert not any(step.reset_reason for step in steps)


def test_a_frozen_image_is_told_after_a_second_and_forgiven_at_the_next_one():
    frames = [frame(i, shown=min(i, 30)) for i in range(90)] + [frame(90, shown=31)]
    steps = run(stream_of(), frames)
    problems = {round((step.stamp_ns - 10**9) * 30e-9): step.problem for step in steps}
    assert problems[58] == ''
    assert problems[60] == 'the image has not changed for 1.0 s'
    assert problems[88] == 'the image has not changed for 1.9 s'
    assert problems[90] == ''


@pytest.mark.parametrize('jump_s', [-5.0, 3.0])
def test_how_long_an_image_has_not_changed_counts_from_where_the_stream_began_anew(jump_s):
    stream = stream_of()
    run(stream, [frame(i, shown=0) for i in range(20)])
    first = 20 + round(jump_s * 30)
    after = [frame(i, shown=0) for i in range(first, first + 32)]
    problems = [step.problem for step in run(stream, after)]
    assert problems == [''] * 15 + ['the image has not changed for 1.0 s']


def test_a_camera_that_leaves_one_of_two_phases_empty_is_told():
    steps = run(stream_of(engine='two_phase'), [frame(i, rate_hz=15) for i in range(12)])
    assert steps[0].problem == ''
    assert 'too slowly for two phases: 15.0 per second' in steps[-1].problem


def test_a_slow_camera_is_told():
    steps = run(stream_of(), [frame(i, rate_hz=5) for i in range(10)])
    assert steps[0].problem == ''
    assert steps[-1].problem == 'images come too slowly: 5.0 per second, HTT wants 15.0'


def test_images_whose_numbers_are_not_finite_are_left_out_counted_and_told():
    network = FakeNetwork(poison={3, 4})
    stream = stream_of(network)
    frames = [frame(i) for i in range(0, 20, 2)]
    steps = run(stream, frames)
    assert stream.num_left_out == 2
    assert steps[3].problem == (
        'the network gave numbers that are not finite (images left out so far: 1)'
    )
    assert steps[3].tokens == ()
    assert steps[3].action_prob is None
    assert steps[3].span.num_tokens == 3
    assert [t.index for step in steps for t in step.tokens] == list(range(8))
    clean = run(stream_of(), frames[:3] + frames[5:])
    expect_same(steps[:3] + steps[5:], clean)
    assert steps[-1].problem == ''


def test_interval_of_the_action_acts_at_once():
    stream = stream_of()
    run(stream, [frame(i) for i in range(0, 4, 2)])
    stream.action_interval = 3
    steps = run(stream, [frame(i) for i in range(4, 16, 2)])
    assert [step.action_prob is not None for step in steps] == [False, False, True] * 2


def test_size_and_lens_of_the_camera_may_change_between_images():
    other = Camera(
        width=640, height=480, fx=520.0, fy=520.0, cx=320.0, cy=240.0,
        distortion_model='plumb_bob', distortion=(-0.2, 0.05, 0.0, 0.0, 0.0),
    )  # fmt: skip
    steps = run(stream_of(), [frame(0), frame(2, camera=other), frame(4), frame(6)])
    assert [t.token.camera for t in steps[-1].finals] == [CAMERA, other, CAMERA, CAMERA]


def test_a_grey_image_is_refused():
    grey = frame(0)
    object.__setattr__(grey, 'image', np.zeros((270, 480), np.uint8))
    with pytest.raises(ImageError, match='colour'):
        stream_of().step(grey)


def test_nothing_is_told_at_the_end_of_nothing():
    assert stream_of().finish() is None


def test_time_is_told_by_stage():
    step = stream_of().step(frame(0))
    assert [name for name, _ in step.stage_s] == ['htt_image', 'htt_backbone', 'htt_temporal']
    assert all(seconds >= 0 for _, seconds in step.stage_s)


def test_a_stream_does_not_grow():
    network = FakeNetwork()
    stream = stream_of(network)
    sizes = []
    for i in range(0, 1200, 2):
        stream.step(frame(i))
        if i > 400 and len(stream._memory.tokens) == 2:
            sizes.append(len(pickle.dumps((stream._memory, stream._clock, stream._stillness))))
    assert len(sizes) > 90
    assert max(sizes) - min(sizes) < 64  # bytes: numbers of more digits
