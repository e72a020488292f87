"""A network in training that takes sounds apart: what the one loop of training trains here, and what it reports."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avsync.config import TrainConfig
from avsync.data.batch import Batch
from avsync.data.mixtures import mixed
from avsync.data.order import batches_of_rank, even_batch
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions
from avsync.models.separator import Separator
from avsync.run.checkpoint import Saved, restore_weights
from avsync.run.descent import take_weights
from avsync.run.limits import Section
from avsync.run.optimizer_state import restore_optimizer
from avsync.run.progress import ValidationScore
from avsync.run.resume import OpenRun, begin
from avsync.run.state import Best, State
from avsync.separation.curves import SeparationCurves
from avsync.separation.decibels import (
    COLUMNS,
    FEWEST,
    Judgement,
    errors_of,
    fixed_mixtures,
    judged,
    wanted_error,
)
from avsync.separation.loaded import build_separator, see_by_features
from avsync.staging.stager import Kept, keep_ahead
from avsync.train.loop import Loop
from avsync.train.reporter import Reporter, next_command
from avsync.train.sections import SectionWatch
from avsync.train.step import Accelerates, LossSums, Stepper
from avsync.train.tracking import StepMetrics
from avsync.train.trainer import TrainSummary, schedule_of, train_by
from avsync.world import World, words_for
from sharding.base.housekeeping import housekeeping
from sharding.base.text import counted, percent


def train_separator(
    dataset: str | Path, run: Path, config: TrainConfig, origin: Path | None = None, features: Path | None = None
) -> TrainSummary:
    """As avsync.train.trainer.train; features: a run of the sync network that it is to see by."""
    return train_by(SeparationTrainer, dataset, run, config, origin, features)


class SeparateStepper(Stepper):
    """An optimiser's step on mixtures."""

    def ask(self, batch: Batch, step: int) -> LossSums:
        given, config = self.prepared(batch, step), self._config
        mixtures = mixed(given.sounds[:, 0], batch, config.seed, step, config.separate.spread_db)
        assert isinstance(self.network, Separator)
        errors = errors_of(self._model(given.frames, mixtures.sounds), mixtures, self.network.spectrum)
        weight, right = mixtures.counts.float(), errors.own < errors.other
        examples = weight.sum()
        error = (wanted_error(errors, config.separate) * weight).sum() / examples.clamp(min=1)
        return LossSums(error, error.detach(), (right * weight).sum(), examples)


class SeparationValidation:
    """The val split's fixed mixtures, dealt to the ranks."""

    def __init__(self, feed: Feed, config: TrainConfig, world: World) -> None:
        self._feed, self._world, self._config = feed, world, config.separate
        draws = fixed_mixtures(feed, feed.fixed_clips(config.validate_clips))
        most = max(FEWEST, config.batch // world.ranks // config.runtime.accumulate)
        rows = even_batch(-(-len(draws) // world.ranks), most)
        self._rows = batches_of_rank(draws, max(FEWEST, rows + rows % 2), world.rank, world.ranks)

    @property
    def kept(self) -> Kept:
        """Where this rank finds its shards, and which."""
        index = self._feed.dataset.index
        return self._feed.shelf, {int(index.shard[draw.clip]) for rows in self._rows for draw in rows if draw.clip >= 0}

    def score(
        self,
        network: Separator,
        options: LoaderOptions,
        look: Callable[[Judgement], None],
        guarded: Callable[[Iterator[Batch]], Iterator[Batch]],
    ) -> dict[str, NDArray[np.float64]]:
        """All ranks' rows, by COLUMNS; `look` is shown the first batch."""
        tables, group = list[Tensor](), torch.from_numpy(self._feed.dataset.index.group.astype(np.int64))
        with self._feed.loader(options) as loader, self._world.autocast():
            stream = guarded(loader.batches(self._rows))
            for got in judged(network, stream, self._feed.view, self._config, group):
                if not tables:
                    look(got)
                tables.append(got.rows)
        table = self._world.gather(_padded(torch.cat(tables), sum(map(len, self._rows)))).cpu().numpy()
        table = table[~np.isnan(table[:, 0])]
        return dict(zip(COLUMNS, table.T, strict=True))


def _padded(table: Tensor, rows: int) -> Tensor:
    """Ranks gather tables of one size."""
    return torch.nn.functional.pad(table, (0, 0, 0, rows - len(table)), value=float("nan"))


class SeparationTrainer:
    """What the loop trains. Every rank has one."""

    sums = 4

    def __init__(self, accelerator: Accelerates, world: World, opened: OpenRun, watch: SectionWatch) -> None:
        self.world, self.opened, self.config, self.feed = world, opened, opened.config, opened.feed
        self.loop = Loop(world, schedule_of(self.config), watch)
        self.options = LoaderOptions.of(self.config.runtime, world, self.loop.stop.waiting, watch)
        self.validation = SeparationValidation(opened.validation, self.config, world) if opened.validation else None
        self.network = build_separator(opened.info)
        rate = self.feed.dataset.info.clock.sample_rate
        self.stepper = SeparateStepper(accelerator, self.network, self.config, self.feed.view, rate)
        self.stepper.gradients = lambda: watch.section(Section.GRADIENTS)
        start = begin(opened, world, self._restore)
        self.reporter = SeparationReporter(opened, start.state, speaks=world.is_main)
        if not start.state.step:
            self.reporter.say(world.together(lambda: see_by_features(self.network, opened.info)))
            if descent := opened.info.descent:
                self.reporter.say(world.together(lambda: take_weights(self.network, descent, opened.info.spec)))
        self.loop.begin(start, self, self.reporter)
        self.stepper.ready()

    def run(self) -> TrainSummary:
        """All remaining steps. Raises Stopped on a wish to stop."""
        loop, config, order = self.loop, self.config, self.opened.order
        start = loop.state.step
        kept = [self.validation.kept] if self.validation else []
        with loop, ExitStack() as held:
            self.reporter.introduce(self.world)
            coming = held.enter_context(keep_ahead(self.feed.shelf, order.blocks(start), *kept))
            loop.catch_up()
            steps = range(start, config.steps)
            if steps:
                rows = self.feed.training_rows(order, steps, self.world, config.runtime.accumulate, coming)
                with self.feed.loader(self.options) as loader:
                    loop.train(loader, rows, config.steps)
            self.reporter.done(loop.state)
        return TrainSummary(steps=loop.state.step, resumed_at=start, best=loop.state.best)

    @property
    def rate(self) -> float:
        return self.stepper.rate

    def step(self, step: int, batches: Iterator[Batch], see: Callable[[Batch], None]) -> Tensor:
        return self.stepper.step(step, batches, see)

    def validate(self, state: State) -> tuple[State, bool]:
        """Take the fixed mixtures apart."""
        assert self.validation
        self.network.eval()
        for buffer in self.network.buffers():  # as Trainer does: those that the checkpoint will hold
            self.world.broadcast(buffer)
        rows = self.validation.score(self.network, self.options, self.reporter.heard, self.loop.guarded)
        if not len(rows["loss"]):
            self.reporter.say(f"step {state.step}: none of the validation mixtures could be read and heard; no score")
            return state, False
        score = Best(state.step, float(rows["right"].mean()), float(rows["loss"].mean()))
        better = bool(self.world.agree(state.best is None or score.loss < state.best.loss))
        now = replace(state, best=score) if better else state
        self.reporter.judged(rows, score, now)
        return now, better

    def weights(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return self.network.state_dict(), self.stepper.optimizer.state_dict()

    def _restore(self, saved: Saved, folder: Path) -> None:
        restore_weights(self.network, saved.model, folder, self.config.model)
        restore_optimizer(self.stepper.optimizer, saved.optimizer, folder)


class SeparationReporter(Reporter):
    """How well sounds come apart."""

    def __init__(self, opened: OpenRun, state: State, *, speaks: bool) -> None:
        self._opened, config = opened, opened.config
        self._drawn = SeparationCurves(opened.paths, opened.info, state.step) if speaks else None
        super().__init__("training", opened.paths, state, steps=config.steps, batch=config.batch, curves=self._drawn)

    def introduce(self, world: World) -> None:
        """What begins, before anything is waited for."""
        opened, config = self._opened, self._opened.config
        if (step := self._pulse.now.first_step) < config.steps:
            self.say(
                f"training {config.model} ({config.separate.task}) on {words_for(world.device)}, "
                f"{counted(world.ranks, 'process', 'processes')}: {counted(len(opened.feed.clips), 'clip')} to train "
                f"on; {config.batch // 2} mixtures a step, {f'resumed at step {step}' if step else 'steps 0'} to "
                f"{config.steps}; log: {opened.paths.tensorboard}, {opened.paths.progress.name}"
            )

    def status(self, now: StepMetrics) -> str:
        """How the training stands, for the bar."""
        return (
            f"error {now.loss:.2f} dB  own part {percent(now.accuracy, digits=0)}  {now.clips_per_s:.1f} clips/s  "
            f"data wait {percent(now.data_wait, digits=0)}"
        )

    def heard(self, got: Judgement) -> None:
        """Spectrograms and sounds of the first mixtures."""
        if self._drawn:
            spectrum = Separator.spectrum_of(self._opened.info.spec)
            rate = self._opened.info.spec.clock.sample_rate
            with housekeeping("draw spectrograms in", self._opened.paths.tensorboard, Exception):
                self._drawn.heard(got, spectrum, rate, self._pulse.now.step)

    def judged(self, rows: dict[str, NDArray[np.float64]], score: Best, state: State) -> None:
        """A validation, in words and as points."""
        gain = float((rows["after"] - rows["before"]).mean())
        strange = rows["swapped"] - rows["before"]
        strange = strange[~np.isnan(strange)]
        figures = {
            "error_db": score.loss,
            "own_part_taken": score.accuracy,
            "si_sdr_improvement": gain,
            "ceiling": float((rows["ceiling"] - rows["before"]).mean()),
        }
        words = ""
        if len(strange) and self._opened.config.separate.task == "screen":
            figures["honesty/si_sdr_improvement_with_another_picture"] = float(strange.mean())
            words = f", with another clip's picture {strange.mean():+.1f} dB"
        self.say(
            f"step {score.step}: validation SI-SDR {gain:+.1f} dB{words}; the picture's own part taken "
            f"{percent(score.accuracy)}; {counted(len(rows['loss']), 'picture')}"
        )
        if self._drawn:
            self._drawn.validated(figures, score.step)
        self.validated(ValidationScore(score.step, score.accuracy, score.loss), state)

    def done(self, state: State) -> None:
        """The last line: which command follows."""
        super().done(state)
        self.say(f"done. {next_command('evaluate', self._opened.paths.root, self._opened.info.dataset_path)}")
