"""Measure how well 3D joints follow from 2D joints that are known exactly.

    python -m benchmarks.lifting FOLDER [--steps 6000] [--json FILE]

A small network lifts the true pixels of both hands of an image of a synthetic data set to space.
What it misses on people whom it never saw is what nobody tells from where joints are in one image,
above all whether a hand is small or far: networks that see the image can do little better.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.common import environment
from hand_perception.datasets.clips import open_split
from hand_perception.datasets.segments import Split
from hand_perception.datatypes import NUM_JOINTS
from hand_perception.evaluation.hand_pose import PoseEvaluator
from hand_perception.evaluation.htt_run import benchmark_of
from hand_perception.evaluation.mean_pose import mean_pose_of_split, mean_pose_scores
from hand_perception.training.htt_validation import PoseFigures, pose_figures

_SPLITS = ('train', 'val', 'test')
_HIDDEN = 256
_BATCH_SIZE = 512
_PEAK_RATE = 2e-3
#: So that all numbers are about 1: pixels of places and of joints around a wrist, metres.
_PLACE_PX, _JOINT_PX, _JOINT_M = 100.0, 33.0, 0.1
#: Noise on the inputs against learning images by heart, about half a pixel.
_NOISE = 0.005


def main() -> None:
    """Learn to lift, and measure it on each split."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path)
    parser.add_argument('--steps', type=int, default=6000)
    parser.add_argument('--json', type=Path)
    given = parser.parse_args()
    torch.manual_seed(0)
    splits = {name: open_split('synthetic', given.folder, name) for name in _SPLITS}
    mean = mean_pose_of_split(splits['train'])
    joints = {name: _joints(split) for name, split in splits.items()}
    lift = _learn(*joints['train'], torch.from_numpy(mean).float(), given.steps)
    rows = []
    for name, split in splits.items():
        told = _measure(lift, split, *joints[name])
        base = pose_figures(mean_pose_scores(mean, split))
        print(
            f'{name}: MEPE {told.camera_mm:.1f} mm, mean pose {base.camera_mm:.1f} '
            f'({base.camera_mm / told.camera_mm:.1f} times); MEPE-RA {told.relative_mm:.1f} mm, '
            f'mean pose {base.relative_mm:.1f} ({base.relative_mm / told.relative_mm:.1f} times)'
        )
        rows.append({
            'split': name, 'mepe_mm': told.camera_mm, 'mepe_ra_mm': told.relative_mm,
            'mean_pose_mepe_mm': base.camera_mm, 'mean_pose_mepe_ra_mm': base.relative_mm,
        })  # fmt: skip
    if given.json:
        given.json.write_text(json.dumps({'environment': environment(), 'rows': rows}, indent=2))


def _joints(split: Split) -> tuple[Tensor, Tensor, Tensor]:
    """(N, 2, 21, 2) pixels, (N, 2, 21, 3) metres and (N, 2) what counts, of a whole split."""
    truths = [split.truth(segment) for segment in split.segments]
    pixels, metres, counts = (
        torch.from_numpy(np.concatenate([getattr(truth, name) for truth in truths]))
        for name in ('joints_2d', 'joints_3d', 'hand_valid')
    )
    return pixels, metres, counts


def _inputs(pixels: Tensor, counts: Tensor) -> Tensor:
    """(N, 2 x 43) numbers: wrists, joints around them, and which hands there are."""
    seen = torch.where(counts[..., None, None], pixels, 0)
    wrists = seen[:, :, :1]
    parts = (wrists / _PLACE_PX, (seen - wrists)[:, :, 1:] / _JOINT_PX, counts.float())
    return torch.cat([part.flatten(1) for part in parts], 1)


def _learn(pixels: Tensor, metres: Tensor, counts: Tensor, mean: Tensor, steps: int) -> Any:
    inputs = _inputs(pixels, counts)
    network = nn.Sequential(
        nn.Linear(inputs.shape[1], _HIDDEN), nn.ReLU(),
        nn.Linear(_HIDDEN, _HIDDEN), nn.ReLU(),
        nn.Linear(_HIDDEN, 2 * NUM_JOINTS * 3),
    )  # fmt: skip

    def lift(numbers: Tensor) -> Tensor:
        found: Tensor = network(numbers).view(-1, 2, NUM_JOINTS, 3)
        return _JOINT_M * found + mean.view(2, NUM_JOINTS, 3)

    optimizer = torch.optim.AdamW(network.parameters(), _PEAK_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _PEAK_RATE, steps)
    for _ in range(steps):
        chosen = torch.randint(len(inputs), (_BATCH_SIZE,))
        numbers = inputs[chosen]
        found = lift(numbers + _NOISE * torch.randn_like(numbers))
        loss = (found - metres[chosen]).norm(dim=-1)[counts[chosen]].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return lift


def _measure(
    lift: Any, split: Split, pixels: Tensor, metres: Tensor, counts: Tensor
) -> PoseFigures:
    evaluator = PoseEvaluator(benchmark_of(split))
    with torch.no_grad():
        found = lift(_inputs(pixels, counts))
    evaluator.add(found.flatten(1, 2), metres.flatten(1, 2), counts)
    return pose_figures(evaluator.finish())


if __name__ == '__main__':
    main()
