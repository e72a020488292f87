"""What is measured of a GPU beside what train measures: scenes packed, ln 2 left, where a step's time goes."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch
from torch.profiler import ProfilerActivity, profile

from avsync.config import ViewConfig
from avsync.data.batch import Batch
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions
from avsync.models import build_model
from avsync.presets import PRESETS
from avsync.train.preflight import Alone
from avsync.train.step import Stepper as TrainerStepper
from avsync.world import World, use_cores
from benchmarks.train.feed import make_dataset, pairs_of, rows_of
from benchmarks.train.jobs import DatasetJob, Limits, ResidentJob
from benchmarks.train.settings import PLATEAU_BELOW, Case
from benchmarks.train.step import autocast, set_precision, settle

LAST = 10
"""Steps whose mean loss tells whether ln 2 is left: one may be luck."""
WARM_STEPS, PROFILED_STEPS = 3, 2
ROWS = 25
"""Of a profile's table."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    """Scenes in a stored form."""

    form: str
    folder: str
    clips_gb: float
    seconds: float
    """To make what was not there yet, and to pack."""

    def __str__(self) -> str:
        return f"scenes packed as {self.form}: {self.clips_gb:.2f} GB, {self.seconds:.0f} s"


@dataclass(frozen=True, kw_only=True, slots=True)
class Learned:
    """A training from random weights until the loss is below PLATEAU_BELOW, or the time is over."""

    case: Case
    form: str
    steps: int
    seconds: float
    """From the first batch that was asked for; building and the imports are not in it."""
    first_s: float
    """Of them, until the first step was done."""
    left: bool
    loss: float
    """Mean of the last steps."""
    peak_gb: float | None

    def __str__(self) -> str:
        how = f"left ln 2 after {self.seconds:.1f} s" if self.left else f"still at {self.loss:.3f}"
        return f"{self.case} on scenes: {how}, {self.steps} steps"


@dataclass(frozen=True, kw_only=True, slots=True)
class Profiled:
    """Where the time of a step goes."""

    case: Case
    table: str

    def __str__(self) -> str:
        return f"profile of {self.case}: {len(self.table.splitlines())} lines"


@dataclass(frozen=True, kw_only=True)
class ScenesJob:
    """Scenes made and packed."""

    limits: ClassVar[Limits] = (20, 120)
    form: str
    folder: Path
    scenes: int
    side: int

    @property
    def what(self) -> str:
        return f"scenes as {self.form}"

    def run(self) -> Packed:
        begun = time.monotonic()
        made = make_dataset(self.folder, self.form, self.scenes, self.side)
        size = sum(path.stat().st_size for path in made.rglob("*") if path.is_file())
        return Packed(form=self.form, folder=str(made), clips_gb=size / 1e9, seconds=time.monotonic() - begun)


@dataclass(frozen=True, kw_only=True)
class LearnJob(DatasetJob):
    """The trainer's own steps with a preset's optimiser, at its full rate from the end of its warm-up on."""

    limits: ClassVar[Limits] = (20, 120)
    preset: str
    seconds: float
    warmup_steps: int = 20
    """Less than a preset's: what is measured is over before its own were."""

    @property
    def what(self) -> str:
        return f"ln 2 left by {self.case}"

    def run(self) -> Learned:
        device, case = torch.device(self.device), self.case
        use_cores(device)
        set_precision(case.setting)
        preset = PRESETS[self.preset]()
        config = replace(
            preset,
            pairs=pairs_of(2, self.size.window_s),
            view=ViewConfig(size=self.size.side),
            optim=replace(preset.optim, schedule="constant", warmup_steps=self.warmup_steps),
            channels_last=case.setting.channels_last,
        )
        feed = Feed.open(self.dataset, "train", config.pairs, config.view)
        torch.manual_seed(config.seed)
        network = build_model(case.network, feed.spec()).to(device)
        if config.channels_last:
            network.to(memory_format=torch.channels_last_3d)  # pyright: ignore[reportCallIssue]
        world = replace(World.alone(device), autocast=partial(autocast, case.setting, device))
        stepper = TrainerStepper(Alone(world), network, config, feed.view, feed.dataset.info.clock.sample_rate)
        stepper.ready()
        return self._learn(feed, stepper, device)

    def _learn(self, feed: Feed, stepper: TrainerStepper, device: torch.device) -> Learned:
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        losses, begun, first_s = list[float](), time.perf_counter(), 0.0
        with feed.loader(LoaderOptions(device=device)) as loader:
            batches: Iterator[Batch] = loader.batches(rows_of(feed, self.case.batch))
            while not left_plateau(losses) and time.perf_counter() - begun < self.seconds:
                loss, _, examples, _ = stepper.step(len(losses), batches, lambda _: None).tolist()
                losses.append(loss / max(examples, 1))
                first_s = first_s or time.perf_counter() - begun
        return Learned(
            case=self.case,
            form=feed.dataset.info.codec,
            steps=len(losses),
            seconds=time.perf_counter() - begun,
            first_s=first_s,
            left=left_plateau(losses),
            loss=sum(losses[-LAST:]) / len(losses[-LAST:]),
            peak_gb=torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else None,
        )


def left_plateau(losses: list[float]) -> bool:
    """Whether the last steps are below it, taken together."""
    return len(losses) >= LAST and sum(losses[-LAST:]) / LAST < PLATEAU_BELOW


@dataclass(frozen=True, kw_only=True)
class ProfileJob(ResidentJob):
    """A step, by torch.profiler."""

    limits: ClassVar[Limits] = (15, 60)

    @property
    def what(self) -> str:
        return f"profile of {self.case}"

    def run(self) -> Profiled:
        step, device = self.ready(), torch.device(self.device)
        for _ in range(WARM_STEPS):
            step()
        settle(device)
        return Profiled(case=self.case, table=profiled(step, device))


def profiled(step: Callable[[], object], device: torch.device) -> str:
    """The operations that take the device's time, or without a GPU the CPU's, most of it first."""
    cuda = device.type == "cuda"
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    with profile(activities=kinds) as found:
        for _ in range(PROFILED_STEPS):
            step()
        settle(device)
    order = "self_device_time_total" if cuda else "self_cpu_time_total"
    return found.key_averages().table(sort_by=order, row_limit=ROWS, max_name_column_width=60)
