"""Reports say the same as text, JSON, CSV and picture; published numbers keep their sources."""

import csv
import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from hand_perception.errors import ConfigError
from hand_perception.evaluation import published_tables
from hand_perception.evaluation.figures import KINDS
from hand_perception.evaluation.plots import Curve
from hand_perception.evaluation.published import PUBLISHED, SOURCES, published_for
from hand_perception.evaluation.report import Report, Table, report_text, write_report

ROOT = Path(__file__).resolve().parents[2]


def report(benchmark='h2o/test', curves=()):
    return Report(
        title='HTT on h2o/test',
        benchmark=benchmark,
        figures={'mepe_left': 31.254, 'mepe_mean': math.nan, 'action_accuracy': 87.5},
        facts={'images': 43},
        tables=[
            Table(
                name='engines', title='By engine', columns=('engine', 'MEPE', 'images'),
                rows=[('tiled', 31.254, 43), ('sliding', math.nan, 0)],
            )
        ],
        curves=curves,
        notes=['Two hands were not annotated.'],
    )  # fmt: skip


CURVE = Curve(
    name='pck', title='PCK', x_label='threshold, mm', y_label='share', y_range=(0, 1),
    lines={'left': (np.arange(4.0), np.array([0, 0.4, 0.8, 1.0])),
           'not over yet': (np.arange(4), np.array([1, 0.5, 0.25, 0]))},
    faint=('not over yet',),
)  # fmt: skip


def test_text_sets_what_was_measured_beside_what_was_published():
    lines = report_text(report()).splitlines()
    assert 'MEPE left, mm       31.25' in lines
    assert 'MEPE mean, mm           -' in lines
    measured, htt = (
        next(line for line in lines if line.startswith(name)).split()
        for name in ('measured', 'HTT (2023)')
    )
    assert measured[1:3] == ['87.50', '31.25']
    assert htt[2:5] == ['86.36', '35.02', '35.63']
    assert next(line for line in lines if line.startswith('H2OTR')).split()[2] == '90.90?'
    assert lines[-1] == 'Note: Two hands were not annotated.'


def test_text_without_published_numbers_has_no_such_table():
    assert 'published' not in report_text(report('synthetic/test'))


def test_files_hold_every_number_and_nothing_where_there_is_none(tmp_path):
    paths = write_report(report(curves=[CURVE]), tmp_path / 'out')
    assert [path.name for path in paths] == ['metrics.json', 'metrics.csv', 'pck.png']
    values = json.loads(paths[0].read_text())
    assert values['figures'] == {'mepe_left': 31.254, 'mepe_mean': None, 'action_accuracy': 87.5}
    assert values['units']['mepe_left'] == 'mm'
    assert values['tables']['engines'][0] == {'engine': 'tiled', 'MEPE': 31.254, 'images': 43}
    assert values['curves']['pck']['lines']['left']['y'] == [0, 0.4, 0.8, 1.0]
    rows = list(csv.DictReader(paths[1].read_text().splitlines()))
    assert rows[0] == {'table': 'figures', 'row': 'mepe_left', 'column': 'mm', 'value': '31.254'}
    assert rows[1]['value'] == ''
    assert rows[3] == {'table': 'engines', 'row': 'tiled', 'column': 'MEPE', 'value': '31.254'}


def test_a_plot_is_a_picture_with_lines_in_it(tmp_path):
    path = write_report(report(curves=[CURVE]), tmp_path)[-1]
    picture = cv2.imread(str(path))
    assert picture.shape[0] > 400
    assert picture.shape[1] > 600
    blue = np.array([0xB2, 0x72, 0x00])  # of the first line, blue first
    assert (np.abs(picture.astype(int) - blue).max(-1) < 10).sum() > 500


def test_every_published_number_has_a_kind_and_a_source():
    for entry in PUBLISHED:
        assert entry.figure in KINDS
        assert entry.source in SOURCES
        assert (entry.source == 'memory') == (entry.certainty == 'unchecked'), entry
    places = [(entry.benchmark, entry.method, entry.figure) for entry in PUBLISHED]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize(('accuracy', 'videos'), [(94.09, 575), (86.36, 242), (90.16, 122)])
def test_published_accuracies_of_htt_are_whole_videos(accuracy, videos):
    assert accuracy in {
        entry.value for entry in PUBLISHED if entry.method == 'HTT (2023)'
    }  # fmt: skip
    right = round(accuracy / 100 * videos)
    assert round(100 * right / videos, 2) == accuracy


def test_the_page_of_results_has_the_numbers_of_the_code(capsys):
    assert published_tables.main(['--check', '--root', str(ROOT)]) == 0, capsys.readouterr().out
    text = (ROOT / published_tables.PAGE).read_text(encoding='utf-8')
    for benchmark in {entry.benchmark for entry in PUBLISHED}:
        assert f'<!-- published:{benchmark} -->' in text
        assert published_for(benchmark)


def test_a_page_that_differs_is_told_and_written(tmp_path, capsys):
    page = tmp_path / published_tables.PAGE
    page.parent.mkdir()
    page.write_text('<!-- published:h2o/val -->\nold\n<!-- /published -->\nmine\n')
    assert published_tables.main(['--check', '--root', str(tmp_path)]) == 1
    assert 'is out of date' in capsys.readouterr().out
    assert published_tables.main(['--root', str(tmp_path)]) == 0
    text = page.read_text()
    assert '| HTT (2023) | 90.16 | second hand, roh |' in text
    assert text.endswith('mine\n')
    assert published_tables.main(['--check', '--root', str(tmp_path)]) == 0


def test_a_page_may_not_ask_for_what_nobody_published():
    with pytest.raises(ConfigError, match='fpha/test'):
        published_tables.fill_page('<!-- published:fpha/val -->\n<!-- /published -->')
