"""How each data set of single hands is cut and scored, and which published numbers go with it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from hand_perception.datasets.hand_files import HandFiles
from hand_perception.datasets.hands import HandImages
from hand_perception.datasets.ho3d import Ho3dTable
from hand_perception.errors import ConfigError
from hand_perception.evaluation.hamer_hands import (
    DOUBLED,
    DOUBLED_THREE_BY_FOUR,
    THREE_BY_FOUR,
    SquareRule,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandBenchmark:
    """How hands of a data set are cut and scored.

    Attributes:
        square: how squares are made of boxes.
        with_pck: keypoints in the image are scored.
        keypoints: which of them the data set tells: ``all``, or only visible or occluded ones.
        with_scaled: HO-3D's error with size and wrist put right.
        submission: challenge that takes a file; empty for none.
        hand_model: that the true parameters are of, where meshes are made of them; empty: not.
    """

    square: SquareRule
    with_pck: bool = False
    keypoints: str = 'all'
    with_scaled: bool = False
    submission: str = ''
    hand_model: str = ''


#: By kind of data set; those of HaMeR's evaluation files by the benchmark that a file is of.
BENCHMARKS: Final = {
    'freihand': HandBenchmark(square=DOUBLED_THREE_BY_FOUR, submission='freihand'),
    'ho3d': HandBenchmark(square=DOUBLED_THREE_BY_FOUR, with_scaled=True, submission='ho3d'),
    'hint': HandBenchmark(square=DOUBLED, with_pck=True),
    'synthetic': HandBenchmark(square=DOUBLED, with_pck=True, hand_model='default'),
    'shards': HandBenchmark(square=DOUBLED, with_pck=True),
    'hamer_eval/freihand': HandBenchmark(square=THREE_BY_FOUR, submission='freihand'),
    'hamer_eval/ho3d': HandBenchmark(square=THREE_BY_FOUR, with_scaled=True, submission='ho3d'),
    'hamer_eval/hint': HandBenchmark(square=DOUBLED, with_pck=True),
}
#: Parts of HInt, as folders and files begin, by their names in tables of published numbers.
_HINT_PARTS: Final = {
    'newdays_img': 'hint-newdays/test', 'epick_img': 'hint-visor/test',
    'ego4d_img': 'hint-ego4d/test',
}  # fmt: skip
#: Endings of HaMeR's evaluation files of HInt.
_KEYPOINTS: Final = {'_vis': 'visible', '_occ': 'occluded'}


def benchmark_for(kind: str, root: Path, split: str) -> HandBenchmark:
    """Choose how a data set is scored; HaMeR's evaluation files tell it by their names.

    Only test splits of challenges have a file for their server.

    Raises:
        ConfigError: the kind is none of single hands.
    """
    stem = root.stem.lower()
    if kind == 'hamer_eval':
        names = ('freihand', 'ho3d')
        benchmark = BENCHMARKS[
            f'{kind}/{next((name for name in names if stem.startswith(name)), "hint")}'
        ]
        return replace(benchmark, keypoints=_KEYPOINTS.get(stem[-4:], 'all'))
    if kind not in BENCHMARKS:
        raise ConfigError(
            f'{kind} is no data set of single hands; HaMeR is evaluated on '
            f'{", ".join(name for name in BENCHMARKS if "/" not in name)} and hamer_eval'
        )
    benchmark = BENCHMARKS[kind]
    return benchmark if split == 'test' else replace(benchmark, submission='')


def published_name(hands: HandImages, root: Path) -> str:
    """Name a data set as tables of published numbers do; any other name has no numbers there."""
    usual = f'{hands.dataset}/{hands.split}'
    if hands.dataset == 'hamer_eval':
        stem = root.stem.lower()
        if stem.startswith('freihand'):
            return 'freihand/evaluation'
        if stem.startswith('ho3d'):
            return 'ho3d-v2/evaluation'
        return hint_part(root.stem) or usual
    if hands.split != 'test':
        return usual
    if hands.dataset == 'hint' and len(hands):
        first, last = group_of(hands, 0), group_of(hands, len(hands) - 1)
        return (hint_part(first) if first == last else '') or usual
    if hands.dataset == 'ho3d' and isinstance(hands, HandFiles):
        table = hands.table
        return f'ho3d-{table.version}/evaluation' if isinstance(table, Ho3dTable) else usual
    return 'freihand/evaluation' if hands.dataset == 'freihand' else usual


def group_of(hands: HandImages, number: int) -> str:
    """Name the part of a data set that a hand is of, whose figures are told for themselves."""
    return hands.name(number).partition('/')[0] if hands.dataset == 'hint' else ''


def hint_part(name: str) -> str:
    """Name a part of HInt's test split in tables of published numbers; empty for others."""
    found = [told for part, told in _HINT_PARTS.items() if name.startswith(f'TEST_{part}')]
    return found[0] if found else ''
