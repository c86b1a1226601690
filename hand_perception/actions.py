"""What is said of hands over time: actions, objects, and the map of their names."""

from dataclasses import dataclass
from typing import Final

from hand_perception.datatypes import Hand

#: What a hand can be told to do by its joints alone, in the order of the label map `primitives`:
#: five shapes, then two events.
PRIMITIVES: Final = ('open', 'fist', 'point', 'pinch', 'grasp', 'release', 'wave')
#: A release is an event: it is named for this long after a closed hand began to open, unless the
#: hand closes again; long enough for whoever looks at a few messages per second.
RELEASE_S: Final = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelMap:
    """Names of the classes that a recogniser can tell; index = class.

    Attributes:
        name: what HandAction.label_map refers to, such as ``fpha``.
        actions: names of the actions.
        objects: names of the objects; empty for a recogniser of none.
    """

    name: str
    actions: tuple[str, ...]
    objects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The most likely classes of one kind.

    Attributes:
        labels: names, most likely first.
        scores: 0-1, of ``labels``, descending.
    """

    labels: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionEstimate:
    """What is done at one moment of a stream; fields as in HandAction.msg.

    Attributes:
        stamp_ns: of the newest image used.
        frame_id: camera optical frame of that image.
        window_start_ns: stamp of the oldest image used.
        tokens_seen: images in the window.
        tokens_full: images in a full window.
        is_final: nothing that comes will change what is said of this window.
        is_right: whose action it is; None for both hands or the whole scene.
        label: what is done; empty when unknown.
        score: 0-1, of ``label``; 0 when unknown.
        ranking: the most likely actions, also when unknown.
        object_label: what it is done with; empty when unknown or not told.
        object_score: 0-1, of ``object_label``; 0 when it is empty.
        object_ranking: the most likely objects.
        unknown_reason: why nothing is told; empty when ``label`` is.
        onset_ns: stamp since which ``label`` (or unknown) has held.
        label_map: name of the LabelMap.
        backend: ``primitives`` or ``htt``.
    """

    stamp_ns: int
    frame_id: str
    window_start_ns: int
    tokens_seen: int
    tokens_full: int
    is_final: bool
    is_right: bool | None
    label: str
    score: float
    ranking: Ranking
    object_label: str = ''
    object_score: float = 0.0
    object_ranking: Ranking = Ranking()
    unknown_reason: str
    onset_ns: int
    label_map: str
    backend: str

    @property
    def is_unknown(self) -> bool:
        """Whether nothing is told."""
        return bool(self.unknown_reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionResult:
    """All that a recogniser says of one image.

    Attributes:
        actions: one per side (primitives) or one for the scene (HTT); empty where the image was
            not looked at.
        hands: hands that the recogniser reconstructed itself (HTT), left before right; None where
            it reconstructs none or the image was not looked at.
        hands_stamp_ns: stamp of the image of ``hands``: an earlier one where a recogniser waits
            for what comes after (HTT with a lookahead); None: that of the image looked at.
        reset_reason: why it started anew before this image; empty when it did not.
        stage_s: seconds spent per stage, in order.
    """

    actions: tuple[ActionEstimate, ...] = ()
    hands: tuple[Hand, ...] | None = None
    hands_stamp_ns: int | None = None
    reset_reason: str = ''
    stage_s: tuple[tuple[str, float], ...] = ()
