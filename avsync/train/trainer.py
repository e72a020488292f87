"""Trains a sync network. The only importer of accelerate: devices, precision and gradient averaging come from there.

Our loader is never given to prepare(): it would make rank 0 read for all. `train` is the table of contents; the steps
are those of loop.py.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs
from torch import Tensor, nn
from torch.distributed.constants import default_pg_timeout

from avsync.confidence.trust import TrustPlan, find_trust, recorded
from avsync.config import TrainConfig
from avsync.data.batch import Batch
from avsync.honesty.judge import after, alarm_of, score_of
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions, StoppedWaiting
from avsync.loading.spawner import spawner_of
from avsync.models.parts import SyncNet
from avsync.run.checkpoint import Saved, restore_weights
from avsync.run.descent import take_weights
from avsync.run.limits import Section, longest_limit_s
from avsync.run.network import build_network, load_step
from avsync.run.optimizer_state import restore_optimizer
from avsync.run.paths import RunPaths
from avsync.run.resume import OpenRun, Start, begin, open_run
from avsync.run.state import Best, NetworkTrust, State, TrustRecord
from avsync.staging.stager import keep_ahead
from avsync.train.loop import Loop, TrainSchedule
from avsync.train.preflight import preflight
from avsync.train.reporter import TrainReporter
from avsync.train.sections import SectionWatch, rule_of, watched
from avsync.train.step import Stepper, mixed
from avsync.train.stop import Stopped
from avsync.train.tuning import tuned
from avsync.train.validation import Validation
from avsync.world import World, counter, use_cores
from sharding.base.console import WaitNotice, open_console
from sharding.base.environment import is_first_rank

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainSummary:
    """How a run stands when `train` returns."""

    steps: int
    resumed_at: int
    best: Best | None


class Trains(Protocol):
    """All steps of a run, in one process."""

    def run(self) -> TrainSummary: ...


def train(dataset: str | Path, run: Path, config: TrainConfig, origin: Path | None = None) -> TrainSummary:
    """Train a sync network: see `train_by`."""
    return train_by(Trainer, dataset, run, config, origin)


def train_by(
    build: Callable[[Accelerator, World, OpenRun, SectionWatch], Trains],
    dataset: str | Path,
    run: Path,
    config: TrainConfig,
    origin: Path | None = None,
    features: Path | None = None,
) -> TrainSummary:
    """Train until `config.steps`; the same call again resumes at the exact step.

    build: whose business what is trained is; origin: a run whose best weights this one starts from; features: one
    whose network this one sees by.

    Raises InputError for settings that cannot work, FormatError for damaged data, BusyError when the run is in use,
    Stopped when somebody wished to stop and all is saved.
    """
    on_cpu = config.runtime.device == "cpu" or not torch.cuda.is_available()
    longest_s = longest_limit_s(RunPaths(run), rule_of(config.runtime))
    patience = timedelta(seconds=4 * longest_s + 60)  # a named error first
    console = open_console(stderr=True, quiet=not is_first_rank())
    with WaitNotice("waiting for the run's other processes", console):
        accelerator = Accelerator(
            cpu=on_cpu,
            mixed_precision="bf16" if config.precision == "bf16" else "no",
            kwargs_handlers=[InitProcessGroupKwargs(timeout=patience)],
        )
        use_cores(accelerator.device)
        world = world_of(accelerator, patience)
    spawner_of(os.getpid())  # it imports what workers need while this process reads the index and builds the network
    with ExitStack() as held:
        opened = world.together(lambda: open_run(dataset, run, config, world, held, origin, features))
        with WaitNotice("building the network, or taking up its newest checkpoint", console):
            watch = held.enter_context(watched(opened.paths, config, world))
            trainer = build(accelerator, watch.marked(world), opened, watch)
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
        rank=accelerator.process_index,
        ranks=accelerator.num_processes,
        device=accelerator.device,
        gather=lambda table: cast(Tensor, accelerator.gather(table)),
        autocast=lambda: accelerator.autocast(),
        broadcast=broadcast,
        reduce=lambda tensor: cast(Tensor, accelerator.reduce(tensor, "sum")),
        count=counter(patience) if accelerator.num_processes > 1 else int,
    )


class NetworkTrainer(Generic[Network]):
    """What the loop trains, whichever network it is: its settings, data, steps, and what is saved of it."""

    sums = 4
    network: Network
    stepper: Stepper

    def __init__(self, world: World, opened: OpenRun, watch: SectionWatch) -> None:
        self.world, self.opened, self.config, self.feed = world, opened, opened.config, opened.feed
        self.loop = Loop(world, schedule_of(self.config), watch)
        self.options = LoaderOptions.of(self.config.runtime, world, self.loop.stop.waiting, watch)

    def _begin(self) -> Start:
        """Where this attempt begins, once network and stepper are there; they take up the newest checkpoint."""
        self.stepper.gradients = lambda: self.loop.watch.section(Section.GRADIENTS)
        return begin(self.opened, self.world, self._restore)

    @property
    def rate(self) -> float:
        return self.stepper.rate

    def weights(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return self.network.state_dict(), self.stepper.optimizer.state_dict()

    def _restore(self, saved: Saved, folder: Path) -> None:
        restore_weights(self.network, saved.model, folder, self.config.model)
        restore_optimizer(self.stepper.optimizer, saved.optimizer, folder)

    def _ask_alike(self) -> None:
        """In evaluation mode, with the same statistics of batch norm on every rank: those that a checkpoint holds."""
        self.network.eval()
        for buffer in self.network.buffers():
            self.world.broadcast(buffer)


class Trainer(NetworkTrainer[SyncNet]):
    """A sync network in training. Every rank has one."""

    def __init__(self, accelerator: Accelerator, world: World, opened: OpenRun, watch: SectionWatch) -> None:
        super().__init__(world, opened, watch)
        self.config, told = tuned(opened, world)
        if self.config.precision == "bf16":  # chosen on a CPU, it is none of accelerate's
            self.world = world = replace(world, autocast=lambda: mixed(world.device))
        self.validation = Validation(opened.validation, self.config, world) if opened.validation else None
        self.network = build_network(self.config, self.feed)
        self.stepper = Stepper(
            accelerator, self.network, self.config, self.feed.view, self.feed.dataset.info.clock.sample_rate
        )
        start = self._begin()
        self.reporter = TrainReporter(opened, start.state, speaks=world.is_main)
        if told:
            self.reporter.note("tuning", told, start.state.step)
        if (descent := opened.info.descent) and not start.state.step:
            spec = opened.feed.spec()
            self.reporter.say(world.together(lambda: take_weights(self.network, descent, spec)))
        self.loop.begin(start, self, self.reporter)
        self.stepper.ready()
        self.every = 1

    def run(self) -> TrainSummary:
        """All remaining steps. Raises Stopped on a wish to stop."""
        loop, config, order, low = self.loop, self.config, self.opened.order, self.config.low_rate
        start, steps = loop.state.step, config.steps
        kept = [self.validation.kept] if self.validation else []
        with loop, ExitStack() as held:
            self.reporter.introduce(self.world)
            coming = held.enter_context(keep_ahead(self.feed.shelf, order.blocks(start), *kept))
            if start < steps and config.runtime.preflight:
                self.reporter.waits("preflight: measuring loader and network, less than a minute")
                self.reporter.preflight(preflight(self.feed, order, config, self.world, self.options, start))
            self.every = low.every if start <= low.steps else 1
            loop.catch_up()
            for first, end, every in ((0, low.steps, low.every), (low.steps, steps, 1)):
                if first == loop.state.step:
                    loop.state = replace(loop.state, best=None)  # scores at another frame rate do not compare
                if max(first, start) < end:
                    self.every, coming_steps = every, range(max(first, start), end)
                    rows = self.feed.training_rows(order, coming_steps, self.world, config.runtime.accumulate, coming)
                    with self.feed.loader(self.options, every) as loader:
                        loop.train(loader, rows, end)
            if self.opened.validation:
                self._find_trust(self.opened.validation, anew=start < steps)
            self.reporter.done(loop.state)
        return TrainSummary(steps=loop.state.step, resumed_at=start, best=loop.state.best)

    def _find_trust(self, val: Feed, *, anew: bool) -> None:
        """How the logits of what is kept are to be read as evidence; `anew`: also where that is known already."""
        loop, paths, world = self.loop, self.opened.paths, self.world
        state, found = loop.state, list[NetworkTrust]()
        if world.agree(not anew and recorded(paths, state)):
            return
        plan = TrustPlan.of(val, self.opened.info.spec.frames)
        try:
            for step in sorted({state.best.step if state.best else state.step, state.step}):
                if isinstance(plan, str):
                    found.append(NetworkTrust(step=step, trust=None, why=plan))
                    continue
                with self.reporter.phase("validating"), loop.watch.section(Section.VALIDATION):
                    network, _ = world.together(lambda at=step: load_step(paths, self.opened.info, at, world.device))
                    found.append(find_trust(network, val, plan, world, self.options, loop.guarded))
        except StoppedWaiting:
            loop.leave()
        self.reporter.trusted(TrustRecord(networks=tuple(found)))

    def step(self, step: int, batches: Iterator[Batch], see: Callable[[Batch], None]) -> Tensor:
        def look(batch: Batch) -> None:
            see(batch)
            if not step:
                self.reporter.first_batch(batch, self.stepper.prepared)

        return self.stepper.step(step, batches, look)

    def validate(self, state: State) -> tuple[State, bool]:
        """Score the fixed pairs."""
        assert self.validation
        self._ask_alike()
        got = self.validation.score(
            self.network, self.stepper.laid_out, self.options, self.every, self.reporter.heat_maps, self.loop.guarded
        )
        if not len(got.group):
            self.reporter.say(f"step {state.step}: none of the validation clips could be read; no score")
            return state, False
        alarm = alarm_of(state.step, got, state.alarm)
        score = score_of(state.step, got, alarm)
        better = bool(self.world.agree(state.best is None or score.beats(state.best)))  # ranks may see other disks
        now = after(state, score, alarm, better=better)
        self.reporter.examined(got, state, now)
        return now, better


def schedule_of(config: TrainConfig) -> TrainSchedule:
    """What is due when, of a training with these settings."""
    runtime = config.runtime
    return TrainSchedule(
        steps=config.steps,
        batch=config.batch,
        # also where a checkpoint may lie, so that a resumed run's curve has the same points
        points=(runtime.log_every, runtime.checkpoint_every, config.validate_every),
        validate_every=config.validate_every,
        checkpoint_every=runtime.checkpoint_every,
        keep=runtime.keep,
    )
