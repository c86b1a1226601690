"""The jump gate in a stream: for the hands of the back end, and for a recogniser's own joints."""

import dataclasses

from hand_perception.actions import ActionResult
from hand_perception.config import PipelineSettings
from hand_perception.datatypes import Frame, Hand
from hand_perception.pipeline.outliers import OutlierGate
from hand_perception.pipeline.stream_state import StreamState
from hand_perception.pipeline.track import with_ids

#: Ids of believed jumps that are remembered at most; those of hands that are gone do no harm.
_MAX_RENAMED = 32


def gate_hands(
    gate: OutlierGate,
    state: StreamState,
    frame: Frame,
    hands: tuple[Hand, ...],
    settings: PipelineSettings,
) -> tuple[Hand, ...]:
    """Withhold hands of the back end that jumped; their tracks take the ids of those believed."""
    if not _is_wanted(frame, settings):
        return hands
    gated = gate.step(state.gate, hands, frame.stamp_ns, next_track_id=state.next_track_id)
    state.next_track_id = gated.next_track_id
    if gated.renamed:
        state.tracks = with_ids(state.tracks, dict(gated.renamed))
    return gated.hands


def gate_recognised(
    gate: OutlierGate,
    state: StreamState,
    frame: Frame,
    told: ActionResult,
    settings: PipelineSettings,
) -> ActionResult:
    """Withhold a recogniser's hands that jumped.

    They come under the ids of the tracks that they were found by, maybe some images late, so
    tracks cannot take the id of a jump that is believed: it is remembered beside them. Ids are
    those of the one counter of the stream, so no other hand ever has one of them.
    """
    if told.hands is None or not _is_wanted(frame, settings):
        return told
    hands = []
    for hand in told.hands:
        if hand.track_id in state.renamed:
            track_id = state.renamed.pop(hand.track_id)
            state.renamed[hand.track_id] = track_id  # the last that is forgotten
            hand = dataclasses.replace(hand, track_id=track_id)
        hands.append(hand)
    gated = gate.step(
        state.recognised_gate,
        hands,
        frame.stamp_ns if told.hands_stamp_ns is None else told.hands_stamp_ns,
        next_track_id=state.next_track_id,
    )
    state.next_track_id = gated.next_track_id
    found_by = {new: old for old, new in state.renamed.items()}
    for before, after in gated.renamed:
        state.renamed[found_by.get(before, before)] = after
    for track_id in list(state.renamed)[:-_MAX_RENAMED]:
        del state.renamed[track_id]
    return dataclasses.replace(told, hands=gated.hands)


def _is_wanted(frame: Frame, settings: PipelineSettings) -> bool:
    """Whether hands must not jump; those of given boxes and official cameras may."""
    return settings.jump_gate and frame.boxes is None and not settings.official_camera
