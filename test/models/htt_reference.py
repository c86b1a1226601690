"""What the official HTT says for weights and images that anybody can make again.

Weights are a function of seed, name and shape; images, cameras and masks of the seed. Only the
official results lie in test/data (tools/make_htt_excerpt.py); NumPy keeps the stream of its
RandomState for ever, and stored sums tell if what is made here should differ.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hand_perception.models.htt.module import HttModule
from hand_perception.models.htt.sizes import HttSizes
from tools.make_htt_checkpoint import SIZES, random_module

DATA: Final = Path(__file__).resolve().parents[1] / 'data'
#: Tokens of a clip and of a pose window; tokens that count in each of the three clips.
WINDOW: Final = 32
POSE_WINDOW: Final = 8
VALID: Final = (32, 19, 1)
NUM_FRAMES: Final = WINDOW * len(VALID)
#: Features are stored of every n-th frame.
FEATURE_STEP: Final = 4

#: Largest difference of another float32 implementation: 20 to 80 times what the official code
#: differs from itself over numbers of threads, and below the smallest slip that was tried
#: (LayerNorm with 1e-6 for 1e-5: 1.7e-5 m, 3e-4 in the logits).
TOLERANCE: Final = {
    'feat_resnet': 1e-5, 'feat_pose': 5e-5, 'hand_raw': 5e-5,
    'joints3d': 5e-6,  # m
    'joints2d': 5e-3,  # px
    'object_logits': 2e-4, 'object_prob': 2e-5, 'action_logits': 1e-4, 'action_prob': 2e-5,
}  # fmt: skip

_GRIDS: Final = ((3, 4), (9, 16), (27, 48), (54, 60), (135, 120))


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """N = 96 frames, 3 clips of 32.

    Attributes:
        images: (N, 270, 480, 3) uint8 RGB.
        K: (N, 3, 3) float32, pixels.
        not_padding: (N,) int64.
        joints_3d: (N, J, 3) float32 truth, metres.
        joints_2d: (N, J, 2) float32 truth, pixels: with fx and fy.
        objects: (N,) int64 truth.
        actions: (clips,) int64 truth.
    """

    images: NDArray[np.uint8]
    K: NDArray[np.float32]
    not_padding: NDArray[np.int64]
    joints_3d: NDArray[np.float32]
    joints_2d: NDArray[np.float32]
    objects: NDArray[np.int64]
    actions: NDArray[np.int64]

    @property
    def sums(self) -> list[float]:
        """Numbers that tell whether these are the inputs of the stored results."""
        return [float(self.images.sum(dtype=np.int64)), float(self.K.astype(np.float64).sum())]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One of the two kinds of official weights."""

    name: str
    sizes: HttSizes
    seed: int
    camera: tuple[float, float, float, float]

    @property
    def path(self) -> Path:
        """The official results."""
        return DATA / f'htt_{self.name}_small.npz'


CASES: Final = {
    'fpha': Case(
        name='fpha',
        sizes=SIZES['fpha'],
        seed=11,
        camera=(348.93725, 348.93732, 233.933136, 135.1702575),
    ),
    'h2o': Case(
        name='h2o',
        sizes=SIZES['h2o'],
        seed=12,
        camera=(238.74723, 238.59448, 238.231455, 137.577763),
    ),
}


def module(name: str) -> HttModule:
    """The network with the weights of the official results."""
    case = CASES[name]
    return random_module(case.sizes, seed=case.seed)


def results(name: str) -> dict[str, NDArray]:
    """What the official network says."""
    with np.load(CASES[name].path) as stored:
        return dict(stored)


@functools.cache
def inputs(name: str) -> Inputs:
    """Images in blocks of colours, so that features differ between frames; cameras; truth."""
    case = CASES[name]
    random = np.random.RandomState(1000 + case.seed)
    images = np.empty((NUM_FRAMES, 270, 480, 3), np.uint8)
    for image in images:
        rows, columns = _GRIDS[random.randint(len(_GRIDS))]
        low, high = np.sort(random.randint(0, 256, (3, 2)), axis=1).T
        colours = (low + random.random_sample((rows, columns, 3)) * (high - low)).astype(np.uint8)
        image[:] = colours.repeat(270 // rows, axis=0).repeat(480 // columns, axis=1)
    fx, fy, cx, cy = case.camera
    K = np.zeros((NUM_FRAMES, 3, 3), np.float32)
    K[:, 2, 2] = 1
    K[:, 0, 0] = fx * (1 + 0.05 * random.standard_normal(NUM_FRAMES))
    K[:, 1, 1] = fy * (1 + 0.05 * random.standard_normal(NUM_FRAMES))
    K[:, 0, 2] = cx + 10 * random.standard_normal(NUM_FRAMES)
    K[:, 1, 2] = cy + 10 * random.standard_normal(NUM_FRAMES)
    not_padding = (np.arange(WINDOW) < np.array(VALID)[:, None]).astype(np.int64).reshape(-1)
    joints = random.standard_normal((NUM_FRAMES, case.sizes.num_joints, 3))
    joints = (joints * (0.06, 0.05, 0.05) + (0, 0, 0.45)).astype(np.float32)
    projected = np.einsum('nij,nkj->nki', K.astype(np.float64), joints.astype(np.float64))
    return Inputs(
        images=images, K=K, not_padding=not_padding, joints_3d=joints,
        joints_2d=(projected[..., :2] / projected[..., 2:]).astype(np.float32),
        objects=random.randint(0, case.sizes.num_objects, NUM_FRAMES).astype(np.int64),
        actions=random.randint(0, case.sizes.num_actions, len(VALID)).astype(np.int64),
    )  # fmt: skip
