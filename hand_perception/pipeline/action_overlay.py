"""Draw what is done over the image: a bar at its bottom, and words for the label of a hand."""

from collections.abc import Sequence
from typing import Final

import cv2

from hand_perception.actions import ActionEstimate, ActionResult, Ranking
from hand_perception.datatypes import Hand, ImageArray
from hand_perception.rendering.text import DARK, DIM, WHITE, Colour, TextStyle

#: Most of the picture's width that words about one hand take: there may be another hand beside it.
ACTION_WIDTH: Final = 0.28
#: Brightness that remains of the image under the bar.
_BAR_SHINE_THROUGH: Final = 0.25
#: Rows of the bar: the most likely labels on its right, headline, object and window on its left.
_NUM_ROWS: Final = 3
#: Where the right half of the bar starts, and its numbers: shares of the width.
_SPLIT: Final = 0.48
_GAUGE_WIDTH: Final = 0.14
_TOLD: Final[Colour] = (120, 220, 255)  # yellow
_EMPTY_GAUGE: Final[Colour] = (70, 70, 70)
#: Images between two that the recogniser looks at show what it said last, for so long.
_SHOWN_NS: Final = 500_000_000


class ShownActions:
    """What to draw over each image of a stream: not every image is looked at."""

    def __init__(self) -> None:
        """Start with nothing said."""
        self._said: tuple[ActionEstimate, ...] = ()

    def step(
        self, said: ActionResult, stamp_ns: int, *, is_new_stream: bool
    ) -> tuple[ActionEstimate, ...]:
        """Give what was said of this image, or lately where nothing was.

        Args:
            said: of this image.
            stamp_ns: of this image.
            is_new_stream: nothing that was said before is of this stream.
        """
        if said.actions or said.reset_reason or is_new_stream:
            self._said = said.actions
        since_ns = stamp_ns - max((action.stamp_ns for action in self._said), default=0)
        return self._said if 0 <= since_ns <= _SHOWN_NS else ()

    def forget(self) -> None:
        """Forget what was said."""
        self._said = ()


def action_of_hand(
    hand: Hand, hands: Sequence[Hand], actions: Sequence[ActionEstimate]
) -> ActionEstimate | None:
    """Find what is said of the side of a hand; it belongs to the surest hand of that side."""
    rivals = [other.confidence for other in hands if other.is_right == hand.is_right]
    if hand.confidence < max(rivals):
        return None
    return next((action for action in actions if action.is_right == hand.is_right), None)


def action_words(action: ActionEstimate) -> tuple[str, Colour]:
    """Put what is told into words, and give their colour: dim when it is not to be relied on."""
    if action.is_unknown:
        return f'unknown: {action.unknown_reason}', DIM
    if action.backend == 'primitives' and not action.is_final:
        # On its way out: the newest image shows something else, and its score says so.
        return _plain(action.label), DIM
    return f'{_plain(action.label)}  {action.score:.2f}', _TOLD


def draw_action_bar(picture: ImageArray, actions: Sequence[ActionEstimate], scale: float) -> None:
    """Write the action of the whole scene on a dark bar at the bottom; nothing without one.

    Args:
        picture: (H, W, 3) blue-green-red; changed.
        actions: of one image.
        scale: long side of the picture over 1280 pixels.
    """
    action = next((action for action in actions if action.is_right is None), None)
    if action is None:
        return
    style = TextStyle.of_scale(scale)
    pad = max(3, round(6 * scale))
    row = style.height + style.depth + pad
    height, width = picture.shape[:2]
    top = max(0, height - _NUM_ROWS * row - 2 * pad)
    bar = picture[top:]
    cv2.convertScaleAbs(bar, bar, alpha=_BAR_SHINE_THROUGH)
    split = round(_SPLIT * width)
    lines = [top + pad + style.height + row * number for number in range(_NUM_ROWS)]
    _draw_headline(picture, action, style, pad, split - 2 * pad, lines)
    _draw_ranking(picture, action, style, (split, width - pad), pad, lines)


def _draw_headline(
    picture: ImageArray,
    action: ActionEstimate,
    style: TextStyle,
    left: int,
    room: int,
    lines: Sequence[int],
) -> None:
    """Write action, object and window, a line each."""
    words, colour = action_words(action)
    bold = TextStyle(style.size, style.thickness + 1)
    bold.put(picture, bold.fit(words, room), left, lines[0], colour)
    if action.object_label:
        words = f'with {_plain(action.object_label)}  {action.object_score:.2f}'
        style.put(picture, style.fit(words, room), left, lines[1], WHITE)
    elif action.object_ranking.labels:
        words = f'with {_first(action.object_ranking)}'
        style.put(picture, style.fit(words, room), left, lines[1], DIM)
    state = 'final' if action.is_final else 'provisional'
    words = f'{action.tokens_seen} of {action.tokens_full} images, {state}'
    style.put(picture, style.fit(words, room), left, lines[2], DIM)


def _draw_ranking(
    picture: ImageArray,
    action: ActionEstimate,
    style: TextStyle,
    span: tuple[int, int],
    pad: int,
    lines: Sequence[int],
) -> None:
    """Write the most likely actions with their probabilities as numbers and gauges."""
    left, right = span
    number_left = right - style.width('0.00')
    gauge = round(_GAUGE_WIDTH * picture.shape[1])
    gauge_left = number_left - pad - gauge
    ranking = zip(lines, action.ranking.labels, action.ranking.scores, strict=False)
    for line, label, score in ranking:
        is_told = not action.is_unknown and label == action.label
        colour = _TOLD if is_told else DIM
        words = style.fit(_plain(label), gauge_left - pad - left)
        style.put(picture, words, left, line, WHITE if is_told else DIM)
        top, filled = line - style.height, round(gauge * min(max(score, 0.0), 1.0))
        cv2.rectangle(picture, (gauge_left, top), (gauge_left + gauge, line), _EMPTY_GAUGE, -1)
        cv2.rectangle(picture, (gauge_left, top), (gauge_left + filled, line), colour, -1)
        cv2.rectangle(picture, (gauge_left, top), (gauge_left + gauge, line), DARK, 1)
        style.put(picture, f'{score:.2f}', number_left, line, colour)


def _first(ranking: Ranking) -> str:
    return f'{_plain(ranking.labels[0])}  {ranking.scores[0]:.2f}?'


def _plain(label: str) -> str:
    """Give a label as people write it."""
    return label.replace('_', ' ')
