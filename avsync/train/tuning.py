"""In which form a network computes fastest on this processor: measured before a run's first step, told, kept with it.

Forms give the same answers but for rounding: the order in which pictures lie in memory, and, on processors that
multiply bfloat16 in hardware (AMX, AVX-512), mixed precision. RUN/tuning.json keeps the choice: an attempt that goes
on, wherever it runs, computes as the one before it did. A GPU is not asked; there the settings say it.
"""

import itertools
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from avsync.config import TrainConfig
from avsync.loading.feed import Feed
from avsync.models.parts import SyncNet
from avsync.run.network import build_network
from avsync.run.resume import OpenRun
from avsync.train.step import mixed
from avsync.world import World
from sharding.base.files import LARGEST_RECORD, Measured, read_json, write_json

CPUINFO = Path("/proc/cpuinfo")
FAST_BF16 = frozenset({"amx_bf16", "avx512_bf16"})
"""Flags of processors on which bfloat16 pays; others take three times as long (docs/log.md)."""
GAIN = 1.05
"""A form must be so many times as fast as the one that is set, or nothing is changed: two measurements of one form may
lie as far apart."""
ROUNDS, MEASURED_S = 3, 6.0
"""Each form once a round, as many as fit into that time."""
CLIPS, SOUNDS = 1, 2
"""What a measured step is shown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """How a network computes."""

    precision: Literal["fp32", "bf16"]
    channels_last: bool

    def of(self, config: TrainConfig) -> TrainConfig:
        """The settings, computed so."""
        return replace(config, precision=self.precision, channels_last=self.channels_last)

    def __str__(self) -> str:
        return f"{self.precision}{', channels last' * self.channels_last}"


@dataclass(frozen=True, kw_only=True, slots=True)
class TuningRecord:
    """tuning.json: what was chosen, and on what."""

    LARGEST_FILE: ClassVar[int] = LARGEST_RECORD

    form: Form
    gain: Measured
    """Times as fast as what is set."""
    processor: str

    def __str__(self) -> str:
        return (
            f"computing in {self.form}: {self.gain:.2f} times as fast as set, measured on {self.processor} "
            "(--runtime.no-tune: as set)"
        )


def tuned(opened: OpenRun, world: World) -> tuple[TrainConfig, str]:
    """The run's settings in the form that was chosen for it, and a line about that, empty where nothing was.

    Every rank must call it. A run that has steps behind it and no choice goes on as it began.
    """
    config, paths = opened.config, opened.paths
    if world.device.type != "cpu" or not config.runtime.tune or config.compile:
        return config, ""
    if world.agree(paths.tuning.exists()):
        record = world.together(lambda: read_json(paths.tuning, TuningRecord))
        return record.form.of(config), str(record)
    if world.agree(max(opened.paths.saved_steps(), default=0)):
        return config, ""
    record = choose(config, opened.feed, world)

    def keep() -> None:
        if record is not None and world.is_main:
            write_json(paths.tuning, record)

    world.together(keep)
    return (config, "") if record is None else (record.form.of(config), str(record))


def choose(config: TrainConfig, feed: Feed, world: World) -> TuningRecord | None:
    """The fastest form, by the slowest rank; None where what is set is about as fast. Every rank must call it."""
    processor, flags = this_processor()
    forms = world.together(lambda: candidates(config, feed, flags))
    if not world.agree(int(len(forms) > 1)):
        return None
    mine = world.together(lambda: measured(config, feed, forms))
    slowest = world.gather(torch.tensor([mine], dtype=torch.float64)).amax(0).tolist()
    best = min(range(len(forms)), key=slowest.__getitem__)
    gain = slowest[0] / slowest[best]
    return TuningRecord(form=forms[best], gain=round(gain, 3), processor=processor) if gain >= GAIN else None


def candidates(config: TrainConfig, feed: Feed, flags: frozenset[str]) -> list[Form]:
    """What is set, and then other forms that may be faster; `flags`: of the processor."""
    layouts = [config.channels_last]
    if not config.channels_last and not _lays_out_itself(config, feed):
        layouts.append(True)
    precisions: list[Literal["fp32", "bf16"]] = [config.precision]
    if config.precision == "fp32" and flags & FAST_BF16:
        precisions.append("bf16")
    return [Form(precision=one, channels_last=last) for one, last in itertools.product(precisions, layouts)]


def _lays_out_itself(config: TrainConfig, feed: Feed) -> bool:
    """Whether a network puts its pictures channels last whatever it is given, as `small` and `embedding` do."""
    found = list[bool]()

    def look(convolution: nn.Module, given: tuple[Tensor]) -> None:
        (cells,) = given
        last = cells.is_contiguous(memory_format=torch.channels_last_3d)
        found.append(last and not cells.is_contiguous())  # of one channel both are true

    with torch.random.fork_rng([]), torch.no_grad():
        frames, _ = _shown(feed)
        video = build_network(config, feed).eval().video
        for module in video.modules():
            if isinstance(module, nn.Conv3d):
                module.register_forward_pre_hook(look)
        video(frames)
    return any(found)


def measured(config: TrainConfig, feed: Feed, forms: Sequence[Form]) -> list[float]:
    """Seconds of a step in each form: the least of a few, in turn, for what else the machine does only adds to it."""
    with torch.random.fork_rng([]):  # the run's own weights and windows are what they would be
        frames, sounds = _shown(feed)
        steps = [_step(build_network(form.of(config), feed), form, frames, sounds) for form in forms]
        taken = [[_seconds(step)] for step in steps]  # the first one of each takes memory and chooses kernels
        begun = time.monotonic()
        for _ in range(ROUNDS):
            for step, times in zip(steps, taken, strict=True):
                times.append(_seconds(step))
            if time.monotonic() - begun > MEASURED_S:
                break
    return [min(times[1:]) for times in taken]


def _shown(feed: Feed) -> tuple[Tensor, Tensor]:
    """(CLIPS, 3, T, H, W) and (CLIPS, SOUNDS, C, S), of nothing in particular."""
    spec = feed.spec()
    frames = torch.rand(CLIPS, 3, spec.frames, spec.height, spec.width) * 2 - 1
    return frames, torch.rand(CLIPS, SOUNDS, spec.channels, spec.samples) * 2 - 1


def _step(network: SyncNet, form: Form, frames: Tensor, sounds: Tensor) -> Callable[[], None]:
    """Forward and backward. The update is left out: it is the same in every form."""
    network.train()
    if form.channels_last:
        frames = frames.contiguous(memory_format=torch.channels_last_3d)

    def step() -> None:
        with mixed(frames.device) if form.precision == "bf16" else nullcontext():
            logit = network(frames, sounds).logit
        logit.float().square().sum().backward()
        network.zero_grad()

    return step


def _seconds(step: Callable[[], None]) -> float:
    begun = time.perf_counter()
    step()
    return time.perf_counter() - begun


def this_processor() -> tuple[str, frozenset[str]]:
    """Its name and what it can, as Linux says; where nothing says so, no name and nothing."""
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        return "this processor", frozenset()
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return facts.get("model name", "this processor"), frozenset(facts.get("flags", "").split())
