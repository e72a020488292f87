"""Which jobs, in what order, and how many seconds each part may take: what matters most comes first.

Later parts build on what earlier ones gave; what a part does not use is left for those that follow.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from avsync.config import ModelName
from benchmarks.gpu.sizes import Scale, Shown, shown
from benchmarks.gpu.work import Learned, LearnJob, Packed, Profiled, ProfileJob, ScenesJob
from benchmarks.train.jobs import ComputeJob, Device, Job, MachineJob, Size, StreamJob
from benchmarks.train.settings import Case, Results, Setting

PLAIN = (Setting(precision="tf32"), Setting(), Setting(channels_last=True), Setting(channels_last=True, tuned=True))
"""One thing more each time; tf32 is what --precision fp32 means on a GPU."""
COMPILED = Setting(channels_last=True, compiled=True)
FORMS = ("raw", "h264")
STREAMED = ("paper", "covariance", "small")
"""Presets whose network is fed from scenes; those of the scale."""
LEARNT: tuple[tuple[str, Setting], ...] = tuple(
    (preset, setting)
    for preset in ("covariance", "small")
    for setting in (Setting(precision="tf32"), Setting(channels_last=True))
)
"""Presets that leave ln 2 soon, and how they are computed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PartTime:
    """What a part was given, and took."""

    part: str
    budget_s: float
    took_s: float
    figures: int
    troubles: int


@dataclass(kw_only=True, slots=True)
class GpuResults(Results):
    """Everything so far; as JSON beside the tables."""

    packed: list[Packed] = field(default_factory=list)
    learned: list[Learned] = field(default_factory=list)
    profiled: list[Profiled] = field(default_factory=list)
    parts: list[PartTime] = field(default_factory=list)

    def fastest(self, network: ModelName) -> Setting:
        """So far, of those that need no compiling; bf16 as long as nothing is known."""
        rows = [row for row in self.computed if row.case.network == network and not row.case.setting.compiled]
        return max(rows, key=lambda row: row.clips_per_s).case.setting if rows else Setting(channels_last=True)


class Part(NamedTuple):
    """Jobs that share a time."""

    name: str
    budget_s: float
    jobs: Callable[[], Iterator[Job]]


class Plan:
    """All parts."""

    def __init__(self, device: Device, scale: Scale, folder: Path, results: GpuResults) -> None:
        """folder: for scenes; results: they grow while the plan goes on."""
        self.device: Device = device
        self.scale, self.folder, self.results = scale, folder, results
        self.shown = {preset: shown(preset, scale) for preset in scale.presets}

    def parts(self) -> Sequence[Part]:
        """In the order of importance."""
        return (
            Part("machine", 30, self.machine),
            Part("networks", 110, self.networks),
            Part("scenes", 90, self.scenes),
            Part("loader", 110, self.stream),
            Part("profile", 30, self.profile),
            Part("learning", 90, self.learn),
            Part("larger steps", 50, self.larger),
            Part("compiled", 240, self.compiled),
        )

    def machine(self) -> Iterator[Job]:
        """The device's own limits."""
        yield MachineJob(device=self.device)

    def networks(self) -> Iterator[Job]:
        """Setting by setting, so that each has a figure for every network before the time is over."""
        for setting in PLAIN:
            for what in self.shown.values():
                yield self._compute(what, setting)

    def compiled(self) -> Iterator[Job]:
        """A minute each, perhaps."""
        for what in self.shown.values():
            yield self._compute(what, COMPILED)

    def larger(self) -> Iterator[Job]:
        """The fastest setting with more clips a step."""
        for what in self.shown.values():
            more = replace(what, batch=self.scale.more * what.batch)
            yield self._compute(more, self.results.fastest(what.network))

    def scenes(self) -> Iterator[Job]:
        """In each stored form; the scenes themselves are made once."""
        side = Size(side=self.scale.side, frames=self.scale.frames).view().height
        for form in FORMS:
            yield ScenesJob(form=form, folder=self.folder, scenes=self.scale.scenes, side=side)

    def stream(self) -> Iterator[Job]:
        """Loader alone, network alone, both, in the fastest setting."""
        for preset in STREAMED:
            for packed in self.results.packed if preset in self.shown else ():
                what = self.shown[preset]
                yield StreamJob(
                    device=self.device,
                    case=self._case(what, self.results.fastest(what.network)),
                    size=Size(side=what.side, frames=what.frames),
                    dataset=Path(packed.folder),
                    seconds=2 * self.scale.seconds,
                )

    def learn(self) -> Iterator[Job]:
        """From the form that loads soonest, which is packed first."""
        for preset, setting in LEARNT:
            if preset in self.shown and self.results.packed:
                what = self.shown[preset]
                yield LearnJob(
                    device=self.device,
                    case=self._case(what, setting),
                    size=Size(side=what.side, frames=what.frames),
                    dataset=Path(self.results.packed[0].folder),
                    preset=preset,
                    seconds=self.scale.learn_s,
                )

    def profile(self) -> Iterator[Job]:
        """Of the first preset's step in its fastest setting."""
        what = next(iter(self.shown.values()))
        case = self._case(what, self.results.fastest(what.network))
        size = Size(side=what.side, frames=what.frames)
        yield ProfileJob(device=self.device, case=case, size=size, sounds=what.sounds)

    def _compute(self, what: Shown, setting: Setting) -> Job:
        return ComputeJob(
            device=self.device,
            case=self._case(what, setting),
            size=Size(side=what.side, frames=what.frames),
            seconds=self.scale.seconds,
            sounds=what.sounds,
        )

    def _case(self, what: Shown, setting: Setting) -> Case:
        return Case(network=what.network, setting=setting, batch=what.batch)
