"""Batches in an order that follows from the seed alone, read by other processes ahead of time.

The order of samples is a function of the seed, the number of the batch, and which of how many
programs this one is. A run that goes on at any batch, with any number of loading processes, gets
what it would have got; two programs with B samples each see what one with 2 B does.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing.queues import Queue
from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from hand_perception.errors import ConfigError, DatasetError, HandPerceptionError
from hand_perception.training.task import Batch, Collate, Draw, DrawDataset

#: Keeps these numbers apart from those that samples are augmented with.
_STREAM: Final = 104729


class BatchOrder:
    """Which samples the batches of one of several programs hold.

    Attributes:
        batches_per_epoch: of each program; samples that do not fill a batch are left out, others
            in each epoch, as officially.
    """

    def __init__(
        self,
        length: int,
        *,
        batch_size: int,
        seed: int,
        is_shuffled: bool = True,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        """Choose an order.

        Args:
            length: samples of an epoch.
            batch_size: samples of a batch of each program.
            seed: of the run.
            is_shuffled: False: in the order of the data set.
            rank: number of this program.
            world_size: how many programs there are.

        Raises:
            ConfigError: an epoch has too few samples for one batch.
        """
        together = batch_size * world_size
        if batch_size < 1 or not 0 <= rank < world_size or length < together:
            raise ConfigError(
                f'{world_size} program{"" if world_size == 1 else "s"} with batches of '
                f'{batch_size} need{"s" if world_size == 1 else ""} at least {together} samples, '
                f'the data set has {length}; take a smaller batch_size'
            )
        self.batches_per_epoch = length // together
        self._length, self._batch_size, self._together = length, batch_size, together
        self._seed, self._is_shuffled, self._rank = seed, is_shuffled, rank
        self._epoch: tuple[int, NDArray[np.int64]] | None = None

    def draws(self, batch: int) -> list[Draw]:
        """Samples of a batch, which is counted from 0 over all epochs."""
        epoch, place = divmod(batch, self.batches_per_epoch)
        start = place * self._together + self._rank * self._batch_size
        numbers = self._numbers(epoch)[start : start + self._batch_size]
        return [Draw(epoch, number) for number in numbers.tolist()]

    def from_batch(self, first: int) -> Iterator[list[Draw]]:
        """Samples of all batches from one on, without end."""
        while True:
            yield self.draws(first)
            first += 1

    def _numbers(self, epoch: int) -> NDArray[np.int64]:
        if not self._is_shuffled:
            return np.arange(self._length)
        if self._epoch is None or self._epoch[0] != epoch:
            rng = np.random.default_rng((self._seed, epoch, _STREAM))
            self._epoch = (epoch, rng.permutation(self._length))
        return self._epoch[1]


class Loader:
    """Batches on a device, and how long was waited for them.

    Attributes:
        order: of the samples.
        waited_s: time spent waiting for batches since the last ``reset_times``; that of the first
            one includes the start of the processes.
        worked_s: time that the caller took between batches.
    """

    def __init__(
        self,
        data: DrawDataset,
        collate: Collate,
        order: BatchOrder,
        *,
        workers: int = 0,
        prefetch: int = 2,
    ) -> None:
        """Put together what reads.

        Args:
            data: training samples; sent to other processes when there are any.
            collate: puts them together.
            order: of the samples.
            workers: processes that read; 0 reads in this one, when a batch is asked for.
            prefetch: batches that each process reads ahead.
        """
        self.order = order
        self.waited_s = self.worked_s = 0.0
        self._data, self._collate = data, collate
        self._workers, self._prefetch = workers, prefetch

    def batches(self, first: int, device: torch.device) -> Iterator[Batch]:
        """Read batches from one on, without end; the first is counted over all epochs.

        Raises:
            DatasetError: a sample is damaged; the same error whoever reads. Or a process that
                reads has ended.
        """
        batches = iter(
            DataLoader(
                _BatchReader(self._data, self._collate),
                sampler=self.order.from_batch(first),
                batch_size=None,
                num_workers=self._workers,
                collate_fn=_as_read,
                pin_memory=device.type == 'cuda',
                **(self._process_options() if self._workers else {}),
            )
        )
        try:
            asked = time.perf_counter()
            while True:
                read = _next_of(batches)
                if isinstance(read, HandPerceptionError):
                    raise read
                batch = read.to(device)
                given = time.perf_counter()
                self.waited_s += given - asked
                yield batch
                asked = time.perf_counter()
                self.worked_s += asked - given
        finally:
            # Now, and not when the error that names this frame is: the processes would be waited
            # for in vain.
            del batches

    def _process_options(self) -> dict[str, Any]:
        # Not forked off this process: threads of OpenCV, of a GPU or of a log do not survive that.
        # They are forked off one that has imported what they need and done nothing else.
        context = multiprocessing.get_context('forkserver')
        context.set_forkserver_preload([__name__])
        return {
            'multiprocessing_context': context, 'prefetch_factor': self._prefetch,
            'worker_init_fn': _start_worker,
        }  # fmt: skip

    @property
    def waiting_share(self) -> float:
        """Share of the time that was spent waiting for batches; 0 before the second one."""
        total = self.waited_s + self.worked_s
        return self.waited_s / total if total else 0.0

    def reset_times(self) -> None:
        """Start measuring anew."""
        self.waited_s = self.worked_s = 0.0


class _BatchReader(Dataset[Any]):
    """Reads whole batches, in whatever process; what is wrong with a sample is handed on."""

    def __init__(self, data: DrawDataset, collate: Collate) -> None:
        self._data, self._collate = data, collate

    def __getitem__(self, draws: list[Draw]) -> Batch | HandPerceptionError:
        try:
            return self._collate([self._data[draw] for draw in draws])
        except HandPerceptionError as error:
            # Raised in another process it would come with that one's traceback as its message.
            return error


def _next_of(batches: Iterator[Any]) -> Any:
    try:
        return next(batches)
    except RuntimeError as error:
        if not str(error).startswith('DataLoader worker'):
            raise
        raise DatasetError(
            f'a process that reads samples has ended ({error}); often memory or /dev/shm is full: '
            'take a lower run.workers, or give a container more by --shm-size'
        ) from error


def _as_read(batch: Any) -> Any:
    return batch


def _start_worker(number: int) -> None:
    """Keep a loading process to one core; Ctrl-C is for the training, which then saves first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # torch looks at its parent, which is the server of processes and outlives a killed training.
    threading.Thread(target=_end_with_training, name='end with training', daemon=True).start()
    # What cannot be sent, as /dev/shm is full, would be lost, and waited for without end.
    Queue._on_queue_feeder_error = staticmethod(_end_unsent)  # type: ignore[attr-defined]
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def _end_unsent(error: Exception, batch: object) -> None:
    print(f'a batch cannot be sent to the training: {error}', file=sys.stderr, flush=True)
    os._exit(1)


def _end_with_training() -> None:
    training = multiprocessing.parent_process()
    if training is not None:
        training.join()
        os._exit(1)
