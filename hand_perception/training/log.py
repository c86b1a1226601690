"""What a run tells: a bar for people, TensorBoard, lines of figures; from the first process."""

import logging
from collections.abc import Mapping
from typing import Any, Final

from tqdm import tqdm

from hand_perception.datatypes import ImageArray
from hand_perception.optional import require
from hand_perception.training.run_folder import RunFolder

_logger = logging.getLogger(__name__)
_INSTALL: Final = "pip install 'hand_perception[train]'"
#: Names that are no losses.
_RUN: Final = ('learning_rate', 'epoch', 'samples_per_s', 'waiting_share')


class RunLog:
    """The log of one run; that of other processes than the first says nothing."""

    def __init__(
        self, folder: RunFolder, *, step: int, total_steps: int, is_first: bool, show: bool
    ) -> None:
        """Open the log.

        Args:
            folder: of the run.
            step: steps done; what was logged of later ones is dropped.
            total_steps: of the run.
            is_first: whether this process is the one that tells.
            show: a bar on stderr.

        Raises:
            MissingPackageError: TensorBoard is not installed.
        """
        self._folder, self._is_first = folder, is_first
        self._writer: Any = None
        self._bar = tqdm(
            total=total_steps, initial=step, unit='step', disable=not (show and is_first),
            dynamic_ncols=True,
        )  # fmt: skip
        if is_first:
            purpose = 'the log of a training run'
            require('tensorboard', purpose=purpose, install=_INSTALL)
            board = require('torch.utils.tensorboard', purpose=purpose, install=_INSTALL)
            folder.forget_after(step)
            self._writer = board.SummaryWriter(str(folder.log), purge_step=step + 1)

    def add_losses(self, step: int, figures: Mapping[str, float]) -> None:
        """Log the mean losses of some steps, and how the run goes on."""
        if not self._is_first:
            return
        self._folder.add_figures({'step': step, 'kind': 'training', **figures})
        for name, value in figures.items():
            room = 'run' if name in _RUN else 'loss'
            self._show('add_scalar', f'{room}/{name}', value, step)
        self._bar.set_postfix_str(
            f'loss {figures["total"]:.4g}, waiting {100 * figures["waiting_share"]:.0f} %'
        )

    def add_validation(self, step: int, figures: Mapping[str, float]) -> None:
        """Log figures of held-out samples."""
        if not self._is_first:
            return
        self._folder.add_figures({'step': step, 'kind': 'validation', **figures})
        for name, value in figures.items():
            self._show('add_scalar', f'validation/{name}', value, step)
        if not self._bar.disable:
            words = ', '.join(f'{name} {value:.4g}' for name, value in figures.items())
            self._bar.write(f'step {step}: {words}')

    def add_picture(self, step: int, picture: ImageArray) -> None:
        """Log predictions, drawn."""
        self._show('add_image', 'predictions', picture, step, dataformats='HWC')

    def go_on(self) -> None:
        """Move the bar by a step."""
        self._bar.update()

    def flush(self) -> None:
        """Bring what was logged to the disk."""
        self._show('flush')

    def close(self) -> None:
        """End the log."""
        self._bar.close()
        self._show('close')

    def _show(self, what: str, *values: Any, **named: Any) -> None:
        """Tell TensorBoard, which is given up where it cannot write: the run is worth more."""
        if self._writer is None:
            return
        try:
            getattr(self._writer, what)(*values, **named)
        except OSError as error:
            self._writer = None
            _logger.warning(
                'the log for TensorBoard ends here, figures go on in %s: %s',
                self._folder.figures, error,
            )  # fmt: skip

    def __enter__(self) -> 'RunLog':
        """Use the log."""
        return self

    def __exit__(self, *_: Any) -> None:
        """End the log."""
        self.close()
