"""Curves as pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from numpy.typing import NDArray

from hand_perception.optional import require
from hand_perception.whole_files import whole_file

_SIZE_IN: Final = (6.4, 4.2)
_DPI: Final = 130
#: Told apart by people who see few colours, and in print (Okabe and Ito, 2008).
_COLOURS: Final = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000')
_STYLES: Final = ('-', '--', '-.', ':')


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Lines over one axis; one picture.

    Attributes:
        name: of its file.
        title: above it.
        x_label: with unit.
        y_label: with unit.
        lines: by name, x and y of each.
        y_range: of the axis, no smaller than that of the lines; None: as they need it.
        faint: names of lines that only help to read the others.
    """

    name: str
    title: str
    x_label: str
    y_label: str
    lines: Mapping[str, tuple[NDArray[Any], NDArray[Any]]]
    y_range: tuple[float, float] | None = None
    faint: tuple[str, ...] = ()


def check_plots() -> None:
    """Refuse early what would fail late.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    _figures()


def write_plots(curves: Sequence[Curve], folder: Path) -> list[Path]:
    """Write a PNG for each curve.

    Raises:
        DatasetError: a file cannot be written.
        MissingPackageError: matplotlib is not installed.
    """
    return [write_plot(curve, folder / f'{curve.name}.png') for curve in curves]


def write_plot(curve: Curve, path: Path) -> Path:
    """Write one picture and return its path; errors are those of ``write_plots``."""
    # Without pyplot nothing is remembered between pictures, and no screen is looked for.
    figure = _figures().Figure(figsize=_SIZE_IN, dpi=_DPI, layout='constrained')
    axes = figure.subplots()
    bold = [name for name in curve.lines if name not in curve.faint]
    for name, (x, y) in curve.lines.items():
        if name in curve.faint:
            axes.plot(x, y, label=name, color='0.6', linestyle=':', linewidth=1.4, clip_on=False)
            continue
        number = bold.index(name)
        axes.plot(
            x, y, label=name, color=_COLOURS[number % len(_COLOURS)],
            linestyle=_STYLES[number // len(_COLOURS) % len(_STYLES)], linewidth=1.8,
            clip_on=False,  # lines along the border are seen whole
        )  # fmt: skip
    axes.set(title=curve.title, xlabel=curve.x_label, ylabel=curve.y_label)
    axes.margins(x=0)
    if curve.y_range is not None:
        axes.set_ylim(*curve.y_range)
    axes.grid(alpha=0.3)
    axes.spines[['top', 'right']].set_visible(False)
    axes.legend(frameon=False)
    with whole_file(path) as stream:
        figure.savefig(stream, format='png')
    return path


def _figures() -> ModuleType:
    return require('matplotlib.figure', purpose='a plot', install='pip install matplotlib')
