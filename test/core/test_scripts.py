"""The set-up scripts on machines that lack something, and their small programs."""

import importlib
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = (
    'bash', 'cat', 'cut', 'dirname', 'env', 'find', 'flock', 'grep', 'head', 'ls', 'mkdir', 'rm',
    'sed', 'seq', 'sha256sum', 'sleep', 'sort', 'tail', 'touch', 'tr',
)  # fmt: skip

CASES = {
    'passed': '<testcase classname="t" name="good"/>',
    'failed': '<testcase classname="t" name="bad"><failure message="no"/></testcase>',
    'crashed': '<testcase classname="t" name="gone"><error message="gone"/></testcase>',
    'no gpu': '<testcase classname="t" name="gpu"><skipped message="torch finds no CUDA device"/>'
    '</testcase>',
    'hidden': '<testcase classname="t" name="lazy"><skipped message="later"/></testcase>',
}


@pytest.fixture
def program(monkeypatch):
    """Import a program of scripts/ as a module."""
    monkeypatch.syspath_prepend(str(ROOT / 'scripts'))
    return importlib.import_module


@pytest.fixture
def checkout(tmp_path):
    """A copy of the scripts, so that nothing is set up in this checkout."""
    for folder in ('scripts', 'requirements'):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


@pytest.fixture
def setup(checkout):
    """Run scripts/setup with a PATH of its own that holds nothing but basic tools."""
    tools = checkout / 'tools'
    tools.mkdir()
    for name in TOOLS:
        (tools / name).symlink_to(shutil.which(name))

    def run(*arguments, **environment):
        return subprocess.run(
            [str(checkout / 'scripts' / 'setup'), *arguments],
            env={'PATH': str(tools), 'HOME': str(checkout), **environment},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    return run


def fake_python(folder, version):
    """A program that says it is another Python."""
    path = folder / 'python'
    path.write_text(f'#!/bin/sh\necho {version}\n', encoding='utf-8')
    path.chmod(0o755)
    return str(path)


def tally(program, tmp_path, *cases):
    """Count the given test cases."""
    content = f'<testsuites><testsuite>{"".join(CASES[c] for c in cases)}</testsuite></testsuites>'
    (tmp_path / 'junit.xml').write_text(content, encoding='utf-8')
    return program('count_tests').read(tmp_path)


def test_missing_compiler_is_told_with_the_line_for_apt(setup):
    done = setup(HAND_PERCEPTION_PYTHON=sys.executable)
    assert done.returncode == 1
    assert 'lacks a C and C++ compiler' in done.stderr
    assert 'sudo apt install build-essential' in done.stderr


def test_unsupported_python_is_told_with_those_that_are(setup, tmp_path):
    done = setup(HAND_PERCEPTION_PYTHON=fake_python(tmp_path, '3.9'))
    assert done.returncode == 1
    assert 'is Python 3.9; supported are 3.10 3.11 3.12 3.13' in done.stderr


def test_no_python_at_all_is_told_with_the_line_for_apt(setup):
    done = setup()
    assert done.returncode == 1
    assert 'sudo apt install python3.12' in done.stderr


def test_unknown_distribution_is_told_with_the_known_ones(setup):
    done = setup('--ros', 'hopeful')
    assert done.returncode == 1
    assert "no lock file for 'hopeful'" in done.stderr
    assert 'known: jazzy kilted' in done.stderr


def test_a_virtual_environment_with_ros_wheels_is_no_sourced_distribution(setup, tmp_path):
    prefix = tmp_path / 'venv'
    (prefix / 'share' / 'rclpy').mkdir(parents=True)
    (prefix / 'share' / 'rclpy' / 'package.xml').touch()
    (prefix / 'pyvenv.cfg').touch()
    done = setup(ROS_DISTRO='hopeful', AMENT_PREFIX_PATH=str(prefix))
    assert 'no ROS distribution is sourced' in done.stderr


def test_a_sourced_distribution_is_used_whatever_its_name(setup, tmp_path):
    prefix = tmp_path / 'opt'
    (prefix / 'share' / 'rclpy').mkdir(parents=True)
    (prefix / 'share' / 'rclpy' / 'package.xml').touch()
    done = setup(
        ROS_DISTRO='hopeful',
        AMENT_PREFIX_PATH=str(prefix),
        HAND_PERCEPTION_PYTHON=sys.executable,
    )
    assert done.returncode == 1
    assert 'build-essential python3-colcon-common-extensions' in done.stderr


def test_mended_cmake_names_the_folders_of_this_python_and_stays_so(program):
    mend = program('mend_wheels').mend
    numpy_include = '/opt/python/cp312-cp312/lib/python3.12/site-packages/numpy/_core/include'
    text = f'INCLUDES "/opt/python/cp312-cp312/include/python3.12;{numpy_include};/opt/x/include"'
    mended = mend(text)
    python_include, numpy_include, other = mended.split('"')[1].split(';')
    assert Path(python_include).name.startswith('python3.')
    assert (Path(numpy_include) / 'numpy' / 'arrayobject.h').is_file()
    assert other == '/opt/x/include'
    assert mend(mended) == mended


def test_counts_tell_passed_failed_and_skipped(program, tmp_path):
    counted = tally(program, tmp_path, 'passed', 'passed', 'failed', 'crashed', 'no gpu')
    assert counted.line() == '2 passed, 2 failed, 1 skipped'
    assert not counted.is_good


def test_run_with_passed_and_allowed_skips_is_good(program, tmp_path):
    assert tally(program, tmp_path, 'passed', 'no gpu').is_good


def test_skip_without_an_allowed_reason_counts_as_failed(program, tmp_path):
    counted = tally(program, tmp_path, 'passed', 'hidden')
    assert counted.line() == '1 passed, 1 failed, 0 skipped'
    assert not counted.is_good


def test_run_without_tests_is_not_good(program, tmp_path):
    assert not tally(program, tmp_path).is_good


def test_domain_id_of_a_running_participant_is_not_given_out(program, monkeypatch, capsys):
    free_domain_id = program('free_domain_id')
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as participant:
        participant.bind(('127.0.0.1', 0))
        port = participant.getsockname()[1]
        monkeypatch.setattr(free_domain_id, 'PORT_BASE', port - 250 * 7)
        monkeypatch.setattr(free_domain_id, 'DOMAIN_IDS', range(7, 9))
        assert port in free_domain_id.used_ports()
        monkeypatch.setattr(free_domain_id, 'used_ports', lambda: {port})
        free_domain_id.main()
    assert capsys.readouterr().out == '8\n'
