"""``hand_perception demo --teleop``, a short one: real nodes, an operator, an arm, a report."""

import contextlib
import io

import cv2
import numpy as np
import pytest

from hand_perception.cli import demo_teleop, demo_teleop_report
from hand_perception.cli.demo_teleop_bag import read_record
from hand_perception.cli.main import main
from hand_perception.evaluation.teleop_records import engagements_of
from hand_perception.synthetic.truth import load_clip_truth
from hand_perception.teleop.node_settings import TeleopNodeSettings

pytest.importorskip('rosbags', reason='rosbags is not installed')
pytestmark = pytest.mark.ros

#: Engaged while the hands are still; then the one that drives leaves and comes back.
SITUATIONS = ('still', 'leave_right')


@pytest.fixture(scope='module')
def demo(tmp_path_factory, ros_environment):
    """The folder of a demo of eight seconds, its exit code and what it printed."""
    folder = tmp_path_factory.mktemp('demo') / 'out'
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        code = demo_teleop.run(folder, situations=SITUATIONS)
    return folder, code, printed.getvalue()


@pytest.fixture(scope='module')
def record(demo):
    return read_record(demo[0], side='right', button=5, hands='/hands', teleop='/teleop')


def test_the_demo_finds_nothing_unsafe(demo):
    folder, code, printed = demo
    assert code == 0, [printed, *(p.read_text() for p in folder.glob('*.log'))]
    table = printed.partition('what must not happen')[2].partition('picture')[0]
    counts = [line.split()[-1] for line in table.splitlines() if line.strip()]
    assert counts == ['0'] * 10


def test_a_count_that_is_not_0_fails_the_demo(demo, capsys):
    """The same recording, judged by stricter limits than ``teleop`` was given."""
    folder = demo[0]
    settings = TeleopNodeSettings.from_mapping({**demo_teleop.TELEOP_SETTINGS, 'max_speed': 0.001})
    code = demo_teleop_report.report(
        folder, load_clip_truth(folder / 'clip' / 'scene.json'),
        demo_teleop.scene_spec(SITUATIONS), settings,
        side='right', button=5, hands='/hands', teleop='/teleop',
    )  # fmt: skip
    assert code == 1
    assert 'UNSAFE' in capsys.readouterr().out


def test_the_operator_engages_once_the_hand_is_still_and_loses_it_when_it_leaves(record):
    first = engagements_of(record)[0]
    assert first.pressed_ns is not None
    assert first.is_lost and first.disengaged_ns is not None
    assert first.reason
    assert first.seconds > 0.2


def test_the_arm_moves_only_while_engaged(record):
    one, *_ = engagements = engagements_of(record)
    before = record.arm.positions[record.arm.times_ns <= one.engaged_ns]
    assert np.ptp(before, axis=0).max() == 0
    # After the last command it brakes by itself: 0.25 m/s are gone within command_timeout_s, and
    # the time of the way there.
    rest_ns = engagements[-1].ended_ns + 500_000_000
    after = record.arm.positions[record.arm.times_ns >= rest_ns]
    assert len(after) and np.ptp(after, axis=0).max() < 1e-6


def test_what_happened_at_the_loss_is_told(demo):
    printed = demo[2]
    assert 'the arm came to rest after' in printed
    assert 'then disengaged' in printed
    assert 'tracking error' in printed and 'lag' in printed


def test_the_picture_and_the_overlay_are_there(demo):
    picture = cv2.imread(str(demo[0] / 'teleop.png'))
    assert (picture == (222, 245, 222)).all(-1).mean() > 0.005  # engaged
    capture = cv2.VideoCapture(str(demo[0] / 'overlay.mp4'))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) > 60
    capture.release()


def test_a_folder_with_something_else_is_refused(tmp_path, capsys):
    (tmp_path / 'thesis.txt').write_text('important')
    assert main(['demo', '--teleop', '--out', str(tmp_path)]) == 2
    assert 'thesis.txt' in capsys.readouterr().err
