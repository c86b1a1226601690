"""Time the pose fit and the mesh of several hands: one by one against all at once.

    python -m benchmarks.landmark_fit [--rounds 200] [--json FILE]

On exact hands with the noise that the landmark network shows; one thread. With smplx installed
its skinning of the same arrays is timed beside ours.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.common import Times, environment, report, time_interleaved
from hand_perception import geometry
from hand_perception.errors import MissingPackageError
from hand_perception.models.hand_model import HandModel, load_hand_model
from hand_perception.models.landmark_fit import LandmarkFitter
from hand_perception.models.mano import SmplxSkinning

IMAGE_NOISE, SPACE_NOISE_M = 0.01, 0.008
NUM_POSES = 32


def make_landmarks(
    model: HandModel, num_hands: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Make (P, N, 21, 2) image points and (P, N, 21, 3) points in space of half-closed hands."""
    count = NUM_POSES * num_hands
    pose = np.zeros((count, 15, 3))
    pose[:, :, 2] = rng.uniform(0, 1, (count, 15))
    axis_angle = np.concatenate([rng.normal(0, 1, (count, 1, 3)), pose], 1)
    mesh = model.from_rotations(
        rotations=torch.from_numpy(geometry.rotation_from_axis_angle(axis_angle)).float(),
        betas=torch.zeros(count, 10),
        transl=torch.tensor([0.0, 0.0, 0.5]).expand(count, 3),
    )
    keypoints = mesh.keypoints.double().numpy()
    points = keypoints[..., :2] / keypoints[..., 2:]
    size = np.ptp(points, axis=1).max(1)[:, None, None]
    points = points + IMAGE_NOISE * size * rng.normal(size=points.shape)
    world = keypoints + SPACE_NOISE_M * rng.normal(size=keypoints.shape)
    shape = (NUM_POSES, num_hands, 21)
    return points.reshape(*shape, 2), world.reshape(*shape, 3)


def time_fit(fitter: LandmarkFitter, model: HandModel, num_hands: int, rounds: int) -> dict[
    str, Times
]:  # fmt: skip
    """Time the fit of the same hands both ways."""
    points, world = make_landmarks(model, num_hands, np.random.default_rng(num_hands))

    def one_by_one(state: list[int]) -> None:
        k = state[0] = (state[0] + 1) % NUM_POSES
        for i in range(num_hands):
            fitter.fit(points[k, i : i + 1], world[k, i : i + 1])

    def at_once(state: list[int]) -> None:
        k = state[0] = (state[0] + 1) % NUM_POSES
        fitter.fit(points[k], world[k])

    return time_interleaved(
        {'one by one': _turning(one_by_one), 'at once': _turning(at_once)}, rounds=rounds
    )


def time_mesh(model: HandModel, num_hands: int, rounds: int) -> dict[str, Times]:
    """Time posing the mesh of the same hands both ways."""
    generator = torch.Generator().manual_seed(0)
    given = {
        name: scale * torch.randn(num_hands, size, generator=generator)
        for name, size, scale in (
            ('global_orient', 3, 1.0), ('hand_pose', 45, 0.4), ('betas', 10, 1.0),
            ('transl', 3, 0.3),
        )
    }  # fmt: skip
    single = [{name: value[i : i + 1] for name, value in given.items()} for i in range(num_hands)]

    def one_by_one() -> None:
        for parameters in single:
            model(**parameters)

    return time_interleaved(
        {'one by one': one_by_one, 'at once': lambda: model(**given)}, rounds=rounds
    )


def _turning(way: Callable[[list[int]], None]) -> Callable[[], None]:
    state = [0]
    return lambda: way(state)


def main() -> int:
    """Run all cases and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rounds', type=int, default=200, help='default: %(default)s')
    parser.add_argument('--json', type=Path, help='write the table here too')
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = load_hand_model('default')
    fitter = LandmarkFitter(model)
    results = {}
    with torch.inference_mode():
        for num_hands in (1, 2, 4):
            results[f'fit, {num_hands} hands'] = time_fit(
                fitter, model, num_hands, arguments.rounds
            )
        results['mesh, 2 hands'] = time_mesh(model, 2, arguments.rounds)
        try:
            skinning = SmplxSkinning(model.arrays)
        except MissingPackageError:
            print('smplx is not installed: its mesh is left out')
        else:
            twin = HandModel(name='smplx', arrays=model.arrays, skinning=skinning, device='cpu')
            results['mesh by smplx, 2 hands'] = time_mesh(twin, 2, arguments.rounds)
    report(results, baseline='one by one', where=environment(threads=1), json_path=arguments.json)
    return 0


if __name__ == '__main__':
    sys.exit(main())
