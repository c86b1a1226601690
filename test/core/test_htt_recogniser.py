"""HTT as a recogniser: checkpoint to actions and hands of a stream."""

import dataclasses
import inspect
from types import SimpleNamespace

import htt_files
import numpy as np
import pytest
import torch
import yaml
from hand_poses import TrueHands
from htt_streams import CAMERA, FakeNetwork, followed, frame

from hand_perception.actions import LabelMap
from hand_perception.config import PipelineSettings
from hand_perception.datatypes import DepthSource
from hand_perception.errors import ConfigError, WeightsError
from hand_perception.models.hand_model import load_hand_model
from hand_perception.models.htt.module import HttHeads
from hand_perception.pipeline import htt_recogniser
from hand_perception.pipeline.htt_recogniser import HttRecogniser
from hand_perception.pipeline.recogniser import Recogniser

LABELS = LabelMap(
    name='kitchen', actions=('pour', 'stir', 'drink', 'cut'), objects=('cup', 'spoon', 'knife')
)
DEFAULTS = {
    'action_source': 'htt', 'htt_window': 12, 'htt_pose_window': 4, 'action_min_tokens': 3,
    'action_min_duration_s': 0.0, 'device': 'cpu', 'htt_precision': 'fp32',
}  # fmt: skip


@pytest.fixture(scope='module')
def model():
    return load_hand_model('default')


@pytest.fixture(scope='module')
def joints(model):
    """A right hand in front of the camera, (21, 3) metres."""
    return TrueHands(model, 1, seed=3).keypoints[0] + (0, 0, 0.1)


class Kitchen(FakeNetwork):
    """Sees one hand, one action and one object in every image."""

    sizes = FakeNetwork.sizes

    def __init__(self, joints, **details):
        super().__init__(**details)
        self.action_logits = [3.0, 0.0, 0.0, 0.0]
        pixels = joints[:, :2] / joints[:, 2:] * CAMERA.fx + (CAMERA.cx, CAMERA.cy)
        scores = (joints[:, 2] - 0.4) / (CAMERA.fx * 1e-4)
        raw = np.concatenate([(pixels - (240, 135)) / 100, scores[:, None]], 1)
        self._raw = torch.from_numpy(raw.astype(np.float32))

    def heads(self, pose_features):
        count = len(pose_features)
        # What is not finite in a feature stays so.
        nothing = pose_features.mean(1) * 0
        return HttHeads(
            raw=self._raw.expand(count, -1, -1) + nothing[:, None, None],
            object_logits=torch.tensor([[0.0, 2.0, 0.0]]).expand(count, -1),
            action_inputs=pose_features,
        )

    def action(self, action_inputs):
        return torch.tensor([self.action_logits])


def settings_of(**changes):
    return PipelineSettings(**DEFAULTS | changes)


def recogniser_of(network, model, **changes):
    return HttRecogniser(
        network,
        label_map=LABELS,
        kernel='antialias',
        hand_model=model,
        device_name='cpu fp32',
        settings=settings_of(**changes),
    )


def run(recogniser, frames, hands, state=None):
    """What is said of each image."""
    state = recogniser.new_state() if state is None else state
    return [recogniser.step(state, image, hands) for image in frames]


def estimates(results):
    return [action for result in results for action in result.actions]


@pytest.fixture
def kitchen(joints):
    return Kitchen(joints)


@pytest.fixture
def hands(joints):
    return (followed(joints),)


# actions


def test_an_action_is_told_with_all_that_belongs_to_it(kitchen, model, hands):
    results = run(recogniser_of(kitchen, model), [frame(i) for i in range(10)], hands)
    told = results[8].actions[0]
    assert (told.label, told.unknown_reason, told.label_map, told.backend) == (
        'pour', '', 'kitchen', 'htt',
    )  # fmt: skip
    assert told.score == told.ranking.scores[0] == pytest.approx(0.87, abs=0.01)
    assert told.ranking.labels == LABELS.actions
    assert (told.object_label, told.object_score) == ('spoon', told.object_ranking.scores[0])
    assert (told.stamp_ns, told.window_start_ns) == (frame(8).stamp_ns, frame(0).stamp_ns)
    assert (told.tokens_seen, told.tokens_full, told.is_final) == (5, 12, False)
    assert told.onset_ns == frame(4).stamp_ns  # the third token: enough images
    assert told.frame_id == 'camera_optical_frame'
    assert told.is_right is None


def test_images_between_tokens_say_nothing(kitchen, model, hands):
    results = run(recogniser_of(kitchen, model), [frame(i) for i in range(10)], hands)
    for result in results[1::2]:
        assert result.actions == ()
        assert result.hands is None
    assert all(result.actions for result in results[::2])
    assert all(result.hands is not None for result in results[::2])


def test_too_few_images_are_unknown_with_their_number(kitchen, model, hands):
    results = run(recogniser_of(kitchen, model), [frame(0)], hands)
    told = results[0].actions[0]
    assert told.is_unknown
    assert told.unknown_reason == 'too few images: 1 of 3'
    assert (told.label, told.score, told.object_label) == ('', 0.0, '')
    assert told.ranking.labels[0] == 'pour'  # what it would be


@pytest.mark.parametrize(('engine', 'num_full'), [('tiled', 4), ('two_phase', 8)])
def test_a_full_window_is_enough_however_short_it_is(kitchen, model, hands, engine, num_full):
    recogniser = recogniser_of(
        kitchen, model, htt_engine=engine, htt_window=4, htt_pose_window=2, action_min_tokens=16
    )
    told = estimates(run(recogniser, [frame(i) for i in range(8)], hands))
    assert told[0].unknown_reason == f'too few images: 1 of {num_full}'
    told = next(action for action in told if action.tokens_seen == num_full)
    assert (told.label, told.is_final) == ('pour', True)


def test_an_object_below_the_least_score_is_not_told_with_a_known_action(kitchen, model, hands):
    def told(least):
        recogniser = recogniser_of(kitchen, model, action_min_score=least)
        return estimates(run(recogniser, [frame(i) for i in range(6)], hands))[-1]

    score = told(0.3).object_ranking.scores[0]
    assert score < 0.8 < told(0.3).score  # the action is surer than the object
    unsure = told(0.8)
    assert (unsure.label, unsure.object_label, unsure.object_score) == ('pour', '', 0.0)
    assert unsure.object_ranking.labels[0] == 'spoon'
    sure = told(score - 1e-3)
    assert (sure.object_label, sure.object_score) == ('spoon', score)


def test_without_a_hand_in_sight_the_action_is_unknown(kitchen, model):
    told = estimates(run(recogniser_of(kitchen, model), [frame(i) for i in range(20)], ()))
    assert {action.label for action in told} == {''}
    assert told[0].unknown_reason == 'no hand seen in the last image'
    assert told[-1].unknown_reason == 'no hand seen in the last 4 images'


def test_a_hand_may_be_lost_for_less_than_a_pose_window(kitchen, model, hands):
    recogniser = recogniser_of(kitchen, model)
    state = recogniser.new_state()
    run(recogniser, [frame(i) for i in range(10)], hands, state)
    told = estimates(run(recogniser, [frame(i) for i in range(10, 20)], (), state))
    assert [action.label for action in told] == ['pour', 'pour', 'pour', '', '']


def test_a_full_window_is_final(kitchen, model, hands):
    told = estimates(run(recogniser_of(kitchen, model), [frame(i) for i in range(28)], hands))
    assert [action.is_final for action in told] == [False] * 11 + [True] + [False] * 2
    assert [action.tokens_seen for action in told[11:]] == [12, 9, 10]


def test_an_action_every_nth_token(kitchen, model, hands):
    results = run(
        recogniser_of(kitchen, model, action_interval=3), [frame(i) for i in range(20)], hands
    )
    told = [i for i, result in enumerate(results) if result.actions]
    assert told == [4, 10, 16]
    assert all(result.hands is not None for result in results[::2])


def test_a_frozen_image_and_a_slow_camera_are_unknown(kitchen, model, hands):
    recogniser = recogniser_of(kitchen, model)
    still = [frame(i, shown=0) for i in range(40)]
    told = estimates(run(recogniser, still, hands))
    assert told[10].label == 'pour'
    assert told[-1].unknown_reason == 'the image has not changed for 1.3 s'
    told = estimates(run(recogniser, [frame(i, rate_hz=5) for i in range(8)], hands))
    assert 'images come too slowly: 5.0 per second' in told[-1].unknown_reason


def test_numbers_that_are_not_finite_are_unknown_and_no_hand(joints, model, hands):
    network = Kitchen(joints, poison={5})
    results = run(recogniser_of(network, model), [frame(i) for i in range(16)], hands)
    bad = results[10]
    assert 'not finite' in bad.actions[0].unknown_reason
    assert bad.hands == ()  # looked at, and nothing seen
    assert results[8].actions[0].label == results[12].actions[0].label == 'pour'


def test_a_reset_is_told_and_forgets_what_was_told(kitchen, model, hands):
    recogniser = recogniser_of(kitchen, model, action_min_duration_s=0.1)
    state = recogniser.new_state()
    run(recogniser, [frame(i) for i in range(20)], hands, state)
    after = [frame(i) for i in range(100, 116)]
    results = run(recogniser, after, hands, state)
    assert results[0].reset_reason == 'no image to look at for 2.733 s'
    assert results[0].actions[0].unknown_reason == 'too few images: 1 of 3'
    fresh = run(recogniser, after, hands)
    assert estimates(results) == estimates(fresh)


@pytest.mark.parametrize('engine', ['tiled', 'sliding', 'two_phase'])
def test_every_engine_tells_the_action(kitchen, model, hands, engine):
    lookahead = 2 if engine == 'sliding' else 0
    recogniser = recogniser_of(kitchen, model, htt_engine=engine, htt_lookahead=lookahead)
    told = estimates(run(recogniser, [frame(i) for i in range(20)], hands))
    assert told[-1].label == 'pour'
    assert told[-1].tokens_full == (24 if engine == 'two_phase' else 12)


def test_two_phases_need_the_images_of_both(kitchen, model, hands):
    recogniser = recogniser_of(kitchen, model, htt_engine='two_phase')
    told = estimates(run(recogniser, [frame(i) for i in range(6)], hands))
    assert [action.is_unknown for action in told] == [True] * 5 + [False]
    assert told[4].unknown_reason == 'too few images: 5 of 6'


# live settings


def test_live_settings_act_at_the_next_image_on_the_same_stream(kitchen, model, hands):
    recogniser = recogniser_of(kitchen, model)
    state = recogniser.new_state()
    run(recogniser, [frame(i) for i in range(10)], hands, state)
    strict = recogniser.with_settings(settings_of(action_min_score=0.95, action_top_k=2))
    told = estimates(run(strict, [frame(10)], hands, state))[0]
    assert told.unknown_reason == 'pour has 0.87, less than 0.95'
    assert len(told.ranking.labels) == 2
    told = estimates(run(recogniser, [frame(12)], hands, state))[0]
    assert told.label == 'pour'
    assert told.tokens_seen == 7
    rare = recogniser.with_settings(settings_of(action_interval=2))
    assert estimates(run(rare, [frame(14)], hands, state)) == []


# hands


def test_hands_are_the_joints_of_the_network_where_the_detector_has_one(
    kitchen, model, hands, joints
):
    results = run(recogniser_of(kitchen, model), [frame(0)], hands)
    (hand,) = results[0].hands
    # The published arithmetic has fx for both axes; here fy is 1 % larger.
    np.testing.assert_allclose(hand.keypoints_3d[:, [0, 2]], joints[:, [0, 2]], atol=1e-4)
    assert hand.track_id == hands[0].track_id
    assert results[0].hands_stamp_ns == frame(0).stamp_ns
    assert run(recogniser_of(kitchen, model), [frame(0)], ())[0].hands == ()


def test_hands_that_wait_for_what_comes_have_the_stamp_of_their_image(
    kitchen, model, hands, joints
):
    recogniser = recogniser_of(kitchen, model, htt_engine='sliding', htt_lookahead=2)
    state = recogniser.new_state()
    results = run(recogniser, [frame(i) for i in (0, 2, 4)], hands, state)
    results += run(recogniser, [frame(6)], (), state)  # the detector loses the hand
    results += run(recogniser, [frame(i) for i in (8, 10)], (), state)
    assert [len(result.hands) for result in results] == [0, 0, 1, 1, 1, 0]
    stamps = [result.hands_stamp_ns for result in results[2:]]
    assert stamps == [frame(i).stamp_ns for i in (0, 2, 4, 6)]


def test_an_assumed_camera_works_and_says_so(kitchen, model, hands):
    guessed = dataclasses.replace(CAMERA, is_assumed=True)
    (hand,) = run(recogniser_of(kitchen, model), [frame(0, camera=guessed)], hands)[0].hands
    assert hand.depth_source == DepthSource.ASSUMED_CAMERA


def test_time_is_told_by_stage(kitchen, model, hands):
    result = run(recogniser_of(kitchen, model), [frame(0)], hands)[0]
    assert [name for name, _ in result.stage_s] == [
        'htt_image', 'htt_backbone', 'htt_temporal', 'htt_hands',
    ]  # fmt: skip


def test_time_of_the_hands_is_that_of_making_them(kitchen, model, hands, monkeypatch):
    recogniser = recogniser_of(kitchen, model)
    clock = SimpleNamespace(now=5.0)
    make_hands = recogniser._hands

    def slow(*arguments):
        clock.now += 0.25
        return make_hands(*arguments)

    recogniser._hands = slow
    monkeypatch.setattr(htt_recogniser, 'time', SimpleNamespace(perf_counter=lambda: clock.now))
    result = run(recogniser, [frame(0)], hands)[0]
    assert dict(result.stage_s)['htt_hands'] == 0.25


def test_memory_of_hands_is_bounded(kitchen, model, joints):
    recogniser = recogniser_of(kitchen, model, htt_engine='sliding', htt_lookahead=3)
    state = recogniser.new_state()
    for i in range(0, 400, 2):
        recogniser.step(state, frame(i), (followed(joints, track_id=i),))
    assert len(state.seen) == 4
    assert len(state.sizes) <= 1


# loading


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    return htt_files.write(tmp_path_factory.mktemp('htt'), 'fpha', window=12, pose_window=4)


def load(path, **changes):
    return HttRecogniser.load(settings_of(htt_checkpoint=str(path), **changes))


def test_an_official_checkpoint_is_loaded_with_its_labels(checkpoint):
    recogniser = load(checkpoint)
    assert recogniser.label_map.name == 'fpha'
    assert (recogniser.backend_name, recogniser.device_name) == ('htt', 'cpu fp32')
    results = run(recogniser, [frame(i) for i in range(8)], ())
    told = estimates(results)[-1]
    assert told.label_map == 'fpha'
    assert len(told.ranking.labels) == 5
    assert np.isfinite(told.ranking.scores).all()


def test_it_meets_the_protocol_of_recognisers(checkpoint):
    recogniser: Recogniser = load(checkpoint)
    for name in ('new_state', 'with_settings', 'step'):
        wanted = inspect.signature(getattr(Recogniser, name)).parameters
        assert list(inspect.signature(getattr(HttRecogniser, name)).parameters) == list(wanted)
    assert recogniser.with_settings(settings_of()).label_map is recogniser.label_map


@pytest.mark.parametrize(('dataset', 'kernel'), [('fpha', 'antialias'), ('h2o', 'linear')])
def test_images_are_made_smaller_as_for_the_training(tmp_path, monkeypatch, dataset, kernel):
    from hand_perception.pipeline import htt_stream

    kernels = []

    def spy(image, *, is_rgb, kernel):
        kernels.append(kernel)
        return actual(image, is_rgb=is_rgb, kernel=kernel)

    actual = htt_stream.network_image
    monkeypatch.setattr(htt_stream, 'network_image', spy)
    path = htt_files.write(tmp_path, dataset, window=12, pose_window=4)
    recogniser = load(path)
    run(recogniser, [frame(0)], ())
    assert set(kernels) == {kernel}
    assert len(recogniser.label_map.objects) == {'fpha': 26, 'h2o': 8}[dataset]


def test_without_a_checkpoint_it_is_told_what_to_do():
    with pytest.raises(ConfigError, match='set htt_checkpoint to your checkpoint_45.pth'):
        load('')


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(WeightsError, match='nowhere.pth'):
        load(tmp_path / 'nowhere.pth')


def test_the_other_data_set_is_refused(checkpoint):
    with pytest.raises(WeightsError, match='htt_dataset is h2o'):
        load(checkpoint, htt_dataset='h2o')


def test_labels_of_another_length_are_refused(checkpoint, tmp_path):
    path = tmp_path / 'labels.yaml'
    path.write_text(yaml.safe_dump({'name': 'short', 'actions': ['a', 'b'], 'objects': ['c']}))
    with pytest.raises(ConfigError, match='2 actions and 1 objects'):
        load(checkpoint, htt_labels=str(path))


def test_windows_that_do_not_fit_are_refused_before_the_weights_are_read():
    with pytest.raises(ConfigError, match='multiple of htt_pose_window'):
        load('nowhere.pth', htt_window=10)


def test_other_windows_than_those_of_the_training_are_told(checkpoint, caplog):
    load(checkpoint, htt_window=24)
    assert 'htt_window is 24' in caplog.text
    assert 'trained with 12' in caplog.text


def test_another_rate_of_tokens_than_that_of_the_training_is_told(checkpoint, caplog):
    load(checkpoint, htt_window=12, htt_pose_window=4, token_rate_hz=30.0)
    assert 'token_rate_hz is 30' in caplog.text
    assert 'set it to 15' in caplog.text


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
@pytest.mark.parametrize('engine', ['tiled', 'sliding', 'two_phase'])
def test_a_gpu_says_what_the_cpu_says(checkpoint, engine):
    frames = [frame(7 * i, rate_hz=210) for i in range(40)]
    told = {
        device: estimates(run(load(checkpoint, device=device, htt_engine=engine), frames, ()))
        for device in ('cpu', 'cuda')
    }
    assert len(told['cpu']) == len(told['cuda']) > 0
    for ours, theirs in zip(told['cuda'], told['cpu'], strict=True):
        assert ours.tokens_seen == theirs.tokens_seen
        # Of probabilities, float32 in another order of summation.
        np.testing.assert_allclose(ours.ranking.scores, theirs.ranking.scores, atol=1e-3)
