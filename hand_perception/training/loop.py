"""The training loop: steps, learning rate, log, looks at held-out samples, saves.

What a network and its losses are is in its task; what is here holds for every network.
"""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from hand_perception.errors import DatasetError, HandPerceptionError
from hand_perception.training.learning_rate import learning_rate_factor
from hand_perception.training.loading import BatchOrder, Loader
from hand_perception.training.log import RunLog
from hand_perception.training.processes import Trained, looked_at, seed_step
from hand_perception.training.run_folder import RunFolder
from hand_perception.training.run_state import Progress, read_run_state, write_run_state
from hand_perception.training.stopping import StopRequest
from hand_perception.training.task import TrainingTask
from hand_perception.training.training_file import Sections

#: Steps and seconds after which several processes ask each other whether one was interrupted.
#: torchrun kills them 30 s after SIGTERM, and the state has to be written before.
_ASK_EVERY: Final = 10
_ASK_AFTER_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended.

    Attributes:
        step: steps done.
        total_steps: steps of the whole run.
        epoch: begun, from 0.
        best: lowest of the watched figures; None where nothing was looked at.
        watched: name of that figure, with its unit; empty where nothing was looked at.
        signal: that interrupted it; 0 when it is done.
    """

    step: int
    total_steps: int
    epoch: int
    best: float | None
    watched: str
    signal: int


class Run:
    """A run of one task; makes its steps one after the other.

    Attributes:
        step: steps done.
        total_steps: steps of the whole run.
        best: lowest of the watched figures so far.
        watched: name of that figure.
    """

    def __init__(
        self, task: TrainingTask, sections: Sections, fabric: Any, folder: RunFolder
    ) -> None:
        """Bring the task to the device.

        Args:
            task: fresh; its modules in the mode in which they are trained.
            sections: settings of the run.
            fabric: of ``make_fabric``.
            folder: where everything is written.

        Raises:
            ConfigError: there are too few samples for a batch.
        """
        self._task, self._sections, self._fabric, self._folder = task, sections, fabric, folder
        run = sections.run
        self._trained = {
            name: Trained(fabric, module, task.optimizers[name])
            for name, module in task.modules.items()
        }
        self._rates = {
            name: [group['lr'] for group in optimizer.param_groups]
            for name, optimizer in task.optimizers.items()
        }
        order = BatchOrder(
            len(task.data), batch_size=run.batch_size, seed=run.seed, rank=fabric.global_rank,
            world_size=fabric.world_size,
        )  # fmt: skip
        self._loader = Loader(task.data, task.collate, order, workers=run.workers)
        self._steps_per_epoch = order.batches_per_epoch / run.accumulate
        self.total_steps = run.steps or max(1, math.ceil(run.epochs * self._steps_per_epoch))
        self.step = 0
        self.best: float | None = None
        self.watched = ''
        self._losses: list[Mapping[str, float]] = []  # of steps since the last line of the log
        self._fresh: list[Mapping[str, Tensor]] = []  # the latest of them, still on the device
        self._saved = -1  # step of the last save
        self._ask_at = 0  # step at which processes ask each other for signals
        self._asked = (0, 0.0)  # step and time of the last time

    def go_on(self) -> Progress:
        """Read the state of the folder.

        Raises:
            WeightsError: it is missing, damaged or of another network.
        """
        progress = read_run_state(
            self._folder.state, self._task.network_name, self._task.modules, self._task.optimizers
        )
        self.step, self.best, self._losses = progress.step, progress.best, list(progress.losses)
        self.watched = progress.watched
        self._fabric.strategy.precision.load_state_dict(dict(progress.scaler or {}))
        self._saved = self.step
        self._fabric.barrier()
        return progress

    def train(self, log: RunLog) -> Outcome:
        """Make all steps that are left; saves at the end and when it is interrupted.

        Raises:
            DatasetError: a loss is not finite any more, and what was saved before stays; or a
                sample cannot be read, and one process alone has saved the steps before.
            WeightsError: weights or state cannot be written; what was saved before stays.
        """
        run = self._sections.run
        with StopRequest() as stop:
            batches = None
            while self.step < self.total_steps and not self._is_stopped(stop):
                if batches is None:
                    batches = self._loader.batches(self.step * run.accumulate, self._fabric.device)
                try:
                    batch = self._make_step(batches)
                except HandPerceptionError:
                    self._save_before_error(log)
                    raise
                log.go_on()
                is_last = self.step == self.total_steps
                if self.step % run.log_every == 0 or is_last:
                    self._log_losses(log)
                with self._unmeasured():
                    if _is_due(self.step, run.picture_every):
                        self._draw(log, batch)
                    if is_last or _is_due(self.step, run.validate_every):
                        self._validate(log)
                    if _is_due(self.step, run.save_every):
                        self._save(log)
        if self.step != self._saved:
            self._save(log)
        return Outcome(
            step=self.step, total_steps=self.total_steps,
            epoch=int(self.step / self._steps_per_epoch), best=self.best, watched=self.watched,
            signal=stop.signal if self.step < self.total_steps else 0,
        )  # fmt: skip

    def _make_step(self, batches: Any) -> Any:
        run, optimizer = self._sections.run, self._sections.optimizer
        factor = learning_rate_factor(
            optimizer, step=self.step, steps_per_epoch=self._steps_per_epoch,
            total_steps=self.total_steps,
        )  # fmt: skip
        for name, rates in self._rates.items():
            groups = self._task.optimizers[name].param_groups
            for group, rate in zip(groups, rates, strict=True):
                group['lr'] = rate * factor
        trained = list(self._trained.values())
        parts = []
        for part in range(run.accumulate):
            batch = next(batches)
            # After reading, which may draw numbers, too.
            seed_step(run.seed, self.step * run.accumulate + part, self._fabric.global_rank)
            with Trained.gradients_stay(trained, stay=part < run.accumulate - 1):
                parts.append(
                    self._task.backward(
                        self._fabric, self._trained, batch, share=1 / run.accumulate
                    )
                )
        Trained.step(trained, clip_gradients=optimizer.clip_gradients)
        self.step += 1
        self._fresh.append(
            {name: torch.stack([part[name] for part in parts]).mean() for name in parts[0]}
        )
        return batch

    @contextmanager
    def _unmeasured(self) -> Iterator[None]:
        """Leave out of the measured times what is no step."""
        start = time.perf_counter()
        yield
        self._loader.worked_s -= time.perf_counter() - start

    def _settle_losses(self) -> None:
        """Fetch losses from the device, as means over processes, and see that they are finite."""
        if not self._fresh:
            return
        names = list(self._fresh[0])
        table = torch.stack([torch.stack([one[n].float() for n in names]) for one in self._fresh])
        means = self._fabric.all_reduce(table, reduce_op='mean').tolist()
        settled = [dict(zip(names, row, strict=True)) for row in means]
        first = self.step - len(settled) + 1
        self._fresh.clear()
        for step, losses in enumerate(settled, start=first):
            bad = [name for name, value in losses.items() if not math.isfinite(value)]
            if bad:
                raise DatasetError(
                    f'step {step} of the run gave a loss that is not finite '
                    f'({", ".join(f"{name} = {losses[name]}" for name in bad)}); the save before '
                    f'it, if there is one, is as it was in {self._folder.path}. Look for damaged '
                    'truth by `hand_perception data check`, lower optimizer.learning_rate, set '
                    'optimizer.clip_gradients, or take run.precision=32-true'
                )
        self._losses += settled

    def _log_losses(self, log: RunLog) -> None:
        self._settle_losses()
        loader, run = self._loader, self._sections.run
        samples = run.batch_size * run.accumulate * self._fabric.world_size * len(self._losses)
        seconds = loader.waited_s + loader.worked_s
        names = self._losses[0]
        figures = {
            name: math.fsum(one[name] for one in self._losses) / len(self._losses)
            for name in names
        }
        rate = next(iter(self._task.optimizers.values())).param_groups[0]['lr']
        log.add_losses(
            self.step,
            {
                **figures, 'learning_rate': rate, 'epoch': self.step / self._steps_per_epoch,
                'samples_per_s': samples / seconds if seconds else 0.0,
                'waiting_share': loader.waiting_share,
            },
        )  # fmt: skip
        self._losses.clear()
        loader.reset_times()

    def _validate(self, log: RunLog) -> None:
        """Look at held-out samples in the first process, while the others wait."""
        self._settle_losses()
        if self._fabric.is_global_zero:
            with looked_at(self._fabric, list(self._task.modules.values())):
                found = self._task.validate(self._task.modules, self._fabric.device)
            if found is not None:
                log.add_validation(self.step, found.figures)
                self.watched = found.watched
                watched = found.figures[found.watched]
                if math.isfinite(watched) and (self.best is None or watched < self.best):
                    self.best = watched
                    self._task.save(self._folder.best, step=self.step)
        self._fabric.barrier()

    def _draw(self, log: RunLog, batch: Any) -> None:
        if self._fabric.is_global_zero:
            with looked_at(self._fabric, list(self._task.modules.values())):
                picture = self._task.picture(self._task.modules, batch)
            if picture is not None:
                log.add_picture(self.step, picture)
        self._fabric.barrier()

    def _save(self, log: RunLog) -> None:
        self._settle_losses()
        if self._fabric.is_global_zero:
            self._task.save(self._folder.last, step=self.step)
            write_run_state(
                self._folder.state, self._task.network_name, self._task.modules,
                self._task.optimizers,
                Progress(
                    step=self.step, best=self.best, watched=self.watched, losses=self._losses,
                    scaler=self._fabric.strategy.precision.state_dict(),
                    settings=self._sections.to_mapping(),
                ),
            )  # fmt: skip
            log.flush()
        self._saved = self.step
        self._fabric.barrier()

    def _save_before_error(self, log: RunLog) -> None:
        """Keep the steps done when the next one cannot be made, as its samples cannot be read.

        Several processes would have to save together, and only this one knows of the error.
        """
        if self._fabric.world_size == 1 and self.step not in (0, self._saved):
            self._save(log)

    def _is_stopped(self, stop: StopRequest) -> bool:
        if self._fabric.world_size == 1:
            return stop.signal != 0
        if self.step < self._ask_at:
            return False
        step, start = self._asked
        now = time.perf_counter()
        pace = (now - start) / (self.step - step) if self.step > step and start else math.inf
        own = torch.tensor([float(stop.signal), pace], device=self._fabric.device)
        # The slowest pace, so that all agree on when they ask again.
        number, pace = self._fabric.all_reduce(own, reduce_op='max').tolist()
        stop.signal = int(number)
        self._asked, self._ask_at = (self.step, now), self.step + steps_between_asking(pace)
        return stop.signal != 0


def steps_between_asking(pace_s: float) -> int:
    """After how many steps of so many seconds each processes ask each other for signals."""
    return min(_ASK_EVERY, max(1, int(_ASK_AFTER_S / max(pace_s, 1e-9))))


def _is_due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
