"""Nodes as processes: clean ends, exit codes, nothing left in shared memory."""

import contextlib
import logging
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import hamer_files
import pytest
import torch
from ros_bench import TIMEOUT_S

from hand_perception import dds_profile
from hand_perception.ros.process import forwarded_logs, tune_process

ROOT = Path(__file__).parents[2]
READY = {'perception': 'ready: ', 'video_source': 'publishing ', 'teleop': 'ready: '}


class NodeProcess:
    """A node in a process and domain of its own."""

    def __init__(self, node, environment, *parameters):
        command = [sys.executable, '-m', f'hand_perception.ros.{node}_node', '--ros-args']
        for parameter in parameters:
            command += ['-p', parameter]
        self.node = node
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.lines = []
        # A node that hangs must not hang the tests.
        self._watchdog = threading.Timer(2 * TIMEOUT_S, self.process.kill)
        self._watchdog.start()

    def wait_ready(self):
        for line in self.process.stderr:
            self.lines.append(line)
            if READY[self.node] in line:
                return
        raise AssertionError(f'{self.node} ended before it was ready:\n{"".join(self.lines)}')

    def wait_end(self):
        self.lines += self.process.stderr.readlines()
        code = self.process.wait()
        self._watchdog.cancel()
        self.process.stderr.close()
        return code

    @property
    def text(self):
        return ''.join(self.lines)

    def shared_memory(self):
        """Name the shared memory segments that the process has mapped.

        Ports are left out: programs of any domain share them, and the last one removes them.
        """
        maps = Path(f'/proc/{self.process.pid}/maps').read_text()
        return set(re.findall(r'/dev/shm/fast(?:rtps|dds)_(?!port)\S+', maps))


@pytest.fixture
def environment(ros_environment):
    """A domain apart from the bench's, so that all mapped segments are the node's own."""
    printed = subprocess.run(
        [sys.executable, ROOT / 'scripts/free_domain_id.py'],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return {**ros_environment, 'ROS_DOMAIN_ID': printed.stdout.strip()}


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize('node', ['perception', 'video_source', 'teleop'])
def test_signal_ends_a_node_cleanly(node, number, environment):
    running = NodeProcess(node, environment)
    running.wait_ready()
    segments = running.shared_memory()
    assert segments
    running.process.send_signal(number)
    assert running.wait_end() == 0, running.text
    assert 'Traceback' not in running.text
    assert 'ERROR' not in running.text
    assert not [segment for segment in segments if Path(segment).exists()]


@pytest.mark.parametrize('node', ['perception', 'video_source', 'teleop'])
def test_ctrl_c_on_ros2_launch_which_arrives_twice_ends_a_node_cleanly(node, environment):
    running = NodeProcess(node, environment)
    running.wait_ready()
    segments = running.shared_memory()
    running.process.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.process.wait(timeout=0.05)  # the second one meets a node that is ending
    running.process.send_signal(signal.SIGINT)
    assert running.wait_end() == 0, running.text
    assert not [segment for segment in segments if Path(segment).exists()]


def test_a_parameter_file_that_is_not_there_is_refused_in_one_line(environment):
    done = subprocess.run(
        [sys.executable, '-m', 'hand_perception.ros.perception_node', '--ros-args',
         '--params-file', '/nowhere.yaml'],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
        timeout=2 * TIMEOUT_S,
    )  # fmt: skip
    assert done.returncode == 1
    assert 'nowhere.yaml' in done.stderr
    assert 'Traceback' not in done.stderr


def test_a_source_of_raw_images_without_the_dds_profile_says_that_they_get_lost(environment):
    bare = {k: v for k, v in environment.items() if k not in dds_profile.PROFILE_VARIABLES}
    running = NodeProcess('video_source', bare, 'loop:=false', 'rate_hz:=1000.0')
    running.wait_ready()
    assert running.wait_end() == 0, running.text
    assert 'raw images will get lost' in running.text


def test_a_video_played_once_ends_with_exit_code_zero(environment):
    running = NodeProcess('video_source', environment, 'loop:=false', 'rate_hz:=1000.0')
    running.wait_ready()
    assert running.wait_end() == 0, running.text
    assert 'the end after 150 images' in running.text


@pytest.mark.parametrize(
    ('node', 'parameter', 'message'),
    [
        ('perception', 'max_hands:=99', 'max_hands must be 1 to 8, got 99'),
        ('perception', 'device:=gpu', "device must be 'auto' or 'cpu' or 'cuda', got 'gpu'"),
        ('perception', 'box_source:=topic', "set backend to 'hamer' or box_source to 'detector'"),
        ('perception', 'hand_scale:=big', r"hand_scale must be 0.5 to 1.5, got 'big' (str)"),
        ('video_source', 'source:=/nowhere.mp4', "'/nowhere.mp4' is no file or folder"),
        ('teleop', 'box_min:=9 9 9', 'box_min must lie below box_max'),
        ('teleop', 'right_hand_config:=/nowhere.yaml', '/nowhere.yaml does not exist'),
        ('video_source', 'transport:=pigeon', "transport must be 'raw' or 'compressed' or 'both'"),
    ],
)
def test_a_node_that_cannot_start_says_why_and_ends_with_one(
    node, parameter, message, environment
):
    running = NodeProcess(node, environment, parameter)
    assert running.wait_end() == 1
    assert message in running.text
    assert 'Traceback' not in running.text


def test_hamer_without_its_files_says_what_is_missing_and_ends_with_one(environment, tmp_path):
    running = NodeProcess(
        'perception', environment, 'backend:=hamer', f'hamer_dir:={tmp_path / "nowhere"}'
    )
    assert running.wait_end() == 1
    assert str(tmp_path / 'nowhere') in running.text
    assert 'set hamer_dir to its _DATA folder; see docs/hamer.md' in running.text
    assert 'Traceback' not in running.text


def test_hamer_with_a_truncated_checkpoint_says_so_and_ends_with_one(environment, tmp_path):
    folder = hamer_files.write_flat(tmp_path, with_hand_file=True)
    checkpoint = folder / 'hamer.ckpt'
    checkpoint.write_bytes(checkpoint.read_bytes()[:100_000])
    running = NodeProcess('perception', environment, 'backend:=hamer', f'hamer_dir:={folder}')
    assert running.wait_end() == 1
    assert str(checkpoint) in running.text
    assert 'Traceback' not in running.text


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a CUDA device')
@pytest.mark.parametrize('backend', ['landmarks', 'hamer'])
def test_a_gpu_that_is_not_there_is_told_and_ends_with_one(environment, tmp_path, backend):
    folder = hamer_files.write_flat(tmp_path, with_hand_file=True)
    running = NodeProcess(
        'perception', environment, 'device:=cuda', f'backend:={backend}', f'hamer_dir:={folder}'
    )
    assert running.wait_end() == 1
    assert "device 'cuda' was asked for" in running.text
    assert 'set device to auto or cpu' in running.text
    assert 'Traceback' not in running.text


def test_a_misspelt_parameter_is_told(environment):
    running = NodeProcess('perception', environment, 'max_hand:=1')
    running.wait_ready()
    running.process.send_signal(signal.SIGINT)
    assert running.wait_end() == 0
    assert "parameter 'max_hand' is not known and has no effect" in running.text


def test_lines_of_the_core_come_out_under_the_name_of_the_node(bench, capfd):
    core = logging.getLogger('hand_perception.somewhere')
    with forwarded_logs(bench.node.get_logger()):
        core.debug('unheard')
        core.info('for the operator')
        core.warning('not as asked')
        core.error('something is lost')
    core.error('after the end')
    told = capfd.readouterr().err
    for level, text in (
        ('INFO', 'for the operator'), ('WARN', 'not as asked'), ('ERROR', 'something is lost'),
    ):  # fmt: skip
        pattern = rf'\[{level}\] \[\d+\.\d+\] \[{bench.namespace[1:]}\.bench\]: {text}'
        assert re.search(pattern, told)
    assert 'unheard' not in told
    assert not re.search(r'bench\]: after the end', told)


def test_tuning_makes_threads_take_turns_quickly(monkeypatch):
    chosen = []
    monkeypatch.setattr(sys, 'setswitchinterval', chosen.append)
    tune_process()
    assert chosen == [5e-4]
