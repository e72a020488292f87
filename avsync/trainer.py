"""The training loop. The only importer of accelerate: devices, precision and gradient averaging come from there.

Our loader is never given to prepare(): it would make rank 0 read for all. `train` is the table of contents.
"""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor

from avsync import pictures
from avsync.batch import Batch
from avsync.checkpoint import (
    Best, RunInfo, RunPaths, Saved, State, check_same_run, git_hash, load_checkpoint, prune, read_run, restore_weights,
    save_checkpoint,
)  # fmt: skip
from avsync.config import TrainConfig
from avsync.draw import Draw, batches_of_rank, fixed_choice, fixed_draws, training_draws
from avsync.feed import Feed
from avsync.gpu import GpuMeter
from avsync.loader import LoaderOptions
from avsync.loss import score
from avsync.metrics import roc_auc
from avsync.models import build_model
from avsync.models.parts import SyncOutput
from avsync.optim import build_optimizer, learning_rate
from avsync.order import Digest, Order, check_batch
from avsync.predict import Predictions, answers, rows
from avsync.report import TrainReport
from avsync.tracking import Progress, Tracker
from avsync.transforms import prepare
from sharding.clip import FORMAT_VERSION
from sharding.errors import FormatError, InputError
from sharding.files import folder_lock, read_json, write_json


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainSummary:
    """How a run stands when `train` returns."""

    steps: int
    resumed_at: int
    best: Best | None


def train(dataset: Path, run: Path, config: TrainConfig) -> TrainSummary:
    """Train until `config.steps`; the same call again resumes at the exact step.

    Raises InputError for settings that cannot work, FormatError for damaged data, BusyError when the run is in use.
    """
    on_cpu = config.runtime.device == "cpu" or not torch.cuda.is_available()
    accelerator = Accelerator(cpu=on_cpu, mixed_precision="bf16" if config.precision == "bf16" else "no")
    check_batch(config.batch, accelerator.num_processes, config.accumulate)
    feed = Feed.open(dataset, "train", config.pairs, config.view)
    validation = open_validation(dataset, feed, config)
    paths = RunPaths(run)
    lock = folder_lock(run, "avsync train") if accelerator.is_main_process else nullcontext()
    with lock:
        trainer = Trainer(accelerator, paths, config, feed, validation)
        trainer.describe(dataset)
        trainer.resume()
        return trainer.run()


def open_validation(dataset: Path, feed: Feed, config: TrainConfig) -> Feed | None:
    """The val split, unless validation is off. Raises InputError when it is wanted and there is none."""
    if not config.validate_every:
        return None
    if not feed.dataset.info.clips.get("val"):
        raise InputError(
            f"{dataset} has no clips in split 'val': pack with a larger --val-percent, name the split in the CSV, "
            "or give --validate-every 0 to train without validation"
        )
    return Feed.open(dataset, "val", config.pairs, config.view)


class Trainer:
    """One run in one process; every rank has one."""

    def __init__(
        self, accelerator: Accelerator, paths: RunPaths, config: TrainConfig, feed: Feed, validation: Feed | None
    ) -> None:
        self.accelerator, self.paths, self.config = accelerator, paths, config
        self.feed, self.validation = feed, validation
        self.order = Order(
            clips=feed.clips, shards=feed.dataset.index.shard[feed.clips], batch=config.batch, seed=config.seed
        )
        torch.manual_seed(config.seed)
        self.network = build_model(config.model, feed.spec())
        if config.low_rate.steps:
            build_model(config.model, feed.spec(config.low_rate.every))  # says now whether it can work
        if config.channels_last:
            self.network.to(memory_format=torch.channels_last_3d)  # pyright: ignore[reportCallIssue]
        self.optimizer = build_optimizer(self.network.parameters(), config.optim)
        self.digest, self.step, self.skipped = Digest(), 0, 0
        self.best: Best | None = None

    def describe(self, dataset: Path) -> None:
        """Write run.json, or check that the run in this folder is the same one."""
        wanted = RunInfo(
            format_version=FORMAT_VERSION, config=self.config, spec=self.feed.spec(), dataset=self.feed.dataset.info,
            dataset_path=str(dataset), data_fingerprint=self.feed.fingerprint(), git=git_hash(), torch=torch.__version__,
        )  # fmt: skip
        if self.paths.info.is_file():
            check_same_run(read_run(self.paths), wanted, self.paths.root)
        elif self.paths.saved_steps():
            raise FormatError(f"{self.paths.root} has checkpoints but no run.json: put it back or use another folder")
        elif self.accelerator.is_main_process:
            write_json(self.paths.info, wanted)
        self.info = wanted
        self.accelerator.wait_for_everyone()

    def resume(self) -> None:
        """Take up the newest checkpoint, if there is one; then hand network and optimiser to accelerate."""
        steps = self.paths.saved_steps()
        if steps:
            folder = self.paths.checkpoint(steps[0])
            saved = load_checkpoint(folder)
            restore_weights(self.network, saved.model, folder, self.config.model)
            self.optimizer.load_state_dict(saved.optimizer)
            self._check_receipt(saved.state, folder)
            self.step, self.skipped, self.digest = saved.state.step, saved.state.skipped, Digest(saved.state.digest)
            self.best = read_json(self.paths.best, Best) if self.paths.best.is_file() else None
        wrapped = torch.compile(self.network) if self.config.compile else self.network
        self.model, self.stepper = self.accelerator.prepare(wrapped, self.optimizer)

    def _check_receipt(self, state: State, folder: Path) -> None:
        """The checkpoint must have seen exactly the clips this run's order gives. Raises FormatError otherwise."""
        if Digest.after(self.order, state.step).state != state.digest:
            raise FormatError(f"{folder} was trained on other clips than this dataset and seed give: use a new run folder")

    def run(self) -> TrainSummary:
        """All remaining steps."""
        config, start = self.config, self.step
        self.tracker = Tracker(self.paths, start) if self.accelerator.is_main_process else None
        self.gpu = GpuMeter(self.accelerator.device)
        with TrainReport(config.steps, start, quiet=self.tracker is None) as self.report:
            if start:
                self.report.say(f"resumed at step {start}: clips skipped 0, repeated 0, digest {self.digest.state} matches")
            elif self.tracker:
                self.tracker.settings(self.info)
            for first, last, every in self._stages():
                self._train_steps(max(first, start), last, every)
        if self.tracker:
            self.tracker.close()
        return TrainSummary(steps=self.step, resumed_at=start, best=self.best)

    def _stages(self) -> list[tuple[int, int, int]]:
        """(first step, end step, every n-th picture)"""
        low = self.config.low_rate
        return [(0, low.steps, low.every), (low.steps, self.config.steps, 1)]

    def _options(self) -> LoaderOptions:
        runtime = self.config.runtime
        return LoaderOptions(
            threads=runtime.threads, prefetch=runtime.prefetch, error_budget=runtime.error_budget,
            pin=self.accelerator.device.type == "cuda",
        )  # fmt: skip

    def _train_steps(self, first: int, end: int, every: int) -> None:
        """Steps `first` to `end` of one stage."""
        rank, ranks = self.accelerator.process_index, self.accelerator.num_processes
        draws = training_draws(
            self.order, self.feed.law, self.feed.dataset.index, self.feed.view, self.config.view.flip, rank, ranks,
            self.config.accumulate,
        )  # fmt: skip
        wanted = (part for step in range(first, end) for part in draws(step))
        with self.feed.loader(self._options(), every) as loader:
            stream = loader.batches(wanted)
            window = _LogWindow(self.accelerator.device)
            for step in range(first, end):
                window.add(self._step(step, stream))
                self.digest.add(self.order.step(step))
                self.step = step + 1
                if self._due(self.config.runtime.log_every):
                    self._log(window, loader.wait.read(), loader.budget.total)
                    window = _LogWindow(self.accelerator.device)
                self._after_step(every, loader.budget.total)
            self.skipped += loader.budget.total

    def _due(self, every: int) -> bool:
        return bool(every) and (self.step % every == 0 or self.step == self.config.steps)

    def _step(self, step: int, stream: Iterator[Batch]) -> Tensor:
        """One optimiser step. Returns (loss, correct, count) of this rank's examples."""
        parts = self.config.accumulate
        totals = torch.zeros(3, device=self.accelerator.device)
        self.network.train()
        for part in range(parts):
            batch = next(stream)
            if step == 0 and part == 0 and self.tracker:
                self._draw_first_batch(batch)
            with self._synchronised_if(part == parts - 1):
                totals += self._forward_backward(batch, parts)
        if self.config.optim.clip_norm:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.config.optim.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, self.config.steps, self.config.optim)
        self.stepper.step()
        self.stepper.zero_grad()
        return totals

    def _synchronised_if(self, last: bool) -> AbstractContextManager[object]:
        """Gradients are averaged over ranks only in the last accumulation pass."""
        return nullcontext() if last else self.accelerator.no_sync(self.model)

    def _forward_backward(self, batch: Batch, parts: int) -> Tensor:
        batch = batch.to(self.accelerator.device)
        seen = prepare(batch, self.feed.view, self.config.pairs.mute_samples)
        out: SyncOutput = self.model(self._laid_out(seen.frames), seen.sounds)
        result = score(out.logit, batch.in_sync, batch.valid)
        self.accelerator.backward(result.loss / parts)
        return torch.stack((result.loss.detach() * result.count, result.correct, result.count))

    def _laid_out(self, frames: Tensor) -> Tensor:
        return frames.contiguous(memory_format=torch.channels_last_3d) if self.config.channels_last else frames

    def _log(self, window: "_LogWindow", waited_s: float, skipped: int) -> None:
        """Average over ranks and draw. Every rank must come here at the same steps."""
        loss, correct, count = self.accelerator.reduce(window.totals, "sum").tolist()  # pyright: ignore
        elapsed = time.perf_counter() - window.started
        if not self.tracker:
            return
        now = Progress(
            step=self.step, loss=loss / max(count, 1), accuracy=correct / max(count, 1),
            learning_rate=self.optimizer.param_groups[0]["lr"], clips_per_s=window.steps * self.config.batch / elapsed,
            data_wait=min(1.0, waited_s / elapsed), skipped=self.skipped + skipped, gpu=self.gpu.read(),
        )  # fmt: skip
        self.tracker.progress(now)
        self.report.progress(now)

    def _after_step(self, every: int, skipped: int) -> None:
        better = self._due(self.config.validate_every) and self.validation is not None and self._validate(every)
        if better or self._due(self.config.runtime.checkpoint_every):
            self._save(skipped)
        if better and self.accelerator.is_main_process:
            write_json(self.paths.best, self.best)

    def _save(self, skipped: int) -> None:
        if self.tracker:
            self.tracker.flush()  # curves reach the disk before the checkpoint that continues them
            state = State(
                step=self.step, model=self.config.model, digest=self.digest.state, skipped=self.skipped + skipped
            )
            saved = Saved(state=state, model=self.network.state_dict(), optimizer=self.optimizer.state_dict())
            save_checkpoint(self.paths, saved)
            prune(self.paths, self.config.runtime.keep)
        self.accelerator.wait_for_everyone()

    def _validate(self, every: int) -> bool:
        """Score the fixed pairs of the val split; True when it is the best so far. The same on every rank."""
        feed = self.validation
        assert feed is not None
        got = self._predict(feed, every)
        accuracy = float(got.hits.mean()) if len(got.hits) else 0.0
        if self.tracker:
            auc = roc_auc(got.logit, got.in_sync)
            self.tracker.validated(self.step, got.loss, accuracy, auc)
            self.report.say(f"step {self.step}: validation loss {got.loss:.3f}, accuracy {accuracy:.1%}, AUC {auc:.3f}")
        better = self.best is None or accuracy > self.best.accuracy
        if better:
            self.best = Best(self.step, accuracy)
        return better

    def _predict(self, feed: Feed, every: int) -> Predictions:
        accelerator, config = self.accelerator, self.config
        chosen = fixed_choice(feed.clips, config.validate_clips)
        draws = fixed_draws(feed.dataset.index, chosen, feed.law, feed.view)
        rank, ranks = accelerator.process_index, accelerator.num_processes
        share = batches_of_rank(draws, max(1, config.batch // ranks // config.accumulate), rank, ranks)
        self.network.eval()
        tables: list[Tensor] = []
        with feed.loader(self._options(), every) as loader, accelerator.autocast():
            stream = loader.batches(share)
            for answer in answers(self._infer, stream, feed.view, config.pairs.mute_samples, accelerator.device):
                if self.tracker and not tables:
                    self.tracker.picture("where_it_listens", pictures.cam_sheet(answer), self.step)
                tables.append(rows(answer))
        self.network.train()
        return Predictions.of(accelerator.gather(torch.cat(tables)))  # pyright: ignore[reportArgumentType]

    def _infer(self, frames: Tensor, sounds: Tensor) -> SyncOutput:
        """The bare network: validation averages no gradients, so it needs no wrapper."""
        return self.network(self._laid_out(frames), sounds)

    def _draw_first_batch(self, batch: Batch) -> None:
        assert self.tracker
        seen = prepare(batch, self.feed.view, self.config.pairs.mute_samples)
        self.tracker.picture("first_batch", pictures.batch_sheet(seen, batch), 0)


class _LogWindow:
    """Sums between two points of the curves."""

    def __init__(self, device: torch.device) -> None:
        self.totals, self.steps, self.started = torch.zeros(3, device=device), 0, time.perf_counter()

    def add(self, totals: Tensor) -> None:
        self.totals += totals
        self.steps += 1
