"""From what was seen in an image to the tracks of a stream: who is who, and on which side."""

from hand_perception.config import PipelineSettings
from hand_perception.datatypes import Frame
from hand_perception.errors import ConfigError
from hand_perception.pipeline.backends import Reconstructor
from hand_perception.pipeline.detect import Observations
from hand_perception.pipeline.given_boxes import tracks_from_boxes
from hand_perception.pipeline.stream_state import StreamState
from hand_perception.pipeline.track import (
    Track,
    continue_track,
    give_sides,
    start_track,
    with_ids,
)


def follow_boxes(
    state: StreamState, frame: Frame, reconstructor: Reconstructor
) -> tuple[Track, ...]:
    """Give the tracks of the boxes that an image came with.

    Raises:
        ConfigError: the back end cannot work with boxes.
    """
    if not reconstructor.takes_boxes:
        raise ConfigError(
            f'back end {reconstructor.backend_name!r} finds hands itself and takes no boxes; set '
            "backend to 'hamer' or leave the boxes out"
        )
    tracks = tracks_from_boxes(
        frame.boxes or (),
        state.tracks,
        stamp_ns=frame.stamp_ns,
        next_track_id=state.next_track_id,
    )
    newest = max((track.track_id for track in tracks), default=0)
    state.next_track_id = max(state.next_track_id, newest + 1)
    return tuple(tracks)


def follow_hands(
    state: StreamState,
    frame: Frame,
    observations: Observations,
    reconstructor: Reconstructor,
    settings: PipelineSettings,
) -> tuple[Track, ...]:
    """Give the tracks after an image that was looked at, left hands first, hidden ones too."""
    if observations.searched:
        state.last_search_ns = frame.stamp_ns
    if observations.searched_tiles:
        state.last_tiles_ns = frame.stamp_ns
    unsure = [hand for track, hand in observations.followed if not track.is_side_sure]
    unsure += observations.found
    evidence = reconstructor.side_evidence(frame.camera, unsure)
    odds = {id(hand): value for hand, value in zip(unsure, evidence, strict=True)}
    tracks = [
        continue_track(
            track,
            hand,
            frame.stamp_ns,
            side_evidence=odds.get(id(hand), 0.0),
            has_vote=track.track_id not in observations.covered,
        )
        for track, hand in observations.followed
    ]
    tracks += observations.hidden
    for hand in observations.found:
        tracks.append(
            start_track(state.next_track_id, hand, frame.stamp_ns, side_evidence=odds[id(hand)])
        )
        state.next_track_id += 1
    given = give_sides(tracks, one_hand_per_side=settings.one_hand_per_side)
    # A hand that changes its side is another hand.
    turned = [track.track_id for track in given if track.is_turned]
    fresh = range(state.next_track_id, state.next_track_id + len(turned))
    state.next_track_id += len(turned)
    return with_ids(given, dict(zip(turned, fresh, strict=True)))
