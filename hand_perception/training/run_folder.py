"""The folder of a training run: settings, versions, figures, weights, state."""

import datetime
import importlib.metadata
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch

from hand_perception.errors import ConfigError
from hand_perception.training.training_file import Sections, training_text
from hand_perception.whole_files import write_whole_text

_PACKAGES: Final = (
    'hand_perception',
    'torch',
    'numpy',
    'lightning-fabric',
    'opencv-python-headless',
)


class RunFolder:
    """Names of the files of a run, and how they are written.

    Attributes:
        path: the folder.
        settings: all settings as the run had them; ``--config`` reads it.
        record: seed, versions, device and command of each start.
        figures: a line of JSON for each line of the log.
        last: weights of the last save, for the node.
        best: those with the lowest watched figure.
        state: for going on.
        log: folder of TensorBoard.
        official: folder of the weights as the official program reads them.
    """

    def __init__(self, path: Path) -> None:
        """Name the files."""
        self.path = path
        self.settings = path / 'config.yaml'
        self.record = path / 'run.json'
        self.figures = path / 'metrics.jsonl'
        self.last = path / 'last.safetensors'
        self.best = path / 'best.safetensors'
        self.state = path / 'state.safetensors'
        self.log = path / 'log'
        self.official = path / 'official'

    def check_new(self) -> None:
        """Refuse a folder that holds a run.

        Raises:
            ConfigError: it does.
        """
        if self.settings.exists():
            raise ConfigError(
                f'{self.path} holds a run already; go on with it by --resume or choose another '
                'folder by --out'
            )

    def write_settings(self, sections: Sections) -> None:
        """Write the settings of the run.

        Raises:
            ConfigError: the folder cannot be written.
        """
        write_whole_text(self.settings, training_text(sections), ConfigError)

    def add_start(self, facts: Mapping[str, Any]) -> None:
        """Note when and with what the run was started or gone on with.

        Raises:
            ConfigError: the folder cannot be written.
        """
        starts = []
        if self.record.exists():
            starts = json.loads(self.record.read_text(encoding='utf-8'))['starts']
        starts.append({**facts, **_surroundings()})
        write_whole_text(self.record, json.dumps({'starts': starts}, indent=1) + '\n', ConfigError)

    def add_figures(self, figures: Mapping[str, Any]) -> None:
        """Add a line of figures.

        Raises:
            ConfigError: it cannot be written.
        """
        try:
            with self.figures.open('a', encoding='utf-8') as stream:
                stream.write(json.dumps(figures) + '\n')
        except OSError as error:
            raise ConfigError(f'{self.figures} cannot be written: {error}') from error

    def forget_after(self, step: int) -> None:
        """Drop lines of figures of later steps, which the run does again.

        Raises:
            ConfigError: the file cannot be written.
        """
        if self.figures.exists():
            kept = [line for line in self.read_figures() if line['step'] <= step]
            write_whole_text(
                self.figures, ''.join(json.dumps(line) + '\n' for line in kept), ConfigError
            )

    def read_figures(self) -> list[dict[str, Any]]:
        """Read all lines of figures; half a line, where a run was ended, is left out."""
        lines = []
        for text in self.figures.read_text(encoding='utf-8').splitlines():
            try:
                lines.append(json.loads(text))
            except ValueError:
                break
        return lines


def _surroundings() -> dict[str, Any]:
    versions = {'python': platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    now = datetime.datetime.now(datetime.timezone.utc)
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        'time': now.isoformat(timespec='seconds'), 'versions': versions, 'gpu': gpu,
        'processor': platform.machine(), 'threads': torch.get_num_threads(),
    }  # fmt: skip
