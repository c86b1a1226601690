"""The launch files under the real ros2 launch: hands come out and everything ends cleanly."""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from launch_sources import ROOT

pytestmark = [
    pytest.mark.ros,
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec('launch_ros') is None or shutil.which('ros2') is None,
        reason='needs the package launch and the command ros2, which are not among the wheels',
    ),
]

START_S = 120  # loading torch and the networks on a busy machine of two cores
STOP_S = 30

CAMERA_TOPICS = ['-r', 'image:=/camera/camera/color/image_raw',
                 '-r', 'image/compressed:=/camera/camera/color/image_raw/compressed',
                 '-r', 'camera_info:=/camera/camera/color/camera_info']  # fmt: skip


@contextlib.contextmanager
def running(command, log):
    """Run a command; afterwards interrupt it as Ctrl-C does and wait for its end."""
    with log.open('w', encoding='utf-8') as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=log.parent,
        )
        try:
            yield process
            process.send_signal(signal.SIGINT)
            process.wait(timeout=STOP_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def first_message():
    """Wait for the first message on a topic that a condition accepts."""
    import rclpy

    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node('launch_test', context=context)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)

    def wait(topic, kind, accept, process, qos=5):
        accepted = []
        subscription = node.create_subscription(
            kind, topic, lambda message: accept(message) and accepted.append(message), qos
        )
        deadline = time.monotonic() + START_S
        while not accepted and time.monotonic() < deadline and process.poll() is None:
            executor.spin_once(timeout_sec=0.5)
        node.destroy_subscription(subscription)
        return accepted[0] if accepted else None

    yield wait
    executor.shutdown()
    node.destroy_node()
    context.shutdown()


def has_hands(message):
    return len(message.hands) > 0


def test_egocentric_launch_publishes_hands_of_the_built_in_clip(first_message, tmp_path):
    from hand_perception.msg import HandPoseArray

    log = tmp_path / 'launch.log'
    command = ['ros2', 'launch', 'hand_perception', 'egocentric.launch.py', 'source:=synthetic']
    with running(command, log) as process:
        message = first_message('/hands/pose', HandPoseArray, has_hands, process)
    text = log.read_text(encoding='utf-8')
    assert message is not None, text
    assert message.header.frame_id == 'camera_optical_frame'
    assert text.count('process has finished cleanly') == 2, text


def test_egocentric_launch_tells_actions_and_late_subscribers_their_labels(
    first_message, tmp_path
):
    from rclpy.qos import DurabilityPolicy, QoSProfile

    from hand_perception.msg import HandAction, LabelMap

    log = tmp_path / 'launch.log'
    command = [
        'ros2', 'launch', 'hand_perception', 'egocentric.launch.py', 'action_source:=primitives',
    ]  # fmt: skip
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    with running(command, log) as process:
        action = first_message('/hands/action', HandAction, lambda m: not m.unknown, process)
        labels = first_message(
            '/hands/action_labels', LabelMap, lambda _: True, process, qos=latched
        )
    assert action is not None and labels is not None, log.read_text(encoding='utf-8')
    assert action.label in labels.actions
    assert (action.backend, action.label_map) == ('primitives', labels.name)


@pytest.mark.parametrize('transport', ['raw', 'compressed'])
def test_robot_launch_perceives_hands_on_the_topics_of_a_camera_driver(
    transport, first_message, tmp_path
):
    from hand_perception.msg import HandPoseArray

    driver = [
        shutil.which('video_source') or str(ROOT / 'scripts' / 'nodes' / 'video_source'),
        '--ros-args', '-r', '__ns:=/driver', '-p', f'transport:={transport}', *CAMERA_TOPICS,
    ]  # fmt: skip
    command = [
        'ros2', 'launch', 'hand_perception', 'robot.launch.py',
        f'image_transport:={transport}', 'namespace:=robot/hands',
    ]  # fmt: skip
    log = tmp_path / 'launch.log'
    with (
        running([sys.executable, *driver], tmp_path / 'driver.log'),
        running(command, log) as process,
    ):
        message = first_message('/robot/hands/pose', HandPoseArray, has_hands, process)
    text = log.read_text(encoding='utf-8')
    assert message is not None, text + (tmp_path / 'driver.log').read_text(encoding='utf-8')
    assert 'process has finished cleanly' in text


def test_rviz_on_a_machine_without_it_is_told_and_perception_goes_on(first_message, tmp_path):
    from ament_index_python.packages import get_packages_with_prefixes

    from hand_perception.msg import HandPoseArray

    if 'rviz2' in get_packages_with_prefixes():
        pytest.skip('needs the package launch without rviz2, and rviz2 is here')
    log = tmp_path / 'launch.log'
    command = ['ros2', 'launch', 'hand_perception', 'egocentric.launch.py', 'rviz:=true']
    with running(command, log) as process:
        message = first_message('/hands/pose', HandPoseArray, lambda _: True, process)
    text = log.read_text(encoding='utf-8')
    assert message is not None, text
    assert 'rviz2 is not installed' in text
