"""From what was seen to tracks: whose side is voted on, and whose is hard to see."""

import pytest
from stream_fakes import frame, landmarks

from hand_perception.config import PipelineSettings
from hand_perception.pipeline.detect import Observations
from hand_perception.pipeline.follow import follow_hands
from hand_perception.pipeline.stream_state import StreamState
from hand_perception.pipeline.track import start_track


class NoEvidence:
    """Stands in for a back end that cannot tell the sides by their fit."""

    def side_evidence(self, camera, hands):
        return [0.0] * len(hands)


@pytest.mark.parametrize('is_covered', [True, False])
def test_the_side_of_a_hand_that_another_one_covers_is_not_voted_on(is_covered):
    track = start_track(1, landmarks((320, 240), right_score=0.95), 0, side_evidence=0.0)
    look = landmarks((322, 240), right_score=0.05)
    (after,) = follow_hands(
        StreamState(tracks=(track,), next_track_id=2),
        frame(1 / 30),
        Observations(
            followed=((track, look),),
            hidden=(),
            covered=frozenset([1] if is_covered else []),
            found=(),
            searched=False,
            searched_tiles=False,
        ),
        NoEvidence(),
        PipelineSettings(),
    )
    assert after.landmarks is look
    if is_covered:
        assert after.right_log_odds == track.right_log_odds
    else:
        assert after.right_log_odds < track.right_log_odds
