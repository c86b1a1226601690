"""A picture of a teleoperation: where the true hand led, where the arm went, and its states."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from hand_perception.datatypes import DoubleArray, ImageArray
from hand_perception.errors import SourceError
from hand_perception.evaluation.teleop_records import Poses, TeleopRecord, TimesNs, engagements_of
from hand_perception.evaluation.teleop_tracking import goals_of
from hand_perception.teleop.settings import TeleopSettings
from hand_perception.teleop.states import State

_WIDTH, _PANEL_HEIGHT, _LEFT, _RIGHT, _TOP, _GAP = 1600, 210, 64, 20, 84, 26
#: Blue-green-red.
_BANDS: Final = {
    State.IDLE: (250, 250, 250),
    State.WAITING: (200, 240, 255),
    State.ENGAGED: (222, 245, 222),
    State.HOLDING: (150, 150, 255),
    State.DISENGAGED: (236, 236, 236),
}
_HAND, _ARM, _INK, _GRID = (30, 110, 230), (150, 60, 20), (60, 60, 60), (205, 205, 205)
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_AXES: Final = ('x ahead', 'y left', 'z up')
#: Panels do not shrink below this: noise is not to look like motion, metres.
_MIN_SPAN_M: Final = 0.05
#: Height of the bar that says that the button is down, pixels.
_BUTTON_HEIGHT: Final = 12


def write_plot(
    path: Path,
    record: TeleopRecord,
    hand: Poses,
    gripper: DoubleArray,
    settings: TeleopSettings,
    *,
    situations: Sequence[str],
) -> None:
    """Draw a run.

    Args:
        path: PNG file.
        record: of the run.
        hand: true wrist at every image, camera.
        gripper: (N,) what the true hand asks of the gripper at every image.
        settings: of the teleoperation.
        situations: (N,) names of what happens.

    Raises:
        SourceError: the file cannot be written.
    """
    paths = [path for path in _goal_paths(record, hand, settings) if len(path[0])]
    height = _TOP + 4 * (_PANEL_HEIGHT + _GAP) + 30
    image: ImageArray = np.full((height, _WIDTH, 3), 255, np.uint8)
    first_ns = int(record.images_ns[0])
    last_ns = max(int(record.arm.times_ns[-1]), int(record.images_ns[-1]))
    scale = _Scale(first_ns, last_ns)
    _draw_head(image, scale, record.images_ns, situations)
    for axis, name in enumerate(_AXES):
        panel = _Panel(image, axis, scale)
        panel.draw_bands(record, last_ns)
        arm = record.arm.positions[:, axis]
        values = np.concatenate([arm, *(goal[:, axis] for _, goal in paths)])
        centre, span = _span(values)
        panel.draw_frame(f'{name}, m', centre - span / 2, centre + span / 2)
        for times, goal in paths:
            panel.draw_line(times, goal[:, axis], _HAND, 1)
        panel.draw_line(record.arm.times_ns, arm, _ARM, 2)
    panel = _Panel(image, len(_AXES), scale)
    panel.draw_bands(record, last_ns)
    panel.draw_frame('gripper', -0.1, 1.1)
    panel.draw_line(record.images_ns, gripper, _HAND, 1)
    panel.draw_points(record.gripper_ns, record.gripper, _ARM)
    panel.draw_button(record)
    scale.draw_ticks(image, height - 12)
    if not cv2.imwrite(str(path), image):
        raise SourceError(f'cannot write {path}')


def _goal_paths(
    record: TeleopRecord, hand: Poses, settings: TeleopSettings
) -> list[tuple[TimesNs, DoubleArray]]:
    """Where the true hand led, by the newest anchor, also while nothing was engaged."""
    engagements = engagements_of(record)
    paths = []
    for number, one in enumerate(engagements):
        goals = goals_of(record, one, hand, settings)
        if goals is None:
            continue
        is_last = number + 1 == len(engagements)
        until = int(hand.times_ns[-1]) + 1 if is_last else engagements[number + 1].engaged_ns
        inside = (goals.times_ns >= one.engaged_ns) & (goals.times_ns < until)
        paths.append((goals.times_ns[inside], goals.positions[inside]))
    return paths


def _span(values: DoubleArray) -> tuple[float, float]:
    """Middle and height of a panel that shows all values."""
    low, high = float(values.min()), float(values.max())
    return (low + high) / 2, max(1.15 * (high - low), _MIN_SPAN_M)


class _Scale:
    """Time along the width of the picture."""

    def __init__(self, first_ns: int, last_ns: int) -> None:
        self._first_ns = first_ns
        self.seconds = max((last_ns - first_ns) * 1e-9, 1e-3)
        self._px_per_s = (_WIDTH - _LEFT - _RIGHT) / self.seconds

    def x(self, times_ns: TimesNs | int) -> NDArray[np.float64]:
        """Columns of times, within the panel."""
        columns = _LEFT + (np.asarray(times_ns) - self._first_ns) * 1e-9 * self._px_per_s
        return np.clip(columns, _LEFT, _WIDTH - _RIGHT)

    def draw_ticks(self, image: ImageArray, row: int) -> None:
        """Write the seconds."""
        for second in range(0, int(self.seconds) + 1, 2):
            column = int(_LEFT + second * self._px_per_s)
            _write(image, f'{second} s', (column - 10, row))


class _Panel:
    """One curve over time."""

    def __init__(self, image: ImageArray, number: int, scale: _Scale) -> None:
        self._image, self._scale = image, scale
        self._top = _TOP + number * (_PANEL_HEIGHT + _GAP)
        self._bottom = self._top + _PANEL_HEIGHT
        self._low, self._high = 0.0, 1.0

    def draw_bands(self, record: TeleopRecord, last_ns: int) -> None:
        """Colour the background by the state."""
        ends = [change.at_ns for change in record.states[1:]] + [last_ns]
        for change, end_ns in zip(record.states, ends, strict=True):
            left, right = self._scale.x(np.array([change.at_ns, end_ns], np.int64)).astype(int)
            if right > left:
                self._image[self._top : self._bottom, left:right] = _BANDS[change.state]

    def draw_frame(self, name: str, low: float, high: float) -> None:
        """Draw the frame, three grid lines and their values."""
        self._low, self._high = low, high
        for share in (0.1, 0.5, 0.9):
            value = low + share * (high - low)
            row = int(self._rows(np.array([value]))[0])
            cv2.line(self._image, (_LEFT, row), (_WIDTH - _RIGHT, row), _GRID, 1)
            _write(self._image, f'{value:5.2f}', (_LEFT - 50, row + 4))
        corners = (_LEFT, self._top), (_WIDTH - _RIGHT, self._bottom)
        cv2.rectangle(self._image, *corners, _INK, 1)
        _write(self._image, name, (_LEFT + 6, self._top + 16))

    def draw_line(
        self, times_ns: TimesNs, values: DoubleArray, colour: tuple[int, int, int], width: int
    ) -> None:
        """Join values by a line."""
        points = self._points(times_ns, values)
        cv2.polylines(self._image, [points], False, colour, width, cv2.LINE_AA, 4)

    def draw_points(
        self, times_ns: TimesNs, values: DoubleArray, colour: tuple[int, int, int]
    ) -> None:
        """Draw values that have nothing between them."""
        for column, row in self._points(times_ns, values) // 16:
            cv2.circle(self._image, (int(column), int(row)), 1, colour, -1)

    def draw_button(self, record: TeleopRecord) -> None:
        """Draw a bar at the bottom while the button is down."""
        columns = self._scale.x(record.button_ns).astype(int)
        for left, right, is_down in zip(
            columns[:-1], columns[1:], record.is_button_down[:-1], strict=True
        ):
            if is_down:
                rows = slice(self._bottom - _BUTTON_HEIGHT, self._bottom)
                self._image[rows, left : right + 1] = _INK

    def _rows(self, values: DoubleArray) -> NDArray[np.float64]:
        share = (values - self._low) / (self._high - self._low)
        rows: NDArray[np.float64] = self._bottom - np.clip(share, 0, 1) * _PANEL_HEIGHT
        return rows

    def _points(self, times_ns: TimesNs, values: DoubleArray) -> NDArray[np.int32]:
        """(N, 2) points in sixteenths of a pixel."""
        stacked = np.stack([self._scale.x(times_ns), self._rows(values)], 1)
        points: NDArray[np.int32] = np.round(stacked * 16).astype(np.int32)
        return points


def _draw_head(
    image: ImageArray, scale: _Scale, images_ns: TimesNs, situations: Sequence[str]
) -> None:
    """Explain the colours; name the situations where they begin."""
    column = _LEFT
    for text, colour in (('true hand, mapped', _HAND), ('arm', _ARM), ('button down', _INK)):
        cv2.line(image, (column, 16), (column + 26, 16), colour, 3)
        column = _write(image, text, (column + 32, 20)) + 24
    for state, colour in _BANDS.items():
        cv2.rectangle(image, (column, 8), (column + 24, 24), colour, -1)
        cv2.rectangle(image, (column, 8), (column + 24, 24), _GRID, 1)
        column = _write(image, state.value, (column + 30, 20)) + 24
    for number, name in enumerate(situations):
        if number and situations[number - 1] == name:
            continue
        left = int(scale.x(int(images_ns[number])))
        cv2.line(image, (left, 44), (left, _TOP), _INK, 1)
        _write(image, name, (left + 4, 56))


def _write(image: ImageArray, text: str, place: tuple[int, int]) -> int:
    """Write small text; returns the column where it ends."""
    cv2.putText(image, text, place, _FONT, 0.42, _INK, 1, cv2.LINE_AA)
    return place[0] + int(cv2.getTextSize(text, _FONT, 0.42, 1)[0][0])
