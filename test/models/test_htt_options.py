"""What a checkpoint was trained on, and how: told by its shapes and by opt.pkl beside it."""

import logging
import os
import pickle
import re
from pathlib import Path

import htt_files
import pytest

from hand_perception.errors import ConfigError, WeightsError
from hand_perception.models.htt.weight_files import check_windows, load_module
from tools.make_htt_checkpoint import official_arguments


class Calls:
    """Pickles as a call of any function."""

    def __reduce__(self):
        return os.system, ('touch pwned',)


def refused(path: Path, match: str) -> None:
    with pytest.raises(WeightsError, match=match):
        load_module(path)


@pytest.mark.parametrize(('dataset', 'other'), [('fpha', 'h2o'), ('h2o', 'fpha')])
def test_file_of_one_data_set_given_as_the_other_is_refused(tmp_path, dataset, other):
    path = htt_files.write(tmp_path, dataset)
    assert load_module(path, dataset=dataset).dataset == dataset
    joints = 21 if dataset == 'fpha' else 42
    with pytest.raises(
        WeightsError, match=rf'htt_dataset is {other} .*\({joints} joints.*set .* to {dataset}'
    ):
        load_module(path, dataset=other)


def test_options_beside_the_checkpoint_tell_how_it_was_trained(tmp_path):
    loaded = load_module(htt_files.write(tmp_path, window=32, pose_window=8))
    assert str(loaded.options) == (
        'action window 32 tokens, pose window 8 tokens, one image of 2, data set fpha'
    )
    assert check_windows(loaded, window=32, pose_window=8, token_rate_hz=15.0) == ()
    first, second = check_windows(loaded, window=128, pose_window=16, token_rate_hz=15.0)
    assert 'htt_window is 128' in first and 'trained with 32: set it to 32' in first
    assert 'htt_pose_window is 16' in second and 'trained with 8' in second


@pytest.mark.parametrize(
    ('spacing', 'rate_hz', 'wanted'),
    [
        (1, 15.0, '30'),
        (2, 30.0, '15'),
        (3, 15.0, '10'),
        (2, 15.0, ''),
        (1, 29.97, ''),
        (1, 0.0, ''),
    ],
)
def test_a_rate_of_tokens_other_than_that_of_the_training_is_told(
    tmp_path, spacing, rate_hz, wanted
):
    path = htt_files.write(tmp_path)
    arguments = official_arguments('fpha', window=32, pose_window=8) | {'spacing': spacing}
    (tmp_path / 'opt.pkl').write_bytes(pickle.dumps(arguments))
    told = check_windows(load_module(path), window=32, pose_window=8, token_rate_hz=rate_hz)
    assert len(told) == bool(wanted)
    if wanted:
        assert told[0].startswith(f'token_rate_hz is {rate_hz:g}, but {path} was trained with')
        assert told[0].endswith(f'set it to {wanted}')


def test_windows_that_do_not_fit_are_refused(tmp_path):
    loaded = load_module(htt_files.write(tmp_path))
    with pytest.raises(ConfigError, match='htt_window is 100 and htt_pose_window 16: .* multiple'):
        check_windows(loaded, window=100, pose_window=16, token_rate_hz=15.0)
    assert check_windows(loaded, window=192, pose_window=8, token_rate_hz=15.0) != ()
    with pytest.raises(ConfigError, match='at most 199'):  # 200 positions, one for the token
        check_windows(loaded, window=200, pose_window=8, token_rate_hz=15.0)


def test_checkpoint_without_options_says_nothing_of_windows(tmp_path):
    path = htt_files.write(tmp_path)
    (tmp_path / 'opt.pkl').unlink()
    loaded = load_module(path)
    assert str(loaded.options) == 'not told'
    assert check_windows(loaded, window=128, pose_window=16, token_rate_hz=15.0) == ()


def test_options_of_the_other_data_set_are_left_aside_with_a_warning(tmp_path, caplog):
    path = htt_files.write(tmp_path)
    (tmp_path / 'opt.pkl').write_bytes(pickle.dumps(official_arguments('h2o')))
    with caplog.at_level(logging.WARNING):
        loaded = load_module(path)
    assert (loaded.dataset, str(loaded.options)) == ('fpha', 'not told')
    assert 'has one hand, but what was read beside it is of h2o' in caplog.text


@pytest.mark.parametrize(
    ('content', 'match'),
    [
        (pickle.dumps(Calls()), r'opt\.pkl: it asks for (posix|nt)\.system'),
        (pickle.dumps([1]), 'opt.pkl holds list'),
        (b'text', r'refused to read .*opt\.pkl'),
        (b'#' * (1 << 21), 'too large'),
        (b'\x80\x02(X\x07\x00\x00\x00storageK\x01K\x01K\x01K\x01tQ.', 'damaged'),
    ],
)
def test_options_that_cannot_be_read_are_left_aside_with_a_warning(
    tmp_path, monkeypatch, caplog, content, match
):
    monkeypatch.chdir(tmp_path)
    path = htt_files.write(tmp_path)
    (tmp_path / 'opt.pkl').write_bytes(content)
    with caplog.at_level(logging.WARNING):
        loaded = load_module(path)
    assert str(loaded.options) == 'not told'
    assert len(caplog.records) == 1
    assert re.search(match, caplog.text)
    assert not (tmp_path / 'pwned').exists()


@pytest.mark.parametrize(
    ('key', 'value'), [('nheads', 4), ('trans_factor', 1), ('scale_factor', 0.001)]
)
def test_options_of_a_network_that_this_package_does_not_have_are_refused(tmp_path, key, value):
    path = htt_files.write(tmp_path)
    arguments = official_arguments('fpha') | {key: value}
    (tmp_path / 'opt.pkl').write_bytes(pickle.dumps(arguments))
    refused(path, rf'opt\.pkl says {key} {value}; this package runs weights with')
