from dataclasses import dataclass

import numpy as np
import pytest

from hand_perception.errors import DatasetError
from hand_perception.evaluation.actions import evaluate_actions, merge_actions

LABELS = ('open', 'pinch')
RATE_HZ = 10


@dataclass
class Shown:
    primitive: str
    is_right: bool = True


@dataclass
class Told:
    label: str
    onset_ns: int
    is_right: bool | None = True


def images(text):
    """o: open, p: pinch, -: nothing; one letter per image of 10 Hz."""
    names = {'o': 'open', 'p': 'pinch', '-': ''}
    return [names[letter] for letter in text]


def compare(shown, told, *, onsets=None):
    """Compare letters; the onset of what is told is its first letter, or given per image."""
    stamps = [round(i * 1e9 / RATE_HZ) for i in range(len(shown))]
    said, since = [], 0
    for i, label in enumerate(images(told)):
        if i == 0 or told[i] != told[i - 1]:
            since = stamps[i] if onsets is None else round(onsets[i] * 1e9)
        said.append([Told(label, since)])
    truth = [[Shown(label)] for label in images(shown)]
    return evaluate_actions(stamps, truth, said, labels=LABELS)


def test_perfect_telling_has_no_errors_and_no_delays():
    errors = compare('oo--pppp--ooo', 'oo--pppp--ooo')
    assert errors.accuracy == 1.0 and errors.wrong_share == 0.0
    assert (errors.num_missed, errors.num_false, errors.num_told) == (0, 0, 3)
    # The first one began before the first image: nobody knows its onset.
    assert errors.label.tolist() == [1, 0]
    np.testing.assert_allclose(errors.onset_delay_s, 0.0)
    np.testing.assert_allclose(errors.telling_delay_s, 0.0)


def test_the_table_counts_images_true_by_told():
    errors = compare('oopp----', 'opp-ooo-')
    assert errors.confusion.tolist() == [[1, 1, 0], [0, 1, 1], [3, 0, 1]]
    assert errors.accuracy == pytest.approx(2 / 4)
    assert errors.wrong_share == pytest.approx(1 / 4)
    assert errors.unknown_share == pytest.approx(2 / 8)


def test_onset_and_first_telling_are_measured_apart():
    onsets = [0, 0, 0, 0, 0.1, 0.1, 0.1, 0.1]
    errors = compare('--pppppp', '----pppp', onsets=onsets)
    assert errors.onset_delay_s[0] == pytest.approx(-0.1)  # told since 0.1 s, true since 0.2 s
    assert errors.telling_delay_s[0] == pytest.approx(0.2)  # told from 0.4 s on


def test_an_action_that_is_never_told_is_missed():
    errors = compare('--ppp--', '-------')
    assert errors.num_missed == 1 and np.isnan(errors.onset_delay_s).all()
    assert ('onset, median / worst', 'never told') in errors.rows()


def test_what_is_told_too_early_or_of_another_side_is_without_cause():
    assert compare('------------p', '-ppp---------').num_false == 1
    left = [[Told('pinch', 0, is_right=False)]] * 3
    errors = evaluate_actions([0, 1, 2], [[Shown('pinch')]] * 3, left, labels=LABELS)
    assert errors.num_false == 1
    assert errors.confusion[1].tolist() == [0, 0, 3]  # nothing was told of the right hand


def test_what_has_been_told_for_long_is_not_the_onset_of_what_begins():
    errors = compare('-------ppp', 'pppppppppp')
    assert errors.num_missed == 1


def test_several_clips_are_put_together():
    part = compare('--pp--', '---p--')
    both = merge_actions([part, part])
    assert both.confusion.tolist() == (2 * part.confusion).tolist()
    assert len(both.label) == 2 and both.num_told == 2 and both.accuracy == part.accuracy


def test_tables_have_a_line_for_every_label_and_one_for_none():
    lines = compare('--pp--oo', '---p--oo').table()
    assert [line.split()[0] for line in lines] == ['true', 'open', 'pinch', '-']
    assert len({len(line.split('|')[1]) for line in lines}) == 1  # columns are aligned


def test_an_empty_clip_is_no_error():
    errors = evaluate_actions([], [], [], labels=LABELS)
    assert np.isnan(errors.accuracy) and errors.num_missed == 0


def test_images_must_correspond():
    with pytest.raises(DatasetError, match='known for 1 images, actions for 0'):
        evaluate_actions([0], [[]], [], labels=LABELS)


def test_a_name_that_is_no_label_is_refused():
    with pytest.raises(DatasetError, match=r"'jump' is none of the labels open, pinch"):
        evaluate_actions([0], [[Shown('open')]], [[Told('jump', 0)]], labels=LABELS)
