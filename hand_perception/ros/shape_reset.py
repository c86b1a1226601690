"""The service ``~/reset_shapes``: forget the hand shapes that HaMeR holds."""

import concurrent.futures
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final

from rclpy.node import Node
from std_srvs.srv import Trigger

#: The service waits this long for the image that is being processed.
TIMEOUT_S: Final = 10.0

#: Runs a function in the thread that alone touches the stream, and gives what it returns.
RunBetweenImages = Callable[[Callable[[], int]], 'Future[int]']


class ShapeReset:
    """Has the worker forget the shapes of all hands between two images."""

    def __init__(
        self,
        node: Node,
        *,
        run: RunBetweenImages | None,
        forget: Callable[[], int],
    ) -> None:
        """Offer the service.

        Args:
            node: that offers it.
            run: brings a function between two images; None: the back end holds no shapes.
            forget: forgets them; returns of how many hands.
        """
        self._run = run
        self._forget = forget
        node.create_service(Trigger, '~/reset_shapes', self._reset)

    def _reset(self, request: Any, response: Any) -> Any:
        if self._run is None:
            response.success = True
            response.message = 'the back end landmarks holds no shapes'
            return response
        forgotten = self._run(self._forget)
        concurrent.futures.wait([forgotten], TIMEOUT_S)
        response.success = forgotten.done()
        if forgotten.done():
            response.message = f'shapes of {forgotten.result()} hands forgotten'
        else:
            response.message = (
                f'the image at work takes longer than {TIMEOUT_S:g} s; shapes are '
                'forgotten right after it'
            )
        return response
