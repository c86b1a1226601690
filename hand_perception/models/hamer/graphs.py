"""Record the work of one batch size once, and replay it with one launch."""

from collections.abc import Callable
from typing import Any, Final, Protocol

import torch

#: Runs before recording: cuBLAS and cuDNN make their workspaces and choose their kernels.
_WARM_UP_RUNS: Final = 3

Work = Callable[[], None]


class Capture(Protocol):
    """Turns work on fixed buffers into something that does the same faster."""

    def __call__(self, work: Work) -> Work:
        """Run ``work`` as often as needed and return what replays it.

        Raises:
            torch.cuda.OutOfMemoryError: the device's memory does not suffice.
        """
        ...


class CudaGraphCapture:
    """Captures CUDA graphs that share one pool of memory.

    Sharing is safe because the graphs are replayed one after the other on one stream and what
    they leave is copied out before the next one runs.
    """

    def __init__(self, device: torch.device) -> None:
        """Prepare for a device; nothing is allocated yet."""
        self._device = device
        self._pool: Any = None

    def __call__(self, work: Work) -> Work:
        """Warm up on a side stream, as capturing needs it, and capture."""
        with torch.cuda.device(self._device):
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(_WARM_UP_RUNS):
                    work()
            torch.cuda.current_stream().wait_stream(stream)
            torch.cuda.synchronize()
            if self._pool is None:
                self._pool = torch.cuda.graph_pool_handle()
            graph = torch.cuda.CUDAGraph()
            try:
                # Of this thread only: others may use the device meanwhile.
                mode = 'thread_local'
                with torch.cuda.graph(graph, pool=self._pool, capture_error_mode=mode):
                    work()
            except RuntimeError as error:
                # Ending a capture that ran out of memory fails in turn and hides the reason.
                if isinstance(error.__context__, torch.cuda.OutOfMemoryError):
                    raise error.__context__ from None
                raise
        return graph.replay
