"""Compare the actions told of a clip with what its hands truly showed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from hand_perception.datatypes import DoubleArray
from hand_perception.errors import DatasetError

#: What is told may begin this long before an action truly does, or after it has ended, and still
#: be about it: early where limits differ, late for what must last before it is told.
SLACK_S: Final = 0.3
NOTHING: Final = ''


class ShownAction(Protocol):
    """A true hand: ``synthetic.truth.HandTruth``."""

    @property
    def is_right(self) -> bool:
        """Side."""

    @property
    def primitive(self) -> str:
        """What it shows; empty when that has no name."""


class ToldAction(Protocol):
    """What was told of one hand in one image: ``actions.ActionEstimate``, a recorded message."""

    @property
    def is_right(self) -> bool | None:
        """Side; None for the scene as a whole."""

    @property
    def label(self) -> str:
        """What it does; empty when unknown."""

    @property
    def onset_ns(self) -> int:
        """Stamp since which it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionErrors:
    """What was told of a clip, and how well. L labels; E times that an action began.

    Attributes:
        labels: names of rows and columns of ``confusion``; the last, empty, is none.
        confusion: (L, L) images and hands: true by told.
        label: (E,) number of the label that began.
        onset_delay_s: (E,) told onset minus true one; NaN where it was never told.
        telling_delay_s: (E,) stamp of the first image in which it was told minus the true
            onset; NaN where it was never told.
        num_told: times that anything was told, each from its onset on.
        num_false: those of them that were about nothing that began or held then.
    """

    labels: tuple[str, ...]
    confusion: NDArray[np.int64]
    label: NDArray[np.int64]
    onset_delay_s: DoubleArray
    telling_delay_s: DoubleArray
    num_told: int
    num_false: int

    @property
    def accuracy(self) -> float:
        """Share of the images of named actions in which that very name was told."""
        named = self.confusion[:-1]
        return float(np.trace(named) / named.sum()) if named.sum() else float('nan')

    @property
    def unknown_share(self) -> float:
        """Share of all images in which nothing was told."""
        total = self.confusion.sum()
        return float(self.confusion[:, -1].sum() / total) if total else float('nan')

    @property
    def wrong_share(self) -> float:
        """Share of the images of named actions in which another name was told."""
        named = self.confusion[:-1]
        wrong = named[:, :-1].sum() - np.trace(named)
        return float(wrong / named.sum()) if named.sum() else float('nan')

    @property
    def num_missed(self) -> int:
        """Times that an action began and was not told."""
        return int(np.isnan(self.telling_delay_s).sum())

    def rows(self) -> list[tuple[str, str]]:
        """Give name and value of each figure, for a table."""
        began = len(self.label)
        return [
            ('actions right, of images with a name', f'{self.accuracy:.1%}'),
            ('told something else', f'{self.wrong_share:.1%}'),
            ('unknown, of all images', f'{self.unknown_share:.1%}'),
            ('actions told', f'{began - self.num_missed} of {began} that began'),
            ('told without cause', f'{self.num_false} of {self.num_told}'),
            ('onset, median / worst', _spread(self.onset_delay_s)),
            ('first told, median / worst', _spread(self.telling_delay_s)),
        ]

    def table(self) -> list[str]:
        """Draw the confusion table, and the delays of each label, as lines of text."""
        names = [*self.labels[:-1], '-']
        width = max(len(name) for name in names)
        lines = [
            f'{"true":{width}} | ' + ' '.join(f'{name:>{width}}' for name in names)
            + f' | {"began":>5} {"told":>4} {"onset ms":>9} {"worst":>6} {"told ms":>8}'
        ]  # fmt: skip
        for number, (name, counts) in enumerate(zip(names, self.confusion, strict=True)):
            line = f'{name:{width}} | ' + ' '.join(f'{count:{width}d}' for count in counts)
            mine = self.label == number
            onset, told = self.onset_delay_s[mine], self.telling_delay_s[mine]
            known = np.isfinite(onset)
            line += f' | {int(mine.sum()):5d} {int(known.sum()):4d}'
            if known.any():
                worst = onset[known][np.argmax(np.abs(onset[known]))]
                line += (
                    f' {np.median(onset[known]) * 1e3:9.0f} {worst * 1e3:6.0f}'
                    f' {np.median(told[known]) * 1e3:8.0f}'
                )
            lines.append(line)
        return lines


@dataclass(frozen=True, slots=True)
class _Span:
    """Some action from one stamp to another; ``first_told_ns``: when it was first said."""

    label: str
    start_ns: int
    end_ns: int
    first_told_ns: int


def evaluate_actions(
    stamps_ns: Sequence[int],
    truth: Sequence[Sequence[ShownAction]],
    told: Sequence[Sequence[ToldAction]],
    *,
    labels: Sequence[str],
) -> ActionErrors:
    """Compare image by image and onset by onset, each side for itself.

    What the hands show in the first image began before it, so its onset counts for nothing.

    Args:
        stamps_ns: of every image, rising.
        truth: true hands of every image.
        told: what was told of every image. Nothing about a side is as good as unknown.
        labels: names that may be shown or told.

    Raises:
        DatasetError: the numbers of images differ, or a name is not in ``labels``.
    """
    if not len(stamps_ns) == len(truth) == len(told):
        raise DatasetError(
            f'truth is known for {len(truth)} images, actions for {len(told)}, stamps for '
            f'{len(stamps_ns)}; give one entry per image, an empty one where nothing was told'
        )
    names = (*labels, NOTHING)
    number = {name: i for i, name in enumerate(names)}
    confusion = np.zeros((len(names), len(names)), np.int64)
    began: list[tuple[int, float, float]] = []
    num_told = num_false = 0
    for is_right in (False, True):
        shown = [_shown(hands, is_right) for hands in truth]
        said = [_said(actions, is_right) for actions in told]
        for true, action in zip(shown, said, strict=True):
            if true is not None:
                label = NOTHING if action is None else action.label
                confusion[_number(number, true), _number(number, label)] += 1
        true_spans = _true_spans(stamps_ns, shown)
        told_spans = _told_spans(stamps_ns, said)
        num_told += len(told_spans)
        num_false += sum(not any(_fits(s, t) for t in true_spans) for s in told_spans)
        began += [
            (number[span.label], *_delays(span, told_spans))
            for span in true_spans
            if len(stamps_ns) and span.start_ns > stamps_ns[0]
        ]
    delays = np.array([entry[1:] for entry in began], np.float64).reshape(-1, 2)
    return ActionErrors(
        labels=names,
        confusion=confusion,
        label=np.array([entry[0] for entry in began], np.int64),
        onset_delay_s=delays[:, 0],
        telling_delay_s=delays[:, 1],
        num_told=num_told,
        num_false=num_false,
    )


def merge_actions(parts: Sequence[ActionErrors]) -> ActionErrors:
    """Put the comparisons of several clips with the same labels together."""
    return ActionErrors(
        labels=parts[0].labels,
        confusion=np.sum([part.confusion for part in parts], axis=0),
        label=np.concatenate([part.label for part in parts]),
        onset_delay_s=np.concatenate([part.onset_delay_s for part in parts]),
        telling_delay_s=np.concatenate([part.telling_delay_s for part in parts]),
        num_told=sum(part.num_told for part in parts),
        num_false=sum(part.num_false for part in parts),
    )


def _shown(hands: Sequence[ShownAction], is_right: bool) -> str | None:
    return next((hand.primitive for hand in hands if hand.is_right == is_right), None)


def _said(actions: Sequence[ToldAction], is_right: bool) -> ToldAction | None:
    return next((action for action in actions if action.is_right == is_right), None)


def _number(numbers: dict[str, int], label: str) -> int:
    if label not in numbers:
        raise DatasetError(
            f'{label!r} is none of the labels {", ".join(name for name in numbers if name)}; '
            'give the label map that the actions were told with'
        )
    return numbers[label]


def _true_spans(stamps_ns: Sequence[int], shown: Sequence[str | None]) -> list[_Span]:
    spans: list[_Span] = []
    before: str | None = None
    for stamp, label in zip(stamps_ns, shown, strict=True):
        if label:
            if label == before:
                spans[-1] = _Span(label, spans[-1].start_ns, stamp, spans[-1].start_ns)
            else:
                spans.append(_Span(label, stamp, stamp, stamp))
        before = label
    return spans


def _told_spans(stamps_ns: Sequence[int], said: Sequence[ToldAction | None]) -> list[_Span]:
    spans: list[_Span] = []
    before: tuple[str, int] | None = None
    for stamp, action in zip(stamps_ns, said, strict=True):
        this = (action.label, action.onset_ns) if action is not None and action.label else None
        if this is not None:
            if this == before:
                spans[-1] = _Span(this[0], this[1], stamp, spans[-1].first_told_ns)
            else:
                spans.append(_Span(this[0], this[1], stamp, stamp))
        before = this
    return spans


def _fits(told: _Span, true: _Span) -> bool:
    """Whether what was told may be about what was true."""
    slack_ns = SLACK_S * 1e9
    is_in_time = told.start_ns <= true.end_ns + slack_ns and told.end_ns >= true.start_ns
    return told.label == true.label and is_in_time


def _delays(true: _Span, told_spans: Sequence[_Span]) -> tuple[float, float]:
    for told in told_spans:
        # What was told long before this began is about something else, even if it still is told.
        if _fits(told, true) and told.start_ns >= true.start_ns - SLACK_S * 1e9:
            onset = (told.start_ns - true.start_ns) * 1e-9
            return onset, (told.first_told_ns - true.start_ns) * 1e-9
    return float('nan'), float('nan')


def _spread(delays_s: DoubleArray) -> str:
    known = delays_s[np.isfinite(delays_s)]
    if not len(known):
        return 'never told'
    worst = known[np.argmax(np.abs(known))]
    return f'{np.median(known) * 1e3:.0f} / {worst * 1e3:.0f} ms'
