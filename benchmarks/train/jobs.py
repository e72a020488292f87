"""What is asked of the process that computes, one job at a time: a job is sent, its figures come back."""

import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import torch

from avsync.config import OptimConfig, RuntimeConfig, TrainConfig
from avsync.data.order import View
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions
from avsync.world import use_cores
from benchmarks.train.feed import curve, kept, open_feed, pace, pairs_of, rows_of, view_of
from benchmarks.train.settings import Case, Computed, Machine, Streamed, Trained
from benchmarks.train.step import Stepper, flops_of, measure, resident_batch, set_precision, spec_of, step_times
from sharding.base.environment import available_cores

FPS = 30
Device = Literal["cuda", "cpu"]
Limits = tuple[float, float]
"""Seconds: with less time left a job is not begun, and after the second it is stopped."""
TRIALS = 20
"""Of the machine's own limits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """What the network is shown."""

    side: int
    frames: int

    @property
    def window_s(self) -> float:
        return self.frames / FPS

    def view(self) -> View:
        """As in training: 7/8 of the stored picture's sides."""
        stored, side = 2 * round(self.side * 8 / 7 / 2), self.side
        return View(height=stored, width=stored, crop_height=side, crop_width=side, out_height=side, out_width=side)


@dataclass(frozen=True, kw_only=True)
class MachineJob:
    """The device's own limits."""

    device: Device
    limits: ClassVar[Limits] = (10, 60)

    @property
    def what(self) -> str:
        return "the machine's own limits"

    def run(self) -> Machine:
        device, cuda = torch.device(self.device), self.device == "cuda"
        side = 8192 if cuda else 512
        left, right = (torch.randn(side, side, device=device).bfloat16() for _ in range(2))
        source = torch.empty(2**32 if cuda else 2**24, dtype=torch.uint8, device=device)
        copy = torch.empty_like(source)
        return Machine(
            device=torch.cuda.get_device_name(device) if cuda else "CPU",
            cores=available_cores(),
            torch=str(torch.__version__),
            cudnn=str(torch.backends.cudnn.version()),
            bf16_tflops=2 * side**3 / median_time(lambda: left @ right, device) / 1e12,
            copy_gb_s=2 * source.nbytes / median_time(lambda: copy.copy_(source), device) / 1e9,
        )


@dataclass(frozen=True, kw_only=True)
class ResidentJob:
    """Steps on a batch that lies on the device."""

    device: Device
    case: Case
    size: Size
    sounds: int = 2
    """Of each clip's pictures."""

    def ready(self) -> Callable[[], object]:
        """A step, again and again."""
        device, view = torch.device(self.device), self.size.view()
        use_cores(device)
        spec = spec_of(self.size.frames, view)
        stepper = Stepper(self.case, spec, view, device)
        batch = resident_batch(self.case.batch, spec, view, device, self.sounds)
        return lambda: stepper(batch)


@dataclass(frozen=True, kw_only=True)
class ComputeJob(ResidentJob):
    """How long they take."""

    limits: ClassVar[Limits] = (10, 100)
    seconds: float

    @property
    def what(self) -> str:
        return str(self.case)

    def run(self) -> Computed:
        step, device = self.ready(), torch.device(self.device)
        flops = flops_of(self.case.network, spec_of(self.size.frames, self.size.view()), self.sounds)
        return measure(self.case, step, device, self.seconds, flops)


@dataclass(frozen=True, kw_only=True)
class DatasetJob:
    """Of a packed dataset."""

    device: Device
    case: Case
    size: Size
    dataset: Path

    def feed(self) -> Feed:
        return open_feed(self.dataset, self.size.side, self.size.window_s)


@dataclass(frozen=True, kw_only=True)
class StreamJob(DatasetJob):
    """A dataset, its loader and the network: each alone, then both."""

    limits: ClassVar[Limits] = (45, 150)
    seconds: float

    @property
    def what(self) -> str:
        return f"{self.case.network} fed from {self.dataset.name}, {self.case.batch} clips, {self.case.setting}"

    def run(self) -> Streamed:
        device = torch.device(self.device)
        use_cores(device)
        feed, options = self.feed(), LoaderOptions(device=device)
        stepper, clips = Stepper(self.case, feed.spec(), feed.view, device), self.case.batch
        with feed.loader(options) as loader:
            batch = kept(next(loader.batches(rows_of(feed, clips))))
        alone = measure(self.case, lambda: stepper(batch), device, self.seconds / 2, 0)
        loading = pace(feed, clips, options, lambda batch: None, self.seconds)
        together = pace(feed, clips, options, stepper, self.seconds)
        return Streamed(
            case=self.case,
            form=feed.dataset.info.codec,
            sounds=feed.sampler.sounds,
            loader_s=loading.batch_s,
            compute_s=alone.step_s,
            together_s=together.batch_s,
            kernels_s=alone.kernels_s,
            transfer_s=together.transfer_s,
            wait_share=together.wait_share,
            busy=together.busy,
        )


@dataclass(frozen=True, kw_only=True)
class TrainJob(DatasetJob):
    """`avsync train` itself. Its settings know no stem, no fused optimiser and no trunk per example."""

    limits: ClassVar[Limits] = (60, 180)
    steps: int

    @property
    def what(self) -> str:
        return f"avsync train {self.case}"

    def run(self) -> Trained:
        from avsync.train.trainer import train

        set_precision(self.case.setting)
        feed = self.feed()
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / "run"
            train(self.dataset, run, self._config(feed))
            speed, waiting, busy = (
                curve_median(run, tag)
                for tag in ("speed/clips_per_s", "speed/share_of_time_waiting_for_data", "gpu/busy")
            )
        form = feed.dataset.info.codec
        return Trained(case=self.case, form=form, clips_per_s=speed or 0, wait_share=waiting or 0, busy=busy)

    def _config(self, feed: Feed) -> TrainConfig:
        setting, device = self.case.setting, "auto" if self.device == "cuda" else "cpu"
        runtime = RuntimeConfig(device=device, log_every=max(2, self.steps // 8), checkpoint_every=self.steps)
        return TrainConfig(
            model=self.case.network,
            batch=self.case.batch,
            steps=self.steps,
            precision="bf16" if setting.precision == "bf16" else "fp32",
            channels_last=setting.channels_last,
            compile=setting.compiled,
            validate_every=0,
            optim=OptimConfig(warmup_steps=2),
            pairs=pairs_of(feed.sampler.sounds, self.size.window_s),
            view=view_of(feed.dataset.info.height, self.size.side),
            runtime=runtime,
        )


def curve_median(run: Path, tag: str) -> float | None:
    """Of all points but the first two, which hold the start; None where there is no such curve."""
    values = [value for _, value in curve(run, "train", tag)][2:]
    return statistics.median(values) if values else None


def median_time(work: Callable[[], object], device: torch.device) -> float:
    """Seconds, after a few runs to warm up."""
    step_times(work, device, 3)
    return statistics.median(step_times(work, device, TRIALS))


class Job(Protocol):
    """What is asked of the process that computes."""

    limits: ClassVar[Limits]

    @property
    def what(self) -> str: ...
    def run(self) -> Any:
        """Its figures."""
        ...


def case_of(job: Job) -> Case | None:
    """Those that compute have one."""
    return getattr(job, "case", None)
