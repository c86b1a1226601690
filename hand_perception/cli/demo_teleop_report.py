"""What the teleoperation demo prints: losses one by one, how well, how safely."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hand_perception.cli.demo_teleop_bag import read_record
from hand_perception.cli.demo_teleop_plot import write_plot
from hand_perception.datatypes import DoubleArray
from hand_perception.errors import SourceError
from hand_perception.evaluation.teleop_records import (
    Engagement,
    Poses,
    TeleopRecord,
    engagements_of,
)
from hand_perception.evaluation.teleop_safety import motion_of, safety_counts
from hand_perception.evaluation.teleop_tracking import (
    gripper_differences,
    gripper_goal,
    tracking_errors,
)
from hand_perception.geometry import pinch_and_grasp, quaternion_from_rotation
from hand_perception.synthetic.situations import storyline
from hand_perception.synthetic.spec import SceneSpec
from hand_perception.synthetic.truth import ClipTruth, HandTruth
from hand_perception.teleop.settings import TeleopSettings

#: Steps of the arm below this are not motion, metres.
_MOVED_M: Final = 1e-5
_OPEN_BELOW, _CLOSED_ABOVE = 0.3, 0.7
Rows = list[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TeleopTruth:
    """What is true of a run, per camera image.

    Attributes:
        hand: wrist of the hand that drives, camera, at the stamps of the images.
        other: (N, 3) wrist of the other hand.
        pinch: (N,) 0 open to 1 closed.
        visible: (N,) share of the hand that is seen.
        situations: name of what happens.
    """

    hand: Poses
    other: DoubleArray
    pinch: DoubleArray
    visible: DoubleArray
    situations: tuple[str, ...]


def report(
    folder: Path,
    clip: ClipTruth,
    spec: SceneSpec,
    settings: TeleopSettings,
    *,
    side: str,
    button: int,
    hands: str,
    teleop: str,
) -> int:
    """Print the tables of a run and draw its picture.

    Args:
        folder: of the recording.
        clip: truth of the clip that was played.
        spec: of its scene.
        settings: of the teleoperation.
        side: hand that drives.
        button: index of its button in Joy.buttons.
        hands: namespace of perception.
        teleop: full name of the node ``teleop``.

    Returns:
        0; 1 when something happened that must not, or nothing was engaged.

    Raises:
        SourceError: nothing was recorded, or not all camera images.
    """
    record = read_record(folder, side=side, button=button, hands=hands, teleop=teleop)
    truth = truth_of(record, clip, spec, is_right=side == 'right')
    counts = safety_counts(record, settings, is_other_hand=is_other_hand(record, truth))
    _print(run_rows(record, truth, settings))
    for lines in loss_lines(record, truth):
        print('\n'.join(f'  {line}' for line in lines))
    print()
    print('  what must not happen')
    _print([(name, str(count)) for name, count in counts.items()])
    picture = folder / 'teleop.png'
    write_plot(
        picture, record, truth.hand, gripper_goal(truth.pinch, settings), settings,
        situations=truth.situations,
    )  # fmt: skip
    print(f'  picture  {picture}')
    print(f'  video    {folder / "overlay.mp4"}')
    print(f'  bag      {folder / "bag"}  (mcap; ros2 bag play {folder / "bag"})')
    print(f'  logs     {folder}/*.log')
    if sum(counts.values()):
        print('\n  UNSAFE: see the counts above')
        return 1
    if not engagements_of(record):
        print('\n  nothing was engaged: there is nothing to see')
        return 1
    return 0


def truth_of(
    record: TeleopRecord, clip: ClipTruth, spec: SceneSpec, *, is_right: bool
) -> TeleopTruth:
    """Put the truth of a clip at the stamps of the images that were recorded of it.

    Raises:
        SourceError: not all images were recorded, so that nobody can say which is which.
    """
    if len(record.images_ns) != len(clip.frames):
        raise SourceError(
            f'{len(record.images_ns)} of {len(clip.frames)} camera images were recorded; the '
            'machine is too busy for this demo, run it again'
        )
    mine = [_hand(frame, is_right) for frame in clip.frames]
    other = [_hand(frame, not is_right) for frame in clip.frames]
    story = storyline(spec.situations)
    return TeleopTruth(
        hand=Poses(
            times_ns=record.images_ns,
            positions=np.array([hand.keypoints_3d[0] for hand in mine]),
            quaternions=np.array([_quaternion(hand) for hand in mine]),
        ),
        other=np.array([hand.keypoints_3d[0] for hand in other]),
        pinch=np.array([pinch_and_grasp(hand.keypoints_3d)[1] for hand in mine]),
        visible=np.array(
            [np.nan if h.visible_share is None else h.visible_share for h in mine], np.float64
        ),
        situations=tuple(story.name_at(n / clip.rate_hz) for n in range(len(clip.frames))),
    )


def is_other_hand(record: TeleopRecord, truth: TeleopTruth) -> NDArray[np.bool_]:
    """(N,) whether a hand message was nearer to the true hand of the other side."""
    hands = record.hands
    image = np.searchsorted(record.images_ns, hands.stamps_ns).clip(0, len(truth.other) - 1)
    to_mine = np.linalg.norm(hands.positions - truth.hand.positions[image], axis=1)
    to_other = np.linalg.norm(hands.positions - truth.other[image], axis=1)
    wrong: NDArray[np.bool_] = hands.is_tracked & (to_other < to_mine)
    return wrong


def run_rows(record: TeleopRecord, truth: TeleopTruth, settings: TeleopSettings) -> Rows:
    """Give name and value of each figure of a run."""
    engagements = engagements_of(record)
    losses = sum(one.is_lost for one in engagements)
    seconds = sum(one.seconds for one in engagements)
    motion = motion_of(record.targets, engagements, settings)
    rows = [
        ('engaged', f'{len(engagements)} times, {seconds:.1f} s; lost {losses} times'),
        ('commands', str(len(record.targets.times_ns))),
        *_tracking_rows(record, truth, settings),
        *_gripper_rows(record, truth, settings),
        (
            'fastest command',
            f'{motion.speed:.3f} m/s (limit {settings.max_speed:g}), '
            f'{motion.turn_speed:.2f} rad/s ({settings.max_turn_speed:g})',
        ),
        (
            'hardest command',
            f'{motion.acceleration:.2f} m/s^2 (limit {settings.max_acceleration:g}), '
            f'{motion.turn_acceleration:.2f} rad/s^2 ({settings.max_turn_acceleration:g})',
        ),
        *_age_rows(record),
    ]
    late = record.arm_complaints.get('stale', 0)
    if late:
        rows.append(('refused by the arm', f'{late} commands that came too late'))
    return rows


def _tracking_rows(record: TeleopRecord, truth: TeleopTruth, settings: TeleopSettings) -> Rows:
    errors = tracking_errors(record, truth.hand, settings)
    if not len(errors.position_m):
        return []
    rows = [('lag', f'{errors.lag_s * 1e3:.0f} ms (the shift in time that fits best)')]
    slow, every = errors.is_slow, np.ones(len(errors.is_slow), np.bool_)
    for name, counted in (('slow hand', slow), ('all the time', every)):
        if not counted.any():
            continue
        now, later = (
            _median_p95(values[counted] * 1e3)
            for values in (errors.position_m, errors.position_shifted_m)
        )
        angle = _median_p95(np.degrees(errors.angle_shifted_rad[counted]))
        rows.append(
            (
                f'tracking error, {name}',
                f'{later} mm, {angle} deg without the lag; {now} mm with it '
                f'(median / p95; {counted.mean():.0%} of the time)',
            )
        )
    return rows


def _gripper_rows(record: TeleopRecord, truth: TeleopTruth, settings: TeleopSettings) -> Rows:
    commands, wanted = gripper_differences(record, truth.pinch, settings)
    clear = (wanted < _OPEN_BELOW) | (wanted > _CLOSED_ABOVE)
    if not len(commands) or not clear.any():
        return []
    agrees = ((commands > 0.5) == (wanted > 0.5))[clear]
    difference = np.median(np.abs(commands - wanted))
    return [
        (
            'gripper and true pinch',
            f'agree in {agrees.mean():.0%} where the hand is clearly open or closed; median '
            f'difference {difference:.2f}',
        )
    ]


def _age_rows(record: TeleopRecord) -> Iterator[tuple[str, str]]:
    hands, times = record.hands, record.targets.times_ns
    published_ms = (hands.published_ns - hands.stamps_ns) * 1e-6
    if len(published_ms):
        p50, p95, p99 = np.percentile(published_ms, (50, 95, 99))
        yield (
            'age of hands, p50 / p95 / p99',
            f'{p50:.0f} / {p95:.0f} / {p99:.0f} ms at publication',
        )
    seen = hands.newest(times)
    if len(times) and (seen >= 0).all():
        p50, p95, p99 = np.percentile((times - hands.stamps_ns[seen]) * 1e-6, (50, 95, 99))
        yield 'age of the hand in commands', f'{p50:.0f} / {p95:.0f} / {p99:.0f} ms'


def loss_lines(record: TeleopRecord, truth: TeleopTruth) -> Iterator[list[str]]:
    """Say of each engagement how it ended, and what led to the next one."""
    engagements = engagements_of(record)
    for number, one in enumerate(engagements):
        after = engagements[number + 1] if number + 1 < len(engagements) else None
        began = _seconds(record, one.engaged_ns)
        lines = [f'engaged at {began:.1f} s by a button pressed {_pressed_before(one)} before']
        lines.append(f'    followed for {one.seconds:.1f} s')
        if one.is_lost:
            lines += [f'    {line}' for line in _loss(record, truth, one, after)]
        elif one.reason:
            lines.append(f'    ended: {one.reason}')
        yield lines


def _loss(
    record: TeleopRecord, truth: TeleopTruth, one: Engagement, after: Engagement | None
) -> Iterator[str]:
    image = int(np.searchsorted(record.images_ns, one.ended_ns, side='right')) - 1
    is_over = one.ended_ns - int(record.images_ns[-1]) > 1e8
    where = 'after the last image' if is_over else f'in {truth.situations[image]}'
    visible = '' if is_over else f' ({truth.visible[image]:.0%} of the hand to be seen)'
    yield f'lost at {_seconds(record, one.ended_ns):.1f} s {where}: {one.reason}{visible}'
    rest_s, way_m = rest_after(record.arm, one.ended_ns)
    held = ''
    if one.disengaged_ns is not None:
        held = f'; held {(one.disengaged_ns - one.ended_ns) * 1e-9:.2f} s, then disengaged'
    yield f'the arm came to rest after {rest_s:.2f} s and {way_m * 1e3:.1f} mm{held}'
    hands = record.hands
    back = hands.is_tracked & (hands.published_ns > one.ended_ns)
    if not back.any() or is_over:
        return
    back_ns = int(hands.published_ns[back][0])
    up = record.button_ns[(record.button_ns > one.ended_ns) & ~record.is_button_down]
    held_on_s = ((int(up[0]) if len(up) else int(record.button_ns[-1])) - back_ns) * 1e-9
    last_ns = int(record.arm.times_ns[-1]) if after is None else after.engaged_ns
    moved_m = _way(record.arm, one.ended_ns + round(rest_s * 1e9), last_ns)
    yield (
        f'the hand was back at {_seconds(record, back_ns):.1f} s with the button down for another '
        f'{max(held_on_s, 0.0):.1f} s: the arm moved {moved_m * 1e3:.1f} mm'
    )
    if after is not None and after.pressed_ns is not None:
        yield f'let go, pressed anew at {_seconds(record, after.pressed_ns):.1f} s'


def rest_after(arm: Poses, time_ns: int) -> tuple[float, float]:
    """Say how long an arm went on after a time, and how far: seconds and metres."""
    later = arm.times_ns >= time_ns
    times, places = arm.times_ns[later], arm.positions[later]
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    still = np.flatnonzero(steps < _MOVED_M)
    count = int(still[0]) if len(still) else len(steps)
    if not count:
        return 0.0, 0.0
    return float((times[count] - time_ns) * 1e-9), float(steps[:count].sum())


def _way(arm: Poses, first_ns: int, last_ns: int) -> float:
    inside = (arm.times_ns >= first_ns) & (arm.times_ns <= last_ns)
    return float(np.linalg.norm(np.diff(arm.positions[inside], axis=0), axis=1).sum())


def _pressed_before(one: Engagement) -> str:
    if one.pressed_ns is None:
        return 'NEVER'
    return f'{(one.engaged_ns - one.pressed_ns) * 1e-9:.1f} s'


def _seconds(record: TeleopRecord, time_ns: int) -> float:
    return (time_ns - int(record.images_ns[0])) * 1e-9


def _median_p95(values: DoubleArray) -> str:
    median, p95 = np.percentile(values, (50, 95))
    return f'{median:.1f} / {p95:.1f}'


def _hand(frame: tuple[HandTruth, ...], is_right: bool) -> HandTruth:
    return next(hand for hand in frame if hand.is_right == is_right)


def _quaternion(hand: HandTruth) -> DoubleArray:
    if hand.wrist_rotation is None:
        raise SourceError('the truth of the clip holds no rotation of the wrist; render it again')
    return quaternion_from_rotation(hand.wrist_rotation)


def _print(rows: Rows) -> None:
    width = max(len(name) for name, _ in rows)
    print()
    for name, value in rows:
        print(f'  {name:<{width}}  {value}')
    print()
