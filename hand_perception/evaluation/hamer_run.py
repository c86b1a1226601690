"""Evaluate HaMeR on a data set of single hands: parts, figures, files for the challenges."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hand_perception.datasets.hands import HandImages
from hand_perception.errors import ConfigError, DatasetError
from hand_perception.evaluation.hamer_hands import (
    DOUBLED,
    DOUBLED_THREE_BY_FOUR,
    THREE_BY_FOUR,
    FoundHands,
    SeenHands,
    SquareRule,
    find_hands,
    see_hands,
)
from hand_perception.evaluation.hamer_scores import HamerScores, score_hands, sum_up
from hand_perception.evaluation.partial_results import PartialResults, run_parts
from hand_perception.evaluation.ranks import Rank
from hand_perception.evaluation.report import Report
from hand_perception.evaluation.submissions import (
    write_freihand_submission,
    write_ho3d_submission,
)
from hand_perception.models.hamer.network import HamerNetwork

#: Hands of a part, which is what is kept when a run is interrupted.
PART_HANDS: Final = 32
_WRITERS: Final = {'freihand': write_freihand_submission, 'ho3d': write_ho3d_submission}


@dataclass(frozen=True, slots=True, kw_only=True)
class HandBenchmark:
    """How hands of a data set are cut and scored.

    Attributes:
        square: how squares are made of boxes.
        with_pck: keypoints in the image are scored.
        with_scaled: HO-3D's error with size and wrist put right.
        submission: challenge that takes a file; empty for none.
        hand_model: that the true parameters are of, where meshes are made of them; empty: not.
    """

    square: SquareRule
    with_pck: bool = False
    with_scaled: bool = False
    submission: str = ''
    hand_model: str = ''


#: By kind of data set; those of HaMeR's evaluation files by the benchmark that a file is of.
#: FreiHAND's images are crops already, and the box of its test split is the whole image.
BENCHMARKS: Final = {
    'freihand': HandBenchmark(square=THREE_BY_FOUR, submission='freihand'),
    'ho3d': HandBenchmark(square=DOUBLED_THREE_BY_FOUR, with_scaled=True, submission='ho3d'),
    'hint': HandBenchmark(square=DOUBLED, with_pck=True),
    'synthetic': HandBenchmark(square=DOUBLED, with_pck=True, hand_model='default'),
    'shards': HandBenchmark(square=DOUBLED, with_pck=True),
    'hamer_eval/freihand': HandBenchmark(square=THREE_BY_FOUR, submission='freihand'),
    'hamer_eval/ho3d': HandBenchmark(square=THREE_BY_FOUR, with_scaled=True, submission='ho3d'),
    'hamer_eval/hint': HandBenchmark(square=DOUBLED, with_pck=True),
}


def benchmark_for(kind: str, root: Path, split: str) -> HandBenchmark:
    """Choose how a data set is scored; HaMeR's evaluation files tell it by their names.

    Only test splits of challenges have a file for their server.

    Raises:
        ConfigError: the kind is none of single hands.
    """
    if kind == 'hamer_eval':
        stem = root.stem.lower()
        names = ('freihand', 'ho3d')
        kind = f'{kind}/{next((name for name in names if stem.startswith(name)), "hint")}'
    if kind not in BENCHMARKS:
        raise ConfigError(f'{kind} is no data set of single hands; HaMeR is evaluated on those')
    benchmark = BENCHMARKS[kind]
    if split == 'test':
        return benchmark
    is_tight = benchmark.square == THREE_BY_FOUR
    return replace(
        benchmark, submission='', square=DOUBLED_THREE_BY_FOUR if is_tight else benchmark.square
    )


def evaluate_hamer(
    hands: HandImages,
    load_network: Callable[[], HamerNetwork],
    *,
    benchmark: HandBenchmark,
    identity: dict[str, object],
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
        identity: what the results depend on beside the hands: weights, precision.
        folder: of results, and of the file for the challenge; None: nothing is kept.
        name: of the benchmark in tables; the data set and its split where empty.
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
    ranges = [
        range(start, min(start + PART_HANDS, len(hands)))
        for start in range(0, len(hands), PART_HANDS)
    ]
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
    if folder is not None and benchmark.submission:
        notes.append(_submit(results, folder, benchmark.submission))
    return Report(
        title=f'HaMeR on {hands.dataset} {hands.split}',
        benchmark=name or f'{hands.dataset}/{hands.split}',
        figures=scores.figures,
        facts={**identity, 'hands': scores.num_hands, 'squares': str(benchmark.square)},
        curves=scores.curves,
        notes=notes,
    )


def _points(found: FoundHands) -> dict[str, NDArray[Any]]:
    """Give keypoints and meshes in the camera, metres, as challenges take them."""
    shift = found.translation[:, None]
    return {
        'keypoints': (found.keypoints + shift).astype(np.float32),
        'vertices': (found.vertices + shift).astype(np.float32),
    }


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
    if mesh.shape[1] != 778:
        return f'{challenge} takes meshes of 778 vertices, these have {mesh.shape[1]}: no file'
    try:
        _WRITERS[challenge](path, joints, mesh)
    except DatasetError as error:
        raise DatasetError(f'{error}; all else is kept, run it again with --resume') from error
    return f'{path.name} is for the server of the {challenge} challenge'
