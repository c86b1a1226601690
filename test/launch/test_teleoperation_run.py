"""teleoperation.launch.py under the real ros2 launch."""

import signal
import subprocess

import pytest
from test_launch_run import STOP_S, first_message, pytestmark, running  # noqa: F401 - used by pytest

ARM = """
/**/teleop:
  ros__parameters:
    base_frame: my_base
"""


@pytest.mark.parametrize('namespace', ['hands', 'robot/hands'])
def test_teleoperation_sees_the_hands_and_waits_for_somebody_to_engage(
    namespace, first_message, tmp_path  # noqa: F811 - the fixture
):  # fmt: skip
    from rclpy.qos import DurabilityPolicy, QoSProfile

    from hand_perception.msg import HandPoseArray, TeleopSide, TeleopState

    arm = tmp_path / 'arm.yaml'
    arm.write_text(ARM, encoding='utf-8')
    log = tmp_path / 'launch.log'
    command = [
        'ros2', 'launch', 'hand_perception', 'teleoperation.launch.py', 'source:=synthetic',
        'sides:=both', f'arm_config:={arm}', f'namespace:={namespace}',
    ]  # fmt: skip
    with running(command, log) as process:
        hands = first_message(
            f'/{namespace}/pose', HandPoseArray, lambda m: len(m.hands) > 0, process
        )
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        state = first_message('/teleop/state', TeleopState, lambda _: True, process, qos=latched)
    text = log.read_text(encoding='utf-8')
    assert hands is not None and state is not None, text
    assert state.header.frame_id == 'my_base'
    assert [side.state for side in state.sides] == [TeleopSide.IDLE, TeleopSide.IDLE]
    assert text.count('process has finished cleanly') == 3, text


def test_a_wrong_axis_map_ends_the_node_with_a_line_that_says_so(tmp_path):
    arm = tmp_path / 'arm.yaml'
    arm.write_text(
        ARM + "    axis_map: '1 0 0 0 1 0 0 0 -1'\n", encoding='utf-8'
    )  # fmt: skip
    command = [
        'ros2', 'launch', 'hand_perception', 'teleoperation.launch.py', f'arm_config:={arm}',
    ]  # fmt: skip
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path
    ) as process:
        refusal = next((line for line in process.stdout if 'axis_map' in line), '')
        process.send_signal(signal.SIGINT)  # perception goes on without it
        process.communicate(timeout=STOP_S)
    assert 'must be a rotation' in refusal and 'is a mirror' in refusal
