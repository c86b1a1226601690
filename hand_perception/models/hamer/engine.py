"""Run HaMeR at the speed of the device: fixed batch sizes, recorded work, one copy to the host.

On CUDA the whole way from grey levels to packed results is one graph per batch size ("bucket").
A batch takes the smallest bucket that holds it; more hands than the largest bucket go in several
turns. Where the memory of the device does not suffice the largest buckets are given up.
"""

import functools
import gc
import logging
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hand_perception.errors import ConfigError, ImageError
from hand_perception.models.hamer.config_file import IMAGE_SIZE_PX
from hand_perception.models.hamer.graphs import Capture, CudaGraphCapture, Work
from hand_perception.models.hamer.network import HamerNetwork
from hand_perception.models.hamer.packing import HamerHands, pack, packed_size, unpack

_logger = logging.getLogger(__name__)

BUCKETS: Final = (1, 2, 3, 4, 6, 8)
_CROP_SHAPE: Final = (IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3)

Crops = NDArray[np.uint8] | NDArray[np.float32] | Tensor


class HamerEngine:
    """Crops to hands, for any number of hands; used by one thread."""

    def __init__(
        self,
        network: HamerNetwork,
        *,
        buckets: Sequence[int] = BUCKETS,
        capture: Capture | None = None,
    ) -> None:
        """Allocate the buffers of the largest bucket; :meth:`warm_up` does the rest.

        Args:
            network: loaded.
            buckets: batch sizes.
            capture: how work is recorded; CUDA graphs on CUDA when None. On the CPU nothing is
                recorded and batches run in their own size, unless a capture is given.
        """
        self._network = network
        self._device = network.device
        self._is_cuda = self._device.type == 'cuda'
        self._buckets = sorted(set(buckets))
        if not self._buckets or self._buckets[0] < 1:
            raise ConfigError(f'buckets must be numbers from 1, got {list(buckets)}')
        if capture is None and self._is_cuda:
            capture = CudaGraphCapture(self._device)
        self._capture = capture
        self._works: dict[int, Work] = {}
        self._is_warm = False
        largest = self._most_asked_for = self._buckets[-1]
        self._packed_size = packed_size(network.hand.num_vertices)
        with torch.inference_mode():
            # Zeros, so that the rows of absent hands are numbers from the first batch on.
            self._crops = torch.zeros(largest, *_CROP_SHAPE, device=self._device)
            self._packed = torch.zeros(largest, self._packed_size, device=self._device)
            self._host = torch.zeros(largest, self._packed_size, pin_memory=self._is_cuda)
            self._staged = torch.zeros(
                largest, *_CROP_SHAPE, dtype=torch.uint8, pin_memory=self._is_cuda
            )

    @property
    def buckets(self) -> tuple[int, ...]:
        """The batch sizes in use; fewer than asked for where memory did not suffice."""
        return tuple(self._buckets)

    @property
    def device_name(self) -> str:
        """Device and precision, and the most hands at once where memory limits them."""
        text = f'{self._device} {self._network.precision}'
        most = self._buckets[-1]
        return text if most == self._most_asked_for else f'{text}, at most {most} hands at once'

    def warm_up(self) -> None:
        """Record all buckets, so that no image waits for it.

        Raises:
            ConfigError: not even one hand fits into the memory of the device.
        """
        with torch.inference_mode():
            if self._capture is None:
                self._run_rows(1)
            else:
                # The largest first: the smaller ones then live in the memory it has taken.
                for bucket in reversed(tuple(self._buckets)):
                    self._record(bucket)
        self._is_warm = True

    def run(self, crops_rgb: Crops) -> HamerHands:
        """Reconstruct the hands of N crops.

        Args:
            crops_rgb: (N, 256, 256, 3) grey levels 0 to 255, uint8 or float32, on the host or on
                the device; left hands mirrored. N may be 0.

        Returns:
            N hands; the arrays are the caller's.

        Raises:
            ImageError: the crops have another shape or type.
            ConfigError: not even one hand fits into the memory of the device.
        """
        crops = torch.from_numpy(crops_rgb) if isinstance(crops_rgb, np.ndarray) else crops_rgb
        if crops.shape[1:] != _CROP_SHAPE or crops.dtype not in (torch.uint8, torch.float32):
            raise ImageError(
                'crops must be uint8 or float32 of shape '
                f'(N, {", ".join(map(str, _CROP_SHAPE))}), '
                f'got {crops.dtype} of shape {tuple(crops.shape)}'
            )
        if not self._is_warm:
            self.warm_up()
        rows = np.empty((len(crops), self._packed_size), np.float32)
        done = 0
        with torch.inference_mode():
            while done < len(crops):
                count = min(len(crops) - done, self._buckets[-1])
                try:
                    self._upload(crops[done : done + count])
                    self._run_rows(count)
                    rows[done : done + count] = self._download(count)
                except torch.cuda.OutOfMemoryError as error:
                    self._give_up_from(self._bucket_for(count), error)
                    continue  # the same hands again, in smaller turns
                done += count
        return unpack(rows)

    def _bucket_for(self, count: int) -> int:
        return next(bucket for bucket in self._buckets if bucket >= count)

    def _run_rows(self, count: int) -> None:
        """Compute the first ``count`` rows of the buffers, or a few more."""
        if self._capture is None:
            self._work(count)
            return
        bucket = self._bucket_for(count)
        if bucket not in self._works:
            self._works[bucket] = self._capture(functools.partial(self._work, bucket))
        self._works[bucket]()

    def _work(self, count: int) -> None:
        """Everything between the two buffers on the device."""
        images = self._network.normalize(self._crops[:count])
        pack(self._network(images), out=self._packed[:count])

    def _record(self, bucket: int) -> None:
        if bucket > self._buckets[-1] or bucket in self._works:
            return
        try:
            self._run_rows(bucket)
        except torch.cuda.OutOfMemoryError as error:
            self._give_up_from(bucket, error)

    def _give_up_from(self, bucket: int, error: BaseException) -> None:
        """Do without this bucket and all larger ones, and free what they hold."""
        kept = [other for other in self._buckets if other < bucket]
        if not kept:
            raise ConfigError(
                f'the memory of {self._device} does not suffice for one hand ({error}); close '
                'other programs that use it, or set precision to bf16, or device to cpu'
            ) from error
        _logger.warning(
            'out of memory on %s with %d hands at once; going on with at most %d at once',
            self._device, bucket, kept[-1],
        )  # fmt: skip
        self._buckets = kept
        for other in [other for other in self._works if other >= bucket]:
            del self._works[other]
        gc.collect()  # a failed recording leaves cycles that hold memory
        if self._is_cuda:
            torch.cuda.empty_cache()

    def _upload(self, crops: Tensor) -> None:
        """Bring crops into the first rows of the device's buffer, as float32."""
        count = len(crops)
        if self._is_cuda and not crops.is_cuda:
            if crops.dtype == torch.uint8:
                self._staged[:count].copy_(crops)
                crops = self._staged[:count]
            # As bytes over the bus; the copy below widens them on the device.
            crops = crops.to(self._device, non_blocking=True)
        self._crops[:count].copy_(crops)

    def _download(self, count: int) -> NDArray[np.float32]:
        """Bring the first rows of the results to the host, waiting for this device only."""
        self._host[:count].copy_(self._packed[:count], non_blocking=True)
        if self._is_cuda:
            done = torch.cuda.Event()
            done.record(torch.cuda.current_stream(self._device))
            done.synchronize()
        return self._host[:count].numpy()
