"""What the documents say of teleoperation is so: their code runs, their tables are complete."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from teleop_fakes import SECOND, START_NS, observation

from hand_perception.teleop import gate
from hand_perception.teleop.gate_settings import HandGateSettings
from hand_perception.teleop.settings import TeleopSettings
from hand_perception.teleop.states import Reason, State

DOCS = Path(__file__).resolve().parents[2] / 'docs'
CONTRACT = (DOCS / 'hand-contract.md').read_text(encoding='utf-8')
TELEOPERATION = (DOCS / 'teleoperation.md').read_text(encoding='utf-8')
PERIOD_NS = SECOND // 30


def blocks(text, language):
    return re.findall(rf'```{language}\n(.*?)```', text, re.DOTALL)


def run(code):
    names = {}
    exec(compile(code, 'docs', 'exec'), names)
    return names


def message(hand):
    """A HandPose message without ROS."""
    x, y, z = hand.position
    qx, qy, qz, qw = hand.quaternion
    return SimpleNamespace(
        header=SimpleNamespace(
            stamp=SimpleNamespace(sec=hand.stamp_ns // SECOND, nanosec=hand.stamp_ns % SECOND),
            frame_id=hand.frame_id,
        ),
        tracked=hand.tracked, track_id=hand.track_id, confidence=hand.confidence,
        handedness_score=hand.handedness_score, age=hand.age_s, horizon=0.0,
        predicted=hand.is_predicted,
        wrist=SimpleNamespace(
            position=SimpleNamespace(x=x, y=y, z=z),
            orientation=SimpleNamespace(x=qx, y=qy, z=qz, w=qw),
        ),
        flexion=np.array(hand.flexion, np.float32), pinch=hand.pinch, grasp=hand.grasp,
    )  # fmt: skip


def test_the_consumer_in_the_contract_follows_stops_at_a_loss_and_waits_for_an_act():
    follower = run(blocks(CONTRACT, 'python')[0])['Follower']()
    now_ns = START_NS

    def send(first, last, **changes):
        for number in range(first, last):
            hand = observation(now_ns + number * PERIOD_NS - 40_000_000, number, **changes)
            follower.on_hand(message(hand), now_ns + number * PERIOD_NS)
        return now_ns + (last - 1) * PERIOD_NS

    at_ns = send(0, 12)
    assert follower.on_timer(at_ns) is None  # nobody asked
    follower.on_start(at_ns)
    position, quaternion = follower.on_timer(at_ns)
    assert position == pytest.approx((0.1, 0.1, 0.4), abs=1e-4)
    assert quaternion == (0.0, 0.0, 0.0, 1.0)
    at_ns = send(12, 13, tracked=False)
    at_ns = send(13, 30)  # lost and found between two looks
    assert follower.on_timer(at_ns) is None
    follower.on_start(at_ns)
    assert follower.on_timer(at_ns) is not None
    assert follower.on_timer(at_ns + SECOND) is None  # too old


def test_the_code_without_ros_runs():
    names = run(blocks(TELEOPERATION, 'python')[0])
    names['on_hand']('right', observation(START_NS), START_NS)
    assert names['on_timer'](START_NS, (0.4, 0.0, 0.4), (0.0, 0.0, 0.0, 1.0)) == []


def test_every_reason_of_a_hand_has_its_line_in_the_contract():
    told = set(re.findall(r'`([A-Z_]+)`', CONTRACT.split('## In Python')[0]))
    names = list(Reason.__members__)
    of_hands = set(names[names.index('UNTRACKED') : names.index('NOT_RELEASED')])
    assert of_hands <= told
    assert told - {'NO_HAND_YET'} <= set(names)


def test_every_state_is_described():
    for state in State:
        assert f'| `{state.value}` |' in CONTRACT


def test_the_settings_of_the_gate_are_those_of_the_code():
    for setting in HandGateSettings.settings():
        default = str(setting.default).lower()
        assert f'| `{setting.name}` | `{default}` | {setting.sentence} |' in CONTRACT


def test_the_cpp_gate_has_the_limits_of_the_python_gate():
    (code,) = blocks(CONTRACT, 'cpp')
    limits = {name: float(value) for name, value in re.findall(r'(k\w+) = ([\d.]+)f?[,;]', code)}
    settings = HandGateSettings()
    assert limits == {
        'kMaxAge': settings.max_age_s, 'kMaxFuture': settings.max_future_s,
        'kSettle': settings.settle_s, 'kMaxSpeed': settings.max_hand_speed,
        'kMaxTurn': settings.max_hand_turn, 'kConfidence': settings.min_confidence,
        'kHandedness': settings.min_handedness_score, 'kNoise': gate._JUMP_M,
        'kTurnNoise': gate._JUMP_RAD, 'kMargin': gate._CONFIDENCE_MARGIN,
        'kMinImages': gate._MIN_OBSERVATIONS,
    }  # fmt: skip
    for field in ('wrist', 'flexion', 'pinch', 'grasp', 'confidence', 'handedness_score', 'age'):
        assert f'hand.{field}' in code.split('static bool good')[1].split('static bool same')[0]


def test_the_axis_maps_in_the_table_are_rotations_that_do_what_they_say():
    maps = re.findall(r'^\| (?P<looks>[^|`]+) \| `(?P<map>[-01 ]+)` \|$', TELEOPERATION, re.M)
    assert len(maps) == 3
    ahead = {'with the robot': (1, 0, 0), 'at the robot': (-1, 0, 0), 'down on': (0, 0, -1)}
    up = {'with the robot': (0, 0, 1), 'at the robot': (0, 0, 1), 'down on': (1, 0, 0)}
    for looks, text in maps:
        rotation = TeleopSettings(axis_map=text).axis_rotation
        name = next(key for key in ahead if looks.startswith(key))
        assert rotation @ [0, 0, 1] == pytest.approx(ahead[name])  # the view axis
        assert rotation @ [0, -1, 0] == pytest.approx(up[name])  # up in the image


def test_the_example_of_a_robot_is_allowed():
    servo, hand = (yaml.safe_load(text) for text in blocks(TELEOPERATION, 'yaml'))
    values = servo['/**/teleop']['ros__parameters']
    known = {setting.name for setting in TeleopSettings.settings()}
    TeleopSettings.from_mapping({name: v for name, v in values.items() if name in known})
    assert set(values) - known == {'right_tool_frame'}  # a parameter of the node alone
    indices = np.array(hand['retargeting']['target_link_human_indices'])
    assert indices.shape == (2, len(hand['retargeting']['target_task_link_names']))


def test_the_page_and_the_launch_file_say_how_to_engage_without_an_arm():
    (text,) = blocks((DOCS / 'launch.md').read_text(encoding='utf-8'), 'yaml')
    values = yaml.safe_load(text)['/**/teleop']['ros__parameters']
    assert not TeleopSettings.from_mapping(values).arm_feedback
    launch = (DOCS.parent / 'launch' / 'teleoperation.launch.py').read_text(encoding='utf-8')
    assert 'arm_feedback: false' in launch.split('import')[0]
    assert '`arm_feedback: false`' in TELEOPERATION


def test_numbers_in_the_text_are_the_defaults():
    settings = TeleopSettings()
    assert f'at `max_speed` {settings.max_speed:g} m/s' in TELEOPERATION
    assert settings.max_speed**2 / (2 * settings.max_acceleration) == pytest.approx(0.02, abs=2e-3)
    assert f'hold it still for {settings.anchor_s:g} s' in TELEOPERATION
    default = settings.axis_map
    assert f'| `{default}` |' in TELEOPERATION
