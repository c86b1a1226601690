"""What an evaluation found: text for people, JSON and CSV for programs, curves for plots."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hand_perception.evaluation.figures import KINDS
from hand_perception.evaluation.plots import Curve, write_plots
from hand_perception.evaluation.published import Published, published_for
from hand_perception.whole_files import whole_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A further table.

    Attributes:
        name: in the files.
        title: above it.
        columns: their headings; the first one is of names.
        rows: as many cells each; NaN is written as a dash.
        digits: after the point of numbers that are not whole.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[str | float | int]]
    digits: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that is told of one evaluation.

    Attributes:
        title: one line.
        benchmark: data set and split, as in ``published``; ``synthetic/test`` has none.
        figures: values by keys of ``figures.KINDS``, in their units.
        facts: what was evaluated, by name; plain values.
        tables: further tables.
        curves: for plots.
        notes: sentences that a reader of the numbers has to know.
    """

    title: str
    benchmark: str
    figures: Mapping[str, float]
    facts: Mapping[str, object] = field(default_factory=dict)
    tables: Sequence[Table] = ()
    curves: Sequence[Curve] = ()
    notes: Sequence[str] = ()


def report_text(report: Report) -> str:
    """Write a report for a terminal."""
    parts = [report.title]
    parts += [f'{name}: {value}' for name, value in report.facts.items()]
    rows = [(KINDS[key].heading, KINDS[key].text(value)) for key, value in report.figures.items()]
    parts += ['', *aligned(rows)]
    published = published_for(report.benchmark)
    if published:
        columns, rows_beside = beside_published(report.figures, published)
        headings = [
            ('method', *(KINDS[key].name for key in columns)),
            ('', *(KINDS[key].unit for key in columns)),
        ]
        parts += ['', 'Beside published numbers:', *aligned([*headings, *rows_beside])]
        if any(entry.certainty == 'unchecked' for entry in published):
            parts.append('(?: from memory, not checked; sources: docs/results.md)')
        else:
            parts.append('(sources: docs/results.md)')
    for table in report.tables:
        cells = [[_cell(value, table.digits) for value in row] for row in table.rows]
        parts += ['', f'{table.title}:', *aligned([table.columns, *cells])]
    if report.notes:
        parts += ['', *(f'Note: {note}' for note in report.notes)]
    return '\n'.join(parts)


def beside_published(
    figures: Mapping[str, float], published: Sequence[Published]
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Put what was measured above what was published: keys of the columns, and rows of cells."""
    columns = tuple(dict.fromkeys(entry.figure for entry in published))
    methods = dict.fromkeys(entry.method for entry in published)
    values = {(entry.method, entry.figure): entry for entry in published}
    rows = [
        ('measured', *(KINDS[key].text(figures.get(key, math.nan)) for key in columns)),
        *(
            (method, *(_published_cell(values.get((method, key))) for key in columns))
            for method in methods
        ),
    ]
    return columns, rows


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Write rows as lines, columns below each other; the first one is of names."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return [
        '  '.join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def write_report(report: Report, folder: Path) -> list[Path]:
    """Write metrics.json, metrics.csv and a PNG for each curve.

    Returns:
        The files.

    Raises:
        DatasetError: a file cannot be written.
        MissingPackageError: matplotlib is not installed; the other files are written before.
    """
    paths = [folder / 'metrics.json', folder / 'metrics.csv']
    with whole_file(paths[0]) as stream:
        stream.write(json.dumps(report_values(report), indent=1).encode())
    with whole_file(paths[1]) as stream:
        stream.write(_csv(report).encode())
    return paths + write_plots(report.curves, folder)


def report_values(report: Report) -> dict[str, object]:
    """Give all of a report as plain values; what there is no number for is None."""
    return {
        'title': report.title,
        'benchmark': report.benchmark,
        'facts': dict(report.facts),
        'figures': {key: _number(value) for key, value in report.figures.items()},
        'units': {key: KINDS[key].unit for key in report.figures},
        'tables': {
            table.name: [
                dict(zip(table.columns, map(_number, row), strict=True)) for row in table.rows
            ]
            for table in report.tables
        },
        'curves': {
            curve.name: {
                'x': curve.x_label,
                'y': curve.y_label,
                'lines': {
                    name: {'x': _numbers(x), 'y': _numbers(y)}
                    for name, (x, y) in curve.lines.items()
                },
            }
            for curve in report.curves
        },
        'notes': list(report.notes),
    }


def _csv(report: Report) -> str:
    """One row per number: table, row, column, value; figures have their unit as column."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(('table', 'row', 'column', 'value'))
    for key, value in report.figures.items():
        writer.writerow(('figures', key, KINDS[key].unit, _number(value)))
    for table in report.tables:
        for name, *cells in table.rows:
            for column, cell in zip(table.columns[1:], cells, strict=True):
                writer.writerow((table.name, name, column, _number(cell)))
    return text.getvalue()


def _published_cell(entry: Published | None) -> str:
    if entry is None:
        return '-'
    return KINDS[entry.figure].text(entry.value) + '?' * (entry.certainty == 'unchecked')


def _cell(value: str | float, digits: int) -> str:
    if isinstance(value, float):
        return '-' if math.isnan(value) else f'{value:.{digits}f}'
    return str(value)


def _number(value: str | float) -> str | float | None:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _numbers(values: NDArray[Any]) -> list[str | float | None]:
    return [_number(value) for value in np.asarray(values).tolist()]
