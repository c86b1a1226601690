"""What the hands of a scene do and when: steps that repeat, and the primitive each moment shows.

A step moves to a pose and holds it. The truth follows from the steps alone, never from what a
recogniser would measure: a pose is shown from when the fingers are nearly there until they have
begun to leave it; a closed pose that opens is a release for ``actions.RELEASE_S``; what lies
between other poses has no name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from hand_perception.actions import RELEASE_S

#: Share of the way between two poses within which a hand still, or already, shows one of them.
NEAR_SHARE: Final = 0.15
#: Primitive that a pose shows; other poses have no name.
_SHOWN: Final = MappingProxyType(
    {name: name for name in ('open', 'fist', 'point', 'pinch', 'grasp')}
)
_CLOSED: Final = ('fist', 'pinch', 'grasp')
_LET_GO: Final = ('open', 'relaxed')
#: Share of a cycle over which waving grows at its start and fades at its end.
_WAVE_FADE: Final = 0.25


def eased(way: float) -> float:
    """Go from 0 to 1 with speed and acceleration that are continuous; the top speed is 1.875."""
    return way**3 * (10 - 15 * way + 6 * way * way)


_WAYS: Final = np.linspace(0, 1, 10001)
#: Share of a move's time in which ``NEAR_SHARE`` of its way is done.
_NEAR_WAY: Final = float(np.interp(NEAR_SHARE, [eased(way) for way in _WAYS], _WAYS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Go to a pose and hold it.

    Attributes:
        pose: name of the pose.
        move: time of the way there, in a unit of the script's own.
        hold: time for which it is held.
        waves: times that the hand goes to one side, to the other and back while it is held.
    """

    pose: str
    move: float = 0.75
    hold: float = 0.25
    waves: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Where a hand is in its script.

    Attributes:
        before: pose that it leaves.
        after: pose that it goes to.
        blend: 0 at ``before`` to 1 at ``after``.
        waving: -1 to 1, how far it is to one side; 0 when it does not wave.
        primitive: what it shows; empty between primitives.
    """

    before: str
    after: str
    blend: float
    waving: float
    primitive: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """Steps of both hands; they repeat, the first following the last.

    Attributes:
        right: of the right hand.
        left: of the left hand.
        duration_s: time that it takes at a natural pace; a scene may stretch it.
    """

    right: tuple[Step, ...]
    left: tuple[Step, ...]
    duration_s: float

    def steps(self, *, is_right: bool) -> tuple[Step, ...]:
        """Give the steps of one hand."""
        return self.right if is_right else self.left


def moment_at(steps: tuple[Step, ...], share: float, *, duration_s: float) -> Moment:
    """Say what a hand does at a share (0-1, repeating) of its script, which takes some time."""
    ends = np.cumsum([step.move + step.hold for step in steps])
    place = (share % 1.0) * float(ends[-1])
    number = min(int(np.searchsorted(ends, place, side='right')), len(steps) - 1)
    step, before = steps[number], steps[number - 1].pose
    since = place - (float(ends[number - 1]) if number else 0.0)
    way = min(max(since / step.move, 0.0), 1.0)
    blend = eased(way)
    held = min(max((since - step.move) / step.hold, 0.0), 1.0) if step.hold else 1.0
    is_waving = step.waves > 0 and 0.0 < held < 1.0
    let_go_s = (since - _NEAR_WAY * step.move) * duration_s / float(ends[-1])
    if is_waving:
        primitive = 'wave'
    elif before in _CLOSED and step.pose in _LET_GO and 0 < let_go_s < RELEASE_S:
        primitive = 'release'
    else:
        primitive = _primitive(before, step.pose, blend)
    return Moment(
        before=before,
        after=step.pose,
        blend=blend,
        waving=_wave(held * step.waves, step.waves) if is_waving else 0.0,
        primitive=primitive,
    )


def _primitive(before: str, after: str, blend: float) -> str:
    if before == after or blend >= 1 - NEAR_SHARE:
        return _SHOWN.get(after, '')
    return _SHOWN.get(before, '') if blend <= NEAR_SHARE else ''


def _wave(cycle: float, cycles: int) -> float:
    fade = min(1.0, cycle / _WAVE_FADE, (cycles - cycle) / _WAVE_FADE)
    return float(fade * np.sin(2 * np.pi * cycle))


def _even(*poses: str) -> tuple[Step, ...]:
    """Go from each of the poses to the next in equal times, beginning at the first."""
    return tuple(Step(pose=pose) for pose in (*poses[1:], poses[0]))


def _clear(*poses: str) -> tuple[Step, ...]:
    """Go to each of the poses briskly and hold it; wave where asked to. The unit is a second."""
    return tuple(
        Step(pose='open', move=0.1, hold=1.8, waves=3)
        if pose == 'wave'
        else Step(pose=pose, move=0.4, hold=0.7)
        for pose in poses
    )


def _length(steps: tuple[Step, ...]) -> float:
    return sum(step.move + step.hold for step in steps)


_CLEAR_RIGHT: Final = _clear(
    'open', 'pinch', 'open', 'fist', 'open', 'wave', 'point', 'relaxed', 'grasp', 'open', 'pinch',
    'relaxed',
)  # fmt: skip
_CLEAR_LEFT: Final = _clear(
    'relaxed', 'grasp', 'open', 'wave', 'pinch', 'relaxed', 'point', 'open', 'fist', 'relaxed',
    'pinch', 'open',
)  # fmt: skip


def _act(*steps: Step) -> Script:
    """Repeat the same with both hands, the left one half a round later. The unit is a second."""
    half = len(steps) // 2
    return Script(
        right=steps, left=(*steps[half:], *steps[:half]), duration_s=_length(steps)
    )  # fmt: skip


def _show(pose: str) -> Script:
    """Go from rest to a pose, hold it, and rest again."""
    shown, rest = Step(pose=pose, move=0.35, hold=1.1), Step(pose='relaxed', move=0.5, hold=0.15)
    return _act(shown, rest)


#: ``desk`` is the clip that ships with the package; ``primitives`` shows every primitive with
#: both hands, clearly and long enough to be told; ``act_fist`` and its like repeat one.
SCRIPTS: Final[Mapping[str, Script]] = MappingProxyType(
    {
        'desk': Script(
            right=_even('open', 'relaxed', 'pinch', 'relaxed', 'grasp', 'fist', 'point'),
            left=_even('relaxed', 'grasp', 'fist', 'relaxed', 'open', 'pinch', 'relaxed'),
            duration_s=5.0,
        ),
        'primitives': Script(
            right=_CLEAR_RIGHT, left=_CLEAR_LEFT, duration_s=_length(_CLEAR_RIGHT)
        ),
        **{f'act_{name}': _show(name) for name in ('open', 'fist', 'point', 'pinch', 'grasp')},
        'act_release': _act(
            Step(pose='grasp', move=0.3, hold=0.2), Step(pose='open', move=0.4, hold=0.3)
        ),
        'act_wave': _act(
            Step(pose='open', move=0.2, hold=1.5, waves=3),
            Step(pose='relaxed', move=0.35, hold=0.05),
        ),
    }
)
