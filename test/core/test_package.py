"""What is built and installed: versions, messages, the wheel, and the lock files."""

import configparser
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKED = re.compile(r'[A-Za-z0-9._-]+==[^\s;]+( ; .+)?')


def locked_versions(distro):
    """Requirement lines of a lock file."""
    lines = (ROOT / 'requirements' / f'{distro}.txt').read_text(encoding='utf-8').splitlines()
    return [line for line in lines if not line.startswith('#')]


@pytest.fixture(scope='module')
def wheel_path(tmp_path_factory):
    """The wheel that pip install . makes, built from a copy of what it needs."""
    source = tmp_path_factory.mktemp('source')
    for name in ('setup.py', 'setup.cfg', 'pyproject.toml', 'README.md', 'LICENSE'):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, source)
    ignore = shutil.ignore_patterns('__pycache__')
    for name in ('hand_perception', 'config'):
        shutil.copytree(ROOT / name, source / name, ignore=ignore)
    built = subprocess.run(
        [sys.executable, 'setup.py', '-q', 'bdist_wheel', '-d', 'dist'],
        cwd=source, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    (path,) = (source / 'dist').glob('*.whl')
    return path


@pytest.fixture(scope='module')
def wheel(wheel_path):
    """Names in the wheel."""
    with zipfile.ZipFile(wheel_path) as archive:
        return set(archive.namelist())


def test_pip_and_colcon_install_the_same_version():
    setup = configparser.ConfigParser()
    setup.read(ROOT / 'setup.cfg')
    package = ElementTree.parse(ROOT / 'package.xml').getroot()
    assert setup['metadata']['version'] == package.findtext('version')
    assert setup['metadata']['license'] == package.findtext('license')


def test_every_message_is_built():
    listed = re.findall(r'msg/\w+\.msg', (ROOT / 'CMakeLists.txt').read_text(encoding='utf-8'))
    assert sorted(listed) == sorted(f'msg/{path.name}' for path in (ROOT / 'msg').glob('*.msg'))


def test_wheel_holds_every_data_file_of_the_package(wheel):
    data = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / 'hand_perception').rglob('*')
        if path.is_file() and path.suffix not in ('.py', '.pyc')
    }
    assert any(name.endswith('.npz') for name in data)
    assert data <= wheel


def test_wheel_holds_every_module_but_the_ros_layer(wheel):
    modules = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / 'hand_perception').rglob('*.py')
        if path.relative_to(ROOT / 'hand_perception').parts[0] != 'ros'
    }
    assert modules <= wheel
    assert not [name for name in wheel if name.startswith('hand_perception/ros/')]


def test_wheel_holds_every_training_file(wheel):
    files = {path.name for path in (ROOT / 'config' / 'train').glob('*.yaml')}
    place = 'share/hand_perception/config/train/'
    assert files
    assert {name.split(place)[1] for name in wheel if place in name} == files


@pytest.mark.parametrize('modules', ['.', 'lib/python3.12/site-packages'])
def test_labels_are_found_where_pip_puts_them(wheel_path, tmp_path, modules):
    """Unpack as pip does: with --target modules and data side by side, else below a prefix."""
    with zipfile.ZipFile(wheel_path) as archive:
        for name in archive.namelist():
            place = re.sub(r'^[^/]+\.data/data/', '', name)
            folder = tmp_path if place != name else tmp_path / modules
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).write_bytes(archive.read(name))
    program = (
        'from hand_perception.labels import SHIPPED, load_label_map; '
        'import hand_perception.labels as labels; '
        'print(labels.__file__, *(load_label_map(name).name for name in SHIPPED))'
    )
    environment = {k: v for k, v in os.environ.items() if k != 'AMENT_PREFIX_PATH'}
    done = subprocess.run(
        [sys.executable, '-c', program], cwd=tmp_path, capture_output=True, text=True, timeout=60,
        env=environment | {'PYTHONPATH': str(tmp_path / modules)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    installed = tmp_path / modules / 'hand_perception' / 'labels.py'
    assert done.stdout.split() == [str(installed), 'fpha', 'h2o', 'primitives']


@pytest.mark.parametrize('distro', ['jazzy', 'kilted'])
def test_lock_file_names_exact_versions_only(distro):
    lines = locked_versions(distro)
    assert len(lines) > 100
    assert [line for line in lines if not LOCKED.fullmatch(line)] == []


@pytest.mark.parametrize('distro', ['jazzy', 'kilted'])
def test_lock_file_leaves_torch_to_its_own_step(distro):
    assert not [line for line in locked_versions(distro) if line.startswith(('torch', 'nvidia'))]


def test_both_lock_files_hold_the_same_tools():
    jazzy, kilted = (
        {line for line in locked_versions(distro) if not line.startswith('ros-')}
        for distro in ('jazzy', 'kilted')
    )
    assert jazzy == kilted
