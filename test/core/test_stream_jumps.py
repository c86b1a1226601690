"""Hands of a stream that jump, and hands that are none: those of back end and recogniser."""

import dataclasses

import numpy as np
import pytest
from hands import posed_hand, renamed
from stream_fakes import ScriptedBackend, frame, landmarks

from hand_perception.actions import ActionResult, LabelMap
from hand_perception.config import PipelineSettings
from hand_perception.models.hand_model import load_hand_model
from hand_perception.pipeline.stream import HandPipeline

HERE, THERE, ELSEWHERE = (0.0, 0.05, 0.45), (0.3, 0.05, 0.45), (-0.3, 0.05, 0.6)
STEP_S = 1 / 30


@pytest.fixture(scope='module')
def model():
    return load_hand_model('default')


class Steady:
    """Stands in for the back end: every track's hand rests where it is."""

    takes_boxes = False
    flexion = None

    def __init__(self, model):
        self.model = model

    def __call__(self, image_frame, tracks, shapes):
        hands = [
            posed_hand(self.model, track_id=track.track_id, is_right=track.is_right)
            for track in tracks
        ]
        if self.flexion is not None:
            hands = [dataclasses.replace(hand, flexion=self.flexion) for hand in hands]
        return tuple(hands)

    def side_evidence(self, camera, hands):
        return [0.0] * len(hands)


class OwnJoints:
    """Stands in for HTT: has hands of its own, some images late, under the ids it was shown."""

    backend_name = 'htt'
    label_map = LabelMap(name='numbers', actions=('one',))

    def __init__(self, model):
        self.hand_model = model
        self.wrist_m = HERE
        self.is_late = False
        self.flexion = None

    def new_state(self):
        return []

    def step(self, state, image_frame, hands):
        state.append([hand.track_id for hand in hands])
        shown = state[0] if self.is_late else state[-1]
        hand = posed_hand(self.hand_model, wrist_m=self.wrist_m)
        if self.flexion is not None:
            hand = dataclasses.replace(hand, flexion=self.flexion)
        return ActionResult(hands=tuple(renamed(hand, track_id) for track_id in shown))


class Run:
    """Feeds images to a stream with HTT's hands, and looks at what is published."""

    def __init__(self, model, **settings):
        self.recogniser = OwnJoints(model)
        self.pipeline = HandPipeline(
            PipelineSettings(pose_source='htt', smoothing='none', **settings),
            ScriptedBackend([landmarks((450, 240))]), Steady(model), self.recogniser,
        )  # fmt: skip
        self.state = self.pipeline.new_stream()
        self.image = 0

    def __call__(self, wrist_m):
        """Give the ids of the hands of the next image; HTT's are at a place."""
        self.recogniser.wrist_m = wrist_m
        self.image += 1
        image = frame(self.image * STEP_S)
        result = self.pipeline.step(self.state, image)
        assert self.pipeline.recognise(self.state, image, result).hands == result.hands
        return [hand.track_id for hand in result.hands]


def test_a_jump_of_htts_own_joints_is_held_back_and_the_hand_goes_on(model):
    run = Run(model)
    before = run(HERE)
    assert len(before) == 1
    assert run(THERE) == []
    assert run(HERE) == before


def test_a_jump_of_htts_own_joints_that_stays_is_believed_under_an_id_that_nobody_has(model):
    run = Run(model)
    before = run(HERE)
    assert [run(THERE) for _ in range(2)] == [[], []]
    after = run(THERE)
    followed = {track.track_id for track in run.state.tracks}
    assert len(after) == 1
    assert not set(after) & ({*before} | followed)
    assert after[0] < run.state.next_track_id  # no later hand gets it
    for _ in range(5):
        assert run(THERE) == after
    assert [run(ELSEWHERE) for _ in range(2)] == [[], []]
    (last,) = run(ELSEWHERE)
    assert last not in {*before, *after}
    assert [run(ELSEWHERE) for _ in range(3)] == [[last]] * 3


def test_a_believed_jump_keeps_its_id_where_htt_names_hands_by_older_images(model):
    run = Run(model)
    run.recogniser.is_late = True
    before = run(HERE)
    for _ in range(2):
        run(THERE)
    after = run(THERE)
    assert after != before
    assert [run(THERE) for _ in range(5)] == [after] * 5


def test_ids_of_believed_jumps_are_remembered_as_long_as_they_are_used_and_not_all(model):
    run = Run(model)
    places = (HERE, THERE)
    told = set()
    for number in range(1, 41):
        told.update(*[run(places[number % 2]) for _ in range(4)])
    assert len(run.state.renamed) == 1
    run.state.renamed.update({-k: k for k in range(1, 100)})
    last = run(places[0])
    assert last[0] in told
    assert len(run.state.renamed) == 32
    assert run(places[0]) == last


def test_without_the_jump_gate_htts_joints_come_as_they_are(model):
    run = Run(model, jump_gate=False)
    before = run(HERE)
    assert run(THERE) == before


BAD = np.array([np.nan] + 14 * [0.1], np.float32)


@pytest.mark.parametrize('jump_gate', [True, False])
def test_a_hand_with_a_number_that_is_none_is_not_published(model, jump_gate):
    back_end = Steady(model)
    settings = PipelineSettings(smoothing='none', jump_gate=jump_gate)
    pipeline = HandPipeline(settings, ScriptedBackend([landmarks((450, 240))]), back_end)
    state = pipeline.new_stream()
    (good,) = pipeline.step(state, frame(0.0)).hands
    back_end.flexion = BAD
    wrong = pipeline.step(state, frame(STEP_S))
    assert (wrong.hands, wrong.raw_hands) == ((), ())
    back_end.flexion = None
    (again,) = pipeline.step(state, frame(2 * STEP_S)).hands
    assert again.track_id == good.track_id


@pytest.mark.parametrize('jump_gate', [True, False])
def test_a_hand_of_htt_with_a_number_that_is_none_is_not_published(model, jump_gate):
    run = Run(model, jump_gate=jump_gate)
    before = run(HERE)
    run.recogniser.flexion = BAD
    assert run(HERE) == []
    run.recogniser.flexion = None
    assert run(HERE) == before
