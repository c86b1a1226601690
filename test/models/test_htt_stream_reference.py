"""A stream of images, one by one, against what the official HTT says of clips of them."""

import dataclasses

import htt_reference as official
import numpy as np
import pytest
import torch

from hand_perception.datatypes import Camera, Frame
from hand_perception.models.htt.network import HttNetwork
from hand_perception.pipeline.htt_stream import HttStep, HttStream, make_engine
from hand_perception.pipeline.temporal_results import TokenResult, token_results
from hand_perception.pipeline.temporal_state import TemporalSettings, Token

# Other programs use the machine too: work that is shared waits for the slowest part.
torch.set_num_threads(1)

COUNT = official.WINDOW  # the first clip, of which all images count
WINDOWS = TemporalSettings(
    window=official.WINDOW, pose_window=official.POSE_WINDOW, is_rolling=False
)
METRES, PIXELS = official.TOLERANCE['joints3d'], official.TOLERANCE['joints2d']
PROBABILITY = official.TOLERANCE['action_prob']


class Remembering:
    """A network that keeps the features of its images."""

    def __init__(self, network):
        self._network = network
        self.seen = []

    def __getattr__(self, name):
        return getattr(self._network, name)

    def features(self, images_u8):
        made = self._network.features(images_u8)
        self.seen.append(made[0])
        return made


@dataclasses.dataclass(frozen=True)
class Run:
    """One clip through a stream, every image a token."""

    results: dict
    network: Remembering
    steps: list[HttStep]
    tokens: list[Token]

    def finals(self) -> list[TokenResult]:
        return [token for step in self.steps for token in step.finals]


@pytest.fixture(scope='module', params=['fpha', 'h2o'])
def run(request):
    name = request.param
    inputs, module = official.inputs(name), official.module(name)
    network = Remembering(
        HttNetwork.from_module(module, device=torch.device('cpu'), precision='fp32')
    )
    stream = HttStream(network, WINDOWS, kernel='antialias', token_rate_hz=0.0, token_gap_s=0.5)
    steps = []
    for i in range(COUNT):
        K = inputs.K[i].astype(float)
        camera = Camera(
            width=480, height=270, fx=K[0, 0], fy=K[1, 1], cx=K[0, 2], cy=K[1, 2]
        )  # fmt: skip
        image = Frame(
            image=inputs.images[i], is_rgb=True, stamp_ns=round(i * 1e9 / 15),
            frame_id='camera', camera=camera,
        )  # fmt: skip
        steps.append(stream.step(image))
    tokens = [step.tokens[0].token for step in steps]
    return Run(official.results(name), network, steps, tokens)


def test_every_prefix_is_what_the_official_network_says_of_it(run):
    counts = run.results['prefix_n']
    assert len(counts) == 8
    for row, count in enumerate(counts):
        step = run.steps[count - 1]
        newest = step.tokens[0]
        wanted = {name: run.results[f'prefix_{name}'][row] for name in
                  ('joints3d', 'object_prob', 'action_prob')}  # fmt: skip
        np.testing.assert_allclose(newest.joints_3d, wanted['joints3d'], atol=METRES)
        np.testing.assert_allclose(newest.object_prob, wanted['object_prob'], atol=PROBABILITY)
        np.testing.assert_allclose(step.action_prob, wanted['action_prob'], atol=PROBABILITY)


def test_poses_of_closed_windows_are_those_of_the_official_clip(run):
    finals = run.finals()
    assert [token.index for token in finals] == list(range(COUNT))
    joints = np.stack([token.joints_3d for token in finals])
    pixels = np.stack([token.joints_2d for token in finals])
    np.testing.assert_allclose(joints, run.results['joints3d'][:COUNT], atol=METRES)
    np.testing.assert_allclose(pixels, run.results['joints2d'][:COUNT], atol=PIXELS)


def test_action_of_the_full_window_is_that_of_the_official_clip(run):
    last = run.steps[-1]
    assert last.span.is_final
    np.testing.assert_allclose(last.action_prob, run.results['action_prob'][0], atol=PROBABILITY)


def test_provisional_poses_are_not_yet_the_official_ones(run):
    # The first token of a window has seen one image of eight.
    first = run.steps[8].tokens[0]
    assert not first.is_final
    assert np.abs(first.joints_3d - run.results['joints3d'][8]).max() > 100 * METRES


def test_sliding_poses_and_actions_are_those_of_the_official_sliding_window(run):
    engine = make_engine(run.network, dataclasses.replace(WINDOWS, engine='sliding'))
    state = engine.new_state()
    counts = list(run.results['sliding_action_n'])
    assert len(counts) == 3
    for i, (feature, token) in enumerate(zip(run.network.seen, run.tokens, strict=True)):
        step = engine.step(state, feature, token, action_interval=1)
        (told,) = token_results(step.told, is_final=True)
        np.testing.assert_allclose(told.joints_3d, run.results['sliding_joints3d'][i], atol=METRES)
        np.testing.assert_allclose(
            told.object_prob, run.results['sliding_object_prob'][i], atol=PROBABILITY
        )
        if i + 1 in counts:
            wanted = run.results['sliding_action_prob'][counts.index(i + 1)]
            np.testing.assert_allclose(step.action_prob, wanted, atol=PROBABILITY)
