"""Samples that are drawn from their number; loading processes import this module."""

import os
import signal
import threading

import numpy as np

from hand_perception.datasets.sample import HandTruth, Sample
from hand_perception.errors import DatasetError


class DrawnClips:
    """Clips of T small images and N hands; one may be damaged, one end its reader."""

    def __init__(self, length, *, num_images=3, num_hands=2, damaged=None, deadly=None,
                 size=(40, 24)):  # fmt: skip
        self.length = length
        self.num_images, self.num_hands = num_images, num_hands
        self.damaged, self.deadly = damaged, deadly
        self.size = size

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        if index == self.damaged:
            raise DatasetError(f'the image {index}.png is damaged')
        if index == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        rng = np.random.default_rng(index)
        width, height = self.size
        shape = (self.num_images, self.num_hands)
        valid = np.ones(shape, bool)
        valid[0, -1] = self.num_hands == 1 or index % 2 == 0
        not_padding = np.ones(self.num_images, bool)
        not_padding[-1] = index % 3 != 0
        joints_2d = rng.uniform(2, height - 2, (*shape, 21, 2))
        return Sample(
            dataset='drawn', segment=f'segment {index}',
            images=rng.integers(0, 256, (self.num_images, height, width, 3)).astype(np.uint8),
            truth=HandTruth(
                joints_3d=rng.uniform(-0.2, 0.6, (*shape, 21, 3)).astype(np.float32),
                joints_2d=joints_2d.astype(np.float32), hand_valid=valid,
            ),
            is_right=(False, True)[-self.num_hands :],
            K=np.tile(np.float32([[30, 0, 20], [0, 30, 12], [0, 0, 1]]), (self.num_images, 1, 1)),
            action=index % 4 - 1, object=index % 3, not_padding=not_padding,
            frames=np.arange(self.num_images),
        )  # fmt: skip


def collate_unsendable(samples):
    """A batch whose sending to another process fails, as it does on a full /dev/shm."""
    return threading.Lock()
