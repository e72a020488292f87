"""The training loop. The only importer of accelerate: devices, precision and gradient averaging come from there.

Our loader is never given to prepare(): it would make rank 0 read for all. `train` is the table of contents.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import NoReturn, cast

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs
from torch import Tensor
from torch.distributed.constants import default_pg_timeout

from avsync.config import TrainConfig
from avsync.data.batch import Batch
from avsync.honesty.judge import after, alarm_of, score_of
from avsync.loading.loader import Loader
from avsync.loading.options import LoaderOptions, StoppedWaiting
from avsync.run.checkpoint import Saved, keep_checkpoint
from avsync.run.network import build_network
from avsync.run.receipt import in_order
from avsync.run.resume import OpenRun, begin, introduce, open_run
from avsync.run.state import Best
from avsync.staging.stager import keep_ahead
from avsync.train.gpu import GpuMeter
from avsync.train.preflight import preflight
from avsync.train.reporter import Reporter
from avsync.train.step import Stepper
from avsync.train.stop import StopFlag, Stopped, agreed
from avsync.train.tracking import LogWindow, StepMetrics, Sums
from avsync.train.validation import Validation
from avsync.world import World, counter, use_cores


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainSummary:
    """How a run stands when `train` returns."""

    steps: int
    resumed_at: int
    best: Best | None


def train(dataset: str | Path, run: Path, config: TrainConfig) -> TrainSummary:
    """Train until `config.steps`; the same call again resumes at the exact step.

    Raises InputError for settings that cannot work, FormatError for damaged data, BusyError when the run is in use,
    Stopped when somebody wished to stop and all is saved.
    """
    on_cpu = config.runtime.device == "cpu" or not torch.cuda.is_available()
    patience = timedelta(seconds=2 * config.runtime.stop_after_s)  # a named error first
    accelerator = Accelerator(
        cpu=on_cpu, mixed_precision="bf16" if config.precision == "bf16" else "no",
        kwargs_handlers=[InitProcessGroupKwargs(timeout=patience)],
    )  # fmt: skip
    use_cores(accelerator.device)
    world = world_of(accelerator, patience)
    with ExitStack() as held:
        opened = world.together(lambda: open_run(dataset, run, config, world, held))
        trainer = Trainer(accelerator, world, opened)
        try:
            summary = trainer.run()
        except Stopped:
            accelerator.end_training()
            raise
    accelerator.end_training()  # else a rank's threads may abort its exit
    return summary


def world_of(accelerator: Accelerator, patience: timedelta = default_pg_timeout) -> World:
    """What accelerate found out about this process."""

    def broadcast(tensor: Tensor) -> None:
        if accelerator.num_processes > 1:
            torch.distributed.broadcast(tensor, src=0)

    return World(
        rank=accelerator.process_index, ranks=accelerator.num_processes, device=accelerator.device,
        gather=lambda table: cast(Tensor, accelerator.gather(table)), broadcast=broadcast,
        autocast=lambda: accelerator.autocast(),
        count=counter(patience) if accelerator.num_processes > 1 else int,
    )  # fmt: skip


class Trainer:
    """One run in one process; every rank has one."""

    def __init__(self, accelerator: Accelerator, world: World, opened: OpenRun) -> None:
        self.accelerator, self.world = accelerator, world
        self.paths, self.config, self.feed, self.order = opened.paths, opened.config, opened.feed, opened.order
        self.validation = Validation(opened.validation, self.config, world) if opened.validation else None
        self.gpu = GpuMeter(world.device)
        self.stop = StopFlag(looks=world.is_main)
        self.options = LoaderOptions.of(self.config.runtime, world, self.stop.waiting)
        self.network = build_network(self.config, self.feed)
        self.stepper = Stepper(accelerator, self.network, self.config, self.feed.view)
        self.state, self.digest, self.opening = begin(opened, world, self.network, self.stepper.optimizer)
        self.on_disk = self.state
        self.voice = Reporter(opened, self.state, speaks=world.is_main)
        self.stepper.ready()

    def run(self) -> TrainSummary:
        """All remaining steps. Raises Stopped on a wish to stop."""
        start, steps = self.state.step, self.config.steps
        kept = [self.validation.kept] if self.validation else []
        with (
            self.stop,
            self.gpu,
            self.voice,
            keep_ahead(self.feed.shelf, self.order.blocks(start), *kept) as self.coming,
        ):
            if start < steps and self.config.runtime.preflight:
                self.voice.preflight(preflight(self.feed, self.order, self.config, self.world, self.options, start))
            low = self.config.low_rate
            if self.state.unscored:
                self._validate_late(low.every if start <= low.steps else 1)
            for first, end, every in ((0, low.steps, low.every), (low.steps, steps, 1)):
                if first == self.state.step:
                    self.state = replace(self.state, best=None)  # scores at another frame rate do not compare
                if max(first, start) < end:
                    self._train_stage(max(first, start), end, every)
            self.voice.done(self.state)
        return TrainSummary(steps=self.state.step, resumed_at=start, best=self.state.best)

    def _train_stage(self, first: int, end: int, every: int) -> None:
        """Steps `first` to `end`, on every n-th picture."""
        rows = self.feed.training_rows(self.order, self.config, self.world, range(first, end), self.coming)
        with self.feed.loader(self.options, every) as loader:
            stream = agreed(in_order(loader.batches, rows), self.stop, self.world.any)
            window = LogWindow(self.world.device, self.state.sums if self.world.is_main else ())
            for step in range(first, end):
                try:
                    window.add(self.stepper.step(step, stream, self._see))
                except StoppedWaiting:
                    self._leave(window)
                self.digest.add(self.order.step(step))
                self.state = self.state.after(self.digest)
                self.voice.beat(self.state.step)
                if step + 1 == end or self._log_is_due():
                    self._log(window, loader)
                    window = LogWindow(self.world.device)
                    self._validate_and_save(every)
                    window = LogWindow(self.world.device)

    def _leave(self, window: LogWindow) -> NoReturn:
        """Save between two steps, as somebody wishes to stop; all ranks come here alike.

        They leave together when all is on the disk: srun ends a step's other processes when one has left like this.
        """
        if window.steps:
            sums = cast(Tensor, self.accelerator.reduce(window.totals, "sum")).tolist()
            self.state = replace(self.state, skipped=self.state.skipped + int(sums[-1]), sums=tuple(sums[:-1]))

        def last() -> None:
            if self.state != self.on_disk:
                self._save()
            self.voice.stopped()

        self.world.together(last)
        raise Stopped from None

    def _log_is_due(self) -> bool:
        """Also where a checkpoint may lie, so that a resumed run's curve has the same points."""
        runtime = self.config.runtime
        return any(map(self._due, (runtime.log_every, runtime.checkpoint_every, self.config.validate_every)))

    def _due(self, every: int) -> bool:
        return bool(every) and (self.state.step % every == 0 or self.state.step == self.config.steps)

    def _log(self, window: LogWindow, loader: Loader) -> None:
        """Average over ranks and draw. Every rank must come here at the same steps."""
        load = loader.meter.take(time.perf_counter() - window.started)
        use = self.gpu.read()
        mine = torch.tensor([[load.wait_share, use.busy if use else 0.0]], device=self.world.device)
        waits, busy = self.world.gather(mine).unbind(1)
        totals = cast(Tensor, self.accelerator.reduce(window.totals, "sum")).tolist()
        sums = Sums(*totals).checked(self.state.step)
        self.state = replace(self.state, skipped=self.state.skipped + int(sums.unreadable), sums=())
        now = StepMetrics(
            step=self.state.step, sums=sums, learning_rate=self.stepper.rate, load=load,
            clips=window.steps * self.config.batch, data_wait=float(waits.max()), skipped=self.state.skipped,
            gpu=use and use._replace(busy=float(busy.mean())), copies=self.feed.shelf.counts,
        )  # fmt: skip
        self.voice.point(now, loader.budget.last)

    def _validate_and_save(self, every: int) -> None:
        better = bool(self.validation) and self._due(self.config.validate_every) and self._validate(every)
        if better or self._due(self.config.runtime.checkpoint_every):
            self.world.together(self._save)

    def _validate_late(self, every: int) -> None:
        """What the last attempt was wished to leave out."""
        self.state = replace(self.state, unscored=False)
        if self.validation:
            self._validate(every)
        self.world.together(self._save)

    def _validate(self, every: int) -> bool:
        """Score the fixed pairs; True when this is the best so far. The same on every rank."""
        assert self.validation
        self.network.eval()
        for buffer in self.network.buffers():  # batch norm's statistics: those that the checkpoint will hold
            self.world.broadcast(buffer)
        try:
            with self.voice.phase("validating"):
                got = self.validation.score(
                    self.network, self.stepper.laid_out, self.options, every, self.voice.heat_maps, self._guarded
                )
        except StoppedWaiting:
            self.state = replace(self.state, unscored=True)
            self._leave(LogWindow(self.world.device))
        if not len(got.group):
            self.voice.say(f"step {self.state.step}: none of the validation clips could be read; no score")
            return False
        before, alarm = self.state, alarm_of(self.state.step, got, self.state.alarm)
        score = score_of(before.step, got, alarm)
        better = bool(self.world.agree(before.best is None or score.beats(before.best)))  # ranks may see other disks
        self.state = after(before, score, alarm, better=better)
        self.voice.validated(got, before, self.state)
        return better

    def _guarded(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Batches of a validation."""
        for batch in agreed(batches, self.stop, self.world.any):
            yield batch
            self.voice.beat(self.state.step)

    def _see(self, batch: Batch) -> None:
        if self.state.step == self.opening.done:
            self.voice.receipt(introduce(self.opening, self.world, batch))
        if not self.state.step:
            self.voice.first_batch(batch, self.stepper.prepared)

    def _save(self) -> None:
        """Rank 0 writes."""
        self.on_disk = self.state
        if not self.world.is_main:
            return
        with self.voice.phase("saving"):
            self.voice.flush()  # curves reach the disk before the checkpoint that continues them
            saved = Saved(
                state=self.state, model=self.network.state_dict(), optimizer=self.stepper.optimizer.state_dict()
            )
            keep_checkpoint(self.paths, saved, self.config.runtime.keep)
