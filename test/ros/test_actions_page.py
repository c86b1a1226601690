"""The example on docs/actions.md does what the page says."""

import re
from pathlib import Path

import pytest
from action_records import make_hand_action, unknown

from hand_perception.msg import HandAction
from hand_perception.ros.action_messages import action_message

PAGE = Path(__file__).parents[2] / 'docs' / 'actions.md'


@pytest.fixture
def clutch(bench):
    """The node of the example."""
    (example,) = re.findall(r'```python\n(.*?)```', PAGE.read_text(encoding='utf-8'), re.DOTALL)
    names = {}
    exec(compile(example, str(PAGE), 'exec'), names)
    return bench.add(names['PinchClutch'](context=bench.context, namespace=bench.namespace))


class Operator:
    """Publishes what the recogniser would."""

    def __init__(self, bench, clutch):
        self.bench, self.clutch = bench, clutch
        self.publisher = bench.talk(HandAction, '/hands/action')

    def says(self, action, *, age_s=0.03):
        self.publisher.publish(action_message(action, age_s=age_s))

    def expect(self, *, is_engaged):
        self.bench.wait_until(
            lambda: self.clutch.is_engaged == is_engaged, what=f'is_engaged {is_engaged}'
        )


def test_a_pinch_of_the_right_hand_engages_and_silence_lets_go(bench, clutch):
    operator = Operator(bench, clutch)
    operator.says(make_hand_action(is_right=True))
    operator.expect(is_engaged=True)
    operator.expect(is_engaged=False)  # nothing more was said


@pytest.mark.parametrize(
    ('action', 'age_s'),
    [
        (make_hand_action(label='open'), 0.03),
        (unknown(make_hand_action, 'no right hand is seen'), 0.03),
        (make_hand_action(), 0.5),  # a pinch of half a second ago
    ],
)
def test_anything_else_lets_go(bench, clutch, action, age_s):
    operator = Operator(bench, clutch)
    engaged, before = [], clutch.last_heard
    clutch.engage = engaged.append
    operator.says(make_hand_action(is_right=False))  # another hand: no matter
    operator.says(action, age_s=age_s)
    bench.wait_until(lambda: clutch.last_heard != before, what='the message')
    assert engaged
    assert not any(engaged)


def test_the_page_lists_every_topic_and_every_field():
    page = PAGE.read_text(encoding='utf-8')
    for topic in ('action', 'action_labels', 'htt/pose', 'htt/markers'):
        assert f'| `{topic}` |' in page
    for field in HandAction.get_fields_and_field_types():
        assert f'`{field}`' in page, field
