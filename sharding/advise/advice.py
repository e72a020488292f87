"""What was measured of each stored form, as a table, and the form to choose, with the reason in a sentence.

Pure: knows neither videos nor disks.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

from rich.table import Table

from sharding.base.text import counted, duration

CACHED = 0.7
"""A collection smaller than this fraction of the memory stays there after the first epoch."""
NEARLY = 0.8
"""When no form keeps up, a smaller one that reaches this fraction of the fastest is preferred."""


GPU_CLIPS_PER_S = 70.0
"""Computed, not measured: the paper's network needs 1.4 TFLOP for a clip, forward and backward with both of its
sounds; a GPU sustains 100 TFLOP/s."""
CORE_CLIPS_PER_S = 3.0
"""Measured: the small network in training, on a core that does nothing else."""


@dataclass(frozen=True, slots=True)
class TrainingRate:
    """How fast training takes clips: what data have to keep up with."""

    clips_per_s: float
    source: str
    """Where the number comes from, as a sentence says it."""

    @classmethod
    def assumed(cls, *, gpu: bool, cores: int) -> "TrainingRate":
        """For a machine as it is, where nobody says more."""
        if gpu:
            source = "assumed for one GPU and the paper's network, as computed"
            return cls(GPU_CLIPS_PER_S, f"{source}; what avsync train reports is better: --gpu-clips-per-s N")
        source = f"assumed for {counted(cores, 'core')} without a GPU and --preset small, as measured"
        return cls(
            CORE_CLIPS_PER_S * cores,
            f"{source}; to train elsewhere say how fast: --gpu-clips-per-s {GPU_CLIPS_PER_S:g} is about one GPU",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Means:
    """What there is to read and train with."""

    cores: int
    processes: int
    """That pack."""
    train_clips_per_s: float
    """What the network takes."""
    free_bytes: int
    """On the disk."""
    memory_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """One stored form. A clip is one of mean length; loading is a window of it."""

    name: str
    offered: bool
    """Something `avsync pack` can write."""
    clips: int
    """In the whole collection."""
    clip_bytes: float
    pack_cpu_s: float
    """For each clip, from the source to the shard."""
    write_bytes_per_s: float
    load_cpu_s: float
    warm: float
    """Clips a second, all cores."""
    cold: float | None
    """The same from the disk; None where it could not be measured."""
    psnr_db: float | None

    @property
    def bytes(self) -> int:
        """Of the whole collection."""
        return round(self.clip_bytes * self.clips)

    def pack_hours(self, processes: int) -> float:
        """Whichever takes longer: computing or writing."""
        return max(self.pack_cpu_s * self.clips / processes, self.bytes / self.write_bytes_per_s) / 3600

    def rate(self, means: Means) -> float:
        """Clips a second that training would see, epoch after epoch."""
        in_memory = self.bytes < CACHED * means.memory_bytes
        return self.warm if in_memory or self.cold is None else self.cold

    def limit(self, means: Means) -> str:
        """What holds `rate` back."""
        if self.rate(means) * self.load_cpu_s > NEARLY * means.cores or self.rate(means) >= NEARLY * self.warm:
            return f"the CPU, {self.load_cpu_s * 1000:.0f} ms a clip"
        return f"the disk, {self.rate(means) * self.clip_bytes / 1e6:,.0f} MB/s"


def choose(forms: Sequence[Figures], means: Means) -> Figures:
    """The smallest form that feeds the training and fits on the disk; when none does, the best of what there is."""
    offered = sorted((form for form in forms if form.offered), key=lambda form: form.bytes)
    fitting = [form for form in offered if form.bytes <= means.free_bytes] or offered[:1]
    fastest = max(form.rate(means) for form in fitting)
    wanted = means.train_clips_per_s if fastest >= means.train_clips_per_s else NEARLY * fastest
    return next(form for form in fitting if form.rate(means) >= wanted)


def reason(chosen: Figures, forms: Sequence[Figures], means: Means) -> str:
    """Why, in a sentence or two; what would have to change where the choice falls short."""
    rate, need = chosen.rate(means), means.train_clips_per_s
    reasons = [f"{counted(means.cores, 'core')} load {rate:,.0f} clips/s of it, training takes {need:,.0f}"]
    if rate < need:
        reasons.append(f"no form keeps up, and the limit is {chosen.limit(means)}")
        if chosen.limit(means).startswith("the CPU"):
            reasons.append(f"{ceil(need * chosen.load_cpu_s)} cores would do")
    reasons += [_beside(form, chosen, means) for form in forms if form.offered and form is not chosen]
    if chosen.bytes > means.free_bytes:
        reasons.append(f"the disk has {size(means.free_bytes)} free, and that is not enough even for this")
    return "; ".join(reasons)


def _beside(form: Figures, chosen: Figures, means: Means) -> str:
    """Why `form` was not chosen."""
    rate = f"{form.rate(means):,.0f} clips/s, held back by {form.limit(means)}"
    if form.bytes < chosen.bytes:
        return f"{form.name} takes 1/{chosen.bytes / max(1, form.bytes):.2g} of the space but loads {rate}"
    text = f"{form.name} would take {form.bytes / max(1, chosen.bytes):.2g} times the space"
    if form.bytes > means.free_bytes:
        return f"{text}, more than the {size(means.free_bytes)} that are free"
    return text if form.rate(means) >= means.train_clips_per_s else f"{text} and load {rate}"


def table(forms: Sequence[Figures], means: Means) -> Table:
    """One column for each form."""
    packers, loaders = counted(means.processes, "core"), counted(means.cores, "core")
    figures: list[tuple[str, Callable[[Figures], str]]] = [
        ("bytes of a clip", lambda form: size(form.clip_bytes)),
        ("bytes of the collection", lambda form: size(form.bytes)),
        ("pack a clip, CPU time", lambda form: f"{form.pack_cpu_s * 1000:,.0f} ms"),
        (f"pack the collection, {packers}", lambda form: duration(3600 * form.pack_hours(means.processes))),
        ("load a window, CPU time", lambda form: f"{form.load_cpu_s * 1000:,.1f} ms"),
        (f"windows/s, {loaders}, warm", lambda form: f"{form.warm:,.0f}"),
        ("... cold", lambda form: "?" if form.cold is None else f"{form.cold:,.0f}"),
        ("PSNR of the planes", lambda form: _decibels(form.psnr_db)),
    ]
    rows = Table(title_justify="left")
    rows.add_column("")
    for form in forms:
        rows.add_column(form.name, justify="right")
    for label, figure in figures:
        rows.add_row(label, *map(figure, forms))
    return rows


def _decibels(psnr_db: float | None) -> str:
    if psnr_db is None:
        return "-"
    return "exact" if math.isinf(psnr_db) else f"{psnr_db:.1f} dB"


def size(count: float) -> str:
    """`340 kB`, `29.5 MB`, `3.41 TB`: decimal, as disks are sold."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}" if count < 99.95 else f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:,.2f} TB"
