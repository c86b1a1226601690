"""Hands in pictures of noise whose truth is what a network says of them."""

import dataclasses

import cv2
import numpy as np

from hand_perception.datasets.sample import HandTruth, Sample
from hand_perception.evaluation.hamer_benchmarks import HandBenchmark
from hand_perception.evaluation.hamer_hands import THREE_BY_FOUR, find_hands, see_hands

K = np.array([[300.0, 0, 150], [0, 320, 110], [0, 0, 1]], np.float32)
SIZE = (300, 220)
BENCHMARK = HandBenchmark(square=THREE_BY_FOUR, with_pck=True, with_scaled=True)


@dataclasses.dataclass
class DrawnHands:
    """Hands of a list, in pictures of noise."""

    samples: list[Sample]
    dataset: str = 'drawn'
    split: str = 'test'

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]

    def name(self, index):
        return self.samples[index].segment


def picture(number):
    rng = np.random.default_rng(number)
    noise = rng.integers(0, 256, (SIZE[1] // 10, SIZE[0] // 10, 3), np.uint8)
    return cv2.resize(noise, SIZE)


def sample(number, truth, *, is_right=True, image=None):
    return Sample(
        dataset='drawn', segment=f'{number:03d}', truth=truth, is_right=(is_right,), K=K[None],
        images=(picture(number) if image is None else image)[None], action=-1, object=-1,
        not_padding=np.ones(1, np.bool_), frames=np.zeros(1, np.int64),
    )  # fmt: skip


def blank(number):
    box = np.array([80 + number, 40, 190, 150 + number], np.float32)
    return HandTruth(
        joints_3d=np.zeros((1, 1, 21, 3), np.float32),
        joints_2d=np.zeros((1, 1, 21, 2), np.float32),
        hand_valid=np.ones((1, 1), np.bool_),
        boxes=box[None, None],
    )


def drawn(network, count, *, is_right=True):
    """Hands whose truth is what the network says of them, somewhere in the camera."""
    hands = DrawnHands([sample(n, blank(n), is_right=is_right) for n in range(count)])
    found = find_hands(network, see_hands(hands, range(count), BENCHMARK.square), batch=3)
    place = np.array([0.05, -0.02, 0.6], np.float32)
    for number, item in enumerate(hands.samples):
        truth = dataclasses.replace(
            item.truth,
            joints_3d=(found.keypoints[number] + place)[None, None],
            vertices=(found.vertices[number] + place)[None, None],
            joints_2d=found.keypoints_px[number].astype(np.float32)[None, None],
            is_occluded=(np.arange(21) % 3 == 0)[None, None],
        )
        hands.samples[number] = dataclasses.replace(item, truth=truth)
    return hands, found


def changed(hands, change):
    """The same hands with another truth: ``change`` gives fields from a truth."""
    samples = [
        dataclasses.replace(item, truth=dataclasses.replace(item.truth, **change(item.truth)))
        for item in hands.samples
    ]
    return DrawnHands(samples)
