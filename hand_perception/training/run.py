"""Run a training from settings to weights: a new one, or one that was begun."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from hand_perception.errors import ConfigError
from hand_perception.training.log import RunLog
from hand_perception.training.loop import Outcome, Run
from hand_perception.training.networks import Network
from hand_perception.training.processes import make_fabric, precision_on
from hand_perception.training.run_folder import RunFolder
from hand_perception.training.training_file import Sections


class TrainedRun(NamedTuple):
    """What a run has left.

    Attributes:
        folder: of the run.
        outcome: how it ended.
        exported: files that the official program reads, when asked for.
        is_first: whether this process is the one that speaks of it.
    """

    folder: RunFolder
    outcome: Outcome
    exported: Sequence[Path]
    is_first: bool


def run_training(
    network: Network,
    sections: Sections,
    out: Path,
    *,
    resume: bool = False,
    export: bool = False,
    show_progress: bool = True,
    command: Sequence[str] = (),
) -> TrainedRun:
    """Train a network.

    Args:
        network: what it is.
        sections: its settings.
        out: folder of the run.
        resume: go on from the state in the folder; begin where there is none yet.
        export: at the end also write the weights for the official program.
        show_progress: a bar on stderr.
        command: that was typed, for the record.

    Raises:
        ConfigError: settings do not fit, or the folder holds a run and ``resume`` is False.
        DatasetError: data cannot be read, or a loss is not finite any more.
        WeightsError: a file of weights or the state cannot be read or written.
        MissingPackageError: a package is not installed.
    """
    folder = RunFolder(out)
    if not resume:
        folder.check_new()
    fabric = make_fabric(sections.run)
    torch.manual_seed(sections.run.seed)
    task = network.make_task(sections)
    if export:
        task.check_export()
    run = Run(task, sections, fabric, folder)
    has_state = resume and folder.state.exists()
    # Before those who go on wait for those who do not.
    seen = torch.tensor(float(has_state), device=fabric.device)
    num_with_state = int(fabric.all_reduce(seen, reduce_op='sum').item())
    if num_with_state not in (0, fabric.world_size):
        raise ConfigError(
            f'{num_with_state} of {fabric.world_size} processes see the state of a run in {out}, '
            f'this one {"does" if has_state else "does not"}: it must be one folder that all '
            'machines see'
        )
    before = (run.go_on().settings if has_state else None) or {}
    if fabric.broadcast(run.step) != run.step:
        raise ConfigError(
            f'the first process goes on after another step than this one ({run.step}): {out} must '
            'be one folder that all machines see'
        )
    if fabric.is_global_zero:
        folder.write_settings(sections)
        folder.add_start(
            {
                'command': list(command), 'seed': sections.run.seed, 'from_step': run.step,
                'total_steps': run.total_steps, 'processes': fabric.world_size,
                'device': str(fabric.device),
                'precision': precision_on(fabric.device, sections.run.precision),
                'changed': _changes(before, sections),
            }
        )  # fmt: skip
    with RunLog(
        folder, step=run.step, total_steps=run.total_steps, is_first=fabric.is_global_zero,
        show=show_progress,
    ) as log:  # fmt: skip
        outcome = run.train(log)
    exported: Sequence[Path] = ()
    if export and not outcome.signal and fabric.is_global_zero:
        exported = task.export_official(folder.official, step=outcome.step, epoch=outcome.epoch)
    return TrainedRun(folder, outcome, exported, fabric.is_global_zero)


def _changes(before: Mapping[str, Mapping[str, Any]], sections: Sections) -> list[str]:
    """Settings that differ from those before an interruption; the run is then another one."""
    return [
        f'{section}.{name}={value!r}, was {before[section].get(name)!r}'
        for section, values in sections.to_mapping().items()
        for name, value in values.items()
        if section in before and before[section].get(name) != value
    ]
