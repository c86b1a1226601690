"""What /diagnostics says once a second: is the node well, and if not, what to do."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from hand_perception.ros.counters import DropCause, Snapshot

#: Without an image for this long the input counts as stale.
STALE_INPUT_S: Final = 2.0
#: Errors and drops are part of the status for this long after they happened.
RECENT_S: Final = 5.0

#: Level of a kind of drop while it goes on; overwritten images are normal at overload.
_DROP_LEVELS: Final = {
    DropCause.TOO_OLD: DiagnosticStatus.WARN,
    DropCause.STAMP_STILL: DiagnosticStatus.WARN,
    DropCause.BAD_IMAGE: DiagnosticStatus.WARN,
    DropCause.ERROR: DiagnosticStatus.ERROR,
}
_NO_BOXES: Final = (
    '{count} images dropped, none processed: no boxes came for them; publish '
    'hand_perception/HandBoxArray with the header of each image on the topic boxes, or set '
    'box_source to detector'
)


def make_diagnostics(
    snapshot: Snapshot,
    *,
    name: str,
    hardware_id: str,
    facts: Mapping[str, str],
    problems: Sequence[tuple[bytes, str]] = (),
    is_enabled: bool = True,
) -> DiagnosticArray:
    """Make the one status of a node; the stamp is left to the caller.

    Args:
        snapshot: counts and times.
        name: fully qualified name of the node.
        hardware_id: the camera.
        facts: further key-value pairs: back end, device, camera.
        problems: levels and sentences from elsewhere: quality of service, clocks, input.
        is_enabled: whether images are processed at all.
    """
    found = [*problems, *_problems(snapshot)]
    level = max((level for level, _ in found), default=DiagnosticStatus.OK)
    text = '; '.join(dict.fromkeys(text for _, text in found))
    status = DiagnosticStatus(
        level=level,
        name=f'{name}: images to hands',
        message=text or ('OK' if is_enabled else 'disabled by ~/enable'),
        hardware_id=hardware_id,
    )
    pairs = {**_counts(snapshot), **facts}
    status.values = [KeyValue(key=key, value=value) for key, value in pairs.items()]
    return DiagnosticArray(status=[status])


def _problems(snapshot: Snapshot) -> list[tuple[bytes, str]]:
    found = [
        (_DROP_LEVELS[cause], f'{count} images dropped: {cause.value}')
        for cause, count in snapshot.new_drops.items()
        if cause in _DROP_LEVELS
    ]
    if not snapshot.rate_out_hz and (count := snapshot.new_drops.get(DropCause.NO_BOXES)):
        # Some without are normal: a detector of the user that is slower than the camera.
        found.append((DiagnosticStatus.WARN, _NO_BOXES.format(count=count)))
    if snapshot.since_error_s < RECENT_S:
        found.append((DiagnosticStatus.WARN, snapshot.last_error))
    return found


def _counts(snapshot: Snapshot) -> dict[str, str]:
    pairs = {
        'images received': str(snapshot.received),
        'images processed': str(snapshot.processed),
        'images dropped': str(snapshot.dropped),
        **{f'dropped: {cause.value}': str(snapshot.drops.get(cause, 0)) for cause in DropCause},
        'rate in (Hz)': f'{snapshot.rate_in_hz:.1f}',
        'rate out (Hz)': f'{snapshot.rate_out_hz:.1f}',
        'left hands': str(snapshot.hands.get('left', 0)),
        'right hands': str(snapshot.hands.get('right', 0)),
        'stream resets': str(snapshot.resets),
        **_percentiles('age', snapshot.ages_s),
    }
    for stage, times in snapshot.stage_s.items():
        pairs.update(_percentiles(f'time {stage}', times))
    pairs['errors'] = str(snapshot.errors)
    pairs['last error'] = snapshot.last_error
    return pairs


def _percentiles(name: str, seconds: np.ndarray) -> dict[str, str]:
    if not len(seconds):
        return {f'{name} p{p} (ms)': 'nan' for p in (50, 95, 99)}
    values = np.percentile(seconds, (50, 95, 99)) * 1e3
    return {f'{name} p{p} (ms)': f'{v:.2f}' for p, v in zip((50, 95, 99), values, strict=True)}
