"""Robot hands: their files, the axes that dex-retargeting wants, joints that do not jump.

Where dex_retargeting is installed it is run on a small hand that this test writes; everything else
is tested with a stand-in for it.
"""

import importlib.util
import sys
import types

import numpy as np
import pytest
from teleop_fakes import START_NS, observation

from hand_perception.errors import ConfigError, MissingPackageError
from hand_perception.geometry import quaternion_from_rotation, rotation_from_axis_angle
from hand_perception.teleop.retarget import (
    DexRetargeter,
    RobotHand,
    load_retargeter,
    retargeting_points,
)
from hand_perception.teleop.session import Teleoperation, load_robot_hands
from hand_perception.teleop.settings import TeleopSettings

#: A flat right hand in the axes of its wrist frame: fingers along x, thumb towards y, metres.
FLAT_RIGHT = np.zeros((21, 3))
for _finger, (_reach, _side) in enumerate(
    [(0.05, 0.06), (0.16, 0.03), (0.17, 0.0), (0.16, -0.02), (0.14, -0.04)]
):
    for _joint in range(4):
        _share = (_joint + 2) / 5
        FLAT_RIGHT[1 + 4 * _finger + _joint] = (_reach * _share, _side, 0.0)

CONFIG = """
retargeting:
  type: vector
  urdf_path: hand.urdf
  target_origin_link_names: [palm, palm]
  target_task_link_names: [index_tip, middle_tip]
  target_link_human_indices: [[0, 0], [8, 12]]
  scaling_factor: 1.0
  low_pass_alpha: 1.0
"""


def finger_urdf(name, side_m):
    """Two links in a row along z that bend about y, which closes them towards x."""
    return f"""
    <link name="{name}_base"/><link name="{name}_end"/><link name="{name}_tip"/>
    <joint name="{name}_joint" type="revolute">
      <parent link="palm"/><child link="{name}_base"/><origin xyz="0 {side_m} 0.09"/>
      <axis xyz="0 1 0"/><limit lower="0" upper="1.6" effort="1" velocity="1"/>
    </joint>
    <joint name="{name}_joint_2" type="revolute">
      <parent link="{name}_base"/><child link="{name}_end"/><origin xyz="0 0 0.045"/>
      <axis xyz="0 1 0"/><limit lower="0" upper="1.6" effort="1" velocity="1"/>
    </joint>
    <joint name="{name}_fixed" type="fixed">
      <parent link="{name}_end"/><child link="{name}_tip"/><origin xyz="0 0 0.035"/>
    </joint>"""


def write_hand(folder):
    """Write a configuration and its URDF; gives the path of the configuration."""
    fingers = finger_urdf('index', 0.03) + finger_urdf('middle', 0.0)
    (folder / 'hand.urdf').write_text(
        f'<robot name="hand"><link name="palm"/>{fingers}</robot>', encoding='utf-8'
    )
    (folder / 'hand.yml').write_text(CONFIG, encoding='utf-8')
    return folder / 'hand.yml'


def hand_in_camera(wrist_points, rotation, place, **changes):
    """A hand whose wrist frame is turned and placed in the camera."""
    keypoints = wrist_points @ rotation.T + place
    return observation(
        changes.pop('stamp_ns', START_NS),
        position=tuple(keypoints[0]),
        quaternion=tuple(quaternion_from_rotation(rotation)),
        keypoints=keypoints,
        **changes,
    )


@pytest.mark.parametrize('seed', range(5))
def test_points_are_told_in_the_axes_of_dex_retargeting_wherever_the_hand_is(seed):
    rng = np.random.default_rng(seed)
    rotation = rotation_from_axis_angle(rng.normal(size=3))
    hand = hand_in_camera(FLAT_RIGHT, rotation, rng.normal(size=3))
    points = retargeting_points(hand.keypoints, hand)
    assert points[0] == pytest.approx([0, 0, 0])
    assert points[12] == pytest.approx([0, 0, FLAT_RIGHT[12, 0]])  # fingers along z
    assert points[8, 1] > points[20, 1]  # the thumb side of a right hand along y
    bent = FLAT_RIGHT.copy()
    bent[12, 2] -= 0.05  # out of the palm
    hand = hand_in_camera(bent, rotation, rng.normal(size=3))
    assert retargeting_points(hand.keypoints, hand)[12, 0] == pytest.approx(0.05)


def test_the_axes_are_those_of_the_wrist_frame_of_dex_retargeting():
    """Its example: z of the palm's plane from keypoints 0, 5, 9, then OPERATOR2MANO, by hand."""
    points = FLAT_RIGHT.copy()
    points[[5, 9]] = [[0.09, 0.03, 0.0], [0.095, 0.0, 0.0]]
    x = points[0] - points[9]  # towards the wrist
    x /= np.linalg.norm(x)
    normal = np.cross(points[5] - points[9], x)
    normal /= np.linalg.norm(normal)
    normal -= x * (normal @ x)
    z = np.cross(x, normal)
    if z @ (points[5] - points[9]) < 0:
        normal, z = -normal, -z
    mano = np.stack([x, normal, z], axis=1)
    operator_to_mano = np.array([[0, 0, -1], [-1, 0, 0], [0, 1, 0]])
    expected = points @ mano @ operator_to_mano
    hand = hand_in_camera(points, np.eye(3), np.zeros(3))
    assert retargeting_points(hand.keypoints, hand) == pytest.approx(expected, abs=1e-9)


def test_a_missing_configuration_is_told_with_its_path(tmp_path):
    with pytest.raises(ConfigError, match=r'nothing\.yml does not exist; give the YAML file'):
        load_retargeter(str(tmp_path / 'nothing.yml'))


@pytest.mark.parametrize('text', ['retargeting: 3', 'a: [', '- 1', 'retargeting: {type: vector}'])
def test_a_file_that_is_no_configuration_is_told(tmp_path, text):
    path = tmp_path / 'hand.yml'
    path.write_text(text, encoding='utf-8')
    with pytest.raises(ConfigError, match=r'hand\.yml'):
        load_retargeter(str(path))


def test_a_missing_urdf_is_told_before_anything_is_installed(tmp_path):
    path = write_hand(tmp_path)
    (tmp_path / 'hand.urdf').unlink()
    with pytest.raises(ConfigError, match='URDF of the robot hand not found') as error:
        load_retargeter(str(path))
    assert str(tmp_path / 'hand.urdf') in str(error.value)
    with pytest.raises(ConfigError, match='set hand_urdf_dir'):
        load_retargeter(str(path), urdf_dir=str(tmp_path / 'elsewhere'))


def test_without_the_package_the_message_says_how_to_get_it_or_do_without(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'dex_retargeting', None)
    monkeypatch.setitem(sys.modules, 'dex_retargeting.retargeting_config', None)
    with pytest.raises(MissingPackageError) as error:
        load_retargeter(str(write_hand(tmp_path)))
    assert 'pip install dex_retargeting six' in str(error.value)
    assert 'right_hand_config empty' in str(error.value)


class StandIn:
    """Looks like a ``SeqRetargeting``; its joints are the lengths of the reference vectors."""

    def __init__(self, indices):
        self.optimizer = types.SimpleNamespace(target_link_human_indices=np.array(indices))
        self.joint_names = ['index_joint', 'middle_joint']
        self.filter = None
        self.references = []

    def retarget(self, reference):
        self.references.append(reference)
        return np.linalg.norm(reference, axis=1)


@pytest.fixture
def stand_in(monkeypatch):
    """Put a stand-in for dex_retargeting into place; gives what it was asked for."""
    asked = {}

    class Config:
        @classmethod
        def from_dict(cls, options):
            asked.update(options)
            if options['type'] != 'vector':
                raise ValueError(f'Retargeting type {options["type"]}')
            return cls()

        def build(self):
            asked['built'] = StandIn(asked['target_link_human_indices'])
            return asked['built']

    module = types.ModuleType('dex_retargeting.retargeting_config')
    module.RetargetingConfig = Config
    monkeypatch.setitem(sys.modules, 'dex_retargeting', types.ModuleType('dex_retargeting'))
    monkeypatch.setitem(sys.modules, 'dex_retargeting.retargeting_config', module)
    return asked


def test_vectors_between_keypoints_are_asked_for_as_the_configuration_says(tmp_path, stand_in):
    retargeter = load_retargeter(str(write_hand(tmp_path)))
    assert stand_in['urdf_path'] == str(tmp_path / 'hand.urdf')
    rng = np.random.default_rng(0)
    hand = hand_in_camera(FLAT_RIGHT, rotation_from_axis_angle(rng.normal(size=3)), rng.normal(3))
    assert retargeter.joints(hand) == pytest.approx(
        [np.linalg.norm(FLAT_RIGHT[8]), np.linalg.norm(FLAT_RIGHT[12])]
    )
    assert retargeter.joint_names == ('index_joint', 'middle_joint')


def test_positions_of_keypoints_are_asked_for_where_the_indices_are_a_list():
    stand_in = StandIn([4, 8])
    hand = hand_in_camera(FLAT_RIGHT, np.eye(3), np.zeros(3))
    DexRetargeter(stand_in).joints(hand)
    assert stand_in.references[0] == pytest.approx(
        retargeting_points(hand.keypoints, hand)[[4, 8]]
    )


def test_a_configuration_that_does_not_fit_is_told_with_both_files(tmp_path, stand_in):
    path = write_hand(tmp_path)
    path.write_text(CONFIG.replace('type: vector', 'type: magic'), encoding='utf-8')
    with pytest.raises(ConfigError, match=r'cannot use .*hand\.yml with .*hand\.urdf'):
        load_retargeter(str(path))
    path.write_text(CONFIG.replace('[8, 12]', '[8, 21]'), encoding='utf-8')
    with pytest.raises(ConfigError, match='must be 0 to 20'):
        load_retargeter(str(path))


def test_settings_name_the_robot_hand_of_a_side(tmp_path, stand_in):
    settings = TeleopSettings(right_hand_config=str(write_hand(tmp_path)))
    hands = load_robot_hands(settings)
    assert list(hands) == ['right']
    teleop = Teleoperation(settings, robot_hands=hands)
    assert teleop.robot_joint_names('right') == ('index_joint', 'middle_joint')
    assert teleop.robot_joint_names('left') == ()
    assert load_robot_hands(TeleopSettings()) == {}
    assert teleop.waits_for_joints('right')
    assert not teleop.waits_for_joints('left')
    teleop.hear_joints({'index_joint': 0.0, 'middle_joint': 0.0})
    assert not teleop.waits_for_joints('right')
    blind = load_robot_hands(settings.replace(hand_feedback=False))['right']
    assert not blind.waits_for_places


class Joints:
    """A retargeter whose joints a test sets."""

    joint_names = ('a', 'b')

    def __init__(self):
        self.values = (0.0, 0.0)

    def joints(self, hand):
        return self.values

    def restart(self):
        self.values = self.values


def test_joints_start_where_the_robot_hand_is_and_no_joint_is_faster_than_the_limit():
    joints = Joints()
    robot = RobotHand(joints, max_speed=2.0)
    robot.set_places({'a': 1.0, 'b': 0.0, 'elsewhere': 9.0})
    before = (1.0, 0.0)
    for number in range(100):
        now = robot.follow(observation(START_NS + number), 0.01)
        assert max(abs(x - y) for x, y in zip(now, before, strict=True)) <= 0.02 + 1e-12
        before = now
    assert before == (0.0, 0.0)


def test_joints_of_a_robot_hand_that_nobody_told_are_not_moved_until_somebody_does():
    joints = Joints()
    joints.values = (1.0, 1.0)
    robot = RobotHand(joints, max_speed=2.0)
    for places in ({}, {'a': 0.0}, {'a': 0.0, 'b': float('nan')}):
        robot.set_places(places)
        assert robot.waits_for_places
        assert robot.follow(observation(START_NS), 0.01) is None
    robot.set_places({'a': 0.0, 'b': 0.5})  # also while the hand is followed already
    assert not robot.waits_for_places
    assert robot.follow(observation(START_NS + 1), 0.01) == pytest.approx((0.02, 0.52))


def test_a_robot_hand_that_tells_nothing_starts_as_the_hand_is_where_the_settings_say_so():
    joints = Joints()
    joints.values = (1.0, 1.0)
    robot = RobotHand(joints, max_speed=2.0, needs_places=False)
    assert not robot.waits_for_places
    assert robot.follow(observation(START_NS), 0.01) == (1.0, 1.0)


def test_after_a_release_joints_go_on_from_where_they_were():
    joints = Joints()
    robot = RobotHand(joints, max_speed=2.0, needs_places=False)
    assert robot.follow(observation(START_NS), 0.01) == (0.0, 0.0)
    robot.release()
    joints.values = (1.0, 1.0)
    assert robot.follow(observation(START_NS + 1), 0.01) == pytest.approx((0.02, 0.02))


def test_joints_that_are_not_finite_are_not_sent():
    joints = Joints()
    robot = RobotHand(joints, max_speed=2.0)
    robot.set_places({'a': 0.0, 'b': 0.0})
    robot.follow(observation(START_NS), 0.01)
    joints.values = (float('nan'), 0.0)
    assert robot.follow(observation(START_NS + 1), 0.01) == (0.0, 0.0)


@pytest.mark.parametrize('unknown', [float('nan'), float('inf')])
def test_joints_that_the_robot_does_not_know_are_no_start(unknown):
    robot = RobotHand(Joints(), max_speed=2.0)
    robot.set_places({'a': 1.0, 'b': 0.0})
    robot.set_places({'a': unknown, 'b': 0.0})
    assert robot.follow(observation(START_NS), 0.01) == pytest.approx((0.98, 0.0))


def test_a_hand_without_keypoints_moves_no_joint():
    assert DexRetargeter(StandIn([[0, 0], [8, 12]])).joints(observation(START_NS)) is None


@pytest.mark.skipif(
    importlib.util.find_spec('dex_retargeting') is None,
    reason='needs the optional package dex_retargeting',
)
@pytest.mark.filterwarnings('ignore')  # of the packages that it imports
def test_the_real_dex_retargeting_closes_the_fingers_of_a_robot_hand_with_ours(tmp_path):
    retargeter = load_retargeter(str(write_hand(tmp_path)))
    rng = np.random.default_rng(0)
    rotation, place = rotation_from_axis_angle(rng.normal(size=3)), rng.normal(size=3)
    bent = FLAT_RIGHT.copy()
    bent[8] = [0.10, 0.03, -0.05]  # the index tip towards the palm side
    sums = []
    for points in (FLAT_RIGHT, bent):
        hand = hand_in_camera(points, rotation, place)
        for _ in range(50):  # each answer is pulled towards the one before
            joints = retargeter.joints(hand)
        angles = dict(zip(retargeter.joint_names, joints, strict=True))
        sums.append(
            {n: angles[f'{n}_joint'] + angles[f'{n}_joint_2'] for n in ('index', 'middle')}
        )
    bend = {name: sums[1][name] - sums[0][name] for name in sums[0]}
    assert bend['index'] > 0.5
    assert abs(bend['middle']) < 0.02  # 1 degree
