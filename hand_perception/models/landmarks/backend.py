"""The default back end: palms in an image, landmarks in regions. It remembers nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from hand_perception.datatypes import FloatArray, HandLandmarks, ImageArray, Region
from hand_perception.models.device import select_device
from hand_perception.models.landmarks.crops import (
    crop_region,
    letterbox,
    tile_windows,
    whole_window,
)
from hand_perception.models.landmarks.frozen import Network, freeze_for_cpu
from hand_perception.models.landmarks.layout import LANDMARK_INPUT_PX, PALM_INPUT_PX
from hand_perception.models.landmarks.networks import HandLandmarkNetwork, PalmDetector
from hand_perception.models.landmarks.palm import (
    decode_palms,
    join_candidates,
    merge_palms,
    palm_regions,
)
from hand_perception.models.landmarks.regions import read_landmarks
from hand_perception.models.landmarks.weight_files import WEIGHTS_DIR, load_network

#: torch.jit looks at the first two runs of a graph before it settles.
_WARM_UP_RUNS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class PalmDetection:
    """A palm: where to look for a hand.

    Attributes:
        region: for :meth:`LandmarkBackend.observe`.
        score: 0-1.
        is_from_tile: seen in an enlarged tile only, not in the whole image: more often wrong.
    """

    region: Region
    score: float
    is_from_tile: bool


class LandmarkBackend:
    """MediaPipe's palm detector and landmark network; see docs/landmarks.md.

    Attributes:
        device: where the networks run.
    """

    def __init__(
        self, palm: PalmDetector, landmark: HandLandmarkNetwork, device: torch.device
    ) -> None:
        """Take two networks with their weights; :meth:`load` is the usual way."""
        self.device = device
        self._palm = self._prepare(palm, PALM_INPUT_PX)
        self._landmark = self._prepare(landmark, LANDMARK_INPUT_PX)

    @classmethod
    def load(
        cls, *, device: str = 'auto', num_threads: int = 1, weights_dir: Path | None = None
    ) -> 'LandmarkBackend':
        """Load the weights that ship with the package and run both networks once.

        Args:
            device: auto, cpu or cuda.
            num_threads: CPU threads of torch, for the whole process.
            weights_dir: another folder with the two .npz files.

        Raises:
            WeightsError: a file is missing, corrupt or of other networks.
            ConfigError: the device is not there.
        """
        folder = WEIGHTS_DIR if weights_dir is None else weights_dir
        chosen = select_device(device)
        torch.set_num_threads(num_threads)
        backend = cls(
            load_network(PalmDetector, folder / 'palm_detection_full.npz'),
            load_network(HandLandmarkNetwork, folder / 'hand_landmark_full.npz'),
            chosen,
        )
        backend._warm_up()
        return backend

    def _prepare(self, network: nn.Module, size_px: int) -> Network:
        # Channels-last is the order of the image itself and the faster one.
        network = network.to(self.device).to(memory_format=torch.channels_last)
        if self.device.type != 'cpu':
            return network
        example = torch.rand(1, 3, size_px, size_px, generator=torch.Generator().manual_seed(0))
        return freeze_for_cpu(network, example.contiguous(memory_format=torch.channels_last))

    def _warm_up(self) -> None:
        """Let torch choose its kernels now rather than in the first image."""
        image = np.zeros((PALM_INPUT_PX, PALM_INPUT_PX, 3), np.uint8)
        region = Region(center_px=(0.0, 0.0), size_px=1.0, angle_rad=0.0)
        for _ in range(_WARM_UP_RUNS):
            self.search(image, is_rgb=True, threshold=0.5, with_tiles=False)
            self.observe(image, [region], is_rgb=True)
            self.observe(image, [region, region], is_rgb=True)

    def search(
        self, image: ImageArray, *, is_rgb: bool, threshold: float, with_tiles: bool
    ) -> list[PalmDetection]:
        """Find palms, best first.

        Args:
            image: (H, W, 3), read in place.
            is_rgb: channel order of the image.
            threshold: least palm score.
            with_tiles: look at overlapping tiles of half the size too, for small hands; three to
                five times the work.
        """
        windows = [whole_window(image), *(tile_windows(image) if with_tiles else [])]
        inputs = np.empty((len(windows), PALM_INPUT_PX, PALM_INPUT_PX, 3), np.uint8)
        boxes = [
            letterbox(image, window, out, is_rgb=is_rgb)
            for window, out in zip(windows, inputs, strict=True)
        ]
        outputs = self._run(self._palm, inputs)
        palms = merge_palms(join_candidates([
            decode_palms(raw, box, threshold=threshold, is_tile=i > 0)
            for i, (raw, box) in enumerate(zip(outputs, boxes, strict=True))
        ]))  # fmt: skip
        return [
            PalmDetection(region=region, score=float(score), is_from_tile=bool(is_from_tile))
            for region, score, is_from_tile in zip(
                palm_regions(palms), palms.scores, palms.is_from_tile, strict=True
            )
        ]

    def observe(
        self, image: ImageArray, regions: Sequence[Region], *, is_rgb: bool
    ) -> list[HandLandmarks]:
        """Place the landmarks of one hand in each region, in one pass of the network.

        Args:
            image: (H, W, 3), read in place.
            regions: where to look; their order is kept.
            is_rgb: channel order of the image.

        Returns:
            One result per region, whatever its presence: the caller decides what is a hand.
        """
        if not regions:
            return []
        inputs = np.empty((len(regions), LANDMARK_INPUT_PX, LANDMARK_INPUT_PX, 3), np.uint8)
        for region, out in zip(regions, inputs, strict=True):
            crop_region(image, region, out, is_rgb=is_rgb)
        outputs = self._run(self._landmark, inputs)
        return [
            read_landmarks(values, region) for values, region in zip(outputs, regions, strict=True)
        ]

    def _run(self, network: Network, images: ImageArray) -> FloatArray:
        """Run a network on (B, S, S, 3) RGB images; one copy to the device and one back."""
        with torch.inference_mode():
            batch = torch.from_numpy(images).to(self.device).permute(0, 3, 1, 2)
            output: FloatArray = network(batch.float().div_(255)).cpu().numpy()
        return output
