"""What the demo's table says of actions: how often, how right, how quickly."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hand_perception.actions import PRIMITIVES
from hand_perception.evaluation.actions import evaluate_actions
from hand_perception.synthetic.truth import HandTruth

#: Most labels that are counted in the table.
_MOST_LABELS: Final = 5
#: The recorder's number for the side of an action: both hands, or the whole scene.
_WHOLE_SCENE: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedAction:
    """One published action.

    Attributes:
        is_right: side; None for both hands or the whole scene.
        label: what was done; empty when unknown.
        onset_ns: stamp since which it was.
        unknown_reason: why it was unknown; empty when it was not.
    """

    is_right: bool | None
    label: str
    onset_ns: int
    unknown_reason: str


RecordedActions = dict[int, list[RecordedAction]]


def read_actions(arrays: Mapping[str, Any]) -> RecordedActions:
    """Take the actions out of the recorder's arrays, by the stamp of their image.

    Args:
        arrays: of ``hands.npz``; nothing is in it where actions were switched off.
    """
    actions: RecordedActions = {}
    if 'action_stamp_ns' not in arrays:
        return actions
    columns = [
        arrays[f'action_{name}']
        for name in ('stamp_ns', 'is_right', 'label', 'onset_ns', 'unknown_reason')
    ]
    for stamp, side, label, onset, reason in zip(*columns, strict=True):
        action = RecordedAction(
            is_right=None if side == _WHOLE_SCENE else bool(side),
            label=str(label),
            onset_ns=int(onset),
            unknown_reason=str(reason),
        )
        actions.setdefault(int(stamp), []).append(action)
    return actions


def action_rows(
    actions: RecordedActions,
    truth: Sequence[tuple[int, Sequence[HandTruth]]] | None = None,
) -> list[tuple[str, str]]:
    """Give name and value of each figure of the actions, for the table.

    Args:
        actions: by the stamp of their image.
        truth: stamp and true hands of the processed images, rising; None without a truth. Only
            primitives of single hands can be compared.
    """
    told = [action for of_image in actions.values() for action in of_image]
    if not told:
        return []
    unknown = sum(not action.label for action in told)
    counts = Counter(action.label for action in told if action.label)
    often = ', '.join(f'{label} {count}' for label, count in counts.most_common(_MOST_LABELS))
    rows = [
        ('actions', f'{len(told)}, {unknown / len(told):.0%} unknown'),
        ('actions told most', often or 'none'),
    ]
    is_compared = truth and all(a.is_right is not None for a in told)
    if not truth or not is_compared or not set(counts) <= set(PRIMITIVES):
        return rows
    errors = evaluate_actions(
        [stamp for stamp, _ in truth],
        [hands for _, hands in truth],
        [actions.get(stamp, []) for stamp, _ in truth],
        labels=PRIMITIVES,
    )
    return rows + errors.rows()
