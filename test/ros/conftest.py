"""Real rclpy and DDS for the tests of the nodes, in a domain of their own."""

import importlib.util
import itertools
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from hand_perception.dds_profile import profile_variable

ROOT = Path(__file__).parents[2]
HAS_ROS = all(
    importlib.util.find_spec(name) is not None for name in ('rclpy', 'hand_perception.msg')
)
_names = itertools.count(1)

if HAS_ROS:
    with warnings.catch_warnings():
        # rosidl imports lark, which imports sre_parse, deprecated since Python 3.11.
        warnings.simplefilter('ignore', DeprecationWarning)
        importlib.import_module('rosidl_generator_py')


def pytest_ignore_collect(collection_path):
    """Leave the folder out where there is no ROS; pytest_report_header says so."""
    return True if collection_path.suffix == '.py' and not HAS_ROS else None


def pytest_report_header():
    return None if HAS_ROS else 'test/ros left out: rclpy or the built messages are missing'


@pytest.fixture(scope='session')
def ros_environment():
    """Give the session a domain that nobody on this machine uses."""
    printed = subprocess.run(
        [sys.executable, ROOT / 'scripts/free_domain_id.py'],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    os.environ['ROS_DOMAIN_ID'] = printed.stdout.strip()
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    # The default segment of 512 KB loses images on the way; see the file.
    variable = profile_variable(os.environ.get('ROS_DISTRO', 'jazzy'))
    os.environ[variable] = str(ROOT / 'config/fastdds_large_images.xml')
    return dict(os.environ)


@pytest.fixture(scope='session')
def ros_context(ros_environment):
    import rclpy
    from rclpy.context import Context
    from rclpy.signals import SignalHandlerOptions

    context = Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    yield context
    context.try_shutdown()


@pytest.fixture
def bench(ros_context):
    """A test bench with a namespace of its own."""
    from ros_bench import Bench

    made = Bench(ros_context, namespace=f'/test_{next(_names)}')
    yield made
    made.close()
