"""Evaluate HaMeR on a data set of single hands: parts, figures, files for the challenges."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hand_perception.datasets.hands import HandImages
from hand_perception.errors import ConfigError, DatasetError
from hand_perception.evaluation.figures import KINDS
from hand_perception.evaluation.hamer_benchmarks import HandBenchmark, group_of, hint_part
from hand_perception.evaluation.hamer_hands import FoundHands, SeenHands, find_hands, see_hands
from hand_perception.evaluation.hamer_scores import HamerScores, score_hands, sum_up
from hand_perception.evaluation.partial_results import PartialResults, run_parts
from hand_perception.evaluation.published import published_for
from hand_perception.evaluation.ranks import Rank
from hand_perception.evaluation.report import Report, Table, beside_published
from hand_perception.evaluation.submissions import (
    write_freihand_submission,
    write_ho3d_submission,
)
from hand_perception.models.hamer.network import HamerNetwork

#: Hands of a part, which is what is kept when a run is interrupted.
PART_HANDS: Final = 32
_WRITERS: Final = {'freihand': write_freihand_submission, 'ho3d': write_ho3d_submission}
_MANO_VERTICES: Final = 778


def evaluate_hamer(
    hands: HandImages,
    load_network: Callable[[], HamerNetwork],
    *,
    benchmark: HandBenchmark,
    identity: Mapping[str, object],
    facts: Mapping[str, object] | None = None,
    folder: Path | None = None,
    name: str = '',
    rank: Rank | None = None,
    resume: bool = False,
    batch: int = PART_HANDS,
    workers: int = 1,
) -> Report | None:
    """Run HaMeR over all hands and score them.

    Args:
        hands: the data set.
        load_network: called once, by the first part that is not known yet.
        benchmark: how hands are cut and scored.
        identity: what the results depend on beside the hands: sha256 of the weights, precision.
        facts: what else the report tells, such as where the weights lie.
        folder: of results, and of the file for the challenge; None: nothing is kept.
        name: of the benchmark in tables of published numbers; the data set and its split where
            empty.
        rank: which of several processes this is.
        resume: go on with what is in the folder.
        batch: hands that the network takes at once.
        workers: threads that read images.

    Returns:
        The report, for the first process; None for the others.

    Raises:
        DatasetError: an image or annotation cannot be read, a file not be written, or what the
            network says is not finite.
        ConfigError: there are no hands, or the folder holds other results.
        WeightsError: of ``load_network``.
    """
    if not len(hands):
        raise ConfigError(f'{hands.dataset} {hands.split} holds no hands to evaluate')
    if batch < 1:
        raise ConfigError(f'the batch must be of 1 hand or more, got {batch}')
    groups, ranges = _parts(hands)
    networks: list[HamerNetwork] = []

    def see(number: int) -> SeenHands:
        return see_hands(hands, ranges[number], benchmark.square)

    def compute(_: int, seen: SeenHands) -> dict[str, NDArray[Any]]:
        if not networks:
            networks.append(load_network())
        network = networks[0]
        found = find_hands(network, seen, batch=batch)
        arrays = score_hands(
            found, seen, with_pck=benchmark.with_pck, with_scaled=benchmark.with_scaled,
            hand=network.hand if network.hand.name == benchmark.hand_model else None,
        )  # fmt: skip
        return arrays | (_points(found) if benchmark.submission else {})

    results = run_parts(
        folder, [f'{hands.name(r[0])} to {hands.name(r[-1])}' for r in ranges], compute,
        identity={
            'network': 'hamer', 'data': hands.dataset, 'split': hands.split,
            'hands': len(hands), 'square': str(benchmark.square), **identity,
        },
        prepare=see, rank=rank, resume=resume, workers=workers, unit=f'{PART_HANDS} hands',
    )  # fmt: skip
    if results is None:
        return None
    scores = sum_up(results)
    notes = _notes(scores)
    tables = _group_tables(results, groups)
    if tables:
        notes.append('? marks numbers from memory, not checked; sources: docs/results.md')
    if folder is not None and benchmark.submission:
        notes.append(_submit(results, folder, benchmark.submission))
    return Report(
        title=f'HaMeR on {hands.dataset} {hands.split}',
        benchmark=name or f'{hands.dataset}/{hands.split}',
        figures=_named(scores.figures, benchmark.keypoints),
        facts={
            **(facts or {}),
            **identity,
            'hands': scores.num_hands,
            'squares': str(benchmark.square),
        },
        tables=tables,
        curves=scores.curves,
        notes=notes,
    )


def _parts(hands: HandImages) -> tuple[list[str], list[range]]:
    """Cut the hands into parts, none of two groups: the group of each part, and its hands."""
    groups, ranges = [], []
    start = 0
    for group, members in itertools.groupby(
        range(len(hands)), lambda number: group_of(hands, number)
    ):
        end = start + len(list(members))
        for first in range(start, end, PART_HANDS):
            groups.append(group)
            ranges.append(range(first, min(first + PART_HANDS, end)))
        start = end
    return groups, ranges


def _points(found: FoundHands) -> dict[str, NDArray[Any]]:
    """Give keypoints and meshes in the camera, metres, as challenges take them."""
    shift = found.translation[:, None]
    return {
        'keypoints': (found.keypoints + shift).astype(np.float32),
        'vertices': (found.vertices + shift).astype(np.float32),
    }


def _named(figures: Mapping[str, float], keypoints: str) -> dict[str, float]:
    """Tell figures of keypoints in the image by those that the data set tells."""
    return {
        key.replace('_all', f'_{keypoints}') if key.startswith('pck_') else key: value
        for key, value in figures.items()
    }


def _group_tables(results: PartialResults, groups: Sequence[str]) -> list[Table]:
    """Tell the figures of each group beside the published ones, where there are several."""
    names = list(dict.fromkeys(groups))
    if len(names) < 2:
        return []
    tables = []
    for name in names:
        scores = sum_up(
            results.read(number) for number, group in enumerate(groups) if group == name
        )
        columns, rows = beside_published(scores.figures, published_for(hint_part(name)))
        if len(rows) == 1:  # nothing was published
            columns = tuple(scores.figures)
            rows = [('measured', *(KINDS[key].text(scores.figures[key]) for key in columns))]
        tables.append(
            Table(
                name=name, title=f'{name}, {scores.num_hands:,} hands; PCK in %',
                columns=('method', *(KINDS[key].name.removeprefix('PCK') for key in columns)),
                rows=rows,
            )
        )  # fmt: skip
    return tables


def _notes(scores: HamerScores) -> list[str]:
    notes = []
    if not scores.figures:
        notes.append('the data set tells no truth for these hands: there are no figures')
    elif 0 < scores.num_with_keypoints < scores.num_hands:
        notes.append(
            f'{scores.num_with_keypoints:,} of {scores.num_hands:,} hands have all keypoints in '
            f'3D and {scores.num_with_mesh:,} a mesh; errors are of those'
        )
    return notes


def _submit(results: PartialResults, folder: Path, challenge: str) -> str:
    """Write the file for a challenge's server; say so, or why not."""
    parts = list(results)
    joints, mesh = (
        np.concatenate([part[key] for part in parts]) for key in ('keypoints', 'vertices')
    )
    path = folder / f'{challenge}_submission.zip'
    if mesh.shape[1] != _MANO_VERTICES:
        return (
            f'the {challenge} challenge takes meshes of {_MANO_VERTICES} vertices, these have '
            f'{mesh.shape[1]}: there is no file for it'
        )
    try:
        _WRITERS[challenge](path, joints, mesh)
    except DatasetError as error:
        raise DatasetError(f'{error}; all else is kept, run it again with --resume') from error
    return f'{path.name} is for the server of the {challenge} challenge'
