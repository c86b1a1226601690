"""Networks and tokens for the tests of HTT over a stream."""

import functools
from types import SimpleNamespace

import htt_files
import numpy as np
import torch

from hand_perception.datatypes import Camera, DepthSource, Frame, ManoParameters
from hand_perception.models.htt.module import HttHeads, run_clips
from hand_perception.models.htt.network import HttNetwork
from hand_perception.models.htt.preprocess import fit
from hand_perception.models.htt.sizes import HttSizes
from hand_perception.pipeline.hands import make_hand
from hand_perception.pipeline.temporal import softmax
from hand_perception.pipeline.temporal_state import Token
from hand_perception.pipeline.track import Track

# Networks this small lose more by sharing their work than they gain.
torch.set_num_threads(1)

#: As the network's own, so that nothing of an image is lost.
CAMERA = Camera(width=480, height=270, fx=349.0, fy=352.0, cx=234.0, cy=135.5)
#: Of probabilities and raw outputs of one network computed in two orders, float32.
ATOL = 2e-5


@functools.cache
def small_network(dataset='fpha'):
    """An HTT of an eighth of the width with random weights."""
    module = htt_files.network(dataset)
    return HttNetwork.from_module(module, device=torch.device('cpu'), precision='fp32')


def features(count, *, seed=0, width=64):
    """(count, width) features of nothing in particular."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=generator)


def token(index, *, camera=CAMERA, phase=0):
    """The token of the image with this number, 15 Hz."""
    view, _ = fit(camera.width, camera.height)
    stamp_ns = 1_000_000_000 + round(index * 1e9 / 15)
    return Token(index=index, stamp_ns=stamp_ns, camera=camera, view=view, phase=phase)


def clip_forward(network, feats, *, window, pose_window):
    """The network on one clip padded to the window: raw (n, J, 3), objects (n, No), action (Na,).

    Numbers of n tokens in a window of T, as the published evaluation computes them.
    """
    count = len(feats)
    padded = torch.cat([feats, feats[-1:].expand(window - count, -1)])
    not_padding = (torch.arange(window) < count).long()
    out = run_clips(network, padded, not_padding, window=window, pose_window=pose_window)
    return SimpleNamespace(
        raw=out.hand_raw[:count].numpy(),
        object_prob=out.object_prob[:count].numpy(),
        action_prob=out.action_prob[0].numpy(),
    )


def run_engine(engine, feats, *, action_interval=1, phases=1):
    """Feed features to an engine: its memory and what each of them changed."""
    state = engine.new_state()
    steps = [
        engine.step(state, feature, token(i, phase=i % phases), action_interval=action_interval)
        for i, feature in enumerate(feats)
    ]
    return state, steps


def expect_same_step(step, other):
    """Compare what two engines say of a token, to rounding."""
    for rows, others in ((step.told, other.told), (step.finals, other.finals)):
        assert (rows is None) == (others is None)
        if rows is not None:
            np.testing.assert_allclose(rows.raw, others.raw, atol=ATOL)
            np.testing.assert_allclose(rows.object_logits, others.object_logits, atol=ATOL)
    assert (step.action_prob is None) == (other.action_prob is None)
    if step.action_prob is not None:
        np.testing.assert_allclose(step.action_prob, other.action_prob, atol=ATOL)
    assert step.span.num_tokens == other.span.num_tokens
    assert step.span.is_final == other.span.is_final


class FakeNetwork:
    """Says of a token its own feature, and of a clip how many tokens it has; costs nothing.

    Attributes:
        poison: numbers of calls of ``features`` whose features are not finite.
    """

    device = torch.device('cpu')
    sizes = HttSizes(num_joints=21, num_objects=3, num_actions=4, width=8)

    def __init__(self, *, poison=()):
        self.poison = set(poison)
        self.num_images = 0

    def features(self, images_u8):
        level = images_u8[:, 0, 0, 0].float() / 255
        made = level[:, None].expand(-1, 8).clone()
        if self.num_images in self.poison:
            made[:, 3] = float('nan')
        self.num_images += 1
        return made

    def pose(self, feats):
        return feats

    def heads(self, pose_features):
        return HttHeads(
            raw=pose_features[:, :1, None].expand(-1, 21, 3),
            object_logits=pose_features[:, :3],
            action_inputs=pose_features,
        )

    def action(self, action_inputs):
        count = action_inputs.shape[1]
        return torch.full((1, 4), float(count)) + action_inputs[:, :, :4].mean(1)


def image(number, *, width=480, height=270):
    """An image that differs from those of other numbers below 256."""
    return np.full((height, width, 3), number % 256, np.uint8)


def frame(number, *, rate_hz=30.0, stamp_ns=None, camera=CAMERA, shown=None):
    """The image with this number of a camera."""
    stamp = 1_000_000_000 + round(number * 1e9 / rate_hz) if stamp_ns is None else stamp_ns
    number = number if shown is None else shown
    return Frame(
        image=image(number, width=camera.width, height=camera.height),
        is_rgb=True,
        stamp_ns=stamp,
        frame_id='camera_optical_frame',
        camera=camera,
    )


def followed(joints, *, camera=CAMERA, is_right=True, track_id=5, confidence=0.9):
    """What the detector says of a hand with these joints."""
    odds = 3.0 if is_right else -3.0
    return make_hand(
        camera,
        Track(
            track_id=track_id, landmarks=None, stamp_ns=0, right_log_odds=odds, is_right=is_right
        ),
        vertices=joints,
        keypoints=joints,
        parameters=ManoParameters(
            global_orient=np.zeros(3), hand_pose=np.zeros(45), betas=np.zeros(10),
            transl=np.zeros(3),
        ),
        confidence=confidence,
        depth=(DepthSource.MONO, 0.04),
    )  # fmt: skip


__all__ = [
    'ATOL', 'CAMERA', 'FakeNetwork', 'clip_forward', 'expect_same_step', 'features',
    'followed', 'frame',
    'image', 'run_engine', 'small_network', 'softmax', 'token',
]  # fmt: skip
