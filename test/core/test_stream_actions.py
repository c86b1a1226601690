"""Where recognisers of actions meet the stream: order, memory, poses of their own."""

import pytest
from stream_fakes import ScriptedBackend, frame, landmarks
from test_stream import AS_THEY_COME, TrackReporter, tracks_pass  # noqa: F401

from hand_perception.actions import ActionResult, LabelMap
from hand_perception.config import PipelineSettings
from hand_perception.errors import ConfigError
from hand_perception.models.hand_model import load_hand_model
from hand_perception.pipeline.backends import load_recogniser
from hand_perception.pipeline.stream import HandPipeline


class CountingRecogniser:
    """Counts the images of each stream; every second one is a token with hands of its own."""

    backend_name = 'counting'
    device_name = 'nowhere'
    label_map = LabelMap(name='numbers', actions=('one',))
    hand_model = None
    min_score = None
    hands_stamp_ns = None

    def new_state(self):
        return []

    def with_settings(self, settings):
        self.min_score = settings.action_min_score
        return self

    def step(self, state, image_frame, hands):
        state.append(len(hands))
        is_token = len(state) % 2 == 1
        return ActionResult(
            hands=tuple(hands) if is_token else None,
            hands_stamp_ns=self.hands_stamp_ns,
            stage_s=(('count', 0.0),),
        )


def make_pipeline(recogniser, **settings):
    backend = ScriptedBackend([landmarks((450, 240))])
    return HandPipeline(
        PipelineSettings(**AS_THEY_COME, **settings), backend, TrackReporter(), recogniser
    )


def step_both(pipeline, state, stamp_s):
    image = frame(stamp_s)
    result = pipeline.step(state, image)
    return result, pipeline.recognise(state, image, result)


def test_a_recogniser_sees_the_hands_of_each_image_after_they_were_published():
    pipeline, state = make_pipeline(CountingRecogniser()), None
    state = pipeline.new_stream()
    image = frame(0.0)
    result = pipeline.step(state, image)
    assert state.recognised is None  # nothing was asked of it yet
    pipeline.recognise(state, image, result)
    assert state.recognised == [1]
    assert not result.is_between_tokens


def test_a_stream_that_starts_anew_makes_the_recogniser_forget():
    pipeline = make_pipeline(CountingRecogniser())
    state = pipeline.new_stream()
    for stamp_s in (0.0, 0.1, 0.2):
        step_both(pipeline, state, stamp_s)
    assert len(state.recognised) == 3
    result, _ = step_both(pipeline, state, 60.0)
    assert result.reset_reason
    assert len(state.recognised) == 1


def test_a_recogniser_that_failed_starts_anew():
    class Failing(CountingRecogniser):
        def step(self, state, image_frame, hands):
            said = super().step(state, image_frame, hands)
            if image_frame.stamp_ns == 100_000_000:
                raise ValueError('a number too many')
            return said

    pipeline = make_pipeline(Failing())
    state = pipeline.new_stream()
    step_both(pipeline, state, 0.0)
    with pytest.raises(ValueError, match='too many'):
        step_both(pipeline, state, 0.1)
    step_both(pipeline, state, 0.2)
    assert len(state.recognised) == 1


def test_poses_of_the_recogniser_replace_those_of_the_back_end_and_it_looks_once():
    pipeline = make_pipeline(CountingRecogniser(), pose_source='htt')
    state = pipeline.new_stream()
    token, said = step_both(pipeline, state, 0.0)
    assert (len(token.hands), token.is_between_tokens) == (1, False)
    assert said.hands == token.hands
    between, said = step_both(pipeline, state, 0.033)
    assert (between.hands, between.is_between_tokens, said.hands) == ((), True, None)
    assert len(state.recognised) == 2


def test_poses_that_waited_for_later_images_keep_the_stamp_of_their_own():
    recogniser = CountingRecogniser()
    pipeline = make_pipeline(recogniser, pose_source='htt')
    recogniser.hands_stamp_ns = 123
    result, _ = step_both(pipeline, pipeline.new_stream(), 5.0)
    assert result.stamp_ns == 123


def test_the_hand_model_is_that_of_the_hands_that_are_published():
    recogniser = CountingRecogniser()
    recogniser.hand_model = own = load_hand_model('default')
    reporter = TrackReporter()
    reporter.model = load_hand_model('default')
    for pose_source, model in (('backend', reporter.model), ('htt', own)):
        settings = PipelineSettings(pose_source=pose_source)
        pipeline = HandPipeline(settings, ScriptedBackend(), reporter, recogniser)
        assert pipeline.recogniser_hand_model is own
        assert pipeline.faces_right is model.faces


def test_without_a_recogniser_nothing_is_told():
    pipeline = make_pipeline(None)
    _, said = step_both(pipeline, pipeline.new_stream(), 0.0)
    assert said == ActionResult()
    assert pipeline.label_map is None
    assert (pipeline.recogniser_name, pipeline.recogniser_device) == ('none', '')


def test_name_labels_and_live_settings_reach_the_recogniser():
    recogniser = CountingRecogniser()
    pipeline = make_pipeline(recogniser)
    assert (pipeline.recogniser_name, pipeline.recogniser_device) == ('counting', 'nowhere')
    assert pipeline.label_map == LabelMap(name='numbers', actions=('one',))
    pipeline.replace_settings(pipeline.settings.replace(action_min_score=0.7))
    assert recogniser.min_score == 0.7


def test_poses_of_htt_without_htt_are_refused_with_what_to_do():
    with pytest.raises(ConfigError, match='set action_source to htt'):
        load_recogniser(PipelineSettings(pose_source='htt'))
    assert load_recogniser(PipelineSettings(action_source='none')) is None
