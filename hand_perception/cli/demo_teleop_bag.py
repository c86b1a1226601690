"""Read back what the recorder put into the bag of a teleoperation."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from hand_perception.cli.demo_report import Recording
from hand_perception.evaluation.teleop_records import (
    HandMessages,
    Poses,
    StateChange,
    TeleopRecord,
    changes_of,
)
from hand_perception.optional import require
from hand_perception.teleop.states import State

#: TeleopSide.state, by its number.
_STATES: Final = (
    State.IDLE, State.WAITING, State.ENGAGED, State.HOLDING, State.DISENGAGED,
)  # fmt: skip
_HANDEDNESS: Final = {'left': 1, 'right': 2}
_WRONG: Final = 'wrong: '


def read_record(folder: Path, *, side: str, button: int, hands: str, teleop: str) -> TeleopRecord:
    """Take one side of a teleoperation out of a recording.

    Args:
        folder: of the recorder.
        side: ``left`` or ``right``.
        button: index in Joy.buttons.
        hands: namespace of perception.
        teleop: full name of the node ``teleop``.

    Raises:
        SourceError: nothing was recorded.
    """
    recording = Recording.load(folder / 'hands.npz')
    ages_s = dict(zip(recording.pose_stamps_ns.tolist(), recording.ages_s.tolist(), strict=True))
    topics = {
        'hands': f'{hands}/{side}/pose',
        'target': f'{teleop}/{side}/target',
        'arm': f'{teleop}/{side}/arm_pose',
        'gripper': f'{teleop}/{side}/gripper',
        'state': f'{teleop}/state',
        'joy': f'{teleop.rpartition("/")[0]}/joy',
        'diagnostics': '/diagnostics',
    }
    messages = _read(folder / 'bag', topics)
    gripper = messages['gripper']
    joy = [(stamp_ns(m.header), m.buttons) for _, m in messages['joy']]
    return TeleopRecord(
        images_ns=recording.image_stamps_ns,
        hands=_hands([message for _, message in messages['hands']], ages_s),
        targets=_poses([message for _, message in messages['target']]),
        arm=_poses([message for _, message in messages['arm']]),
        gripper_ns=np.array([at_ns for at_ns, _ in gripper], np.int64),
        gripper=np.array([message.data for _, message in gripper], np.float64),
        states=_states([message for _, message in messages['state']], _HANDEDNESS[side]),
        button_ns=np.array([at_ns for at_ns, _ in joy], np.int64),
        is_button_down=np.array([bool(buttons[button]) for _, buttons in joy], np.bool_),
        arm_complaints=_complaints([message for _, message in messages['diagnostics']]),
    )


def stamp_ns(header: Any) -> int:
    """Give the stamp of a header."""
    return time_ns(header.stamp)


def time_ns(time: Any) -> int:
    """Give a time message in nanoseconds."""
    return int(time.sec) * 1_000_000_000 + int(time.nanosec)


def _read(bag: Path, topics: dict[str, str]) -> dict[str, list[tuple[int, Any]]]:
    """Give the time of arrival and the message, by the short name of its topic."""
    highlevel = require('rosbags.highlevel', purpose='the demo reads its bag; it')
    names = {topic: name for name, topic in topics.items()}
    found: dict[str, list[tuple[int, Any]]] = defaultdict(list)
    with highlevel.AnyReader([bag]) as reader:
        connections = [c for c in reader.connections if c.topic in names]
        for connection, at_ns, cdr in reader.messages(connections):
            message = reader.deserialize(cdr, connection.msgtype)
            found[names[connection.topic]].append((at_ns, message))
    return found


def _hands(messages: Sequence[Any], ages_s: Mapping[int, float]) -> HandMessages:
    """Read the hands of one side; their ages are those of all hands of the same image."""
    messages = [m for m in messages if stamp_ns(m.header) in ages_s]
    stamps = [stamp_ns(m.header) for m in messages]
    published = [stamp + round(ages_s[stamp] * 1e9) for stamp in stamps]
    points = [m.wrist.position for m in messages]
    return HandMessages(
        stamps_ns=np.array(stamps, np.int64),
        published_ns=np.array(published, np.int64),
        is_tracked=np.array([m.tracked for m in messages], np.bool_),
        positions=np.array([(p.x, p.y, p.z) for p in points], np.float64).reshape(-1, 3),
    )


def _poses(messages: Sequence[Any]) -> Poses:
    points = [m.pose.position for m in messages]
    turns = [m.pose.orientation for m in messages]
    return Poses(
        times_ns=np.array([stamp_ns(m.header) for m in messages], np.int64),
        positions=np.array([(p.x, p.y, p.z) for p in points], np.float64).reshape(-1, 3),
        quaternions=np.array([(q.x, q.y, q.z, q.w) for q in turns], np.float64).reshape(-1, 4),
    )


def _states(messages: Sequence[Any], handedness: int) -> tuple[StateChange, ...]:
    return changes_of(
        [
            StateChange(at_ns=time_ns(side.since), state=_STATES[side.state], reason=side.reason)
            for message in messages
            for side in message.sides
            if side.handedness == handedness
        ]
    )


def _complaints(messages: Sequence[Any]) -> dict[str, int]:
    """Give what the arm told last of wrong commands, by name."""
    told: dict[str, int] = {}
    for message in messages:
        for status in message.status:
            for value in status.values:
                if value.key.startswith(_WRONG):
                    told[value.key.removeprefix(_WRONG)] = int(value.value)
    return told
