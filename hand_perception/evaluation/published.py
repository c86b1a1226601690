"""What papers report on the benchmarks, each number with where it was read and how sure that is.

``docs/results.md`` is made from it (:mod:`published_tables`), and reports set these numbers beside
those measured. Most papers' PDFs were not at hand: what comes from a later paper's table or from a
listing says so, and what nobody looked up again is marked and never called a bar.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

#: paper: read in the text of a paper, its own or a later one's table. abstract: of its own
#: abstract. second-hand: of a listing or a later write-up. unchecked: from memory.
Certainty = Literal['paper', 'abstract', 'second-hand', 'unchecked']


@dataclass(frozen=True, slots=True)
class Published:
    """One number.

    Attributes:
        benchmark: data set and split, such as ``h2o/test``.
        method: whose, with the year.
        figure: a key of ``figures.KINDS``.
        value: in the unit of that kind.
        source: where it was read: a key of ``SOURCES``.
        certainty: how sure it is.
    """

    benchmark: str
    method: str
    figure: str
    value: float
    source: str
    certainty: Certainty


def published_for(benchmark: str) -> tuple[Published, ...]:
    """Give all numbers of a benchmark, in the order of the table."""
    return tuple(entry for entry in PUBLISHED if entry.benchmark == benchmark)


#: Where numbers were read.
SOURCES: Final[Mapping[str, str]] = {
    'roh': 'Roh et al., "Functional Hand Type Prior for 3D Hand Pose Estimation and Action '
    'Recognition from Egocentric View Monocular Videos", tables',
    'wizwand': 'listing of results at wizwand.com',
    'effhand': 'EffHandEgoNet, arXiv 2404.09308, abstract',
    'sharp': 'SHARP, arXiv 2408.10037, abstract; right hand: listing at wizwand.com',
    'wilor': 'WiLoR, arXiv 2409.12259, tables',
    'sam3d': 'SAM 3D Body, arXiv 2602.15989, table of hands',
    'rodrinet': 'summaries of the RodriNet paper',
    'hamba': 'Hamba, arXiv 2407.09646, abstract',
    'memory': 'from memory',
}


def _row(
    benchmark: str, method: str, source: str, certainty: Certainty, **values: float
) -> tuple[Published, ...]:
    return tuple(
        Published(benchmark, method, figure, value, source, certainty)
        for figure, value in values.items()
    )


_FPHA: Final = 'fpha/test'
_H2O_VAL: Final = 'h2o/val'
_H2O_TEST: Final = 'h2o/test'
_FREIHAND: Final = 'freihand/evaluation'
_HO3D_V2: Final = 'ho3d-v2/evaluation'
_HO3D_V3: Final = 'ho3d-v3/evaluation'
_HINT: Final = ('hint-newdays/test', 'hint-visor/test', 'hint-ego4d/test')
_HTT: Final = 'HTT (2023)'
_HAMER: Final = 'HaMeR (2024)'
_ROH: Final = 'Roh et al.'

PUBLISHED: Final[tuple[Published, ...]] = (
    *_row(_FPHA, _HTT, 'roh', 'second-hand', action_accuracy=94.09, mepe_ra_right=12.13,
          auc_ra_right=0.763),
    *_row(_FPHA, 'Joule-color', 'roh', 'second-hand', action_accuracy=66.78),
    *_row(_FPHA, 'Two-stream', 'roh', 'second-hand', action_accuracy=75.30),
    *_row(_FPHA, 'H+O (2019)', 'roh', 'second-hand', action_accuracy=82.43),
    *_row(_FPHA, 'Collaborative (2020)', 'roh', 'second-hand', action_accuracy=85.22),
    *_row(_FPHA, 'Trear (RGB-D)', 'roh', 'second-hand', action_accuracy=94.96),
    *_row(_FPHA, 'EffHandEgoNet (2024)', 'effhand', 'abstract', action_accuracy=94.43),
    *_row(_FPHA, _ROH, 'roh', 'paper', action_accuracy=95.13, mepe_ra_right=11.79),
    *_row(_H2O_TEST, _HTT, 'roh', 'second-hand', action_accuracy=86.36),
    *_row(_H2O_TEST, _HTT, 'wizwand', 'second-hand', mepe_left=35.02, mepe_right=35.63,
          mepe_mean=35.33),
    *_row(_H2O_TEST, _HTT, 'roh', 'second-hand', mepe_ra_left=16.59, mepe_ra_right=17.91,
          auc_ra_left=0.674, auc_ra_right=0.648),
    *_row(_H2O_TEST, 'H+O (2019)', 'roh', 'second-hand', action_accuracy=68.88),
    *_row(_H2O_TEST, 'C2D', 'roh', 'second-hand', action_accuracy=70.66),
    *_row(_H2O_TEST, 'I3D', 'roh', 'second-hand', action_accuracy=75.21),
    *_row(_H2O_TEST, 'SlowFast', 'roh', 'second-hand', action_accuracy=77.69),
    *_row(_H2O_TEST, 'ST-GCN (2021)', 'roh', 'second-hand', action_accuracy=73.86),
    *_row(_H2O_TEST, 'TA-GCN, H2O (2021)', 'roh', 'second-hand', action_accuracy=79.25),
    *_row(_H2O_TEST, 'TA-GCN, H2O (2021)', 'memory', 'unchecked', mepe_left=41.45,
          mepe_right=37.21),
    *_row(_H2O_TEST, 'H2OTR (2023)', 'memory', 'unchecked', action_accuracy=90.90,
          mepe_left=24.4, mepe_right=25.8),
    *_row(_H2O_TEST, 'EffHandEgoNet (2024)', 'effhand', 'abstract', action_accuracy=91.32),
    *_row(_H2O_TEST, 'SHARP (2024)', 'sharp', 'abstract', action_accuracy=91.73,
          mepe_mean=28.66),
    *_row(_H2O_TEST, 'SHARP (2024)', 'sharp', 'second-hand', mepe_right=27.02),
    *_row(_H2O_TEST, 'HandFormer (2024), poses given', 'memory', 'unchecked',
          action_accuracy=93.39),
    *_row(_H2O_TEST, _ROH, 'roh', 'paper', action_accuracy=89.67, mepe_ra_left=15.96,
          mepe_ra_right=17.08),
    *_row(_H2O_VAL, _HTT, 'roh', 'second-hand', action_accuracy=90.16),
    *_row(_H2O_VAL, 'H+O (2019)', 'roh', 'second-hand', action_accuracy=80.49),
    *_row(_H2O_VAL, 'C2D', 'roh', 'second-hand', action_accuracy=76.10),
    *_row(_H2O_VAL, 'I3D', 'roh', 'second-hand', action_accuracy=85.15),
    *_row(_H2O_VAL, 'SlowFast', 'roh', 'second-hand', action_accuracy=86.00),
    *_row(_H2O_VAL, 'ST-GCN (2021)', 'roh', 'second-hand', action_accuracy=83.47),
    *_row(_H2O_VAL, 'TA-GCN, H2O (2021)', 'roh', 'second-hand', action_accuracy=86.78),
    *_row(_H2O_VAL, _ROH, 'roh', 'paper', action_accuracy=91.80),
    *_row(_FREIHAND, _HAMER, 'wilor', 'paper', pa_mpjpe=6.0, pa_mpvpe=5.7, f_5=0.785,
          f_15=0.990),
    *_row(_FREIHAND, 'HaMeR, trained anew by the authors of RodriNet', 'rodrinet', 'second-hand',
          pa_mpjpe=6.2, pa_mpvpe=5.9, f_5=0.774, f_15=0.989),
    *_row(_FREIHAND, 'HaMeR with the head of RodriNet', 'rodrinet', 'second-hand',
          pa_mpjpe=5.9, pa_mpvpe=5.6, f_5=0.793, f_15=0.991),
    *_row(_FREIHAND, 'Hamba (2024)', 'hamba', 'abstract', pa_mpvpe=5.3, f_15=0.992),
    *_row(_FREIHAND, 'Hamba (2024), without averaging over views', 'memory', 'unchecked',
          pa_mpjpe=5.8, pa_mpvpe=5.5, f_5=0.798, f_15=0.991),
    *_row(_FREIHAND, 'MaskHand (2025)', 'sam3d', 'paper', pa_mpjpe=5.5, pa_mpvpe=5.4, f_5=0.801,
          f_15=0.991),
    *_row(_FREIHAND, 'WiLoR (2025)', 'wilor', 'paper', pa_mpjpe=5.5, pa_mpvpe=5.1, f_5=0.825,
          f_15=0.993),
    *_row(_FREIHAND, 'SAM 3D Body (ViT-H), not trained on it', 'sam3d', 'paper', pa_mpjpe=5.5,
          pa_mpvpe=6.3, f_5=0.735, f_15=0.988),
    *_row(_HO3D_V2, _HAMER, 'wilor', 'paper', auc_j=0.846, pa_mpjpe=7.7, auc_v=0.841,
          pa_mpvpe=7.9, f_5=0.635, f_15=0.980),
    *_row(_HO3D_V2, 'Hamba (2024)', 'memory', 'unchecked', auc_j=0.850, pa_mpjpe=7.5,
          auc_v=0.846, pa_mpvpe=7.7, f_5=0.648, f_15=0.982),
    *_row(_HO3D_V2, 'WiLoR (2025)', 'wilor', 'paper', auc_j=0.851, pa_mpjpe=7.5, auc_v=0.846,
          pa_mpvpe=7.7, f_5=0.646, f_15=0.983),
    *_row(_HO3D_V3, 'MaskHand (2025)', 'memory', 'unchecked', pa_mpjpe=7.0, pa_mpvpe=7.0,
          f_5=0.663, f_15=0.984),
    *_row(_HINT[0], _HAMER, 'memory', 'unchecked', pck_05_all=48.0, pck_10_all=78.0,
          pck_15_all=88.8, pck_05_visible=60.8, pck_10_visible=87.9, pck_15_visible=94.4,
          pck_05_occluded=27.2, pck_10_occluded=60.8, pck_15_occluded=78.9),
    *_row(_HINT[1], _HAMER, 'memory', 'unchecked', pck_05_all=43.0, pck_10_all=76.9,
          pck_15_all=89.3, pck_05_visible=56.6, pck_10_visible=88.0, pck_15_visible=94.7,
          pck_05_occluded=25.9, pck_10_occluded=60.8, pck_15_occluded=80.7),
    *_row(_HINT[2], _HAMER, 'memory', 'unchecked', pck_05_all=38.9, pck_10_all=71.3,
          pck_15_all=84.4, pck_05_visible=52.0, pck_10_visible=83.2, pck_15_visible=91.3,
          pck_05_occluded=23.0, pck_10_occluded=56.9, pck_15_occluded=76.3),
)  # fmt: skip
