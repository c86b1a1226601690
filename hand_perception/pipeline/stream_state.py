"""What is remembered of one camera stream between images."""

import time
from dataclasses import dataclass, field
from typing import Any, Final

from hand_perception.actions import ActionResult
from hand_perception.datatypes import Camera
from hand_perception.pipeline.outliers import GateState
from hand_perception.pipeline.shape import ShapeMemory
from hand_perception.pipeline.smooth import SmoothingState
from hand_perception.pipeline.track import Track

_LONG_AGO_NS: Final = -(10**18)


@dataclass(slots=True)
class StreamState:
    """All memory of one camera stream; bounded by the number of hands and the action window.

    ``next_track_id`` outlives a reset: a track id is never given twice while the process runs.
    ``gate`` is the memory of the jump gate, ``recognised_gate`` that for a recogniser's hands, and
    ``renamed`` the ids of those of them that jumped and were believed, by the id of their track.
    ``recognised`` is the memory of the recogniser of actions, ``told`` what it said of the last
    image when its hands were asked for.
    """

    tracks: tuple[Track, ...] = ()
    next_track_id: int = 1
    last_stamp_ns: int | None = None
    last_search_ns: int = _LONG_AGO_NS
    last_tiles_ns: int = _LONG_AGO_NS
    last_look_ns: int = _LONG_AGO_NS
    is_doubtful: bool = False
    shapes: ShapeMemory = field(default_factory=ShapeMemory)
    gate: GateState = field(default_factory=GateState)
    recognised_gate: GateState = field(default_factory=GateState)
    renamed: dict[int, int] = field(default_factory=dict)
    motion: SmoothingState = field(default_factory=SmoothingState)
    camera: Camera | None = None
    hand_scale: float | None = None
    recognised: Any = None
    told: ActionResult | None = None

    def reset(self) -> None:
        """Forget everything but the track ids already given."""
        fresh = StreamState(next_track_id=self.next_track_id)
        for name in self.__slots__:
            setattr(self, name, getattr(fresh, name))


@dataclass(slots=True)
class Stopwatch:
    """Seconds per stage of one step."""

    stages: list[tuple[str, float]] = field(default_factory=list)
    last: float = field(default_factory=time.perf_counter)

    def lap(self, stage: str) -> None:
        """End a stage."""
        now = time.perf_counter()
        self.stages.append((stage, now - self.last))
        self.last = now
