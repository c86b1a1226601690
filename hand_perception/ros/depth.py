"""Match depth images to colour images by stamp."""

import threading
import time
from collections import deque
from typing import Final

from hand_perception.datatypes import FloatArray
from hand_perception.errors import ImageError
from hand_perception.ros.cdr import read_image, read_stamp_ns
from hand_perception.ros.images import depth_image

#: A depth image belongs to a colour image when their stamps differ by no more than this: more
#: than half a period at 30 Hz would be the neighbour's.
MATCH_NS: Final = 20_000_000
#: The depth image of a colour image may come this much later; longer is latency for nothing.
WAIT_S: Final = 0.03
#: Depth images that are kept, as bytes: half a second at 30 Hz.
_KEPT: Final = 15
#: A depth topic that has been silent for this long is not waited for.
_SILENT_S: Final = 1.0


class DepthBuffer:
    """Keeps the last depth images as they came; only the one that matches is converted."""

    def __init__(self) -> None:
        """Start empty."""
        self._condition = threading.Condition()
        self._images: deque[tuple[int, bytes]] = deque(maxlen=_KEPT)
        self._last_came_s = float('-inf')

    def add(self, wire: bytes) -> None:
        """Store a serialised sensor_msgs/Image.

        Raises:
            ImageError: the bytes are no such message.
        """
        stamp_ns = read_stamp_ns(wire)
        with self._condition:
            if self._images and stamp_ns < self._images[-1][0]:
                self._images.clear()  # stamps jumped back: the others are of an older run
            self._images.append((stamp_ns, wire))
            self._last_came_s = time.monotonic()
            self._condition.notify_all()

    def match(self, stamp_ns: int, width: int, height: int) -> FloatArray | None:
        """Give the depth of a colour image.

        Waits shortly for a depth image that is still on its way.

        Returns:
            (height, width) metres, NaN where unknown; None when no depth image has its stamp.

        Raises:
            ImageError: the matching depth image has another size or cannot be read.
        """
        wire = self._nearest(stamp_ns)
        if wire is None:
            return None
        packet = read_image(wire)
        if (packet.width, packet.height) != (width, height):
            raise ImageError(
                f'depth image is {packet.width}x{packet.height}, the colour image '
                f'{width}x{height}; remap "depth" to depth that is aligned to colour'
            )
        return depth_image(packet)

    def _nearest(self, stamp_ns: int) -> bytes | None:
        deadline = time.monotonic() + WAIT_S
        with self._condition:
            while True:
                if self._images:
                    near_ns, wire = min(self._images, key=lambda item: abs(item[0] - stamp_ns))
                    if abs(near_ns - stamp_ns) <= MATCH_NS:
                        return wire
                now = time.monotonic()
                is_due = bool(self._images) and self._images[-1][0] < stamp_ns
                is_alive = now - self._last_came_s < _SILENT_S
                if not (is_due and is_alive and now < deadline):
                    return None
                self._condition.wait(deadline - now)
