"""What is told of an action: reasons, thresholds, hysteresis, durations."""

import numpy as np
import pytest

from hand_perception.actions import Ranking
from hand_perception.config import PipelineSettings
from hand_perception.pipeline.action_gate import (
    ActionGate,
    GateLimits,
    lack_of_clarity,
    leading_action,
    ranking,
)

LABELS = ('pour', 'stir', 'drink')
LIMITS = GateLimits(
    min_tokens=16, min_score=0.3, min_margin=0.1, hysteresis=0.05, min_duration_s=0.0
)
TOKEN_NS = 66_666_667


def limits(**changes):
    return GateLimits(**{name: getattr(LIMITS, name) for name in LIMITS.__slots__} | changes)


def probs(*values):
    return np.array(values, np.float32)


POUR, STIR = probs(0.7, 0.2, 0.1), probs(0.2, 0.7, 0.1)


def run(gate, sequence, *, start=0, num_tokens=50, **details):
    """What is told for probabilities at 15 Hz."""
    return [
        gate.step(
            prob,
            stamp_ns=(start + i) * TOKEN_NS,
            num_tokens=num_tokens,
            labels=LABELS,
            **({'limits': LIMITS} | details),
        )
        for i, prob in enumerate(sequence)
    ]


def one(prob, **details):
    return run(ActionGate(), [prob], **details)[0]


def test_a_clear_action_is_told():
    told = one(POUR)
    assert (told.action, told.reason, told.onset_ns) == (0, '', 0)


def test_too_few_images_say_how_many_of_how_many():
    told = one(POUR, num_tokens=7)
    assert (told.action, told.reason) == (None, 'too few images: 7 of 16')
    assert one(POUR, num_tokens=16).action == 0


def test_a_low_score_is_unknown_with_both_numbers():
    told = one(probs(0.28, 0.1, 0.1))
    assert (told.action, told.reason) == (None, 'pour has 0.28, less than 0.30')


def test_a_small_lead_is_unknown_with_the_rival():
    told = one(probs(0.4, 0.05, 0.35))
    assert (told.action, told.reason) == (None, 'pour leads drink by 0.05, less than 0.10')


def test_a_problem_comes_before_everything_and_at_once():
    gate = ActionGate()
    run(gate, [POUR] * 3)
    told = run(gate, [POUR], start=3, problem='the image has not changed for 1.0 s')[0]
    assert (told.action, told.reason) == (None, 'the image has not changed for 1.0 s')


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_probabilities_that_are_not_finite_are_unknown(bad):
    assert one(probs(bad, 0.5, 0.2)).reason == 'the probabilities are not finite'


def test_without_probabilities_it_is_unknown():
    assert one(None).reason == 'no action was computed'
    assert one(None, problem='no hand').reason == 'no hand'


def test_unknown_has_a_reason_and_a_known_action_has_none():
    rng = np.random.default_rng(0)
    gate = ActionGate()
    sequence = rng.dirichlet([1, 1, 1], 300).astype(np.float32)
    told = run(gate, sequence, limits=limits(min_duration_s=0.1))
    assert {item.action for item in told} == {None, 0, 1, 2}
    assert all((item.action is None) == bool(item.reason) for item in told)


# hysteresis


def test_another_action_needs_the_hysteresis_as_lead():
    wide = limits(min_margin=0.0, hysteresis=0.2)
    gate = ActionGate()
    sequence = [POUR, probs(0.4, 0.5, 0.1), probs(0.35, 0.54, 0.11), probs(0.35, 0.56, 0.09)]
    assert [told.action for told in run(gate, sequence, limits=wide)] == [0, 0, 0, 1]


def test_scores_that_oscillate_within_the_hysteresis_change_nothing():
    wide = limits(min_margin=0.0, hysteresis=0.2)
    wobble = [probs(0.45 + 0.09 * (-1) ** i, 0.45 - 0.09 * (-1) ** i, 0.1) for i in range(100)]
    told = run(ActionGate(), wobble, limits=wide)
    assert {item.action for item in told} == {0}
    assert {item.onset_ns for item in told} == {0}
    without = run(ActionGate(), wobble, limits=limits(min_margin=0.0, hysteresis=0.0))
    assert [item.action for item in without] == [0, 1] * 50


def test_a_lead_that_oscillates_about_the_margin_does_not_switch_the_action_off():
    leads = [0.12, 0.08, 0.11, 0.07, 0.12, 0.06]
    wobble = [probs(0.45, 0.45 - lead, 0.1) for lead in leads]
    assert {item.action for item in run(ActionGate(), wobble)} == {0}
    unheld = run(ActionGate(), wobble, limits=limits(hysteresis=0.0))
    assert [item.action for item in unheld] == [0, None] * 3


def test_what_is_not_told_gets_no_help_from_the_hysteresis():
    assert one(probs(0.45, 0.37, 0.1)).action is None  # leads by 0.08


def test_two_actions_alike_are_unknown_after_either():
    even = probs(0.45, 0.45, 0.1)
    for first in (POUR, STIR):
        assert [item.action for item in run(ActionGate(), [first, even])][1] is None


# duration


def test_an_action_has_to_be_seen_for_the_least_time():
    gate = ActionGate()
    told = run(gate, [POUR] * 5, limits=limits(min_duration_s=0.15))
    assert [item.action for item in told] == [None, None, None, 0, 0]
    assert told[1].reason == 'pour seen for 0.07 s of 0.15 s'


def test_onset_is_when_the_action_was_first_seen_not_when_it_was_told():
    gate = ActionGate()
    told = run(gate, [POUR] * 4 + [STIR] * 6, limits=limits(min_duration_s=0.15))
    assert told[3].onset_ns == 0
    assert told[-1].action == 1
    assert told[-1].onset_ns == 4 * TOKEN_NS


def test_what_was_told_stays_while_another_asks_and_its_own_score_allows():
    close = [probs(0.35, 0.6, 0.05)] * 4
    told = run(ActionGate(), [POUR] * 4 + close, limits=limits(min_duration_s=0.15))
    assert [item.action for item in told[3:]] == [0, 0, 0, 0, 1]
    told = run(ActionGate(), [POUR] * 4 + [STIR] * 4, limits=limits(min_duration_s=0.15))
    assert [item.action for item in told[3:]] == [0, None, None, None, 1]


def test_actions_that_take_turns_faster_than_the_least_time_are_never_told():
    turns = [POUR, POUR, STIR, STIR] * 50
    told = run(ActionGate(), turns, limits=limits(min_duration_s=0.1))
    assert {item.action for item in told} == {None}
    assert {item.onset_ns for item in told} == {0}
    assert all('seen for' in item.reason for item in told)


def test_an_action_that_asks_again_and_again_for_a_moment_is_never_told():
    gate, other = ActionGate(), probs(0.35, 0.6, 0.05)  # what is told may stay
    sequence = [POUR] * 4 + [other, POUR] * 5
    told = run(gate, sequence, limits=limits(min_duration_s=0.1))
    assert [item.action for item in told[3:]] == [0] * 11


def test_unknown_needs_no_time():
    told = run(
        ActionGate(), [POUR] * 4 + [probs(0.2, 0.2, 0.2)], limits=limits(min_duration_s=0.1)
    )
    assert [item.action for item in told[3:]] == [0, None]
    assert told[4].onset_ns == 4 * TOKEN_NS


def test_an_interruption_starts_the_time_anew():
    gate = ActionGate()
    sequence = [POUR, POUR, probs(0.2, 0.2, 0.2), POUR, POUR, POUR, POUR]
    told = run(gate, sequence, limits=limits(min_duration_s=0.15))
    assert [item.action for item in told] == [None] * 6 + [0]
    assert told[-1].onset_ns == 3 * TOKEN_NS


def test_onset_of_unknown_stays_whatever_the_reason():
    gate = ActionGate()
    first = run(gate, [POUR] * 3, num_tokens=2)
    then = run(gate, [POUR] * 3, start=3, problem='no hand seen in the last 16 images')
    assert {item.onset_ns for item in first + then} == {0}
    assert first[0].reason != then[0].reason


# live settings and resets


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'min_score': 0.9}, 'less than 0.90'),
        ({'min_margin': 0.8}, 'less than 0.80'),
        ({'min_tokens': 60}, '50 of 60'),
    ],
)
def test_a_stricter_setting_acts_at_the_next_image_and_a_looser_one_too(change, words):
    gate = ActionGate()
    run(gate, [POUR] * 3)
    told = run(gate, [POUR], start=3, limits=limits(**change))[0]
    assert told.action is None
    assert words in told.reason
    assert run(gate, [POUR], start=4)[0].action == 0


def test_a_shorter_duration_acts_at_once():
    gate = ActionGate()
    assert run(gate, [POUR], limits=limits(min_duration_s=5.0))[0].action is None
    assert run(gate, [POUR], start=1, limits=limits(min_duration_s=0.05))[0].action == 0


def test_a_gate_that_was_reset_is_as_new():
    gate = ActionGate()
    run(gate, [POUR] * 5)
    gate.reset()
    wobble = [probs(0.4, 0.35, 0.1), STIR, STIR, POUR]
    with_duration = limits(min_duration_s=0.05)
    again = run(gate, wobble, start=100, limits=with_duration)
    assert again == run(ActionGate(), wobble, start=100, limits=with_duration)


def test_limits_come_from_the_settings_and_two_phases_need_twice_the_images():
    settings = PipelineSettings(action_min_tokens=9, action_min_score=0.4, action_min_margin=0.2)
    assert GateLimits.of(settings) == GateLimits(
        min_tokens=9, min_score=0.4, min_margin=0.2, hysteresis=0.05, min_duration_s=0.1
    )
    assert GateLimits.of(settings, num_phases=2).min_tokens == 18


# pieces


def test_leading_action_is_the_told_one_until_another_leads():
    prob = probs(0.4, 0.44, 0.1)
    assert leading_action(prob, None, 0.05) == 1
    assert leading_action(prob, 0, 0.05) == 0
    assert leading_action(prob, 0, 0.03) == 1
    assert leading_action(prob, 2, 0.05) == 1


def test_of_equals_the_told_one_leads():
    prob = probs(0.4, 0.4, 0.2)
    assert leading_action(prob, 1, 0.0) == 1
    assert leading_action(prob, None, 0.0) == 0


def test_a_network_of_one_action_has_no_rival():
    assert lack_of_clarity(probs(1.0), 0, LIMITS, bonus=0.0, labels=('pour',)) == ''


def test_ranking_lists_the_most_likely_first_and_no_more_than_there_are():
    prob = probs(0.2, 0.5, 0.3)
    assert ranking(prob, LABELS, 2) == Ranking(
        labels=('stir', 'drink'), scores=(float(prob[1]), float(prob[2]))
    )
    assert ranking(prob, LABELS, 9).labels == ('stir', 'drink', 'pour')
    assert ranking(probs(0.4, 0.2, 0.4), LABELS, 2).labels == ('pour', 'drink')
