"""The simulated arm sees every kind of wrong command; otherwise its zeros would mean nothing."""

import pytest
from teleop_fakes import SECOND, START_NS, STILL, TICK_NS

from hand_perception.teleop.limiter import Target
from hand_perception.teleop.simulated.arm import CommandLimits, SimulatedArm
from hand_perception.teleop.vectors import quaternion_from_vector

LIMITS = CommandLimits(
    box=((0.2, -0.5, 0.0), (0.7, 0.5, 0.8)),
    speed=0.25,
    acceleration=1.5,
    turn_speed=0.8,
    turn_acceleration=5.0,
)
START = (0.4, 0.0, 0.4)


def target(position=START, quaternion=STILL, linear=(0.0, 0.0, 0.0)):
    return Target(position=position, quaternion=quaternion, linear=linear, angular=(0.0, 0.0, 0.0))


class Driver:
    """Sends a command every tick."""

    def __init__(self):
        self.arm = SimulatedArm((START, STILL), LIMITS)
        self.now_ns = START_NS
        self.send(target())

    def send(self, command, *, age_ns=0, after_ns=TICK_NS):
        self.now_ns += after_ns
        taken = self.arm.command(command, stamp_ns=self.now_ns - age_ns, now_ns=self.now_ns)
        self.arm.step(self.now_ns)
        return taken


def test_a_fresh_command_in_its_limits_is_obeyed_without_complaint():
    driver = Driver()
    place = speed = 0.0
    for _ in range(100):
        before, speed = speed, min(speed + 0.01, 0.2)
        place += (before + speed) / 2 * 0.01
        driver.send(target((0.4 + place, 0.0, 0.4), linear=(speed, 0.0, 0.0)))
    assert not driver.arm.violations
    assert driver.arm.pose[0][0] == pytest.approx(0.4 + place, abs=0.01)


@pytest.mark.parametrize(
    ('command', 'options', 'violation'),
    [
        (target(), {'age_ns': SECOND // 10}, 'stale'),
        (target(), {'age_ns': -1}, 'future'),
        (target((float('nan'), 0.0, 0.4)), {}, 'malformed'),
        (target(quaternion=(0.0, 0.0, 0.0, 0.9)), {}, 'malformed'),
        (target((0.19, 0.0, 0.4)), {}, 'outside'),
        (target((0.4026, 0.0, 0.4)), {}, 'jump'),
        (target((0.4004, 0.0, 0.4)), {}, 'kick'),
        (target(quaternion=quaternion_from_vector((0.0, 0.009, 0.0))), {}, 'turn jump'),
        (target(quaternion=quaternion_from_vector((0.0, 0.001, 0.0))), {}, 'turn kick'),
        (target(linear=(0.1, 0.0, 0.0)), {}, 'twist'),
    ],
)
def test_a_wrong_command_is_noted_by_its_name(command, options, violation):
    driver = Driver()
    driver.send(command, **options)
    assert driver.arm.violations[violation] == 1


def test_a_stale_command_moves_nothing():
    driver = Driver()
    for _ in range(20):
        assert not driver.send(target((0.5, 0.0, 0.4)), age_ns=SECOND // 5)
    assert driver.arm.pose[0] == START


def test_without_commands_the_arm_comes_to_rest():
    driver = Driver()
    for number in range(50):
        driver.send(target((0.4 + 0.002 * number, 0.0, 0.4)))
    assert driver.arm.speed > 0.1
    for _ in range(50):
        driver.now_ns += TICK_NS
        driver.arm.step(driver.now_ns)
    assert driver.arm.speed == 0
    place = driver.arm.pose
    driver.arm.step(driver.now_ns + SECOND)
    assert driver.arm.pose == place


def test_the_first_command_after_a_pause_is_compared_with_the_arm():
    driver = Driver()
    driver.send(target((0.45, 0.0, 0.4)), after_ns=SECOND)
    assert driver.arm.violations['jump'] == 1


def test_a_blocked_arm_does_not_move_and_its_gripper_neither():
    driver = Driver()
    driver.arm.is_blocked = True
    for number in range(20):
        driver.send(target((0.4 + 0.001 * number, 0.0, 0.4)))
    driver.arm.command_gripper(1.0, stamp_ns=driver.now_ns, now_ns=driver.now_ns)
    assert driver.arm.pose[0] == START
    assert driver.arm.gripper is None


def test_the_gripper_obeys_fresh_commands_only():
    driver = Driver()
    driver.arm.command_gripper(0.7, stamp_ns=driver.now_ns, now_ns=driver.now_ns)
    driver.arm.command_gripper(0.1, stamp_ns=driver.now_ns - SECOND, now_ns=driver.now_ns)
    driver.arm.command_gripper(1.7, stamp_ns=driver.now_ns, now_ns=driver.now_ns)
    assert driver.arm.gripper == 0.7
    assert driver.arm.violations == {'stale': 1, 'malformed': 1}
