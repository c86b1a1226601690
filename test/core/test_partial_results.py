"""An evaluation goes on where it stopped, shares its work, and never mixes results."""

import errno
import os

import numpy as np
import pytest

from hand_perception.errors import ConfigError, DatasetError
from hand_perception.evaluation.partial_results import run_parts
from hand_perception.evaluation.ranks import Rank
from hand_perception.whole_files import whole_file

NAMES = ('first', 'second', 'third', 'fourth')
IDENTITY = {'sha256': 'abc', 'windows': [128, 16]}


class Computer:
    """Computes parts, and says which ones it was asked for."""

    def __init__(self, *, fails_at=None):
        self.asked = []
        self.fails_at = fails_at

    def __call__(self, number, prepared):
        if number == self.fails_at:
            raise DatasetError('the image of this segment is damaged')
        self.asked.append(number)
        assert prepared == 10 * number
        return {'values': np.arange(number), 'name': np.array(NAMES[number])}

    def run(self, folder, *, identity=IDENTITY, names=NAMES, **options):
        return run_parts(
            folder, names, self, identity=identity, prepare=lambda number: 10 * number, **options
        )


def test_an_interrupted_evaluation_goes_on_with_what_is_missing(tmp_path):
    with pytest.raises(DatasetError, match='damaged'):
        Computer(fails_at=2).run(tmp_path)
    rest = Computer()
    parts = list(rest.run(tmp_path, resume=True))
    assert rest.asked == [2, 3]
    assert [str(part['name']) for part in parts] == list(NAMES)
    np.testing.assert_array_equal(parts[3]['values'], [0, 1, 2])


def test_a_finished_evaluation_computes_nothing_again(tmp_path):
    Computer().run(tmp_path)
    again = Computer(fails_at=0)
    assert len(list(again.run(tmp_path, resume=True, workers=3))) == len(NAMES)
    assert again.asked == []


def test_parts_without_a_folder_are_kept_in_memory():
    parts = list(Computer().run(None))
    assert [str(part['name']) for part in parts] == list(NAMES)


def test_results_that_are_there_are_not_overwritten_without_being_asked(tmp_path):
    Computer().run(tmp_path)
    with pytest.raises(ConfigError, match='--resume'):
        Computer().run(tmp_path)


def test_results_of_other_weights_are_refused_by_name(tmp_path):
    Computer().run(tmp_path)
    with pytest.raises(ConfigError, match=r'sha256 \(abc, now xyz\)'):
        Computer().run(tmp_path, identity=IDENTITY | {'sha256': 'xyz'}, resume=True)
    with pytest.raises(ConfigError, match='parts'):
        Computer().run(tmp_path, names=NAMES[:3], resume=True)


def test_a_damaged_part_is_computed_again(tmp_path, caplog):
    Computer().run(tmp_path)
    path = tmp_path / 'parts' / '00001.npz'
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    again = Computer()
    parts = list(again.run(tmp_path, resume=True))
    assert again.asked == [1]
    assert str(parts[1]['name']) == 'second'
    assert 'is damaged and computed anew' in caplog.text


def test_several_processes_need_a_folder():
    with pytest.raises(ConfigError, match='--out'):
        Computer().run(None, rank=Rank(number=1, count=2))


def test_variables_that_tell_of_no_group_are_refused(monkeypatch):
    monkeypatch.setenv('RANK', '2')
    monkeypatch.setenv('WORLD_SIZE', '2')
    with pytest.raises(ConfigError, match="RANK='2', WORLD_SIZE='2'"):
        Rank.from_environment()
    monkeypatch.delenv('RANK')
    monkeypatch.delenv('WORLD_SIZE')
    assert Rank.from_environment() == Rank()


def test_a_full_disk_leaves_the_old_file_as_it_was(tmp_path):
    path = tmp_path / 'metrics.json'
    path.write_text('old')
    with pytest.raises(DatasetError, match=r'metrics.json cannot be written.*No space'):  # noqa: SIM117
        with whole_file(path) as stream:
            stream.write(b'half of the new')
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert path.read_text() == 'old'
    assert [entry.name for entry in tmp_path.iterdir()] == ['metrics.json']
