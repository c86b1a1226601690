"""Do many pieces of work in several processes, results in order."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

import cv2
import torch

from hand_perception.errors import ConfigError

JobT = TypeVar('JobT')
ResultT = TypeVar('ResultT')


def side_by_side(
    work: Callable[[JobT], ResultT], jobs: Sequence[JobT], num_processes: int, *, chunk: int = 1
) -> Iterator[ResultT]:
    """Call a function for each job; what is not begun when the caller stops is left.

    Args:
        work: a function of a module, since it is sent to other processes.
        jobs: its arguments.
        num_processes: 1 works in this one; more are started anew, which takes a few seconds.
        chunk: jobs that a process takes at a time.

    Raises:
        ConfigError: there is no process.
    """
    if num_processes < 1:
        raise ConfigError(f'processes must be 1 or more, got {num_processes}')
    if num_processes == 1 or len(jobs) < 2:
        yield from (work(job) for job in jobs)
        return
    context = multiprocessing.get_context('spawn')  # threads of OpenCV do not survive a fork
    with ProcessPoolExecutor(
        min(num_processes, len(jobs)), mp_context=context, initializer=_start_process
    ) as pool:
        try:
            yield from pool.map(work, jobs, chunksize=chunk)
        finally:
            pool.shutdown(cancel_futures=True)


def _start_process() -> None:
    # As many processes as cores: threads of their own would only be in each other's way.
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
