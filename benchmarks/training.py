"""Time what feeds a training, beside loaders of the plain kind, and what a step waits for it.

    python -m benchmarks.training [--workers 2] [--device cuda] [--window 128 --clips 2 --crops 8]

First table: one batch of augmented clips for HTT and of crops for HaMeR, from JPEG files to what
the network takes, in this process: the plain way (benchmarks.plain_loaders) against ours, and ours
with processes that load. Second table: whole steps of training, forward, backward and optimizer,
and the share of them that was spent waiting for the next batch. Images are those of the demo,
truth and weights are random.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from benchmarks.common import Times, environment, report, time_interleaved
from benchmarks.plain_loaders import image_of, plain_clip, plain_clips, plain_crop, plain_crops
from hand_perception.augmentation.settings import ClipAugmentation, CropAugmentation
from hand_perception.datasets.image_files import read_rgb
from hand_perception.datasets.sample import HandTruth, Sample
from hand_perception.models.device import select_device
from hand_perception.models.hand_model import HandModel
from hand_perception.models.htt.constants import POSE_WINDOW
from hand_perception.models.htt.module import HttModule
from hand_perception.models.htt.sizes import HttSizes
from hand_perception.models.skinning import LinearBlendSkinning
from hand_perception.training.hamer_batches import HandCrops, collate_crops
from hand_perception.training.hamer_losses import hamer_losses
from hand_perception.training.hamer_network import TrainableHamer
from hand_perception.training.hamer_settings import HamerModelSettings
from hand_perception.training.hamer_weights import make_weights
from hand_perception.training.hand_statistics import HandPoses
from hand_perception.training.htt_batches import HttClips, collate_clips
from hand_perception.training.htt_losses import htt_losses
from hand_perception.training.htt_network import TrainableHtt, as_output
from hand_perception.training.loading import BatchOrder, Loader
from hand_perception.training.task import Draw

_VIDEO = Path(__file__).resolve().parents[1] / 'hand_perception' / 'data' / 'synthetic_ego.mp4'
_CLIP_SIZE, _HAND_SIZE = (480, 270), (224, 224)  # those of HTT and of FreiHAND
_NUM_IMAGES = 32
_NUM_SAMPLES = 512  # of an epoch; they repeat the images


@dataclass(frozen=True)
class JpegSamples:
    """Samples of T images in a folder, and drawn truth of N hands."""

    folder: Path
    num_images: int
    num_hands: int

    def __len__(self) -> int:
        """How many there are."""
        return _NUM_SAMPLES

    def paths(self, index: int) -> list[Path]:
        """Files of a sample."""
        return [
            self.folder / f'{(index * 7 + place) % _NUM_IMAGES:03d}.jpg'
            for place in range(self.num_images)
        ]

    def truth(self, index: int) -> HandTruth:
        """Hands of a sample."""
        rng = np.random.default_rng(index)
        shape = (self.num_images, self.num_hands, 21)
        return HandTruth(
            joints_3d=rng.uniform(-0.1, 0.5, (*shape, 3)).astype(np.float32),
            joints_2d=rng.uniform(60, 170, (*shape, 2)).astype(np.float32),
            hand_valid=np.ones(shape[:2], bool),
        )

    def __getitem__(self, index: int) -> Sample:
        """Read a sample."""
        K = np.float32([[240, 0, 240], [0, 240, 135], [0, 0, 1]])
        return Sample(
            dataset='demo', segment=str(index),
            images=np.stack([read_rgb(path) for path in self.paths(index)]),
            truth=self.truth(index), is_right=(index % 2 == 0, True)[: self.num_hands],
            K=np.tile(K, (self.num_images, 1, 1)), action=2, object=1,
            not_padding=np.ones(self.num_images, bool), frames=np.arange(self.num_images),
        )  # fmt: skip


def main() -> None:
    """Time loading and whole steps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--threads', type=int, default=1, help='of the step')
    parser.add_argument('--workers', type=int, default=1)
    parser.add_argument('--window', type=int, default=32, help='images of a clip')
    parser.add_argument('--clips', type=int, default=1, help='of a batch')
    parser.add_argument('--crops', type=int, default=8, help='of a batch')
    parser.add_argument('--hamer', choices=('small', 'full'), default='small')
    parser.add_argument('--rounds', type=int, default=20)
    parser.add_argument('--steps', type=int, default=12)
    parser.add_argument('--autocast', action='store_true', help='bfloat16 steps')
    parser.add_argument('--json', type=Path)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    device = select_device(given.device)
    with tempfile.TemporaryDirectory() as folder:
        clips = JpegSamples(_write_images(Path(folder) / 'clips', _CLIP_SIZE), given.window, 2)
        hands = JpegSamples(_write_images(Path(folder) / 'hands', _HAND_SIZE), 1, 1)
        loaders = {
            'clips for HTT': (HttClips(clips, augmentation=ClipAugmentation()), given.clips),
            'crops for HaMeR': (HandCrops(hands, augmentation=CropAugmentation()), given.crops),
        }
        where = environment(
            workers=given.workers, window=given.window, clips=given.clips, crops=given.crops,
            device=str(device), threads=given.threads, bfloat16=given.autocast,
        )  # fmt: skip
        report(
            {
                'clips for HTT': _time_clips(clips, loaders['clips for HTT'][0], given),
                'crops for HaMeR': _time_crops(hands, loaders['crops for HaMeR'][0], given),
            },
            baseline='plain', where=where, json_path=given.json,
        )  # fmt: skip
        rows = []
        for name, make_step in (
            ('clips for HTT', _htt_step), ('crops for HaMeR', _hamer_step),
        ):  # fmt: skip
            data, batch_size = loaders[name]
            step = make_step(device, given)
            rows.append(_waiting(name, data, batch_size, step, device, given))
    if given.json:
        content = json.loads(given.json.read_text())
        given.json.write_text(json.dumps({**content, 'steps': rows}, indent=2))


def _write_images(folder: Path, size: tuple[int, int]) -> Path:
    """Write images of the demo as JPEG."""
    folder.mkdir()
    video = cv2.VideoCapture(str(_VIDEO))
    for number in range(_NUM_IMAGES):
        image = cv2.resize(video.read()[1], size, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / f'{number:03d}.jpg'), image)
    return folder


def _time_clips(clips: JpegSamples, ours: HttClips, given: Any) -> dict[str, Times]:
    K = np.float64([[240, 0, 240], [0, 240, 135], [0, 0, 1]])
    numbers = _numbers(given.clips)

    def plain() -> object:
        chosen = next(numbers)
        read = [plain_clip(clips.paths(i), clips.truth(i), K) for i in chosen]
        return image_of(plain_clips(read))

    def one_process() -> object:
        draws = [Draw(0, number) for number in next(numbers)]
        return collate_clips([ours[draw] for draw in draws]).network_images()

    workers = _loaded(ours, collate_clips, given.clips, given)
    ways: dict[str, Callable[[], object]] = {
        'plain': plain, 'ours': one_process,
        f'ours, {given.workers} processes': lambda: next(workers).network_images(),
    }  # fmt: skip
    times = time_interleaved(
        {name: ways[name] for name in ('plain', 'ours')}, rounds=given.rounds, warm_up=1
    )
    # Alone, since it goes on while others are timed.
    times |= time_interleaved(
        {name: way for name, way in ways.items() if name not in times},
        rounds=given.rounds, warm_up=4 + 2 * given.workers,
    )  # fmt: skip
    workers.close()
    return _as_means(times, {'plain', 'ours'})


def _time_crops(hands: JpegSamples, ours: HandCrops, given: Any) -> dict[str, Times]:
    numbers = _numbers(given.crops)

    def plain() -> object:
        read = [
            plain_crop(hands.paths(i)[0], hands.truth(i), is_right=i % 2 == 0)
            for i in next(numbers)
        ]
        return image_of(plain_crops(read))

    def one_process() -> object:
        draws = [Draw(0, number) for number in next(numbers)]
        return collate_crops([ours[draw] for draw in draws]).images

    workers = _loaded(ours, collate_crops, given.crops, given)
    times = time_interleaved(
        {'plain': plain, 'ours': one_process}, rounds=given.rounds, warm_up=2
    )  # fmt: skip
    times |= time_interleaved(
        {f'ours, {given.workers} processes': lambda: next(workers).images},
        rounds=given.rounds, warm_up=4 + 2 * given.workers,
    )  # fmt: skip
    workers.close()
    return _as_means(times, {'plain', 'ours'})


def _as_means(times: dict[str, Times], kept: set[str]) -> dict[str, Times]:
    """Batches of several processes come in bursts: only their mean rate means something."""
    return {
        name: values if name in kept else np.full_like(values, values.mean())
        for name, values in times.items()
    }


def _numbers(count: int) -> Iterator[list[int]]:
    first = 0
    while True:
        yield [(first + place) % _NUM_SAMPLES for place in range(count)]
        first += count


def _loaded(data: Any, collate: Any, batch_size: int, given: Any) -> Any:
    order = BatchOrder(len(data), batch_size=batch_size, seed=0)
    return Loader(data, collate, order, workers=given.workers).batches(0, torch.device('cpu'))


def _htt_step(device: torch.device, given: Any) -> Callable[[Any], None]:
    """Make a step of HTT in its published size, trained whole."""
    module = HttModule(HttSizes(num_joints=42, num_objects=8, num_actions=36))
    network = TrainableHtt(module, window=given.window, pose_window=POSE_WINDOW).to(device)
    optimizer = torch.optim.Adam(network.parameters(), 3e-5)

    def step(batch: Any) -> None:
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=given.autocast):
            answers = network(batch.images, batch.not_padding)
        answers = tuple(answer.float() for answer in answers)
        htt_losses(as_output(answers), batch.targets).total.backward()
        optimizer.step()

    return step


def _hamer_step(device: torch.device, given: Any) -> Callable[[Any], None]:
    """Make a step of HaMeR, of a small one or of the published size, with the default hand."""
    sizes: dict[str, Any] = (
        {} if given.hamer == 'full'
        else {'width': 192, 'depth': 6, 'heads': 3, 'mlp_hidden': 768,
              'decoder_width': 256, 'decoder_depth': 2}
    )  # fmt: skip
    settings = HamerModelSettings(hand_model='default', **sizes)
    none = HandPoses(
        hand_pose=np.zeros((0, 45), np.float32), betas=np.zeros((0, 10), np.float32)
    )  # fmt: skip
    weights = make_weights(settings, none)
    parts = weights.parts.to(device)
    skinning = LinearBlendSkinning(weights.hand.arrays, device=device)
    hand = HandModel(name='default', arrays=weights.hand.arrays, skinning=skinning, device=device)
    network = TrainableHamer(parts, hand, focal_px=weights.focal_px)
    optimizer = torch.optim.AdamW(parts.parameters(), 1e-5, weight_decay=1e-4)

    def step(batch: Any) -> None:
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=given.autocast):
            output = network(batch.images)
        hamer_losses(output, batch.targets).total.backward()
        optimizer.step()

    return step


def _waiting(
    name: str, data: Any, batch_size: int, step: Callable[[Any], None], device: torch.device,
    given: Any,
) -> dict[str, Any]:  # fmt: skip
    """Make steps and print how long they took and what share of it was waiting."""
    collate = collate_clips if isinstance(data, HttClips) else collate_crops
    order = BatchOrder(len(data), batch_size=batch_size, seed=0)
    loader = Loader(data, collate, order, workers=given.workers)
    batches = loader.batches(0, device)
    for _ in range(2):
        step(next(batches))
    _finish(device)
    # What was read ahead while the first steps were slow must not flatter the others.
    for _ in range(2 * given.workers):
        next(batches)
    loader.reset_times()
    start = time.perf_counter()
    for _ in range(given.steps):
        step(next(batches))
        _finish(device)  # else the next batch would be waited for in the time of this step
    seconds = (time.perf_counter() - start) / given.steps
    batches.close()
    row = {
        'case': name, 'step_ms': 1e3 * seconds, 'samples_per_s': batch_size / seconds,
        'waiting_share': loader.waiting_share,
    }  # fmt: skip
    print(
        f'\nsteps with {name}: {row["step_ms"]:.0f} ms each, {row["samples_per_s"]:.1f} '
        f'samples/s, {100 * row["waiting_share"]:.1f} % of the time waiting'
    )
    return row


def _finish(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


if __name__ == '__main__':
    main()
