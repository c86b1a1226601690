"""Do many pieces of work in several processes, results in order."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar

import cv2
import torch

from hand_perception.errors import ConfigError

SharedT = TypeVar('SharedT')
JobT = TypeVar('JobT')
ResultT = TypeVar('ResultT')

#: What all jobs of a process need; nothing else runs in one.
_SHARED: Final[list[Any]] = []


def side_by_side(
    work: Callable[[SharedT, JobT], ResultT],
    shared: SharedT,
    jobs: Sequence[JobT],
    num_processes: int,
    *,
    chunk: int = 1,
) -> Iterator[ResultT]:
    """Call a function for each job; what is not begun when the caller stops is left.

    Args:
        work: a function of a module, since it is sent to other processes.
        shared: its first argument, which is sent to each process once.
        jobs: its second arguments.
        num_processes: 1 works in this one; more are started anew, which takes a few seconds.
        chunk: jobs that a process takes at a time.

    Raises:
        ConfigError: there is no process.
    """
    check_processes(num_processes)
    if num_processes == 1 or len(jobs) < 2:
        yield from (work(shared, job) for job in jobs)
        return
    context = multiprocessing.get_context('spawn')  # threads of OpenCV do not survive a fork
    with ProcessPoolExecutor(
        min(num_processes, len(jobs)), mp_context=context, initializer=_start_process,
        initargs=(shared,),
    ) as pool:  # fmt: skip
        try:
            yield from pool.map(partial(_call, work), jobs, chunksize=chunk)
        finally:
            pool.shutdown(cancel_futures=True)


def check_processes(num_processes: int) -> None:
    """Refuse to do the work in no process; before anything is written.

    Raises:
        ConfigError: there is no process.
    """
    if num_processes < 1:
        raise ConfigError(f'processes must be 1 or more, got {num_processes}')


def _call(work: Callable[[Any, JobT], ResultT], job: JobT) -> ResultT:
    return work(_SHARED[0], job)


def _start_process(shared: object) -> None:
    _SHARED.append(shared)
    # As many processes as cores: threads of their own would only be in each other's way.
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
