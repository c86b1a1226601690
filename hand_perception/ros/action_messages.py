"""Actions and label maps as messages, and messages back as actions and label maps."""

from typing import Final

from hand_perception.actions import ActionEstimate, LabelMap, Ranking
from hand_perception.msg import HandAction
from hand_perception.msg import LabelMap as LabelMapMessage
from hand_perception.ros.messages import make_header, stamp_ns_of, time_message, time_ns_of

_HANDEDNESS: Final = {
    None: HandAction.HANDEDNESS_UNKNOWN,
    False: HandAction.HANDEDNESS_LEFT,
    True: HandAction.HANDEDNESS_RIGHT,
}
_IS_RIGHT: Final = {number: is_right for is_right, number in _HANDEDNESS.items()}
_UINT16_MAX: Final = 2**16 - 1


def action_message(action: ActionEstimate, *, age_s: float) -> HandAction:
    """Write what is done as a message.

    Args:
        action: what to write.
        age_s: seconds from its stamp to publication.
    """
    return HandAction(
        header=make_header(action.stamp_ns, action.frame_id),
        window_start=time_message(action.window_start_ns),
        tokens_seen=min(action.tokens_seen, _UINT16_MAX),
        tokens_full=min(action.tokens_full, _UINT16_MAX),
        final=action.is_final,
        handedness=_HANDEDNESS[action.is_right],
        label=action.label,
        score=float(action.score),
        labels=list(action.ranking.labels),
        scores=[float(score) for score in action.ranking.scores],
        object_label=action.object_label,
        object_score=float(action.object_score),
        object_labels=list(action.object_ranking.labels),
        object_scores=[float(score) for score in action.object_ranking.scores],
        unknown=action.is_unknown,
        unknown_reason=action.unknown_reason,
        onset=time_message(action.onset_ns),
        label_map=action.label_map,
        backend=action.backend,
        age=float(age_s),
    )


def action_from_message(message: HandAction) -> ActionEstimate:
    """Read an action back; scores are as exact as float32."""
    return ActionEstimate(
        stamp_ns=stamp_ns_of(message.header),
        frame_id=message.header.frame_id,
        window_start_ns=time_ns_of(message.window_start),
        tokens_seen=int(message.tokens_seen),
        tokens_full=int(message.tokens_full),
        is_final=bool(message.final),
        is_right=_IS_RIGHT[message.handedness],
        label=message.label,
        score=float(message.score),
        ranking=_ranking(message.labels, message.scores),
        object_label=message.object_label,
        object_score=float(message.object_score),
        object_ranking=_ranking(message.object_labels, message.object_scores),
        unknown_reason=message.unknown_reason,
        onset_ns=time_ns_of(message.onset),
        label_map=message.label_map,
        backend=message.backend,
    )


def label_map_message(labels: LabelMap) -> LabelMapMessage:
    """Write the names of all classes as a message."""
    return LabelMapMessage(
        name=labels.name, actions=list(labels.actions), objects=list(labels.objects)
    )


def label_map_from_message(message: LabelMapMessage) -> LabelMap:
    """Read the names of all classes back."""
    return LabelMap(
        name=message.name, actions=tuple(message.actions), objects=tuple(message.objects)
    )


def _ranking(labels: list[str], scores: list[float]) -> Ranking:
    return Ranking(labels=tuple(labels), scores=tuple(float(score) for score in scores))
