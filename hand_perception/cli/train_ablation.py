"""``hand_perception train ablation``: variants side by side, and the table of their figures."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from hand_perception.training.ablation import read_ablation, run_ablation

_RUNS: Final = Path('runs')
#: Figures of the table: name, heading, format.
_COLUMNS: Final = (
    ('mepe_mm', 'MEPE', '{:.1f} mm'),
    ('mepe_ra_mm', 'MEPE-RA', '{:.1f} mm'),
    ('mpjpe_mm', 'MPJPE', '{:.1f} mm'),
    ('pa_mpjpe_mm', 'PA-MPJPE', '{:.1f} mm'),
    ('action_accuracy', 'actions', '{:.1%}'),
)


def add_parser(networks: Any) -> None:
    """Add ``ablation`` beside the networks."""
    parser = networks.add_parser(
        'ablation',
        help='train variants of a network side by side and print the table',
        usage='hand_perception train ablation --config NAME|FILE [--out DIR] [--resume] '
        '[section.name=value ...]',
    )
    parser.add_argument(
        '--config', required=True, metavar='NAME|FILE', help='such as htt_ablation'
    )  # fmt: skip
    parser.add_argument(
        '--out', default='', metavar='DIR', help='folder of the runs; runs/NAME when absent'
    )
    parser.add_argument('--resume', action='store_true', help='go on where it was stopped')
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train all variants, or what is left of them, and print their figures."""
    out = Path(options.out).expanduser() if options.out else _RUNS / Path(options.config).stem
    ablation = read_ablation(options.config, overrides=options.overrides)
    print(f'{len(ablation.variants)} variants: {", ".join(ablation.variants)}', flush=True)
    rows: dict[str, Mapping[str, Any]] = {}
    for name, figures in run_ablation(
        ablation, out, resume=options.resume, show_progress=sys.stderr.isatty(), command=sys.argv
    ):
        rows[name] = figures
        print(f'{name}: {folder_words(ablation.folder(out, name).path, figures)}', flush=True)
    print(table(rows))
    return 0


def folder_words(folder: Path, figures: Mapping[str, Any]) -> str:
    """Say where a variant lies and what was measured."""
    told = [
        f'{head} {form.format(figures[key])}' for key, head, form in _COLUMNS if key in figures
    ]
    return f'{", ".join(told)}; {folder}'


def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Lay out the figures as a table of Markdown."""
    columns = [column for column in _COLUMNS if any(column[0] in row for row in rows.values())]
    lines = [['variant', *(head for _, head, _ in columns)]]
    for name, row in rows.items():
        told = [form.format(row[key]) if key in row else '' for key, _, form in columns]
        lines.append([name, *told])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    lines.insert(1, ['-' * width for width in widths])
    return '\n'.join(
        f'| {" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |'
        for line in lines
    )
