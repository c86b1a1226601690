"""The service ``~/calibrate_hand``: how large the person's hands are."""

import math
import threading
from collections.abc import Callable
from typing import Any, Final, Protocol

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.task import Future

from hand_perception.datatypes import FrameResult
from hand_perception.errors import HandPerceptionError
from hand_perception.srv import CalibrateHand

#: A measurement that has not come to an end by then does not.
TIMEOUT_S: Final = 15.0
#: Palms are 60 to 110 mm wide across the knuckles; beyond these a unit or a typing error is meant.
_PALM_M: Final = (0.04, 0.14)
_SIDES: Final = {
    CalibrateHand.Request.HANDEDNESS_UNKNOWN: None,
    CalibrateHand.Request.HANDEDNESS_LEFT: False,
    CalibrateHand.Request.HANDEDNESS_RIGHT: True,
}
_NAN: Final = float('nan')
#: Standard deviations of hand_scale, as shares of it: of a palm measured with a ruler (2 mm of
#: 80 mm), and the least of a measured one (depth cameras are off by about 1 % themselves).
_PALM_RATIO: Final = 0.03
_LEAST_RATIO: Final = 0.01


class Measurement(Protocol):
    """Measures a hand that is held flat and still, image by image."""

    def add(self, result: FrameResult) -> bool:
        """Take what was seen in an image; return whether the measurement is complete.

        Raises:
            HandPerceptionError: it cannot become complete, and what to do.
        """
        ...

    @property
    def hint(self) -> str:
        """What the person should do for it to go on, for the answer after a timeout."""
        ...

    def outcome(self) -> tuple[float, float]:
        """Give hand_scale and its standard deviation, once complete."""
        ...


class CalibrationService:
    """Measures while images go on being processed, and sets the parameter hand_scale.

    The executor's thread answers the service; the worker's thread brings what was seen.
    """

    def __init__(
        self,
        node: Node,
        *,
        start: Callable[[bool | None], Measurement],
        scale_of_palm: Callable[[float], float],
        is_enabled: Callable[[], bool],
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Offer the service.

        Args:
            node: has the live parameters hand_scale and hand_scale_stddev.
            start: begins to measure the right hand (True), the left (False), or the one seen.
            scale_of_palm: hand_scale of a hand whose palm is so many metres wide.
            is_enabled: whether images are processed at all.
            timeout_s: longest measurement.
        """
        self._node = node
        self._start = start
        self._scale_of_palm = scale_of_palm
        self._is_enabled = is_enabled
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._measurement: Measurement | None = None
        self._future: Future | None = None
        # A group of its own: the service waits for images, and images must not wait for it.
        node.create_service(
            CalibrateHand,
            '~/calibrate_hand',
            self._calibrate,
            callback_group=MutuallyExclusiveCallbackGroup(),
        )

    def see(self, result: FrameResult) -> None:
        """Bring what was seen in an image; from the worker's thread, costs nothing while idle."""
        if self._measurement is None:
            return
        with self._lock:
            measurement = self._measurement
            if measurement is None:
                return
            try:
                outcome: Any = measurement.outcome() if measurement.add(result) else None
            except HandPerceptionError as error:
                outcome = error
            if outcome is not None:
                self._measurement = None
                self._end(outcome)

    async def _calibrate(self, request: Any, response: Any) -> Any:
        response.hand_scale = response.stddev = _NAN
        width = float(request.palm_width)
        if request.handedness not in _SIDES:
            response.message = (
                f'handedness must be 0 (the hand that is seen), 1 (left) or 2 (right), got '
                f'{request.handedness}'
            )
        elif width == 0:
            await self._measure(_SIDES[request.handedness], response)
        elif not (math.isfinite(width) and _PALM_M[0] <= width <= _PALM_M[1]):
            response.message = (
                f'palm_width must be 0 (to measure) or {_PALM_M[0]:g} to {_PALM_M[1]:g} m across '
                f'the four knuckles, got {width:g}'
            )
        else:
            self._use(self._scale_of_palm(width), _NAN, response)
        return response

    async def _measure(self, is_right: bool | None, response: Any) -> None:
        if not self._is_enabled():
            response.message = 'images are not processed: call ~/enable first'
            return
        try:
            measurement = self._start(is_right)
        except HandPerceptionError as error:
            response.message = str(error)
            return
        self._future = Future()
        timer = self._node.create_timer(
            self._timeout_s,
            lambda: self._give_up(measurement),
            clock=Clock(clock_type=ClockType.STEADY_TIME),  # simulated time may stand still
        )
        with self._lock:
            self._measurement = measurement
        outcome = await self._future
        self._node.destroy_timer(timer)
        if isinstance(outcome, HandPerceptionError):
            response.message = str(outcome)
        else:
            self._use(*outcome, response)

    def _give_up(self, measurement: Measurement) -> None:
        with self._lock:
            if self._measurement is measurement:
                self._measurement = None
                self._end(
                    HandPerceptionError(
                        f'the hand could not be measured within {self._timeout_s:g} s: '
                        f'{measurement.hint}'
                    )
                )

    def _end(self, outcome: Any) -> None:
        """Let the service answer, from whichever thread: only the executor's may wake it."""
        future, executor = self._future, self._node.executor
        if future is not None and executor is not None:
            executor.create_task(future.set_result, outcome)

    def _use(self, scale: float, stddev: float, response: Any) -> None:
        ratio = _PALM_RATIO if math.isnan(stddev) else max(stddev / scale, _LEAST_RATIO)
        result = self._node.set_parameters_atomically(
            [
                Parameter('hand_scale', value=float(scale)),
                Parameter('hand_scale_stddev', value=float(ratio)),
            ]
        )
        response.success = bool(result.successful)
        if result.successful:
            response.hand_scale, response.stddev = float(scale), float(stddev)
            spread = '' if math.isnan(stddev) else f' (standard deviation {stddev:.3f})'
            response.message = (
                f'hand_scale is {scale:.3f}{spread} until the node ends; put it into the '
                'parameter file to keep it'
            )
        else:
            response.message = f'a hand_scale of {scale:.3f} is refused: {result.reason}'
