"""Counts of actions stay bounded and say what happened."""

from action_records import make_scene_action, unknown

from hand_perception.actions import ActionResult
from hand_perception.ros.action_counters import ActionStatistics


def result_of(*actions, **changes):
    return ActionResult(actions=actions, **changes)


def test_images_that_are_not_looked_at_are_not_counted():
    statistics = ActionStatistics()
    statistics.add_result(ActionResult())
    statistics.add_result(result_of(hands=()))
    statistics.add_result(result_of(make_scene_action(), make_scene_action()))
    snapshot = statistics.snapshot()
    assert (snapshot.looked_at, snapshot.told) == (2, 2)


def test_reasons_are_counted_by_their_words_not_their_numbers_and_labels():
    statistics = ActionStatistics(labels=('pour', 'pour milk', 'drink'))
    for reason in (
        'too few images: 3 of 16',
        'too few images: 15 of 16',
        'pour milk leads drink by 0.05, less than 0.10',
        'drink leads pour by 0.01, less than 0.10',
        'pouring is no label',
    ):
        statistics.add_result(result_of(unknown(make_scene_action, reason)))
    assert statistics.snapshot().unknown == {
        'too few images: # of #': 2,
        '<action> leads <action> by #, less than #': 2,
        'pouring is no label': 1,
    }


def test_kinds_of_reasons_are_counted_one_by_one_up_to_a_bound():
    statistics = ActionStatistics()
    for number in range(100):
        reason = 'reason ' + 'x' * number
        statistics.add_result(result_of(unknown(make_scene_action, reason)))
    counted = statistics.snapshot().unknown
    assert len(counted) == 17
    assert counted['reason xxx'] == 1
    assert counted['other reasons'] == 84
    assert sum(counted.values()) == 100


def test_a_reset_of_the_stream_is_one_of_the_actions_too():
    statistics = ActionStatistics()
    statistics.add_result(ActionResult(), stream_reset='stamps went back by 1.000 s')
    snapshot = statistics.snapshot()
    assert (snapshot.resets, snapshot.last_reset) == (1, 'stamps went back by 1.000 s')


def test_new_errors_are_those_since_the_last_snapshot():
    statistics = ActionStatistics()
    statistics.add_error()
    assert (statistics.snapshot().new_errors, statistics.snapshot().new_errors) == (1, 0)
    assert statistics.snapshot().errors == 1
