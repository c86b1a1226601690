"""Judge Fast DDS set-ups for large images, from files and the environment alone."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hand_perception.shared_files import find_shared

#: Where Fast DDS reads its profile file from: version 2 (to jazzy), version 3 (from kilted).
PROFILE_VARIABLES: Final = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
#: Smallest shared-memory segment that delivered every 1080p image (6.2 MB) at 30 Hz.
GOOD_SEGMENT_BYTES: Final = 16 * 1024 * 1024
SHARED_MEMORY: Final = Path('/dev/shm')


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedMemory:
    """Fast DDS files in shared memory.

    Attributes:
        segments: sizes in bytes of the data segments that living processes hold.
        num_stale: files whose process is gone.
        stale_bytes: their size together.
    """

    segments: tuple[int, ...]
    num_stale: int
    stale_bytes: int


def shipped_profile() -> Path | None:
    """Find the profile that comes with the package."""
    return find_shared('config/fastdds_large_images.xml')


def profile_variable(distro: str) -> str:
    """Name the variable that the Fast DDS of a ROS distribution reads."""
    return PROFILE_VARIABLES[0 if distro in ('humble', 'iron', 'jazzy') else 1]


def profile_problem(environment: Mapping[str, str]) -> str | None:
    """Say what keeps the configured profile from delivering large images; None when nothing does.

    Args:
        environment: variables of the process that publishes the images.
    """
    named = {name: environment[name] for name in PROFILE_VARIABLES if environment.get(name)}
    if not named:
        return 'no profile file is set: 1080p images go through a 512 KB segment and most are lost'
    name, value = next(iter(named.items()))
    path = Path(value)
    if not path.is_file():
        return f'{name} names {value}, which is not a file'
    try:
        segment = _segment_bytes(path)
    except (ElementTree.ParseError, ValueError, OSError) as error:
        return f'{name} names {value}, which cannot be read: {error}'
    if segment is None:
        return f'{value} sets no shared-memory segment: the default of 512 KB loses large images'
    if segment < GOOD_SEGMENT_BYTES:
        return f'{value} sets a shared-memory segment of {segment} bytes; large images need 16 MB'
    return None


def shared_memory(folder: Path = SHARED_MEMORY) -> SharedMemory:
    """Look at the Fast DDS segments and at what dead processes left behind.

    Fast DDS keeps each segment ``fastrtps_X`` (or ``fastdds_X``) beside an empty file
    ``..._X_el`` that its owner holds locked while it lives.
    """
    held = _locked_inodes()
    segments: list[int] = []
    stale: list[int] = []
    for lock in sorted(folder.glob('fast*_*_el')):
        segment = lock.with_name(lock.name.removesuffix('_el'))
        try:
            size, inode = segment.stat().st_size, lock.stat().st_ino
        except FileNotFoundError:
            continue  # its owner ended between the listing and the look
        if held is not None and inode not in held:
            stale.append(size)
        elif '_port' not in segment.name:  # ports hold descriptors, not images
            segments.append(size)
    return SharedMemory(segments=tuple(segments), num_stale=len(stale), stale_bytes=sum(stale))


def _segment_bytes(path: Path) -> int | None:
    root = ElementTree.parse(path).getroot()
    sizes = [
        int(element.text or '')
        for element in root.iter()
        if element.tag.rpartition('}')[2] == 'segment_size'
    ]
    return max(sizes) if sizes else None


def _locked_inodes(locks: Path = Path('/proc/locks')) -> frozenset[int] | None:
    """Inodes of locked files; None where the system does not tell."""
    try:
        lines = locks.read_text(encoding='ascii').splitlines()
    except OSError:
        return None
    return frozenset(
        int(field.rpartition(':')[2])
        for line in lines
        for field in line.split()
        if field.count(':') == 2
    )
