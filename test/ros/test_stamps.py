"""What stamps say of order, age and clocks."""

import re

import pytest

from hand_perception.ros.stamps import AgeCheck, StampOrder, StampOrderCheck


def test_order_of_stamps_is_told():
    order = StampOrderCheck()
    stamps = [100, 200, 200, 150, 160]
    assert [order.check(stamp) for stamp in stamps] == [
        StampOrder.FORWARD, StampOrder.FORWARD, StampOrder.STILL, StampOrder.BACK,
        StampOrder.FORWARD,
    ]  # fmt: skip


@pytest.mark.parametrize(('age_s', 'limit_ms', 'is_late'), [
    (0.1, 200, False), (0.3, 200, True), (0.3, 0, False), (-5.0, 200, False),
])  # fmt: skip
def test_late_images_are_told_by_their_age(age_s, limit_ms, is_late):
    assert AgeCheck().is_too_old(age_s, limit_ms) == is_late


def ages(*values_s, limit_ms=500.0):
    check = AgeCheck()
    for value_s in values_s:
        check.is_too_old(value_s, limit_ms)
    return check


def test_one_late_image_is_no_clock_problem():
    assert ages(0.03, 2.0, 0.04).clock_problem(500) == ''


@pytest.mark.parametrize(
    ('offset_s', 'expected'),
    [
        (
            1.7e9,
            r'1700000000.000 s behind the node.s clock and all images are dropped; .*use_sim_time',
        ),
        (2.5, 'at least 2.500 s old when they come and all are dropped; .*max_age_ms'),
        (-3.0, '3.000 s ahead of the node.s clock, so ages are wrong; synchronise'),
    ],
)
def test_another_clock_is_named_with_its_offset(offset_s, expected):
    check = ages(offset_s + 0.01, offset_s, offset_s + 0.5)
    assert re.search(expected, check.clock_problem(500))


def test_without_a_limit_old_images_are_no_problem():
    assert ages(1.7e9).clock_problem(0) == ''


def test_a_clock_that_is_right_again_is_no_problem():
    check = ages(*[5.0] * 40)
    assert check.clock_problem(500) != ''
    check.is_too_old(0.01, 500)
    assert check.clock_problem(500) == ''
