"""The doctor tells a set-up that loses large images from one that delivers them."""

import fcntl
from pathlib import Path

import pytest

from hand_perception.dds_profile import (
    GOOD_SEGMENT_BYTES,
    PROFILE_VARIABLES,
    profile_problem,
    shared_memory,
    shipped_profile,
)


def profile(folder, segment):
    path = folder / 'profile.xml'
    path.write_text(f'<profiles xmlns="http://www.eprosima.com">{segment}</profiles>')
    return {PROFILE_VARIABLES[0]: str(path)}


def test_the_shipped_profile_has_no_problem():
    path = shipped_profile()
    assert path is not None
    assert profile_problem({PROFILE_VARIABLES[0]: str(path)}) is None


@pytest.mark.parametrize('variable', PROFILE_VARIABLES)
def test_both_names_of_the_variable_are_read(variable):
    assert profile_problem({variable: str(shipped_profile())}) is None


def test_no_profile_is_a_problem():
    assert 'no profile' in profile_problem({})


def test_a_profile_that_is_not_there_is_named():
    assert '/no/such.xml, which is not a file' in profile_problem(
        {PROFILE_VARIABLES[0]: '/no/such.xml'}
    )


@pytest.mark.parametrize(
    ('segment', 'told'),
    [
        ('', 'sets no shared-memory segment'),
        ('<segment_size>524288</segment_size>', '524288 bytes'),
        ('<segment_size>much</segment_size>', 'cannot be read'),
        ('<segment_size>', 'cannot be read'),
    ],
)
def test_a_profile_that_does_not_help_is_told_why(tmp_path, segment, told):
    assert told in profile_problem(profile(tmp_path, segment))


def test_a_large_segment_is_enough(tmp_path):
    segment = f'<segment_size>{GOOD_SEGMENT_BYTES}</segment_size>'
    assert profile_problem(profile(tmp_path, segment)) is None


def write_segment(folder, name, size):
    (folder / name).write_bytes(bytes(size))
    lock = folder / f'{name}_el'
    lock.touch()
    return lock


@pytest.mark.skipif(not Path('/proc/locks').exists(), reason='no /proc/locks on this system')
def test_segments_of_the_living_are_told_from_those_of_the_dead(tmp_path):
    living = write_segment(tmp_path, 'fastrtps_0123456789abcdef', 1000)
    write_segment(tmp_path, 'fastrtps_fedcba9876543210', 300)
    port = write_segment(tmp_path, 'fastrtps_port7411', 50)
    with living.open('w') as lock, port.open('w') as port_lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        fcntl.flock(port_lock, fcntl.LOCK_EX)
        shared = shared_memory(tmp_path)
    assert shared.segments == (1000,)
    assert (shared.num_stale, shared.stale_bytes) == (1, 300)


def test_a_machine_without_shared_memory_has_nothing_stale(tmp_path):
    assert shared_memory(tmp_path / 'none').num_stale == 0
