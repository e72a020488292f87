"""The training loop. The only importer of accelerate: devices, precision and gradient averaging come from there.

Our loader is never given to prepare(): it would make rank 0 read for all. `train` is the table of contents.
"""

import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import NoReturn, cast

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs
from torch import Tensor

from avsync import pictures
from avsync.batch import Batch
from avsync.checkpoint import Saved, keep_checkpoint
from avsync.config import TrainConfig
from avsync.gpu import GpuMeter
from avsync.loading.loader import Loader
from avsync.loading.options import LoaderOptions, StoppedWaiting
from avsync.metrics import roc_auc
from avsync.network import build_network
from avsync.predict import Answer
from avsync.receipt import in_order
from avsync.report import TrainReport
from avsync.resume import OpenRun, begin, introduce, open_run
from avsync.staging.location import is_url
from avsync.staging.stager import keep_ahead
from avsync.state import Best
from avsync.step import Stepper
from avsync.stop import StopFlag
from avsync.tracking import LogWindow, Progress, Sums, Tracker
from avsync.validation import Validation
from avsync.world import World, use_cores


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainSummary:
    """How a run stands when `train` returns."""

    steps: int
    resumed_at: int
    best: Best | None


def train(dataset: str | Path, run: Path, config: TrainConfig) -> TrainSummary:
    """Train until `config.steps`; the same call again resumes at the exact step.

    Raises InputError for settings that cannot work, FormatError for damaged data, BusyError when the run is in use.
    """
    on_cpu = config.runtime.device == "cpu" or not torch.cuda.is_available()
    patience = InitProcessGroupKwargs(timeout=timedelta(seconds=2 * config.runtime.stop_after_s))  # a named error first
    accelerator = Accelerator(
        cpu=on_cpu, mixed_precision="bf16" if config.precision == "bf16" else "no", kwargs_handlers=[patience]
    )
    use_cores(accelerator.device)
    world = world_of(accelerator)
    with ExitStack() as held:
        opened = world.together(lambda: open_run(dataset, run, config, world, held))
        trainer = Trainer(accelerator, world, opened)
        summary = trainer.run(Tracker(opened.paths, opened.info, trainer.state.step) if world.is_main else None)
    accelerator.end_training()  # else a rank's threads may abort its exit
    return summary


def world_of(accelerator: Accelerator) -> World:
    """What accelerate found out about this process."""

    def broadcast(tensor: Tensor) -> None:
        if accelerator.num_processes > 1:
            torch.distributed.broadcast(tensor, src=0)

    return World(
        rank=accelerator.process_index, ranks=accelerator.num_processes, device=accelerator.device,
        gather=lambda table: cast(Tensor, accelerator.gather(table)), broadcast=broadcast,
        autocast=lambda: accelerator.autocast(),
    )  # fmt: skip


class Trainer:
    """One run in one process; every rank has one."""

    def __init__(self, accelerator: Accelerator, world: World, opened: OpenRun) -> None:
        self.accelerator, self.world = accelerator, world
        self.paths, self.config, self.feed, self.order = opened.paths, opened.config, opened.feed, opened.order
        self.validation = Validation(opened.validation, self.config, world) if opened.validation else None
        self.gpu = GpuMeter(world.device)
        self.dataset = "DATASET" if is_url(opened.info.dataset_path) else opened.info.dataset_path
        self.stop = StopFlag(active=world.ranks == 1)
        self.options = LoaderOptions.of(self.config.runtime, world, lambda: self.stop.asked)
        self.network = build_network(self.config, self.feed)
        self.stepper = Stepper(accelerator, self.network, self.config, self.feed.view)
        self.state, self.digest, self.opening = begin(opened, world, self.network, self.stepper.optimizer)
        self.stepper.ready()

    def run(self, tracker: Tracker | None) -> TrainSummary:
        """All remaining steps. Only rank 0 has a tracker."""
        self.tracker, start = tracker, self.state.step
        kept = [self.validation.kept] if self.validation else []
        with (
            self.stop,
            keep_ahead(self.feed.shelf, self.order.blocks(start), *kept) as self.coming,
            TrainReport(self.config.steps, start, quiet=tracker is None) as self.report,
        ):
            if start >= self.config.steps:
                self.report.say(f"all {start} steps are done already")
            low = self.config.low_rate
            for first, end, every in ((0, low.steps, low.every), (low.steps, self.config.steps, 1)):
                if first == self.state.step:
                    self.state = replace(self.state, best=None)  # scores at another frame rate do not compare
                if max(first, start) < end:
                    self._train_stage(max(first, start), end, every)
            self.report.done("evaluate", self.paths.root, self.dataset)
        if tracker:
            tracker.close()
        return TrainSummary(steps=self.state.step, resumed_at=start, best=self.state.best)

    def _introduce(self, first: Batch) -> None:
        """The receipt of a resumed run, now that its first clips are there, and what of the data is not used."""
        receipt = introduce(self.opening, self.world, first)
        if self.tracker:
            self.tracker.receipt(receipt)
        if self.state.step:
            self.report.say(str(receipt))
        if too_short := (clips := len(self.feed.dataset.index)) - len(self.feed.clips):
            self.report.say(f"{too_short} of {clips} clips are too short for a pair; left out")

    def _train_stage(self, first: int, end: int, every: int) -> None:
        """Steps `first` to `end`, on every n-th picture."""
        rows = self.feed.training_rows(self.order, self.config, self.world, range(first, end), self.coming)
        with self.feed.loader(self.options, every) as loader:
            stream = in_order(loader.batches, rows)
            window = LogWindow(self.world.device)
            for step in range(first, end):
                try:
                    window.add(self.stepper.step(step, stream, self._see))
                except StoppedWaiting:
                    self._leave(window)
                self.digest.add(self.order.step(step))
                self.state = self.state.after(self.digest)
                if step + 1 == end or self._log_is_due():
                    self._log(window, loader)
                    self._validate_and_save(every)
                    window = LogWindow(self.world.device)
                if self.stop.asked:
                    self._leave(window)

    def _leave(self, window: LogWindow) -> NoReturn:
        """Save between two steps, as somebody wishes to stop; there is one rank only, see StopFlag."""
        self.state = replace(self.state, skipped=self.state.skipped + int(window.totals[-1]))
        self._save()
        raise KeyboardInterrupt

    def _log_is_due(self) -> bool:
        """Also where a checkpoint may lie, so that a resumed run's curve has the same points."""
        runtime = self.config.runtime
        return any(map(self._due, (runtime.log_every, runtime.checkpoint_every, self.config.validate_every)))

    def _due(self, every: int) -> bool:
        return bool(every) and (self.state.step % every == 0 or self.state.step == self.config.steps)

    def _log(self, window: LogWindow, loader: Loader) -> None:
        """Average over ranks and draw. Every rank must come here at the same steps."""
        load = loader.meter.take(time.perf_counter() - window.started)
        waits = self.world.gather(torch.tensor([load.wait_share], device=self.world.device))
        sums = Sums(*cast(Tensor, self.accelerator.reduce(window.totals, "sum")).tolist())
        self.state = replace(self.state, skipped=self.state.skipped + int(sums.unreadable))
        if not self.tracker:
            return
        if sums.unreadable:
            self.report.say(
                f"step {self.state.step}: {sums.unreadable:.0f} clips could not be read: {loader.budget.last}"
            )
        now = Progress(
            step=self.state.step, sums=sums, learning_rate=self.stepper.rate, load=load,
            clips=window.steps * self.config.batch, data_wait=float(waits.max()), skipped=self.state.skipped,
            gpu=self.gpu.read(), copies=self.feed.shelf.counts,
        )  # fmt: skip
        self.tracker.progress(now)
        self.report.progress(now)

    def _validate_and_save(self, every: int) -> None:
        better = bool(self.validation) and self._due(self.config.validate_every) and self._validate(every)
        if better or self._due(self.config.runtime.checkpoint_every):
            self.world.together(self._save)

    def _validate(self, every: int) -> bool:
        """Score the fixed pairs; True when this is the best so far. The same on every rank."""
        assert self.validation
        self.network.eval()
        for buffer in self.network.buffers():  # batch norm's statistics: those that the checkpoint will hold
            self.world.broadcast(buffer)
        got = self.validation.score(self.stepper.infer, self.options, every, self._look)
        if not len(got.hits):
            self.report.say(f"step {self.state.step}: none of the validation clips could be read; no score")
            return False
        accuracy = float(got.hits.mean())
        if self.tracker:
            self.report.say(f"step {self.state.step}: validation loss {got.loss:.3f}, accuracy {accuracy:.1%}")
            self.tracker.validated(self.state.step, got.loss, accuracy, roc_auc(got.logit, got.in_sync))
        score, best = Best(self.state.step, accuracy, got.loss), self.state.best
        better = bool(self.world.agree(best is None or score.beats(best)))  # what ranks see of a disk may differ
        if better:
            self.state = replace(self.state, best=score)
        return better

    def _see(self, batch: Batch) -> None:
        if self.state.step == self.opening.done:
            self._introduce(batch)
        if self.tracker and not self.state.step:
            self.tracker.first_batch(pictures.batch_sheet(self.stepper.prepared(batch), batch))

    def _look(self, answer: Answer) -> None:
        if self.tracker:
            self.tracker.heat_maps(pictures.cam_sheet(answer), self.state.step)

    def _save(self) -> None:
        """Rank 0 writes."""
        if self.tracker:
            self.tracker.flush()  # curves reach the disk before the checkpoint that continues them
            saved = Saved(
                state=self.state, model=self.network.state_dict(), optimizer=self.stepper.optimizer.state_dict()
            )
            keep_checkpoint(self.paths, saved, self.config.runtime.keep)
