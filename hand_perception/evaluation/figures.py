"""Names and units of the figures in reports and tables of published results."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class FigureKind:
    """One kind of figure.

    Attributes:
        name: as in tables.
        unit: ``mm``, ``%`` or nothing for 0-1 and counts.
        digits: after the point.
    """

    name: str
    unit: str
    digits: int

    @property
    def heading(self) -> str:
        """Name and unit."""
        return f'{self.name}, {self.unit}' if self.unit else self.name

    def text(self, value: float) -> str:
        """Write a value; a dash where there is none."""
        return f'{value:.{self.digits}f}' if value == value else '-'


def _of_sides(key: str, name: str, unit: str, digits: int) -> dict[str, FigureKind]:
    sides = ('left', 'right', 'mean')
    return {f'{key}_{side}': FigureKind(f'{name} {side}', unit, digits) for side in sides}


#: By the key under which files of results have them. Values are in the unit told here.
KINDS: Final[Mapping[str, FigureKind]] = {
    **_of_sides('mepe', 'MEPE', 'mm', 2),
    **_of_sides('auc', 'AUC', '', 3),
    **_of_sides('mepe_ra', 'MEPE-RA', 'mm', 2),
    **_of_sides('auc_ra', 'AUC-RA', '', 3),
    'action_accuracy': FigureKind('action accuracy', '%', 2),
    'action_soft_rate': FigureKind('soft window rate', '%', 2),
    'object_accuracy': FigureKind('object accuracy', '%', 2),
    'pa_mpjpe': FigureKind('PA-MPJPE', 'mm', 1),
    'pa_mpvpe': FigureKind('PA-MPVPE', 'mm', 1),
    'auc_j': FigureKind('AUC_J', '', 3),
    'auc_v': FigureKind('AUC_V', '', 3),
    'f_5': FigureKind('F@5', '', 3),
    'f_15': FigureKind('F@15', '', 3),
    'mpjpe_root': FigureKind('MPJPE, wrist-relative', 'mm', 1),
    'mpvpe_root': FigureKind('MPVPE, wrist-relative', 'mm', 1),
    'mpjpe_scale_translation': FigureKind('MPJPE, scale and translation aligned', 'mm', 1),
    'auc_scale_translation': FigureKind('AUC, scale and translation aligned', '', 3),
    **{
        f'pck_{digits}_{group}': FigureKind(f'PCK@.{digits} {group}', '%', 1)
        for group in ('all', 'visible', 'occluded')
        for digits in ('05', '10', '15')
    },
}
