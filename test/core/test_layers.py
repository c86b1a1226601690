"""Imports point inward, and everything outside ros/ works on a machine without ROS."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / 'hand_perception'

# Rooms of the house from the innermost to the outermost: a room may import from the lines above
# its own and from itself.
LAYERS = (
    ('errors',),
    ('settings_base', 'datatypes', 'optional', 'shared_files', 'whole_files', 'made_pages'),
    ('config', 'actions'),
    (
        'geometry',
        'boxes',
        'dds_profile',
        'predictions',
        'calibration_file',
        'labels',
        'msg',
        'srv',
    ),
    ('rendering',),
    ('models',),
    ('datasets',),
    ('synthetic', 'augmentation', 'pipeline', 'teleop'),
    ('evaluation', 'video', 'settings_files'),
    ('training',),
    ('ros', 'cli'),
)
RANK = {room: rank for rank, layer in enumerate(LAYERS) for room in layer}
MODULES = sorted(
    path for path in PACKAGE.rglob('*.py') if path != PACKAGE / '__init__.py'
)  # fmt: skip

# Imports every module outside ros/ while ROS and the optional packages look uninstalled.
IMPORT_ALL = """
import importlib, pkgutil, sys, threading

class Blocker:
    BLOCKED = {
        'rclpy', 'launch', 'launch_ros', 'cv_bridge', 'std_msgs', 'sensor_msgs', 'geometry_msgs',
        'torchvision', 'timm', 'scipy', 'smplx', 'rosbags', 'matplotlib', 'safetensors',
        'dex_retargeting', 'lmdb', 'lightning_fabric', 'tensorboard', 'PIL',
    }

    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in self.BLOCKED:
            raise ModuleNotFoundError(f'{name} is blocked in this test', name=name)
        return None

sys.meta_path.insert(0, Blocker())
import cv2, numpy, torch, yaml  # noqa: their own threads are not ours
threads = threading.active_count()
import hand_perception

names = []
def walk(package):
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + '.'):
        room = module.name.split('.')[1]
        if room in ('ros', 'msg', 'srv') or module.name.endswith('__main__') or room == 'demo':
            continue
        names.append(module.name)
        imported = importlib.import_module(module.name)
        if module.ispkg:
            walk(imported)

walk(hand_perception)
assert threading.active_count() == threads, 'importing started a thread'
print(len(names))
"""


def imported_rooms(path: Path) -> set[str]:
    """Rooms of the package that a module imports, also inside functions."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path} imports relatively, which hides the layer'
            names = [f'{node.module}.{alias.name}' for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        rooms.update(
            name.split('.')[1] for name in names if name.startswith('hand_perception.')
        )  # fmt: skip
    return rooms


def imported_packages(path: Path) -> set[str]:
    """Top-level packages that a module imports."""
    packages = set()
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.ImportFrom):
            packages.add((node.module or '').split('.')[0])
        elif isinstance(node, ast.Import):
            packages.update(alias.name.split('.')[0] for alias in node.names)
    return packages


def room_of(path: Path) -> str:
    """Folder or module right below hand_perception/."""
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


@pytest.mark.parametrize('path', MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_imports_only_from_rooms_further_in(path):
    room = room_of(path)
    assert room in RANK, f'{room} is new: give it a line in LAYERS'
    outward = {
        other for other in imported_rooms(path) - {room} if RANK[other] >= RANK[room]
    }  # fmt: skip
    assert not outward, f'{room} may not import {outward}'


@pytest.mark.parametrize(
    'path',
    [path for path in MODULES if room_of(path) != 'ros'],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_module_outside_ros_names_no_ros_package(path):
    assert not imported_packages(path) & {'rclpy', 'launch', 'launch_ros', 'cv_bridge'}


def test_everything_outside_ros_imports_silently_without_ros_and_optional_packages():
    done = subprocess.run(
        [sys.executable, '-W', 'error', '-c', IMPORT_ALL],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ''
    assert int(done.stdout) >= 15  # nothing else printed, and the walk found the package
